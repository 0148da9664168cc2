"""`exgs lab`: run experiments in virtual time, draw and compare their results."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exgs.cli.arguments import positive
from exgs.cli.extras import require
from exgs.cli.interrupt import interruptible
from exgs.cli.output import Output, add_output_options
from exgs.lab.results.table import read_table
from exgs.lab.shell.sweep import run_sweep

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "exgs-lab"
_SHOWN = ("first_picture_s", "t30_s", "mean_db", "p5_db", "wasted_bytes", "stall_s", "qoe")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="run|plot|compare", required=True)
    run = verbs.add_parser(
        "run",
        help="simulate all sessions of an experiment",
        description="Simulate all sessions of an experiment: scenes x links x viewers x policies x"
        " seeds. Continues an interrupted run.",
    )
    run.add_argument(
        "experiment",
        metavar="EXPERIMENT.toml",
        type=Path,
        help="an experiment file, see docs/laboratory.md; examples are in bench/experiments",
    )
    run.add_argument(
        "-o", "--out", metavar="OUT", type=Path, required=True, help="folder for the results"
    )
    run.add_argument(
        "-j",
        "--processes",
        metavar="N",
        type=positive,
        default=1,
        help="processes to run on; the table is the same for any number (default: 1)",
    )
    run.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="run on a Dask cluster, as tcp://HOST:8786 (needs the package distributed)",
    )
    run.add_argument(
        "--real",
        action="store_true",
        help="also run the policies exgs and exgs-static over sockets, in real time, and report"
        " the difference",
    )
    run.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        default=CACHE,
        help="folder for encoded scenes and measured curves (default: ~/.cache/exgs-lab)",
    )
    run.add_argument("--json", action="store_true", help="print JSON")
    plot = verbs.add_parser(
        "plot",
        help="draw the results of a run",
        description="Draw quality over time, policies against each other and a distribution, and"
        " write report.html.",
    )
    plot.add_argument("out", metavar="OUT", type=Path, help="folder of a run")
    compare = verbs.add_parser(
        "compare",
        help="test the differences of two runs for significance",
        description="Compare two runs, or two policies of one, session by session, and say which"
        " differences are significant.",
    )
    compare.add_argument("a", metavar="A", help="folder of a run, or FOLDER:POLICY")
    compare.add_argument("b", metavar="B", help="folder of a run, or FOLDER:POLICY")
    compare.add_argument("--json", action="store_true", help="print JSON")
    for verb in (run, plot, compare):
        add_output_options(verb, verb=True)


@interruptible()
def run(arguments: argparse.Namespace, output: Output) -> None:
    """Run the command."""
    if arguments.verb == "run":
        _run(arguments, output)
    elif arguments.verb == "plot":
        _plot(arguments, output)
    else:
        _compare(arguments, output)


def _run(arguments: argparse.Namespace, output: Output) -> None:
    output.subject = str(arguments.experiment)
    with output.progress() as report:
        sweep = run_sweep(
            arguments.experiment,
            arguments.out,
            arguments.cache,
            processes=arguments.processes,
            dask=arguments.dask,
            real=arguments.real,
            report=report,
            note=output.note,
        )
    if arguments.json:
        output.json({"sessions": len(sweep.rows), "simulated": sweep.ran, **output.costs()})
    else:
        output.table(*summary(sweep.rows))
        if arguments.real:
            from exgs.lab.shell.real import DIFFERENCE_COLUMNS, differences

            output.result("")
            output.table(DIFFERENCE_COLUMNS, differences(sweep.rows))
    output.done(
        arguments.out / "table.csv",
        what=f"{len(sweep.rows)} sessions ({sweep.ran} simulated now) in {arguments.out}",
    )


def summary(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Means over all sessions of each policy."""
    names = list(dict.fromkeys((row["policy"], row["mode"]) for row in rows))
    cells = []
    for policy, mode in names:
        of = [row for row in rows if (row["policy"], row["mode"]) == (policy, mode)]
        label = policy if mode == "simulated" else f"{policy} ({mode})"
        cells.append([label, str(len(of)), *(_mean(of, column) for column in _SHOWN)])
    return ["policy", "sessions", *_SHOWN], cells


def _mean(rows: Sequence[dict[str, Any]], column: str) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    if not values:
        return "never" if column.endswith("_s") else ""
    mean = sum(values) / len(values)
    text = f"{mean:,.0f}" if column.endswith("_bytes") else f"{mean:.2f}"
    return text if len(values) == len(rows) else f"{text} ({len(rows) - len(values)} never)"


def _plot(arguments: argparse.Namespace, output: Output) -> None:
    require("matplotlib")
    from exgs.lab.results.report import write_report

    output.subject = str(arguments.out)
    output.done(*write_report(arguments.out))


def _compare(arguments: argparse.Namespace, output: Output) -> None:
    from exgs.lab.results.compare import compare

    a, b = _part(arguments.a), _part(arguments.b)
    found = compare(a, b)
    if arguments.json:
        output.json([line.as_json() for line in found])
        return
    output.table(
        ["metric", "A", "B", "B - A", "95% interval", "pairs", "p", "significant"],
        [line.cells() for line in found],
    )


def _part(text: str) -> list[dict[str, Any]]:
    folder, _, policy = text.partition(":")
    rows = read_table(Path(folder))
    return [row for row in rows if row["policy"] == policy] if policy else rows
