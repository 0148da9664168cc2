"""The output of commands: results on stdout, everything else on stderr.

Progress is a bar on a terminal, and a line now and then elsewhere. A command that writes files
ends with one line: the files, their size, the time and the peak memory.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from exgs.cli.progress import Job, Spans
from exgs.scene.stores import Place

Report = Callable[[str, float], None]  # (stage, fraction done in [0, 1])


def add_output_options(parser: argparse.ArgumentParser, *, verb: bool = False) -> None:
    """Add the options of every command. Those of a `verb` keep values that were given before it."""
    group = parser.add_argument_group("output")
    for names, text in (
        (("-q", "--quiet"), "print results only, no notes and no progress"),
        (("--verbose",), "print details, and the traceback of an error"),
        (("--no-tty",), "no progress bars, no colours"),
    ):
        default = argparse.SUPPRESS if verb else False
        group.add_argument(*names, action="store_true", default=default, help=text)


def open_streams() -> None:
    """Make stdout and stderr accept any text.

    Streams that the caller has closed are discarded. Characters that the locale lacks are escaped.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Output:
    """The output of a command."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, tty: bool = True) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.subject = ""  # the input that errors are about
        self._tty = tty
        self._start_s = time.perf_counter()

    def result(self, text: str) -> None:
        """Print a line of the result."""
        print(text)

    def json(self, value: object) -> None:
        """Print the result for scripts: one JSON value."""
        print(json.dumps(value, indent=2, allow_nan=False))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table: the first column aligned left, the others right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        # A pipe gets the table in its full width, not in the 80 columns that rich assumes.
        on_terminal = self._tty and sys.stdout.isatty()
        Console(
            file=sys.stdout,
            highlight=False,
            no_color=not on_terminal,
            width=None if on_terminal else 200,
        ).print(table)

    def note(self, text: str) -> None:
        """Print a note on stderr."""
        if not self.quiet:
            print(printable(text), file=sys.stderr)

    def detail(self, text: str) -> None:
        """Print a line on stderr with --verbose."""
        if self.verbose:
            print(printable(text), file=sys.stderr)

    def error(self, text: str) -> None:
        """Print the error in one line, with the input that it is about."""
        if self.subject and not text.startswith(self.subject):
            text = f"{self.subject}: {text}"
        print(f"exgs: {printable(text)}", file=sys.stderr)

    def trace(self, error: BaseException) -> None:
        """Print the traceback of an error with --verbose."""
        if self.verbose:
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(without_codes(line), file=sys.stderr)

    def done(self, *paths: Place, what: str = "") -> None:
        """Print the last line: the written files, their size, time and peak memory."""
        if self.quiet:
            return
        size = format_bytes(sum(path.stat().st_size for path in paths))
        written = what or ", ".join(str(path) for path in paths)
        print(
            f"wrote {written} · {size} · {self.elapsed_s:.1f} s"
            f" · peak memory {format_bytes(peak_memory_bytes())}",
            file=sys.stderr,
        )

    def flush(self) -> None:
        """Flush buffered results, so that a closed pipe is noticed here."""
        sys.stdout.flush()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the command."""
        return time.perf_counter() - self._start_s

    def costs(self) -> dict[str, Any]:
        """Time and peak memory, for --json."""
        return {"time_s": round(self.elapsed_s, 3), "peak_memory_bytes": peak_memory_bytes()}

    @contextmanager
    def progress(self, spans: Spans | None = None) -> Iterator[Report]:
        """Show how far the whole command is: call the yielded function with stage and fraction.

        `spans` says which part of its time each stage takes. A terminal gets a bar with the time
        left, anything else a line every ten seconds.
        """
        job = Job(spans or {}, time.perf_counter())
        if self.quiet:
            yield lambda stage, fraction: None
            return
        if not self._tty or not sys.stderr.isatty():

            def say(stage: str, fraction: float) -> None:
                line = job.line(stage, fraction, time.perf_counter())
                if line is not None:
                    self.note(line)

            yield say
            return
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[standing]}"),
            console=Console(file=sys.stderr),
            transient=True,
        )
        with bar:
            task = bar.add_task("", total=1.0, standing="")

            def show(stage: str, fraction: float) -> None:
                at = job.reached(stage, fraction, time.perf_counter())
                bar.update(task, description=stage, completed=at.fraction, standing=at.text)

            yield show


def format_bytes(size: float) -> str:
    """A size as text, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"


def printable(text: str) -> str:
    """Untrusted text in one line, without control codes."""
    return " ".join(without_codes(text).split())


def without_codes(text: str) -> str:
    """Replace characters that can't be printed with spaces.

    Surrogates are kept; they represent bytes of a file name that are not UTF-8.
    """
    return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else " " for c in text)


def format_db(value: float) -> str:
    """A PSNR as text."""
    return f"{value:.1f}" if math.isfinite(value) else "equal"


def json_db(value: float) -> float | None:
    """A PSNR for JSON, which has no infinity: equal pictures give null."""
    return round(value, 2) if math.isfinite(value) else None


def peak_memory_bytes() -> int:
    """The peak memory of this process, or of the largest worker process that has ended."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who)
    return peak if sys.platform == "darwin" else peak * 1024
