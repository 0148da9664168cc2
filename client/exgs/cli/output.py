"""What a command says: results on stdout, everything else on stderr.

Progress is drawn on a terminal only. A run that writes ends with one line: what was written, its
size, the time and the peak memory.
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
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

Report = Callable[[str, float], None]  # (stage, fraction done in [0, 1])


def add_output_options(parser: argparse.ArgumentParser, *, verb: bool = False) -> None:
    """The options of every command; those of a `verb` leave alone what was said before it."""
    group = parser.add_argument_group("output")
    for names, text in (
        (("-q", "--quiet"), "no notes, no progress; results are still printed"),
        (("--verbose",), "say more, and show where an error arose"),
        (("--no-tty",), "no progress bars, no colours"),
    ):
        default = argparse.SUPPRESS if verb else False
        group.add_argument(*names, action="store_true", default=default, help=text)


def open_streams() -> None:
    """Make stdout and stderr take any text.

    What a caller has closed leads nowhere, and what the locale has no letter for is escaped.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Output:
    """Where a command's words go."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, tty: bool = True) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.subject = ""  # the input that messages are about
        self._tty = tty
        self._start_s = time.perf_counter()

    def result(self, text: str) -> None:
        """What the command was asked for."""
        print(text)

    def json(self, value: object) -> None:
        """The result for a script: one JSON value."""
        print(json.dumps(value, indent=2, allow_nan=False))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A result in columns: the first aligned left, the others right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        # A pipe gets the table at its own width, not at the 80 columns that rich assumes there.
        on_terminal = self._tty and sys.stdout.isatty()
        Console(
            file=sys.stdout,
            highlight=False,
            no_color=not on_terminal,
            width=None if on_terminal else 200,
        ).print(table)

    def note(self, text: str) -> None:
        """A line on the way, for people."""
        if not self.quiet:
            print(printable(text), file=sys.stderr)

    def detail(self, text: str) -> None:
        """A line for --verbose."""
        if self.verbose:
            print(printable(text), file=sys.stderr)

    def error(self, text: str) -> None:
        """The one line that says what went wrong, with the input that it is about."""
        if self.subject and not text.startswith(self.subject):
            text = f"{self.subject}: {text}"
        print(f"exgs: {printable(text)}", file=sys.stderr)

    def trace(self, error: BaseException) -> None:
        """Where an error arose, for --verbose."""
        if self.verbose:
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(without_codes(line), file=sys.stderr)

    def done(self, *paths: Path, what: str = "") -> None:
        """The last line: what was written, its size, time and peak memory."""
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
        """Push buffered results out, so that a closed pipe is noticed here."""
        sys.stdout.flush()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the command began."""
        return time.perf_counter() - self._start_s

    def costs(self) -> dict[str, Any]:
        """Time and peak memory, for --json."""
        return {"time_s": round(self.elapsed_s, 3), "peak_memory_bytes": peak_memory_bytes()}

    @contextmanager
    def progress(self, *, aloud: bool = False) -> Iterator[Report]:
        """A progress bar for long work: call the yielded function with stage and fraction.

        Where no bar is drawn nothing is said, or each stage once if it is to be told `aloud`.
        """
        if self.quiet or not self._tty or not sys.stderr.isatty():
            yield self._say_once() if aloud else lambda stage, fraction: None
            return
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        with bar:
            task = bar.add_task("", total=1.0)
            yield lambda stage, fraction: bar.update(task, description=stage, completed=fraction)

    def _say_once(self) -> Report:
        said = set[str]()

        def report(stage: str, _fraction: float) -> None:
            if stage not in said:
                said.add(stage)
                self.note(stage)

        return report


def format_bytes(size: float) -> str:
    """A size for people, in decimal units as storage and links count."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size:.0f} bytes"


def printable(text: str) -> str:
    """Text from elsewhere in one line, without the codes that steer a terminal."""
    return " ".join(without_codes(text).split())


def without_codes(text: str) -> str:
    """Text with a space for each character that is none to print.

    Surrogates stay, which stand for bytes of a file's name that are not UTF-8.
    """
    return "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else " " for c in text)


def format_db(value: float) -> str:
    """A PSNR for people."""
    return f"{value:.1f}" if math.isfinite(value) else "equal"


def json_db(value: float) -> float | None:
    """A PSNR for scripts: JSON has no infinity, so equal pictures give null."""
    return round(value, 2) if math.isfinite(value) else None


def peak_memory_bytes() -> int:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
