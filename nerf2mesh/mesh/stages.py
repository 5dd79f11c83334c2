"""Tells a caller which stage of mesh building runs, and measures how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called as progress(stage, fraction of that stage in [0, 1])."""


class Stages:
    """The clock of one build: stages follow one another, and a stage may be entered again for another mesh."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        """Wall time by stage, in the order of their first start."""
        self.name = ""
        self.start = time.perf_counter()

    def enter(self, name: str) -> None:
        """Ends the present stage and starts another; an empty name only ends the present one."""
        now = time.perf_counter()
        if self.name:
            self.seconds[self.name] = round(self.seconds.get(self.name, 0.0) + now - self.start, 3)
            self.fraction(1.0)
        self.name, self.start = name, now
        if name:
            self.fraction(0.0)

    def fraction(self, value: float) -> None:
        """Reports how much of the present stage is done; values outside [0, 1] are clipped."""
        if self.progress is not None:
            self.progress(self.name, min(1.0, max(0.0, float(value))))
