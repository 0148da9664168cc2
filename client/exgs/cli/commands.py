"""Runs the commands of `exgs` and converts errors to exit statuses.

Each command is a module with `add_arguments` and `run`, imported only when it is used. Commands
report invalid combinations of options with `arguments.usage_error`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from exgs.cli.extras import extra_error
from exgs.cli.output import Output, add_output_options, open_streams
from exgs.cli.urls import trust
from exgs.client.errors import StreamError
from exgs.codec.errors import ExgsError, FormatError
from exgs.wire.errors import ProtocolError

COMMANDS = {
    "encode": "make a progressive .exgs file of a scene",
    "info": "layers, tiles, bytes and the rate-quality table of a file",
    "verify": "check every hash and limit of a file",
    "decode": "decode a file, or its first bytes, to a .ply or another format",
    "render": "draw a picture of a scene",
    "compare": "measure how much one scene looks like another",
    "view": "look at a scene in the browser",
    "serve": "serve a folder of .exgs files, and a page that shows them",
    "export": "make one HTML file that shows a scene without a server",
    "stream": "receive a scene, draw it while it arrives, measure the quality",
    "painter": "train GaussPainter, or measure its quality",
    "lab": "run experiments on links, viewers and policies in virtual time",
    "demo": "encode, serve and stream a sample scene",
    "completion": "a script that completes commands in bash, zsh or fish",
}

_MODULES = {"view": "web_view"}  # whose module has another name than the command

# Commands whose errors do not start with the name of the input.
_ABOUT_THE_SUBJECT = (FormatError, ProtocolError, StreamError)


def run_command(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status. Raises KeyboardInterrupt."""
    open_streams()
    output = Output()
    try:
        arguments = _parser(argv).parse_args(argv)  # imports the command, which takes time
        output = Output(quiet=arguments.quiet, verbose=arguments.verbose, tty=not arguments.no_tty)
        warnings.showwarning = lambda message, *_: output.note(f"exgs: {message}")
        trust(getattr(arguments, "ca", None))
        arguments.run(arguments, output)
        output.flush()
    except SystemExit as stop:  # argparse has printed the reason
        return int(stop.code or 0)
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Buffered output must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "exgs":
            raise
        output.error(str(extra_error(error.name.split(".")[0])))
        return 1
    except (ExgsError, OSError, MemoryError) as error:
        output.trace(error)
        if not isinstance(error, _ABOUT_THE_SUBJECT):
            output.subject = ""
        output.error(_text(error))
        return 1
    return 0


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="exgs",
        description="A streaming codec for 3D Gaussian Splatting scenes.",
        epilog="exgs COMMAND --help shows the options of a command.",
    )
    version = importlib.metadata.version("exgs")
    parser.add_argument("--version", action="version", version=f"exgs {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name != chosen:
            continue
        declare(command, name)
    return parser


def declare(parser: argparse.ArgumentParser, name: str) -> None:
    """Give `parser` the arguments of a command, and what runs it."""
    module = importlib.import_module(f"exgs.cli.{_MODULES.get(name, name)}")
    module.add_arguments(parser)
    add_output_options(parser)
    parser.set_defaults(run=module.run, usage_error=parser.error)


def _text(error: BaseException) -> str:
    match error:
        case OSError() if error.strerror and error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        case OSError() if error.strerror:
            return error.strerror
        case MemoryError():
            return "out of memory"
        case _:
            return str(error) or type(error).__name__
