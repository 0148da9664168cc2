"""Records of an .spz file: extensions of vendors. One of them states the axes of the values.

A record is a type, a length and that many bytes. Two records of Adobe are known: the coordinate
system, and limits of an orbit camera, which exgs ignores.
Format: https://github.com/nianticlabs/spz, extensions/README.md.
"""

from __future__ import annotations

import struct
import warnings

from exgs.scene.errors import SceneError, SceneWarning

_RECORD = struct.Struct("<II")  # type, length
_FRAME = 0xADBE0003
_ORBIT = 0xADBE0002
_VALUE = struct.Struct("<I")

# By code, from 1; 0 means 'unspecified'.
_STANDARD = ("LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF")
_TURNED = ("LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU")
_CODES = (*_STANDARD, *_TURNED)


def frame_record(frame: str) -> bytes:
    """The record that states the axes `frame`."""
    return _RECORD.pack(_FRAME, _VALUE.size) + _VALUE.pack(1 + _CODES.index(frame))


def read_frame(records: bytes, name: str) -> str | None:
    """The axes that the records of a file state; None if there is no such record.

    A SceneWarning names records of other types. Raises SceneError for an unknown code.
    """
    declared = None
    at = 0
    while at + _RECORD.size <= len(records):
        kind, size = _RECORD.unpack_from(records, at)
        payload = records[at + _RECORD.size : at + _RECORD.size + size]
        at += _RECORD.size + size
        if len(payload) < size:
            raise SceneError(f"{name}: record 0x{kind:08X} ends behind the file; it is damaged")
        if kind == _FRAME:
            declared = _frame_of(payload, name)
        elif kind != _ORBIT:
            warnings.warn(
                f"{name}: record 0x{kind:08X} of {size} bytes is unknown and passed over; if it"
                " changes how values are stored, the scene comes out wrong",
                SceneWarning,
                stacklevel=4,
            )
    return declared


def _frame_of(payload: bytes, name: str) -> str | None:
    code = _VALUE.unpack(payload)[0] if len(payload) == _VALUE.size else -1
    if code == 0:
        warnings.warn(
            f"{name}: its coordinate system is declared as unspecified", SceneWarning, stacklevel=5
        )
        return None
    if not 0 < code <= len(_CODES):
        raise SceneError(
            f"{name}: declares a coordinate system of unknown code {code}; say which it is with"
            " --frame"
        )
    return _CODES[code - 1]
