"""Runs the steps of blocks in this process, in processes of this machine, or on a Dask cluster.

Steps write their results to the work folder. If a process dies, its block is given to another one.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from exgs.codec.blocks.errors import WorkerError

_TRIES = 3  # attempts per block if its processes die
STEPS = {
    "outline": "exgs.codec.blocks.summary:outline_block",
    "score": "exgs.codec.blocks.scoring:score_block",
    "encode": "exgs.codec.blocks.block:encode_block",
    "measure": "exgs.codec.blocks.measure:measure_block",
}
RESULTS = {"outline": "far", "score": "found", "encode": "packed", "measure": "measured"}
Progress = Callable[[float], None]

_WORKER_BYTES = 300_000_000  # memory of a worker without a block
_GAUSSIAN_BYTES = 1500  # more for each Gaussian of its block
_SMALL_BLOCK = 50_000  # Gaussians; starting a process for smaller blocks takes longer than it saves
_STARTER_BYTES = 600_000_000  # of the process that starts the workers
_MEMORY_SHARE = 0.8  # of the machine's memory, for all of them
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


class Runner(Protocol):
    """Runs a step for many blocks."""

    def run(self, step: str, job: Any, numbers: Sequence[int], progress: Progress) -> None:
        """Run `step` of the blocks `numbers` in any order. Raises what a step raises."""
        ...


def run_step(step: str, job: Any, number: int) -> None:
    """Run one step of one block here."""
    module, _, name = STEPS[step].partition(":")
    getattr(importlib.import_module(module), name)(job, number)


def fitting_workers(block_count: int) -> int:
    """The number of workers for blocks of this size: as many as cores and memory allow."""
    if block_count < _SMALL_BLOCK:
        return 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no such file, or "max"
        memory = min(memory, int(_MEMORY_LIMIT.read_text()))
    each = _WORKER_BYTES + _GAUSSIAN_BYTES * block_count
    most = int((_MEMORY_SHARE * memory - _STARTER_BYTES) / each)
    return max(1, min(os.cpu_count() or 1, most))


class Here:
    """Runs steps in this process."""

    def run(self, step: str, job: Any, numbers: Sequence[int], progress: Progress) -> None:
        """See Runner."""
        for done, number in enumerate(numbers):
            run_step(step, job, number)
            progress((done + 1) / len(numbers))


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    number: int | None = None  # of the block that it works on


class Processes:
    """Runs steps in processes of this machine, which share its cores."""

    def __init__(self, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._count = count

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [worker.process.pid for worker in self._workers]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def run(self, step: str, job: Any, numbers: Sequence[int], progress: Progress) -> None:
        """See Runner. Raises WorkerError if several processes have died with the same block."""
        waiting = list(reversed(numbers))
        tries = dict.fromkeys(numbers, 0)
        left = len(numbers)
        while left:
            self._fill(step, job, waiting)
            by_pipe = {worker.pipe: worker for worker in self._workers}
            for ready in wait([*by_pipe]):
                worker = by_pipe[ready]  # type: ignore[index]
                try:
                    error = worker.pipe.recv()
                except (EOFError, OSError):
                    number = self._bury(worker)
                    if number is None:
                        continue
                    tries[number] += 1
                    if tries[number] >= _TRIES:
                        raise WorkerError(
                            f"block {number} has ended {_TRIES} processes, perhaps for lack of"
                            " memory: choose smaller blocks or fewer workers"
                        ) from None
                    waiting.append(number)
                    continue
                worker.number = None
                if error is not None:
                    raise error
                left -= 1
                progress(1 - left / len(numbers))

    def _fill(self, step: str, job: Any, waiting: list[int]) -> None:
        """Give every idle process a block."""
        while waiting:
            idle = next((worker for worker in self._workers if worker.number is None), None)
            if idle is None:
                if len(self._workers) >= self._count:
                    return
                idle = self._start()
            number = waiting.pop()
            try:
                idle.pipe.send((step, job, number))
                idle.number = number
            except OSError:
                self._bury(idle)
                waiting.append(number)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self._count)
        process = self._context.Process(target=_work, args=(theirs, threads), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _bury(self, worker: _Worker) -> int | None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        return worker.number


def _work(pipe: Connection, threads: int) -> None:
    """The loop of a process: run steps until the pipe is closed."""
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the encoder, which ends workers
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    while True:
        try:
            step, job, number = pipe.recv()
        except EOFError:
            return
        error: BaseException | None = None
        try:
            run_step(step, job, number)
        except Exception as fault:
            error = fault
        pipe.send(error)


class Cluster:
    """Runs steps on a Dask cluster whose workers see the work folder under the same path or URL."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, step: str, job: Any, numbers: Sequence[int], progress: Progress) -> None:
        """See Runner. Raises WorkerError where one block has ended several workers."""
        from distributed import as_completed
        from distributed.scheduler import KilledWorker

        [shared] = self._client.scatter([job], broadcast=True, hash=False)
        waiting = [
            self._client.submit(run_step, step, shared, number, pure=False, retries=_TRIES)
            for number in numbers
        ]
        for done, future in enumerate(as_completed(waiting)):
            try:
                future.result()
            except KilledWorker as error:
                raise WorkerError(
                    "a block has ended several workers of the cluster, perhaps for lack of memory:"
                    " choose smaller blocks"
                ) from error
            progress((done + 1) / len(numbers))


@contextmanager
def runner(workers: int, dask: str | None) -> Iterator[Runner]:
    """The runner for `workers` processes of this machine, or for a cluster at an address."""
    if dask is not None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise WorkerError(
                "--dask needs the package distributed: pip install distributed"
            ) from error
        with Client(dask) as client:
            yield Cluster(client)
        return
    if workers <= 1:
        yield Here()
        return
    processes = Processes(workers)
    try:
        yield processes
    finally:
        processes.close()
