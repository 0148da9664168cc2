"""Where both profiles hand over what has come: to the growing scene and to the cache."""

from __future__ import annotations

from collections.abc import Sequence

from exgs.client.cache import Cache, Stored
from exgs.client.errors import SceneChangedError
from exgs.client.growing import GrowingScene
from exgs.codec.container import FileHead
from exgs.codec.index import ChunkRef, PageRef


class Delivery:
    """One run's way from the network into the scene; lives on over reconnections.

    What a cache has `stored` goes into the scene once the server has confirmed that it still
    serves that file.
    """

    def __init__(
        self, scene: GrowingScene, cache: Cache | None = None, stored: Stored | None = None
    ) -> None:
        self.scene = scene
        self.kept_bytes = 0  # of the file, in this run: what a later connection need not send
        self._cache = cache
        self._stored = stored

    @property
    def received_bytes(self) -> int:
        """Bytes received so far."""
        return self.scene.received_bytes

    @property
    def is_open(self) -> bool:
        """Whether the server has named the file in this run."""
        return self.scene.head is not None

    def count(self, length_bytes: int) -> None:
        """So many bytes have come."""
        self.scene.count(length_bytes)

    def open(self, head: FileHead) -> None:
        """Header and root index are here; raises SceneChangedError if they are another file's."""
        known = self.scene.head
        if known is not None:
            if known.scene_hash != head.scene_hash:
                raise SceneChangedError("the scene on the server has changed; start again")
            return
        self.scene.open(head)
        if self._cache is not None:
            self._cache.begin(head)
        if self._stored is not None and self._stored.resume.head.scene_hash == head.scene_hash:
            for page, rows in self._stored.pages:
                self.scene.add_page(page, rows)
            for chunk, packed in self._stored.chunks:
                self.scene.add_chunk(chunk, packed)

    def add_fragment(self, part: int, offset: int, data: bytes) -> None:
        """Bytes of a part have come, after those before them."""
        self.kept_bytes += len(data)
        if self._cache is not None:
            self._cache.add(part, offset, data)

    def add_page(self, page: PageRef, rows: Sequence[ChunkRef]) -> None:
        """A page of the chunk table is whole and verified."""
        self.scene.add_page(page, rows)

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        """A chunk is whole and its hash is right."""
        self.scene.add_chunk(chunk, packed)
