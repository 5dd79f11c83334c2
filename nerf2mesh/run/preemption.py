"""A polite stop: on a signal the run writes a checkpoint at its next step, then ends with exit code 75 (requeue me).

Schedulers send SIGTERM (or what they were told: SIGUSR1, SIGUSR2) some time before they kill. `listening` is switched
on by the command line and by the workers of a sweep, never by a plain call of the library. Between steps the loop asks
`Checkpoints`; elsewhere in a run the signal ends it at once, which is safe: files are written aside and renamed, and
the last checkpoint stays. A second signal ends it at once anywhere. A command that is ending hears no more of them, so
that its exit code does not depend on how many arrived.
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerf2mesh.optimize import LoopState

REQUEUE, INTERRUPTED = 75, 130
"""Exit codes of a run that was stopped politely and wants to go on later (EX_TEMPFAIL of sysexits.h), and of one that
Ctrl-C stopped."""
SIGNALS = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, n))


class Preempted(SystemExit):
    """Ends the process with exit code 75 (130 after Ctrl-C) where nobody catches it. No Exception: no
    `except Exception` takes it for one of a method's failures.
    """

    def __init__(self, why: str, code: int = REQUEUE) -> None:
        super().__init__(code)
        self.why = why

    def __str__(self) -> str:
        return self.why


class Signals:
    """What arrived, and what to do about it at once. One per process, `SIGNALS_SEEN`."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.at_once = False
        self.interrupted = self.ending = False
        """Whether Ctrl-C was pressed; whether the command is ending, and hears no more."""
        self.previous: dict[int, Any] = {}

    def handle(self, number: int, frame: object) -> None:
        """The signal handler: notes signal `number`.

        Raises Preempted where nobody will ask later (`at_once`), or at the second signal.
        """
        if self.ending:
            return
        again, self.received = self.received is not None, number
        if self.at_once or again:
            raise Preempted(f"stopped by {self.name}")

    def interrupt(self, number: int, frame: object) -> None:
        """The handler of SIGINT: KeyboardInterrupt, and Preempted where one more arrives while that ends the work."""
        if self.ending:
            return
        again, self.interrupted = self.interrupted, True
        if again:
            raise Preempted("stopped", INTERRUPTED)
        raise KeyboardInterrupt

    @property
    def name(self) -> str:
        """The name of the signal that arrived last, such as SIGTERM; "no signal" where none did."""
        return signal.Signals(self.received).name if self.received is not None else "no signal"


SIGNALS_SEEN = Signals()


@contextmanager
def listening(*, interrupts: bool = False) -> Iterator[Signals]:
    """Handlers for the duration; `previous` keeps those of before. Outside the main thread it does nothing.

    interrupts: True also for Ctrl-C. The process is to end after the block, and ignores further signals then.
    """
    seen = SIGNALS_SEEN
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    seen.received, seen.at_once, seen.interrupted, seen.ending = None, False, False, False
    ignored = getattr(signal, "SIGHUP", None)  # by nohup: the run is to outlive its terminal
    heeded = [n for n in SIGNALS if n != ignored or signal.getsignal(n) is not signal.SIG_IGN]
    handlers = dict.fromkeys(heeded, seen.handle) | ({signal.SIGINT: seen.interrupt} if interrupts else {})
    seen.previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield seen
    finally:
        was_stopped = interrupts and (seen.received is not None or seen.interrupted)
        for number, handler in seen.previous.items():
            signal.signal(number, signal.SIG_IGN if was_stopped else signal.SIG_DFL if handler is None else handler)
        seen.received, seen.at_once, seen.interrupted, seen.ending = None, False, False, False
        if interrupts:
            atexit.register(_hear_nothing)


def _hear_nothing() -> None:
    """What the command did is done: its exit code stays as it is while the interpreter takes itself down."""
    for number in (*SIGNALS, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, a signal ends the work at once (Preempted), but for the loop, which ends at its next step."""
    seen, before = SIGNALS_SEEN, SIGNALS_SEEN.at_once
    if seen.received is not None:
        raise Preempted(f"stopped by {seen.name}")
    seen.at_once = True
    try:
        yield
    finally:
        seen.at_once = before


@contextmanager
def between_steps() -> Iterator[Callable[[], bool]]:
    """Around a loop that asks after every step whether a signal arrived, and then ends; Preempted after it."""
    seen, before = SIGNALS_SEEN, SIGNALS_SEEN.at_once
    seen.at_once = False
    try:
        yield lambda: seen.received is not None
    finally:
        seen.at_once = before
    if before and seen.received is not None:
        raise Preempted(f"stopped by {seen.name}")


class Checkpoints:
    """For the loop's `on_step`: saves every `every_s` seconds, and on a signal saves and raises Preempted."""

    def __init__(
        self,
        path: Path | None,
        every_s: float,
        *,
        asked: Callable[[], bool] = lambda: SIGNALS_SEEN.received is not None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a path (a run in memory, or not the first of several processes) nothing is saved."""
        self._path, self._every_s, self._asked, self._clock = path, every_s, asked, clock
        self._last = clock()

    def between_steps(self) -> AbstractContextManager[Callable[[], bool]]:
        """Around the loop: a signal waits for the end of the step."""
        return between_steps()

    def __call__(self, state: LoopState) -> None:
        asked = self._asked()
        if self._path and (asked or self._clock() - self._last > self._every_s):
            state.save(self._path)
            self._last = self._clock()
        if asked:
            written = ", checkpoint written" if self._path else ""
            raise Preempted(f"stopped by {SIGNALS_SEEN.name} at step {state.step}{written}")
