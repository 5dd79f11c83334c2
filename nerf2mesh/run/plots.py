"""A result as figures of matplotlib (the extra `notebook`): curves, four sides, the input beside what was made of it.

The figures belong to nobody's pyplot: nothing pops up, no backend is chosen, nothing has to be closed.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.texture.given_views import reduced
from nerf2mesh.optimize import reference_of
from nerf2mesh.render import VolumeRenderer, rasterize_mesh
from nerf2mesh.report.metrics_log import series
from nerf2mesh.types import Camera, Observations, Rendering

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, COLUMN_IN, ROW_IN = 4, 3.0, 2.2
"""Of the curves; inches."""
ANGLES_DEG = (0.0, 90.0, 180.0, 270.0)
LOG_RANGE = 50.0
"""Series whose values are all positive and span more than this factor get a logarithmic axis."""
INPUT_PX = 256


@dataclass(frozen=True)
class Plots:
    """What `Result.plot` gives; None where there is nothing to show. Iterates over the figures that there are."""

    curves: Figure | None
    """All that was logged along the run, one panel a group."""
    views: Figure | None
    """Four sides, a quarter turn apart: of the field, and of the mesh below."""
    compared: Figure | None
    """The first given view beside field and mesh from its camera, in front of white."""

    def __iter__(self) -> Iterator[Figure]:
        return iter([figure for figure in (self.compared, self.views, self.curves) if figure is not None])

    def _repr_html_(self) -> str:
        """The figures below each other as PNG, for notebooks."""
        pictures = [base64.b64encode(_png(figure)).decode("ascii") for figure in self]
        return "".join(f'<img src="data:image/png;base64,{data}" style="max-width: 100%"><br>' for data in pictures)


def plots(
    rows: Sequence[Mapping[str, float]],
    observations: Observations,
    renderer: VolumeRenderer | None,
    mesh: TriangleMesh | None,
    *,
    size_px: int,
) -> Plots:
    """rows: of metrics.jsonl; size_px: side of the four views."""
    cameras = Camera.stack([reference_of(observations).resized(size_px, size_px).turned(a) for a in ANGLES_DEG])
    given = reduced(observations.views[0], INPUT_PX**2) if observations.views else None
    compared = None
    if given is not None:
        alpha = given.image[..., 3:]
        wanted = given.image[..., :3] * alpha + (1.0 - alpha)
        shown = {name: views[0] for name, views in _rendered(renderer, mesh, Camera.stack([given.camera])).items()}
        titles = [f"{name}, {float(psnr(picture[None], wanted[None])):.1f} dB" for name, picture in shown.items()]
        compared = _pictures([[wanted, *shown.values()]], [["input", *titles]])
    sides = _rendered(renderer, mesh, cameras)
    named = [[f"{name}, {angle:.0f}°" for angle in ANGLES_DEG] for name in sides]
    return Plots(curve_figure(rows), _pictures(list(sides.values()), named) if sides else None, compared)


def curve_figure(rows: Sequence[Mapping[str, float]]) -> Figure | None:
    """A panel for each group of names ("group/name"), and the PSNR of the given views where their error was logged."""
    logged = series([dict(row) for row in rows])
    groups: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    if "loss/color" in logged:
        steps, errors = logged["loss/color"]
        decibels = [-10.0 * math.log10(max(error, 1e-10)) for error in errors]
        groups["given views, PSNR (dB)"] = {"": (steps, decibels)}
    for name, curve in logged.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest or group] = curve
    if not groups:
        return None
    n_rows = math.ceil(len(groups) / COLUMNS)
    figure = _figure(COLUMN_IN * min(COLUMNS, len(groups)), ROW_IN * n_rows)
    axes = figure.subplots(n_rows, min(COLUMNS, len(groups)), squeeze=False).flatten()
    for axis, (group, curves) in zip(axes, groups.items()):
        _draw(axis, group, curves)
    for axis in axes[len(groups) :]:
        axis.set_axis_off()
    return figure


def _draw(axis: Any, title: str, curves: Mapping[str, tuple[list[float], list[float]]]) -> None:
    for name, (steps, values) in curves.items():
        axis.plot(steps, values, label=name, linewidth=1.2)
    every = [value for _, values in curves.values() for value in values]
    if min(every) > 0 and max(every) > LOG_RANGE * min(every):
        axis.set_yscale("log")
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=7)
    if any(curves):
        axis.legend(fontsize=6, frameon=False)


@torch.no_grad()
def _rendered(
    renderer: VolumeRenderer | None, mesh: TriangleMesh | None, cameras: Camera
) -> dict[str, list[torch.Tensor]]:
    """Pictures [h, w, 3] over white of what there is, one a camera."""
    found: dict[str, Rendering] = {}
    if renderer is not None:
        found["field"] = renderer.render(cameras)
    if mesh is not None:
        found["mesh"] = rasterize_mesh(mesh, cameras.to("cpu"), supersample=2)
    return {name: list(views.over(1.0).clamp(0.0, 1.0).cpu()) for name, views in found.items()}


def _pictures(rows: list[list[torch.Tensor]], titles: list[list[str]]) -> Figure:
    figure = _figure(2.4 * len(rows[0]), 2.6 * len(rows))
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False).flatten()
    for axis, picture, title in zip(axes, chain.from_iterable(rows), chain.from_iterable(titles)):
        axis.imshow(picture.numpy(), interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError(
            "plot: expected the package matplotlib, got none; pip install 'nerf2mesh[notebook]'"
        ) from error
    return Figure(figsize=(width_in, height_in), layout="constrained")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()
