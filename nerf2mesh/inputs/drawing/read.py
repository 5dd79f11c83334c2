"""From the file of a drawing to its views in metres."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from shapely.affinity import scale as scaled
from shapely.affinity import translate
from shapely.ops import unary_union

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.drawing.arrange import arranged
from nerf2mesh.inputs.drawing.kinds import Drawing, Lines, Projection, Silhouette
from nerf2mesh.inputs.drawing.raster_views import raster_views
from nerf2mesh.inputs.drawing.vector_views import vector_views
from nerf2mesh.inputs.linework import Raster, read_sheet

DASHED = (0.3, 0.92)
"""Share of a dashed line that is ink in a picture; a solid one has all."""


def read_drawing(config: InputConfig) -> Drawing:
    """The views that `input.image` shows.

    Raises:
        ValueError: the file, its scale, its outlines, or views that do not belong together.
    """
    sheet = read_sheet(config)
    lines = raster_views(sheet) if isinstance(sheet, Raster) else vector_views(sheet)
    found, angle = arranged(lines, config.angle, sheet.sheet.path)
    exact = not isinstance(sheet, Raster)
    views = tuple(_projection(name, found, lines, exact=exact) for name in found)
    return Drawing(_one_size(views), angle, sheet.sheet, sheet.sheet.warnings)


def _projection(name: str, found: dict[str, Silhouette], lines: Lines, *, exact: bool) -> Projection:
    view = found[name]
    holes = [face for face in view.inner if _goes_through(face, name, found, lines, exact=exact)]
    region = view.region.difference(unary_union(holes)) if holes else view.region
    middle = (view.low + view.high) / 2
    rings = tuple(np.asarray(face.exterior.coords) - middle for face in view.inner)
    return Projection(name, translate(region, -middle[0], -middle[1]), rings)


def _goes_through(face: Any, name: str, found: dict[str, Silhouette], lines: Lines, *, exact: bool) -> bool:
    """Whether another view has hidden lines at both sides of a closed outline, through all of the part there."""
    view = found[name]
    for other_name, other in found.items():
        for axis in (0, 1):
            along = _shared(name, other_name, axis)
            if along is None:
                continue
            shift = (other.low + other.high)[along[0]] / 2
            middle = (view.low + view.high)[axis] / 2
            sides = (
                along[1] * (face.bounds[axis] - middle) + shift,
                along[1] * (face.bounds[axis + 2] - middle) + shift,
            )
            if all(_is_hidden_edge(at, along[0], other, lines, exact=exact) for at in sides):
                return True
    return False


def _shared(name: str, other: str, axis: int) -> tuple[int, float] | None:
    """The axis (0 across, 1 up) of another view that shows this axis of a view, and its sign; None where none does."""
    table = {
        "front": (("y", 1.0), ("z", 1.0)),
        "top": (("y", 1.0), ("x", -1.0)),
        "bottom": (("y", 1.0), ("x", 1.0)),
        "right": (("x", -1.0), ("z", 1.0)),
        "left": (("x", 1.0), ("z", 1.0)),
    }
    world, sign = table[name][axis]
    for k, (axis_there, sign_there) in enumerate(table[other]):
        if other != name and axis_there == world:
            return k, sign * sign_there
    return None


def _is_hidden_edge(at: float, axis: int, view: Silhouette, lines: Lines, *, exact: bool) -> bool:
    """A hidden line at coordinate `at` of an axis runs through all of the view's material there."""
    other = 1 - axis
    along = np.linspace(view.low[other], view.high[other], 401)
    points = np.empty((401, 2))
    points[:, axis], points[:, other] = at, along
    inside = shapely.contains_xy(view.region.buffer(-3 * lines.tolerance_m), points[:, 0], points[:, 1])
    if inside.sum() < 20:
        return False
    hit = lines.hidden(points, lines.tolerance_m)[inside]
    share, fifths = float(hit.mean()), [float(part.mean()) for part in np.array_split(hit, 5)]
    low, high = (0.9, 1.1) if exact else DASHED
    return low <= share <= high and min(fifths) > 0.5 * low


def _one_size(views: tuple[Projection, ...]) -> tuple[Projection, ...]:
    """Views stretched to the mean of their shared extents, which differ by less than the tolerance."""
    axes = {"front": "yz", "top": "yx", "bottom": "yx", "right": "xz", "left": "xz"}
    sizes: dict[str, list[float]] = {}
    for view in views:
        box = np.asarray(view.region.bounds)
        for axis, size in zip(axes[view.name], box[2:] - box[:2]):
            sizes.setdefault(axis, []).append(float(size))
    made = []
    for view in views:
        box = np.asarray(view.region.bounds)
        factor = [float(np.mean(sizes[a])) / float(s) for a, s in zip(axes[view.name], box[2:] - box[:2])]
        region = scaled(view.region, factor[0], factor[1], origin=(0.0, 0.0))
        made.append(Projection(view.name, region, tuple(ring * factor for ring in view.lines)))
    return tuple(made)
