"""A polite stop: on a signal the run writes a checkpoint at its next step, then ends with exit code 75 (requeue me).

Schedulers send SIGTERM (or what they were told: SIGUSR1, SIGUSR2) some time before they kill. `listening` is switched
on by the command line and by the workers of a sweep, never by a plain call of the library. Between steps the loop asks
`is_asked`; elsewhere in a run the signal ends it at once, which is safe: every file is written aside and renamed, and
the last checkpoint stays. A second signal ends it at once anywhere.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerf2mesh.optimize import LoopState

REQUEUE = 75
"""Exit code of a run that was stopped politely and wants to go on later (EX_TEMPFAIL of sysexits.h)."""
SIGNALS = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, n))


class Preempted(SystemExit):
    """Ends the process with exit code 75 where nobody catches it. No Exception: no `except Exception` takes it for one
    of a method's failures.
    """

    def __init__(self, why: str) -> None:
        super().__init__(REQUEUE)
        self.why = why

    def __str__(self) -> str:
        return self.why


class Signals:
    """What arrived, and what to do about it at once. One per process, `SIGNALS_SEEN`."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.at_once = False
        self.previous: dict[int, Any] = {}

    def handle(self, number: int, frame: object) -> None:
        """The signal handler: notes signal `number`.

        Raises Preempted where nobody will ask later (`at_once`), or at the second signal.
        """
        again, self.received = self.received is not None, number
        if self.at_once or again:
            raise Preempted(f"stopped by {self.name}")

    @property
    def name(self) -> str:
        """The name of the signal that arrived last, such as SIGTERM; "no signal" where none did."""
        return signal.Signals(self.received).name if self.received is not None else "no signal"


SIGNALS_SEEN = Signals()


@contextmanager
def listening() -> Iterator[Signals]:
    """Handlers for the duration; `previous` keeps those of before. Outside the main thread it does nothing."""
    seen = SIGNALS_SEEN
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    seen.received, seen.at_once = None, False
    ignored = getattr(signal, "SIGHUP", None)  # by nohup: the run is to outlive its terminal
    heeded = [n for n in SIGNALS if n != ignored or signal.getsignal(n) is not signal.SIG_IGN]
    seen.previous = {number: signal.signal(number, seen.handle) for number in heeded}
    try:
        yield seen
    finally:
        for number, handler in seen.previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        seen.received, seen.at_once = None, False


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

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """Around the loop: a signal waits for the end of the step."""
        seen, before = SIGNALS_SEEN, SIGNALS_SEEN.at_once
        seen.at_once = False
        try:
            yield
        finally:
            seen.at_once = before

    def __call__(self, state: LoopState) -> None:
        asked = self._asked()
        if self._path and (asked or self._clock() - self._last > self._every_s):
            state.save(self._path)
            self._last = self._clock()
        if asked:
            written = ", checkpoint written" if self._path else ""
            raise Preempted(f"stopped by {SIGNALS_SEEN.name} at step {state.step}{written}")
