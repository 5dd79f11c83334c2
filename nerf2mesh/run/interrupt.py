"""Ctrl-C, or a notebook's stop button, in a plain call of the library: a checkpoint first, then KeyboardInterrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait(wanted: bool = True) -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGINT only makes what is yielded True; a second one interrupts at once.

    Only in the main thread, and only where Python's own handler is in place: the commands have one of theirs.
    """
    seen = threading.Event()
    is_main = threading.current_thread() is threading.main_thread()
    if not wanted or not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield seen.is_set
        return

    def handle(number: int, frame: object) -> None:
        if seen.is_set():
            raise KeyboardInterrupt
        seen.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield seen.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
