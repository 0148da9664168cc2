"""The commands of `exgs`: finds one, runs it, and turns failures into exit statuses.

Each command is a module of its own with `add_arguments` and `run`, imported only when it is called.
Options that are wrong together, whatever the input, it hands to `arguments.usage_error`.
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
from exgs.client.errors import StreamError
from exgs.codec.errors import ExgsError, FormatError
from exgs.wire.errors import ProtocolError

COMMANDS = {
    "encode": "make a progressive .exgs file of a scene",
    "info": "layers, tiles, bytes and the rate-quality table of a file",
    "verify": "check every hash and bound of a file",
    "decode": "write the scene that a file, or its first bytes, gives as a .ply",
    "render": "draw a picture of a scene",
    "view": "look at a scene in the browser",
    "serve": "serve a folder of .exgs files, and a page that shows them",
    "export": "make one HTML file that shows a scene without a server",
    "stream": "receive a scene, draw it while it arrives, measure it",
    "painter": "train GaussPainter, or measure what it does",
    "demo": "all of it on a sample scene",
}

_MODULES = {"view": "web_view"}  # whose module has another name than the command

# These do not name their input; all others do.
_ABOUT_THE_SUBJECT = (FormatError, ProtocolError, StreamError)


def run_command(argv: Sequence[str]) -> int:
    """Run one command; returns the exit status. Raises KeyboardInterrupt."""
    open_streams()
    output = Output()
    try:
        arguments = _parser(argv).parse_args(argv)  # imports the command, which takes a while
        output = Output(quiet=arguments.quiet, verbose=arguments.verbose, tty=not arguments.no_tty)
        warnings.showwarning = lambda message, *_: output.note(f"exgs: {message}")
        arguments.run(arguments, output)
        output.flush()
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    except BrokenPipeError:
        # The reader has gone, as `head` does. What is still buffered must not fail at exit.
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
        epilog="exgs COMMAND --help tells the options of a command.",
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
        module = importlib.import_module(f"exgs.cli.{_MODULES.get(name, name)}")
        module.add_arguments(command)
        add_output_options(command)
        command.set_defaults(run=module.run, usage_error=command.error)
    return parser


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
