"""Decodes arrivals and creates updates.

It runs on the thread that takes the updates, or on a worker thread of it. The network thread has
checked all hashes.
"""

from __future__ import annotations

from exgs.client.arrivals import Arrival, Batch, ChunkCame, Dropped, PageCame
from exgs.client.update import Update
from exgs.codec.decoding.build import Changes, SceneBuilder
from exgs.codec.decoding.drawing import DrawBuffer, DrawnPart, DrawnScene, Part
from exgs.codec.format.container import FileHead

# Packed bytes per update: the larger of both, the second relative to what has been decoded.
_LEAST_BYTES, _SHARE = 256 << 10, 0.25


class LiveScene:
    """Decodes batches in order. Only one thread at a time may use it."""

    def __init__(self) -> None:
        self._head: FileHead | None = None
        self._builder: SceneBuilder | None = None
        self._buffer: DrawBuffer | None = None
        self._waiting: list[Arrival] = []
        self._decoded: dict[int, int] = {}  # chunk -> packed bytes
        self._decoded_bytes = 0
        self._drawn_parts: set[Part] = set()
        self._stale: set[Part] = set()  # parts whose content in the buffer is outdated
        self._serial = 0
        self._told: tuple[object, ...] = ()  # state of the last update, besides parts

    @property
    def has_left(self) -> bool:
        """Whether some arrivals have not been decoded yet."""
        return bool(self._waiting)

    def advance(self, batch: Batch) -> Update | None:
        """Decode a batch and return the update; None if nothing has changed.

        Raises FormatError if a chunk does not agree with its row.
        """
        self._waiting += batch.arrivals
        self._skip_dropped()
        if batch.head is None:
            return None
        builder = self._open(batch.head)
        self._decode(builder)
        changes = builder.take_changes()
        self._enter(changes)
        is_complete = len(self._decoded) == batch.head.root.chunk_count
        is_ready = batch.is_ready and not self._waiting
        told = (is_ready, is_complete, batch.reconnections, batch.trouble, batch.poster)
        if not changes and told == self._told:
            return None
        self._told = told
        self._serial += 1
        return Update(
            builder.facts,
            batch.received_bytes,
            batch.head.header.file_bytes,
            builder.layer,
            is_ready,
            is_complete,
            batch.reconnections,
            batch.trouble,
            batch.poster,
            changes.added,
            changes.replaced,
            changes.refined,
            changes.dropped,
            _drawing=self,
            _serial=self._serial,
        )

    # What updates refer to

    def drawn(self, serial: int) -> DrawnScene:
        """All drawn Gaussians. Raises RuntimeError for an outdated update."""
        builder, buffer = self._now(serial)
        if self._stale:
            shown = {part: builder.part(part) for part in sorted(self._stale & self._drawn_parts)}
            buffer.update(shown, self._stale - self._drawn_parts)
            self._stale.clear()
        return buffer.drawn()

    def part(self, serial: int, part: Part) -> DrawnPart:
        """One drawn part. Raises KeyError, and RuntimeError for an outdated update."""
        builder, _ = self._now(serial)
        if part not in self._drawn_parts:
            raise KeyError(part)
        return builder.part(part)

    def parts(self, serial: int) -> frozenset[Part]:
        """All drawn parts. Raises RuntimeError for an outdated update."""
        self._now(serial)
        return frozenset(self._drawn_parts)

    def _now(self, serial: int) -> tuple[SceneBuilder, DrawBuffer]:
        if serial != self._serial or self._builder is None or self._buffer is None:
            raise RuntimeError("a newer update has been taken; keep a snapshot() of the older one")
        return self._builder, self._buffer

    # What comes

    def _open(self, head: FileHead) -> SceneBuilder:
        if self._builder is None:
            self._builder = SceneBuilder(head.root.facts)
            self._builder.learn(head.root.chunks)
            self._buffer = DrawBuffer(head.root.facts.sh_degree)
        return self._builder

    def _decode(self, builder: SceneBuilder) -> None:
        """Decode arrivals: first only the cells of the first picture, then limited amounts.

        So the first picture is fast, a view chosen by it is the same in every run, and an update
        never takes much longer than the ones before.
        """
        most_bytes = max(_LEAST_BYTES, _SHARE * self._decoded_bytes)
        is_first = not self._drawn_parts
        version, taken_bytes = builder.version, 0
        for number, arrival in enumerate(self._waiting):
            if taken_bytes >= most_bytes or (is_first and builder.version != version):
                del self._waiting[:number]
                break
            match arrival:
                case PageCame(rows):
                    builder.learn(rows)
                case ChunkCame(ref, packed):
                    builder.add(ref, packed, verified=True)
                    self._decoded[ref.id] = len(packed)
                    taken_bytes += len(packed)
                    self._decoded_bytes += len(packed)
                case Dropped(refs):
                    builder.drop({(ref.layer, ref.tile) for ref in refs})
                    self._decoded_bytes -= sum(self._decoded.pop(ref.id, 0) for ref in refs)
        else:
            self._waiting.clear()

    def _skip_dropped(self) -> None:
        """Forget waiting chunks whose cells are dropped later."""
        gone: set[int] = set()
        kept: list[Arrival] = []
        for arrival in reversed(self._waiting):
            if isinstance(arrival, Dropped):
                gone.update(ref.id for ref in arrival.refs)
            elif isinstance(arrival, ChunkCame) and arrival.ref.id in gone:
                continue
            kept.append(arrival)
        self._waiting = kept[::-1]

    def _enter(self, changes: Changes) -> None:
        self._drawn_parts |= changes.added
        self._drawn_parts -= changes.dropped
        self._stale |= changes.added | changes.replaced | changes.refined | changes.dropped
