"""An .spz file in gzip as a source: unpacked once to a temporary file, column by column."""

from __future__ import annotations

import gzip
import tempfile
import weakref
import zlib
from dataclasses import replace

from exgs.scene.errors import SceneError
from exgs.scene.formats.spz import (
    ANTIALIASED,
    HAS_RECORDS,
    HEADER_BYTES,
    MAX_SPARE_BYTES,
    cut_short,
    read_header,
    warn_of_frame,
)
from exgs.scene.formats.spz_columns import COLUMNS, column_bytes, unpack_columns
from exgs.scene.formats.spz_records import read_frame
from exgs.scene.frames import RDF, to_rdf
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.stores import Place
from exgs.scene.transform import turned

_COPY_BYTES = 1 << 20
_AHEAD_BYTES = 1 << 23  # of the packed file, read at once
_VERSIONS = (1, 2, 3)  # those in gzip
_FIRST_ROWS = 1 << 17  # looked at for which way is up


def is_gzipped(path: Place) -> bool:
    """Whether a file is an .spz of version 1 to 3 in gzip. Raises OSError."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


class SpzSource:
    """The Gaussians of an .spz file of version 1 to 3."""

    at_once = 1

    def __init__(self, path: Place, frame: str | None = None) -> None:
        """Unpack the file; `frame` and errors as for `read_spz`."""
        self.name = str(path)
        self._columns = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._columns.close)
        try:
            records = self._unpack(path)
        except (zlib.error, gzip.BadGzipFile) as error:
            raise SceneError(f"{self.name}: damaged gzip ({error}); fetch it again") from error
        except EOFError:
            raise cut_short(self.name, "within its gzip stream") from None
        self.count = self._layout.count
        if frame is None and self._flags & HAS_RECORDS:
            frame = read_frame(records, self.name)
        self._matrix = to_rdf(frame or RDF)
        empty = Gaussians.empty(min(self._layout.sh_degree, 3))
        self.facts = Scene(empty, antialiased=bool(self._flags & ANTIALIASED))
        if frame is None:
            warn_of_frame(self.rows(0, _FIRST_ROWS), self.name)

    def rows(self, start: int, stop: int) -> Gaussians:
        """See GaussianSource."""
        stop = min(stop, self.count)
        part = replace(self._layout, count=max(stop - start, 0))
        columns = []
        at = 0
        for column in COLUMNS:
            width = column_bytes(column, replace(self._layout, count=1))
            self._columns.seek(at + start * width)
            columns.append(self._columns.read(part.count * width))
            at += self.count * width
        return turned(unpack_columns(columns, part, self.name), self._matrix)

    def finish(self) -> None:
        """See GaussianSource. Every part warns by itself."""

    def _unpack(self, path: Place) -> bytes:
        """Write the columns to the temporary file; returns the records behind them."""
        with path.open("rb", _AHEAD_BYTES) as file, gzip.GzipFile(fileobj=file) as packed:
            size = path.stat().st_size
            header = read_header(packed.read(HEADER_BYTES), size, _VERSIONS, self.name)
            self._layout, self._flags = header.layout, header.flags
            for column in COLUMNS:
                left = column_bytes(column, header.layout)
                while left:
                    part = packed.read(min(left, _COPY_BYTES))
                    if not part:
                        raise cut_short(
                            self.name, f"{left} unpacked bytes before the end of {column}"
                        )
                    self._columns.write(part)
                    left -= len(part)
            records = packed.read(MAX_SPARE_BYTES)
        if len(records) == MAX_SPARE_BYTES:
            raise SceneError(f"{self.name}: it unpacks to far more than its header says; not read")
        return records
