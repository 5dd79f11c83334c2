"""What a run tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nerf2mesh.optimize import LoopState, Problem


class Watch(Protocol):
    """Called in the loop's own thread, between two steps; must be quick."""

    def step(self, state: LoopState, problem: Problem) -> None:
        """After every step, and while the run is paused some times a second."""
        ...

    def keep(self, state: LoopState, folder: Path) -> None:
        """With every preview: the state may be kept in the run folder to be looked at later."""
        ...

    def finishing(self) -> None:
        """The loop has ended; the mesh is made."""
        ...

    def finished(self) -> None:
        """All is made and written."""
        ...


@dataclass(frozen=True)
class Several:
    """Several watches as one."""

    watches: tuple[Watch, ...]

    def step(self, state: LoopState, problem: Problem) -> None:
        """To each."""
        for watch in self.watches:
            watch.step(state, problem)

    def keep(self, state: LoopState, folder: Path) -> None:
        """To each."""
        for watch in self.watches:
            watch.keep(state, folder)

    def finishing(self) -> None:
        """To each."""
        for watch in self.watches:
            watch.finishing()

    def finished(self) -> None:
        """To each."""
        for watch in self.watches:
            watch.finished()
