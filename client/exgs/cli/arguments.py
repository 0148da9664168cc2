"""Argument types and options that several commands share."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from exgs.painter.choice import PAINTERS
from exgs.scene.formats import READABLE
from exgs.scene.frames import FRAMES

_FILES = ", ".join(ending for ending in READABLE if ending != ".json")
SCENE_FORMATS = f"{_FILES}, or the folder of a SOG or .lcc"

_COUNT = re.compile(r"[0-9]{1,9}")
_ORIGIN = re.compile(r"https?://[^\s/?#@]+", re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")
_BYTES = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) ?(|kb|mb|gb)", re.IGNORECASE)
_BYTE_UNITS = {"": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9}
_SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})")
_NAMED_COLORS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}


def positive(text: str) -> int:
    """A positive integer."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return value


def count(text: str) -> int:
    """An integer of 0 or more."""
    if not _COUNT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def view_count(text: str) -> int:
    """A number of views to render: from 1 to 1000."""
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of views from 1 to 1000")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 for any free port."""
    if not _COUNT.fullmatch(text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def host(text: str) -> str:
    """An address or host name to listen on."""
    name = text.strip()
    try:
        known = bool(name.encode("idna"))
    except UnicodeError:
        known = False
    if not known:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address or name; 0.0.0.0 stands for all addresses of this machine"
        )
    return name


def origin(text: str) -> str:
    """The origin of web pages, as browsers send it; * for all, null for pages without one."""
    value = text.strip().rstrip("/").lower()
    if value not in ("*", "null") and not _ORIGIN.fullmatch(value):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an origin like https://viewer.example, nor * for all"
        )
    return value


def token(text: str) -> str:
    """A bearer token, without surrounding whitespace."""
    if not _TOKEN.fullmatch(text.strip()):
        raise argparse.ArgumentTypeError(
            "a token is one or more printable ASCII characters without spaces"
        )
    return text.strip()


def byte_size(text: str) -> int:
    """A number of bytes, such as 300000, 500kB, 256MB or 2GB."""
    found = _BYTES.fullmatch(text)
    size = int(float(found[1]) * _BYTE_UNITS[found[2].lower()]) if found else 0
    if size <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes like 300000 or 256MB")
    return size


def picture_size(text: str) -> tuple[int, int]:
    """Width and height, such as 640x360."""
    found = _SIZE.fullmatch(text)
    if found is None or not all(16 <= int(side) <= 8192 for side in found.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 640x360 (16 to 8192 pixels)")
    return int(found[1]), int(found[2])


def color(text: str) -> tuple[float, float, float]:
    """black, white, or three numbers from 0 to 1, such as 0.2,0.2,0.25."""
    if text in _NAMED_COLORS:
        return _NAMED_COLORS[text]
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        red = green = blue = -1.0
    if not all(0 <= value <= 1 for value in (red, green, blue)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not black, white or three numbers from 0 to 1 like 0.2,0.2,0.25"
        )
    return red, green, blue


def frame(text: str) -> str:
    """The axes of a file, as in RUB: x right, y up, z back."""
    if text.upper() not in FRAMES:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no axes: give a letter each of LR, UD and FB for x, y and z, as in RUB"
        )
    return text.upper()


def vector(text: str) -> tuple[float, float, float]:
    """Three numbers, as in 1,0,-2.5."""
    values = _numbers(text, 3)
    return values[0], values[1], values[2]


def box(text: str) -> tuple[float, ...]:
    """The low and the high corner of a box, as in -1,-1,-1,1,1,1."""
    values = _numbers(text, 6)
    if not all(low < high for low, high in zip(values[:3], values[3:], strict=True)):
        raise argparse.ArgumentTypeError(f"{text!r}: the second corner must lie above the first")
    return values


def factor(text: str) -> float:
    """A number above zero."""
    value = _numbers(text, 1)[0]
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def _numbers(text: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < 1e12 for value in values):
        what = "a number" if count == 1 else f"{count} numbers with commas between"
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return values


def add_frame(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """In which axes a scene file is: --frame."""
    parser.add_argument(
        "--frame",
        type=frame,
        metavar="AXES",
        help="where x, y and z of the scene file point, as in RUB for right, up, back"
        " (default: as the file says, or its format)",
    )


def add_ca(parser: argparse.ArgumentParser) -> None:
    """Add --ca, which certificates to trust."""
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE.pem",
        default=os.environ.get("EXGS_CA") or None,
        help="also trust the certificates in this file (default: $EXGS_CA)",
    )


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add --size, the size of pictures."""
    parser.add_argument(
        "--size",
        type=picture_size,
        default=(640, 360),
        metavar="WxH",
        help="of a picture (default: 640x360)",
    )


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for pictures: --size, --painter, --background."""
    add_size(parser)
    parser.add_argument(
        "--painter",
        choices=PAINTERS,
        default="none",
        help="for an incomplete scene: fill and gauss fill the gaps of files without proxies,"
        " sharpen is for files with proxies (default: none)",
    )
    parser.add_argument(
        "--painter-model",
        type=Path,
        metavar="PATH",
        help="a model folder for --painter gauss (default: the shipped weights)",
    )
    parser.add_argument(
        "--background",
        type=color,
        default=(0.0, 0.0, 0.0),
        metavar="COLOR",
        help="black, white or R,G,B from 0 to 1 (default: black)",
    )


def check_painter(arguments: argparse.Namespace) -> None:
    """Report a --painter-model that the --painter does not use as wrong usage."""
    if arguments.painter_model is not None and arguments.painter != "gauss":
        arguments.usage_error("--painter-model is for --painter gauss")
