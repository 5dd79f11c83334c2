"""The thread that cuts a mesh from the field where the visitor wants the surface; of several wishes the last counts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from nerf2mesh.view.beside import start_thread
from nerf2mesh.view.copies import FieldCopy
from nerf2mesh.view.stage import Stage

IDLE_SHARE = 0.02
"""Of the process's processor time: what meshes may take that nobody asked for."""


class Cutter:
    """Ask from any thread; the mesh appears on the stage."""

    def __init__(
        self, copy: FieldCopy | None, stage: Stage, say: Callable[[str], None], *, beside_run: bool = False
    ) -> None:
        """beside_run: the processors belong to a run in this process."""
        self.copy, self.stage, self.say = copy, stage, say
        self.n_cut = 0
        self._wishes: deque[tuple[float | None, bool]] = deque(maxlen=1)
        """(density, whether nobody asked for it)"""
        self._rests_until = 0.0
        self._wanted, self._ending = threading.Event(), False
        self._thread = None if copy is None else start_thread(self._run, "nerf2mesh-cutter", beside_run=beside_run)

    def ask(self, density: float | None) -> None:
        """A mesh at this density (1 / world unit); None: where the silhouettes fit best."""
        self._wishes.append((density, False))
        self._wanted.set()

    def ask_idly(self) -> None:
        """For those who only watch: as `ask(None)`, but left out where the last of these is too short ago."""
        if time.process_time() > self._rests_until and not self._wishes:
            self._wishes.append((None, True))
            self._wanted.set()

    def close(self) -> None:
        """Ends after the present mesh."""
        self._ending = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=20.0)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._ending:
                return
            if not self._wishes:
                continue
            (density, idle), worked = self._wishes.pop(), time.thread_time()
            if self.copy is None or self.copy.step < 0:
                continue
            try:
                mesh, _ = self.copy.cut(density)
                self.stage.show_mesh(mesh)
                made = 1
            except ValueError as error:
                self.say(str(error))
                made = 0
            if idle:
                self._rests_until = time.process_time() + (time.thread_time() - worked) / IDLE_SHARE
            self.n_cut += made
