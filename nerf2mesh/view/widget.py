"""A run in a notebook: progress, four sides, a curve, and buttons, of plain ipywidgets.

No script of our own and nothing from the network: JupyterLab, the classic notebook and VS Code bring these widgets.
"""

from __future__ import annotations

import base64
import io
import math
import time
from html import escape
from pathlib import Path

import torch

from nerf2mesh.optimize import LoopState, Problem, RunControl
from nerf2mesh.optimize.loop import preview_cameras
from nerf2mesh.types import Rendering

SHARE = 0.03
"""Of the run's time that pictures may take."""
LEAST_S = 1.5
SIDE_PX = 96
GREY = 0.92
WIDTH, HEIGHT = 384, 90
"""Of the curve in pixels."""


class RunWidget:
    """A `Watch` with a face. `face` is the widget to display; `text` says the same in one line."""

    def __init__(self, control: RunControl, *, buttons: bool = True) -> None:
        """buttons: False where the kernel is busy and would not hear them."""
        import ipywidgets as widgets

        self.control = control
        self.text, self.points = "preparing", list[tuple[int, float]]()
        self._bar = widgets.IntProgress(0, 0, 1, layout=widgets.Layout(width=f"{WIDTH}px"))
        self._label, self._curve = widgets.HTML(self.text), widgets.HTML()
        self._views = widgets.Image(format="png", layout=widgets.Layout(width=f"{WIDTH}px", visibility="hidden"))
        self._pause = widgets.Button(description="Pause")
        self._stop = widgets.Button(description="Stop, make the mesh", layout=widgets.Layout(width="auto"))
        self._pause.on_click(lambda _: self._toggle())
        self._stop.on_click(lambda _: self._end())
        shown = [widgets.HBox([self._pause, self._stop])] if buttons else []
        self.face = widgets.VBox([self._bar, self._label, self._views, self._curve, *shown])
        self._first, self._started, self._due, self._said_at = -1, time.monotonic(), 0.0, 0.0
        self._latest: tuple[int, Problem] | None = None
        self._pictured = -1
        """The step of the last pictures."""

    def step(self, state: LoopState, problem: Problem) -> None:
        """Counts the step; now and then new pictures."""
        now, self._latest = time.monotonic(), (state.step, problem)
        if self._first < 0:
            self._first, self._started = state.step - 1, now
        if now - self._said_at > 0.3 or state.step == problem.config.steps:
            self._said_at = now
            self._count(state.step, problem.config.steps, now)
        if now > self._due:
            before = time.thread_time()
            self._picture(state.step, problem)
            self._due = time.monotonic() + max(LEAST_S, (time.thread_time() - before) / SHARE)

    def keep(self, state: LoopState, folder: Path) -> None:
        """Nothing is kept."""

    def finishing(self) -> None:
        """The loop has ended: its last pictures."""
        if self._latest is not None and self._latest[0] != self._pictured:
            self._picture(*self._latest)
        self._say("making the mesh")

    def finished(self) -> None:
        """All is made."""
        self._close("done")

    def failed(self, error: BaseException) -> None:
        """The run has ended with an error, or was stopped."""
        self._bar.bar_style = "danger"
        self._close(" ".join(str(error).split()) or type(error).__name__)

    def html(self) -> str:
        """What is shown, as it stands, for pages in which widgets do not live: one line, the views, the curve."""
        views = base64.b64encode(self._views.value).decode("ascii")
        picture = f'<br><img src="data:image/png;base64,{views}" alt="four views" width="{WIDTH}">' if views else ""
        curve = f"<br>{self._curve.value}" if self._curve.value else ""
        return f"<div>{escape(self.text)}{picture}{curve}</div>"

    def _count(self, step: int, steps: int, now: float) -> None:
        rate = (step - self._first) / max(1e-9, now - self._started)
        paused = ", paused" if self.control.paused else f", {(steps - step) / max(rate, 1e-9):.0f} s left"
        psnr = f", given view {self.points[-1][1]:.1f} dB" if self.points else ""
        self._bar.max, self._bar.value = steps, step
        self._say(f"step {step} of {steps}{paused}{psnr}")

    def _picture(self, step: int, problem: Problem) -> None:
        views, self._pictured = problem.renderer.render(preview_cameras(problem, SIDE_PX)), step
        self._views.value, self._views.layout.visibility = png_row(views), "visible"
        if problem.observations.views:
            self.points.append((step, given_psnr(views, problem)))
            self._curve.value = curve_svg(self.points, "given view, PSNR in dB")

    def _toggle(self) -> None:
        paused = self.control.paused
        (self.control.resume if paused else self.control.pause)()
        self._pause.description = "Pause" if paused else "Go on"

    def _end(self) -> None:
        self.control.stop()
        self._stop.disabled = self._pause.disabled = True
        self._say("stopping")

    def _say(self, text: str) -> None:
        self.text = text
        self._label.value = escape(text)

    def _close(self, text: str) -> None:
        self._say(text)
        self._stop.disabled = self._pause.disabled = True


def png_row(views: Rendering) -> bytes:
    """The views [n, h, w] side by side in front of grey, as a PNG."""
    from PIL import Image

    pixels = (views.over(GREY).clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu()
    stream = io.BytesIO()
    Image.fromarray(torch.cat(list(pixels), dim=1).numpy()).save(stream, format="PNG")
    return stream.getvalue()


def given_psnr(views: Rendering, problem: Problem) -> float:
    """PSNR in dB, over white, of the first of `views` against the first given view, reduced to its size."""
    image = problem.observations.views[0].image
    premultiplied = torch.cat([image[..., :3] * image[..., 3:], image[..., 3:]], dim=-1).permute(2, 0, 1)
    side = views.opacity.shape[-2:]
    small = torch.nn.functional.interpolate(premultiplied[None], size=side, mode="area")[0].permute(1, 2, 0)
    wanted = small[..., :3] + 1.0 - small[..., 3:]
    error = float((views.over(1.0)[0].cpu() - wanted.cpu()).square().mean())
    return -10.0 * math.log10(max(error, 1e-10))


def curve_svg(points: list[tuple[int, float]], title: str) -> str:
    """An SVG polyline of (step, value), with the smallest and the largest value beside it."""
    if len(points) < 2:
        return ""
    steps, values = [p[0] for p in points], [p[1] for p in points]
    low, high = min(values), max(values)
    x = [10 + (WIDTH - 60) * (s - steps[0]) / max(1, steps[-1] - steps[0]) for s in steps]
    y = [HEIGHT - 10 - (HEIGHT - 30) * (v - low) / max(1e-9, high - low) for v in values]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    style = 'font-size="10" font-family="sans-serif" fill="currentColor"'
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}"><polyline points="{line}" fill="none" stroke="#2a6fdb" '
        f'stroke-width="2"/><text x="10" y="12" {style}>{escape(title)}</text>'
        f'<text x="{WIDTH - 45}" y="24" {style}>{high:.1f}</text>'
        f'<text x="{WIDTH - 45}" y="{HEIGHT - 10}" {style}>{low:.1f}</text></svg>'
    )
