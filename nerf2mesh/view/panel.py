"""The panel beside the scene: what is shown, which state, where the surface lies, and the hand on the run."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.optimize import RunControl
from nerf2mesh.optimize.interventions import ADAPTERS, NUMBERS, PROMPT
from nerf2mesh.report.metrics_log import read_metrics
from nerf2mesh.view.copies import FieldCopy, kept_states
from nerf2mesh.view.cutter import Cutter
from nerf2mesh.view.painter import Painter
from nerf2mesh.view.pictures import CHANNELS
from nerf2mesh.view.stage import Stage, glb_scale

CURVES = {"given view, PSNR (dB)": "loss/color", "distillation gradient": "distill/gradient"}
LOWEST, HIGHEST = 0.5, 50.0
"""Densities of the threshold slider, 1 / world unit."""
CURVES_EVERY_S = 2.0


class Panel:
    """All visitors share it."""

    def __init__(
        self,
        server: Any,
        painter: Painter,
        stage: Stage,
        copy: FieldCopy | None,
        folder: Path | None,
        control: RunControl | None,
        settings: dict[str, Any],
    ) -> None:
        """control: of a run that goes on; settings: its changeable settings and their present values."""
        self.server, self.painter, self.stage, self.copy = server, painter, stage, copy
        self.folder, self.control, self.settings = folder, control, settings
        self.said = "" if control is None else "waiting for the first step"
        self.live = control is not None
        """Whether the field shown follows the run; else it is the kept state that the slider names."""
        self.cutter = Cutter(copy, stage, self.say, beside_run=control is not None)
        self._states: list[Path] = []
        self._curves: list[Any] = []
        self._curves_at, self._n_refused = 0.0, 0
        self._status = server.gui.add_markdown("")
        if control is not None:
            self._add_run(control)
        self._add_show()
        if copy is not None:
            self._add_surface()
        if folder is not None:
            self._curve_folder = server.gui.add_folder("Curves", expand_by_default=False)
        self._stated = ""
        self.tick()

    def close(self) -> None:
        """Ends the thread that cuts meshes."""
        self.cutter.close()

    def say(self, text: str, title: str = "nerf2mesh") -> None:
        """A message to all visitors."""
        for client in self.server.get_clients().values():
            client.add_notification(title, text, auto_close_seconds=8.0)

    def _add_show(self) -> None:
        gui = self.server.gui
        with gui.add_folder("Show"):
            if self.copy is not None:
                channel = gui.add_dropdown("Channel", CHANNELS, initial_value="color")
                channel.on_update(lambda _: self._show(channel=channel.value))
                field = gui.add_checkbox("Field", True)
                field.on_update(lambda _: self._show(visible=field.value))
            mesh = gui.add_checkbox("Mesh", True)
            mesh.on_update(lambda _: self.stage.set_mesh_visible(mesh.value))
            views = gui.add_checkbox("Given views", True)
            views.on_update(lambda _: self.stage.set_views_visible(views.value))

    def _show(self, *, channel: str | None = None, visible: bool | None = None) -> None:
        self.painter.channel = channel or self.painter.channel
        self.painter.visible = self.painter.visible if visible is None else visible
        self.painter.repaint()

    def _add_surface(self) -> None:
        gui = self.server.gui
        with gui.add_folder("State and surface"):
            self._state = gui.add_slider(
                "State", 0, 1, 1, 0, disabled=True, hint="kept states of the run, oldest first"
            )
            self._state.on_update(lambda _: self._choose())
            low, high = math.log10(LOWEST), math.log10(HIGHEST)
            self._level = gui.add_slider("Surface, log10 density", round(low, 2), round(high, 2), 0.01, 0.4)
            self._level.on_update(lambda _: self.cutter.ask(10.0**self._level.value))
            found = gui.add_button("Surface by silhouettes")
            found.on_click(lambda _: self.cutter.ask(None))
            if self.folder is not None and self.control is None:
                back = gui.add_button("The run's own mesh")
                back.on_click(lambda _: self.show_result())

    def show_result(self) -> bool:
        """The run's mesh.glb, where there is one."""
        path = None if self.folder is None else self.folder / "mesh.glb"
        if path is None or not path.is_file():
            return False
        self.stage.show_glb(path, glb_scale(path))
        return True

    def _choose(self) -> None:
        """The kept state that the slider names; its right end follows the run."""
        at = int(self._state.value)
        if self.copy is None or not self._states:
            return
        self.live = self.control is not None and at >= len(self._states)
        if not self.live:
            self.painter.show_state(self._states[min(at, len(self._states) - 1)], self.say)

    def _add_run(self, control: RunControl) -> None:
        gui = self.server.gui
        with gui.add_folder("Run"):
            self._pause = gui.add_button("Pause")
            self._pause.on_click(lambda _: control.resume() if control.paused else control.pause())
            stop = gui.add_button("Stop and make the mesh", color="red")
            stop.on_click(lambda _: control.stop())
            boxes = {name: gui.add_number(name, float(self.settings[name]), step=0.1) for name in NUMBERS}
            boxes[PROMPT] = gui.add_text(PROMPT, str(self.settings.get(PROMPT, "")))
            weights = self.settings.get(ADAPTERS, ())
            sliders = [gui.add_slider(f"adapter {i + 1}", 0.0, 2.0, 0.05, w) for i, w in enumerate(weights)]
            apply = gui.add_button("Apply changes")
            apply.on_click(lambda _: self._apply(control, boxes, sliders))

    def _apply(self, control: RunControl, boxes: dict[str, Any], sliders: list[Any]) -> None:
        asked = {name: box.value for name, box in boxes.items()}
        if sliders:
            asked[ADAPTERS] = tuple(slider.value for slider in sliders)
        changed = {name: value for name, value in asked.items() if value != self.settings.get(name)}
        for name, value in changed.items():
            try:
                control.change(name, value)
                self.settings[name] = value
            except ValueError as error:
                self.say(str(error))
        self.say(", ".join(changed) or "nothing has changed", "from the next step on" if changed else "nerf2mesh")

    def tick(self) -> None:
        """About once a second: status, kept states, curves, refusals."""
        text = self._text()
        if text != self._stated:
            self._status.content = self._stated = text
        if self.control is not None:
            self._pause.label = "Go on" if self.control.paused else "Pause"
            for line in self.control.refused[self._n_refused :]:
                self.say(line)
            self._n_refused = len(self.control.refused)
        if self.folder is not None and time.monotonic() - self._curves_at > CURVES_EVERY_S:
            self._curves_at = time.monotonic()
            self._look_into(self.folder)

    def _text(self) -> str:
        at = -1 if self.copy is None else self.copy.step
        what = f"after step {at}" if at else "an instant preview, not yet optimized"
        shown = "" if at < 0 else f"\n\nfield: {what}"
        paused = " (paused)" if self.control is not None and self.control.paused else ""
        return f"**{self.said or 'a finished run'}**{paused}{shown}"

    def _look_into(self, folder: Path) -> None:
        states = kept_states(folder)
        if self.copy is not None and states != self._states:
            followed = self.live or not self._states
            self._states = states
            last = len(states) - (0 if self.control is not None else 1)
            self._state.max, self._state.disabled = max(1, last), last < 1
            if followed:
                self._state.value = max(0, last)
        try:
            self._draw_curves(read_metrics(folder / "metrics.jsonl"))
        except (ValueError, OSError):
            return

    def _draw_curves(self, rows: list[dict[str, float]]) -> None:
        charts = []
        for title, name in CURVES.items():
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            if name == "loss/color":
                points = [(step, -10.0 * math.log10(max(value, 1e-10))) for step, value in points]
            if len(points) > 1:
                charts.append((title, np.array(points, np.float64).T))
        for k, (title, (x, y)) in enumerate(charts):
            data = (np.ascontiguousarray(x), np.ascontiguousarray(y))
            if k < len(self._curves):
                self._curves[k].data = data
                continue
            with self._curve_folder:
                series = ({"label": "step"}, {"label": title, "stroke": "#2a6fdb", "width": 2})
                self._curves.append(
                    self.server.gui.add_uplot(data, series, scales={"x": {"time": False}}, title=title, aspect=1.8)
                )
