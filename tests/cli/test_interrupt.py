"""SIGINT is never lost, and what was there before comes back."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from exgs.cli.interrupt import interruptible


class _Interrupted:
    """Gets SIGINT in its finalizer, where Python drops exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_in_a_finalizer_comes_after_it() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        _Interrupted()
        time.sleep(5)


def test_an_interrupt_elsewhere_comes_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not interrupted")


def test_handlers_and_timer_are_put_back() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        signal.setitimer(signal.ITIMER_REAL, 60)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_an_ignored_signal_stays_ignored() -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, old)


def test_other_threads_leave_the_handlers_alone() -> None:
    seen = []

    def inside() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
