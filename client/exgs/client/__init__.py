"""Receives scenes from a server or a file as updates, starting with what the camera sees.

>>> from exgs.client import receive, receive_in_thread
>>> with receive_in_thread("room.exgs") as scene:                             # doctest: +SKIP
...     scene.look(camera)
...     for update in scene:
...         draw(update.gaussians)

In a program with an event loop, such as a notebook, use `async`:

>>> async with receive("wss://example.org/scenes/room/stream") as scene:      # doctest: +SKIP
...     scene.look(camera)
...     async for update in scene:
...         draw(update.gaussians)

An `Update` lists the parts that have changed and the progress of the scene. `scene.poster` is a
small picture of the scene, which usually arrives before the first Gaussians. Iterating raises the
errors: `StreamError` and its subclasses for the network and the server, `exgs.codec.FormatError`
for the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgs.scene.lazy import lazy_names

if TYPE_CHECKING:
    from exgs.client.errors import DamagedAtServerError, SceneChangedError, StreamError
    from exgs.client.link import Link, parse_link
    from exgs.client.receiver import (
        AsyncReceiver,
        ReceiveOptions,
        Receiver,
        receive,
        receive_in_thread,
    )
    from exgs.client.update import Update
    from exgs.codec.decoding.drawing import Part

__all__ = [
    "AsyncReceiver",
    "DamagedAtServerError",
    "Link",
    "Part",
    "ReceiveOptions",
    "Receiver",
    "SceneChangedError",
    "StreamError",
    "Update",
    "parse_link",
    "receive",
    "receive_in_thread",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AsyncReceiver": "exgs.client.receiver",
        "DamagedAtServerError": "exgs.client.errors",
        "Link": "exgs.client.link",
        "Part": "exgs.codec.decoding.drawing",
        "ReceiveOptions": "exgs.client.receiver",
        "Receiver": "exgs.client.receiver",
        "SceneChangedError": "exgs.client.errors",
        "StreamError": "exgs.client.errors",
        "Update": "exgs.client.update",
        "parse_link": "exgs.client.link",
        "receive": "exgs.client.receiver",
        "receive_in_thread": "exgs.client.receiver",
    },
)
