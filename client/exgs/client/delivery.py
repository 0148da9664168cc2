"""Passes received data from both profiles to the decoder and to the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exgs.client.arrivals import Arrivals
from exgs.client.cache import Cache, Stored
from exgs.client.errors import SceneChangedError
from exgs.client.readiness import Readiness
from exgs.client.residency import Residency, Revision
from exgs.client.shelf import Shelf
from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.events import View
from exgs.wire.layer_zero import LayerZero
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import ENDLESS_BYTES
from exgs.wire.sketch import Sketch

_SHELF_SHARE = 0.125  # of the memory for packed chunks


class Delivery:
    """The path from the network to the scene in one run, across reconnections.

    The content of a cache, `stored`, is used once the server has confirmed that it still serves the
    file. With `memory_bytes`, it decides what to leave out and what to drop. The packed bytes of
    dropped chunks are kept in a part of that memory, so that most need not be fetched again.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        cache: Cache | None = None,
        stored: Stored | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.arrivals = arrivals
        self.kept_bytes = 0  # bytes of the file received in this run, which need not be sent again
        self._cache = cache
        self._stored = stored
        self._residency: Residency | None = None
        if memory_bytes is not None:
            self._shelf = Shelf(int(_SHELF_SHARE * memory_bytes))
            self._residency = Residency(int((1 - _SHELF_SHARE) * memory_bytes))
        self._readiness = Readiness()
        self._early_poster: bytes | None = None  # arrived before the head, so not verified
        self._layer_zero: LayerZero | None = None
        self.sketch: Sketch | None = None  # once layer 0 is here

    @property
    def received_bytes(self) -> int:
        """Bytes received so far."""
        return self.arrivals.received_bytes

    @property
    def is_open(self) -> bool:
        """Whether the server has identified the file in this run."""
        return self.arrivals.head is not None

    def count(self, length_bytes: int, now_s: float) -> None:
        """Count received bytes."""
        self.arrivals.count(length_bytes, now_s)

    def open(self, head: FileHead) -> None:
        """Set header and root index. Raises SceneChangedError if they belong to another file."""
        known = self.arrivals.head
        if known is not None:
            if known.scene_hash != head.scene_hash:
                raise SceneChangedError("the scene on the server has changed; start again")
            return
        self.arrivals.open(head)
        if self._early_poster is not None:
            self.add_poster(self._early_poster)
        self._layer_zero = LayerZero(head)
        if self._cache is not None:
            self._cache.begin(head)
        if self._stored is not None and self._stored.resume.head.scene_hash == head.scene_hash:
            for _, rows in self._stored.pages:
                self.arrivals.add_page(rows)
            for chunk, packed in self._stored.chunks:
                self.add_chunk(chunk, packed)

    def add_poster(self, poster: bytes) -> None:
        """Add the poster. It is ignored if its hash is not that of the file."""
        head = self.arrivals.head
        if head is None:
            self._early_poster = poster
        elif head.has_poster(poster):
            self.arrivals.add_poster(poster)

    def add_fragment(self, part: int, offset: int, data: bytes) -> None:
        """Add the next bytes of a part."""
        self.kept_bytes += len(data)
        if self._cache is not None:
            self._cache.add(part, offset, data)

    def follow(self, plan: PartPlan) -> None:
        """Set the plan of the file for this connection. Pages are added to the plan first."""
        self._readiness.follow(plan)
        self._tell()

    def look(self, camera: Camera) -> None:
        """Set the camera for which readiness is computed."""
        self._readiness.look(camera)
        self._tell()

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """Add a complete, verified page of the chunk table."""
        self.arrivals.add_page(rows)
        self._readiness.page_known(page.id)
        self._tell()

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """Add a complete chunk whose hash is correct."""
        if self._layer_zero is not None and self.sketch is None:
            self.sketch = self._layer_zero.add(chunk.id, packed)
        if self._residency is not None:
            fits = self._residency.arrived(chunk.id)
            self._shelf.put(chunk.id, packed, is_in_use=self._residency.holds)
            if not fits:
                return
        self.arrivals.add_chunk(chunk, packed)
        self._readiness.arrived(chunk.id)
        self._tell()

    @property
    def is_ready(self) -> bool:
        """Whether everything in the newest view has arrived, or all of it that fits in memory."""
        return self._readiness.is_ready or self.is_settled

    def _tell(self) -> None:
        self.arrivals.set_ready(self.is_ready)

    @property
    def has_budget(self) -> bool:
        """Whether `revise` must be called to decide what to receive."""
        return self._residency is not None

    @property
    def is_full(self) -> bool:
        """Whether something is left out for lack of memory. Another view may need it."""
        return self._residency is not None and self._residency.is_full

    @property
    def is_settled(self) -> bool:
        """Whether memory is full and everything that fits has arrived."""
        residency = self._residency
        return residency is not None and residency.is_full and residency.is_settled

    def revise(self, plan: PartPlan, view: View | None, *, anew: bool = False) -> Revision:
        """Decide what to leave out and what to fetch again, for this view and the known rows.

        `anew` means that the other side does not know yet what is left out.
        """
        if self._residency is None:
            return Revision()
        if anew:
            self._residency.forget_left_out()
        revision = self._residency.revise(plan, view)
        if revision.drop:
            self.arrivals.drop([plan.table[chunk] for chunk in revision.drop])
            self._readiness.dropped(revision.drop)
        here: set[int] = set()
        for chunk in sorted(revision.fetch_again):
            packed = self._shelf.get(chunk)
            if packed is not None and self._residency.arrived(chunk):
                here.add(chunk)
                self.arrivals.add_chunk(plan.table[chunk], packed)
                self._readiness.arrived(chunk)
        self._tell()
        return replace(revision, fetch_again=revision.fetch_again - here)

    def lift_budget(self) -> None:
        """Remove the memory limit, from the next `revise` on."""
        if self._residency is not None:
            self._residency.budget_bytes = ENDLESS_BYTES
