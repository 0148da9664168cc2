"""Receive a scene on a plain thread, as a renderer that keeps parts on a device does.

    python examples/thread.py wss://example.org/scenes/room/stream
    python examples/thread.py room.exgs

No event loop is needed. Each update names the parts that are new, other, better or gone: only those
have to be sent to the device.
"""

from __future__ import annotations

import sys

from exgs.client import Part, Update, receive_in_thread


class Device:
    """Stands for a graphics device: it counts what is uploaded to it."""

    def __init__(self) -> None:
        self.counts: dict[Part, int] = {}
        self.uploaded = 0

    def apply(self, update: Update) -> None:
        """Bring the device up to date."""
        for part in update.dropped:
            del self.counts[part]
        for part in update.added | update.replaced | update.refined:
            gaussians = update.part_gaussians(part)
            self.counts[part] = len(gaussians)
            self.uploaded += len(gaussians)


def main(source: str) -> None:
    """Print a line for each update."""
    device = Device()
    with receive_in_thread(source, note=print) as scene:
        for update in scene:
            device.apply(update)
            share = update.received_bytes / update.file_bytes
            print(
                f"{share:5.0%}  {sum(device.counts.values()):9,} Gaussians in"
                f" {len(device.counts):4} parts  +{len(update.added)} ~{len(update.replaced)}"
                f" *{len(update.refined)} -{len(update.dropped)}"
                f"  {'complete' if update.is_complete else f'layer {update.layer}'}"
            )
    print(f"{device.uploaded:,} Gaussians were uploaded, parts that got better more than once")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
