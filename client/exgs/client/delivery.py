"""Where both profiles hand over what has come: to whoever shows the scene, and to the cache."""

from __future__ import annotations

from collections.abc import Sequence

from exgs.client.arrivals import Arrivals
from exgs.client.cache import Cache, Stored
from exgs.client.errors import SceneChangedError
from exgs.client.readiness import Readiness
from exgs.client.residency import Residency, Revision
from exgs.codec.format.container import FileHead
from exgs.codec.format.rows import ChunkRef, PageRef
from exgs.scene.camera import Camera
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import ENDLESS_BYTES


class Delivery:
    """One run's way from the network into the scene; lives on over reconnections.

    What a cache has `stored` goes into the scene once the server has confirmed that it still
    serves that file. With `memory_bytes` it says what to leave out, and drops what has to give way.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        cache: Cache | None = None,
        stored: Stored | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self.arrivals = arrivals
        self.kept_bytes = 0  # of the file, in this run: what a later connection need not send
        self._cache = cache
        self._stored = stored
        self._residency = Residency(memory_bytes) if memory_bytes is not None else None
        self._readiness = Readiness()

    @property
    def received_bytes(self) -> int:
        """Bytes received so far."""
        return self.arrivals.received_bytes

    @property
    def is_open(self) -> bool:
        """Whether the server has named the file in this run."""
        return self.arrivals.head is not None

    def count(self, length_bytes: int, now_s: float) -> None:
        """So many bytes have come."""
        self.arrivals.count(length_bytes, now_s)

    def open(self, head: FileHead) -> None:
        """Header and root index are here; raises SceneChangedError if they are another file's."""
        known = self.arrivals.head
        if known is not None:
            if known.scene_hash != head.scene_hash:
                raise SceneChangedError("the scene on the server has changed; start again")
            return
        self.arrivals.open(head)
        if self._cache is not None:
            self._cache.begin(head)
        if self._stored is not None and self._stored.resume.head.scene_hash == head.scene_hash:
            for _, rows in self._stored.pages:
                self.arrivals.add_page(rows)
            for chunk, packed in self._stored.chunks:
                self.add_chunk(chunk, packed)

    def add_fragment(self, part: int, offset: int, data: bytes) -> None:
        """Bytes of a part have come, after those before them."""
        self.kept_bytes += len(data)
        if self._cache is not None:
            self._cache.add(part, offset, data)

    def follow(self, plan: PartPlan) -> None:
        """This is what is known of the file, in this connection; pages are added to it first."""
        self._readiness.follow(plan)
        self._tell()

    def look(self, camera: Camera) -> None:
        """What this camera sees counts for being ready."""
        self._readiness.look(camera)
        self._tell()

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """A page of the chunk table is whole and verified."""
        self.arrivals.add_page(rows)
        self._readiness.page_known(page.id)
        self._tell()

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """A chunk is whole and its hash is right."""
        if self._residency is None or self._residency.arrived(chunk.id):
            self.arrivals.add_chunk(chunk, packed)
            self._readiness.arrived(chunk.id)
            self._tell()

    @property
    def is_ready(self) -> bool:
        """Whether all that the newest view sees is here, or all of it that fits into memory."""
        return self._readiness.is_ready or self.is_settled

    def _tell(self) -> None:
        self.arrivals.set_ready(self.is_ready)

    @property
    def has_budget(self) -> bool:
        """Whether `revise` has to be asked what to receive."""
        return self._residency is not None

    @property
    def is_full(self) -> bool:
        """Whether something is left out for want of memory: another view may call for it."""
        return self._residency is not None and self._residency.is_full

    @property
    def is_settled(self) -> bool:
        """Whether memory is full and all that fits is here."""
        residency = self._residency
        return residency is not None and residency.is_full and residency.is_settled

    def revise(self, plan: PartPlan, view: View | None, *, anew: bool = False) -> Revision:
        """What to leave out and to fetch again, for this view and what is known of the file.

        `anew`: the other side knows nothing yet of what is left out.
        """
        if self._residency is None:
            return Revision()
        if anew:
            self._residency.forget_left_out()
        revision = self._residency.revise(plan, view)
        if revision.drop:
            self.arrivals.drop([plan.table[chunk] for chunk in revision.drop])
            self._readiness.dropped(revision.drop)
        self._tell()
        return revision

    def lift_budget(self) -> None:
        """Take everything from the next `revise` on."""
        if self._residency is not None:
            self._residency.budget_bytes = ENDLESS_BYTES
