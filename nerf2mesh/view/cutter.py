"""The thread that cuts a mesh from the field where the visitor wants the surface; of several wishes the last counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nerf2mesh.view.copies import FieldCopy
from nerf2mesh.view.stage import Stage


class Cutter:
    """Ask from any thread; the mesh appears on the stage."""

    def __init__(self, copy: FieldCopy | None, stage: Stage, say: Callable[[str], None]) -> None:
        self.copy, self.stage, self.say = copy, stage, say
        self.n_cut = 0
        self._wish: tuple[float | None] | None = None
        self._wanted, self._ending = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="nerf2mesh-cutter", daemon=True)
        if copy is not None:
            self._thread.start()

    def ask(self, density: float | None) -> None:
        """A mesh at this density (1 / world unit); None: where the silhouettes fit best."""
        self._wish = (density,)
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
            wish, self._wish = self._wish, None
            if wish is None or self.copy is None or self.copy.step < 0:
                continue
            try:
                mesh, _ = self.copy.cut(wish[0])
                self.stage.show_mesh(mesh)
                self.n_cut += 1
            except ValueError as error:
                self.say(str(error))
