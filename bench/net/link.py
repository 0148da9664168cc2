"""An emulated link under real TCP, by the numbers of a `Shape` (see `exgs.lab.shell.tun_link`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from exgs.client.link import Link
from exgs.lab.links.transport import LinkModel
from exgs.lab.shell import tun_link
from exgs.lab.shell.tun_link import SERVER_ADDRESS, Ends, can_emulate, inside

__all__ = ["SERVER_ADDRESS", "Ends", "Shape", "can_emulate", "emulated_link", "inside"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link does to packets, each way."""

    rate_bps: float = 2e6
    delay_s: float = 0.1  # one way
    loss: float = 0.01
    queue_bytes: int = 32 << 10
    seed: int = 0
    transport: str = "bbr"


@contextlib.contextmanager
def emulated_link(shape: Shape) -> Iterator[Ends]:
    """A link between two new namespaces, gone at the end; raises CalledProcessError, OSError."""
    link = Link(shape.rate_bps, shape.delay_s, 0.0, shape.loss)
    model = LinkModel(link, transport=shape.transport)
    with tun_link.emulated_link(model, queue_bytes=shape.queue_bytes, seed=shape.seed) as ends:
        yield ends
