"""Runs sessions on a Dask cluster.

Only this module imports `distributed`. Workers need the same files under the same paths. If a
worker is lost, its sessions run again on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from exgs.lab.errors import LabError
from exgs.lab.session import Result
from exgs.lab.shell.worker import Planned, run_here


def run_on_cluster(
    address: str, path: Path, cache: Path, planned: Sequence[Planned]
) -> Iterator[tuple[Planned, Result]]:
    """Run sessions on the cluster at an address, in any order. Raises LabError, OSError."""
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise LabError("--dask needs the package distributed: pip install distributed") from error

    with Client(address) as client:
        waiting = {
            client.submit(run_here, path.resolve(), cache.resolve(), item, key=item.key): item
            for item in planned
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()
