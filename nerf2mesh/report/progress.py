"""A progress bar with an estimate and the numbers that matter, for terminals, log files and notebooks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TextIO, TypeVar

Item = TypeVar("Item")
LOG_INTERVAL_S = 20.0


class Progress:
    """One bar over `total` steps, of which `initial` were done by an earlier run.

    In a terminal or notebook it is a live tqdm bar. Where the output goes to a file it prints one plain line every
    LOG_INTERVAL_S, so that cluster logs stay readable. `quiet` prints nothing but `note`s.
    """

    def __init__(
        self,
        total: int | None,
        label: str = "",
        *,
        quiet: bool = False,
        initial: int = 0,
        unit: str = "step",
        stream: TextIO | None = None,
    ) -> None:
        self.total, self.label, self.quiet, self.unit = total, label, quiet, unit
        self.done = self._initial = initial
        self.stream = sys.stderr if stream is None else stream
        self.numbers: dict[str, str] = {}
        self._started = self._last_line = time.monotonic()
        self._bar = self._make_bar() if not quiet and _is_live(self.stream) else None

    @property
    def elapsed_s(self) -> float:
        """Seconds since this run's bar was made."""
        return time.monotonic() - self._started

    @property
    def remaining_s(self) -> float | None:
        """The estimate: elapsed time per step of this run times the steps left; None before the first step."""
        if self.total is None or self.done <= self._initial:
            return None
        return self.elapsed_s / (self.done - self._initial) * max(0, self.total - self.done)

    def update(self, n: int = 1, /, **numbers: float | int | str) -> None:
        """Count `n` steps and show `numbers` beside the bar (they stay until they are replaced)."""
        self.done += n
        self.numbers |= {name: _short(value) for name, value in numbers.items()}
        if self._bar is not None:
            self._bar.set_postfix(self.numbers, refresh=False)
            self._bar.update(n)
        elif not self.quiet and time.monotonic() - self._last_line > LOG_INTERVAL_S:
            self._line()

    def note(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def track(self, items: Iterable[Item]) -> Iterator[Item]:
        """Iterate, counting one step after each item."""
        for item in items:
            yield item
            self.update()

    def close(self) -> None:
        """Ends the bar; the last line of a log is printed."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif not self.quiet and self.elapsed_s > 1.0:
            self._line()
        self.quiet = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_bar(self) -> Any:
        return _bar_class()(
            total=self.total,
            initial=self.done,
            desc=self.label or None,
            unit=self.unit,
            file=self.stream if not in_notebook() else None,
            dynamic_ncols=True,
            mininterval=0.2,
            smoothing=0.1,
        )

    def _line(self) -> None:
        self._last_line = time.monotonic()
        count = f" {self.done}/{self.total}" if self.total is not None else f" {self.done}" if self.done else ""
        left = self.remaining_s
        parts = [f"{self.label or self.unit}{count}", f"{_clock(self.elapsed_s)} elapsed"]
        parts += [f"{_clock(left)} left"] if left is not None else []
        parts += [f"{name}={value}" for name, value in self.numbers.items()]
        print(", ".join(parts), file=self.stream, flush=True)


def _bar_class() -> type:
    """tqdm's widget where a notebook has ipywidgets, else its text bar (tqdm.auto would warn about the widget)."""
    if in_notebook():
        try:
            import ipywidgets  # noqa: F401
            from tqdm.notebook import tqdm

            return tqdm
        except ImportError:
            pass
    from tqdm import tqdm

    return tqdm


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def _is_live(stream: TextIO) -> bool:
    return in_notebook() or bool(getattr(stream, "isatty", lambda: False)())


def _short(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
