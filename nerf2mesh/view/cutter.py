"""The thread that cuts a mesh from the field where the visitor wants the surface; of several wishes the last counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nerf2mesh.view.copies import FieldCopy
from nerf2mesh.view.stage import Stage

IDLE_SHARE = 0.02
"""Of the process's processor time: what meshes may take that nobody asked for."""


class Cutter:
    """Ask from any thread; the mesh appears on the stage."""

    def __init__(self, copy: FieldCopy | None, stage: Stage, say: Callable[[str], None]) -> None:
        self.copy, self.stage, self.say = copy, stage, say
        self.n_cut = 0
        self._wish: tuple[float | None] | None = None
        self._rests_until, self._is_idle = 0.0, False
        self._wanted, self._ending = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="nerf2mesh-cutter", daemon=True)
        if copy is not None:
            self._thread.start()

    def ask(self, density: float | None) -> None:
        """A mesh at this density (1 / world unit); None: where the silhouettes fit best."""
        self._wish, self._is_idle = (density,), False
        self._wanted.set()

    def ask_idly(self) -> None:
        """For those who only watch: as `ask(None)`, but left out where the last of these is too short ago."""
        if time.process_time() > self._rests_until and self._wish is None:
            self._wish, self._is_idle = (None,), True
            self._wanted.set()

    def close(self) -> None:
        """Ends after the present mesh."""
        self._ending = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=20.0)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._ending:
                return
            (wish, idle), self._wish = (self._wish, self._is_idle), None
            worked = time.thread_time()
            if wish is None or self.copy is None or self.copy.step < 0:
                continue
            try:
                mesh, _ = self.copy.cut(wish[0])
                self.stage.show_mesh(mesh)
                made = 1
            except ValueError as error:
                self.say(str(error))
                made = 0
            if idle:
                self._rests_until = time.process_time() + (time.thread_time() - worked) / IDLE_SHARE
            self.n_cut += made
