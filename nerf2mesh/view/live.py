"""The live view of a run: `report.viewer=true`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField
from nerf2mesh.optimize import LoopState, Problem, RunControl
from nerf2mesh.optimize.interventions import ADAPTERS, PROMPT
from nerf2mesh.render import OccupancyGrid
from nerf2mesh.types import Observations
from nerf2mesh.view.copies import FieldCopy, keep_state
from nerf2mesh.view.server import Viewer


class LiveView:
    """A `Watch` that shows a run to visitors; a context manager around it."""

    def __init__(
        self,
        config: Config,
        observations: Observations,
        device: torch.device | str,
        control: RunControl,
        folder: Path | None,
    ) -> None:
        self.copy = FieldCopy(config, device)
        self.steps, self.control, self.folder = config.optimize.steps, control, folder
        self._instant_until = 0
        """The instant preview is shown before so many steps are done."""
        self._preview_every = config.optimize.preview_every
        weights = config.lora.weights or [1.0] * len(config.lora.adapters)
        settings: dict[str, Any] = {
            "distill.weight": config.distill.weight,
            "distill.guidance_scale": config.distill.guidance_scale,
            PROMPT: observations.prompt,
            ADAPTERS: tuple(weights),
        }
        host, port = config.report.viewer_host, config.report.viewer_port
        self.viewer = Viewer(self.copy, host=host, port=port, folder=folder, control=control, settings=settings)
        self.viewer.stage.show_views(observations)
        self._started, self._first = time.monotonic(), -1

    def __enter__(self) -> LiveView:
        print(f"viewer: {self.viewer.address}", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.viewer.close()

    def show_instant(self, field: HashGridField, occupancy: OccupancyGrid) -> None:
        """A field to look at while the run prepares, and until its first preview; the slider's left end later."""
        self.copy.take(field, occupancy, 0)
        self._instant_until = min(self._preview_every, self.steps)
        if self.folder is not None:
            keep_state(self.folder, field, occupancy, 0)
        panel = self.viewer.panel
        panel.said = "preparing the first step"
        self.viewer.painter.repaint()
        panel.cutter.ask(None)

    def step(self, state: LoopState, problem: Problem) -> None:
        """Gives the painter the present field where it wants one and is not at work."""
        del problem
        if self._first < 0:
            self._first, self._started = state.step, time.monotonic()
        panel, painter = self.viewer.panel, self.viewer.painter
        panel.said = self._progress(state.step)
        if not panel.live or not painter.wants_copy.is_set() or self.copy.step == state.step:
            return
        if state.step < self._instant_until:
            return
        is_first = self.copy.step <= 0
        if self.copy.take(state.field, state.occupancy, state.step, wait=False):
            painter.wants_copy.clear()
            if is_first:
                painter.repaint()
                panel.cutter.ask(None)

    def keep(self, state: LoopState, folder: Path) -> None:
        """Writes the state for the slider, and now and then cuts the mesh anew where somebody looks."""
        keep_state(folder, state.field, state.occupancy, state.step)
        panel = self.viewer.panel
        looked_at = panel.live and self.viewer.painter.n_visitors > 0
        if looked_at and self.copy.take(state.field, state.occupancy, state.step, wait=False):
            panel.cutter.ask_idly()

    def finishing(self) -> None:
        """The loop has ended."""
        self.viewer.panel.said = "making the mesh"

    def finished(self) -> None:
        """The files are written."""
        self.viewer.panel.said = "done; nerf2mesh-view shows the run's folder from now on"
        self.viewer.panel.show_result()

    def _progress(self, step: int) -> str:
        done = step - self._first
        rate = done / max(1e-9, time.monotonic() - self._started)
        speed = f", {rate:.1f} steps a second" if done > 2 else ""
        return f"step {step} of {self.steps}{speed}"
