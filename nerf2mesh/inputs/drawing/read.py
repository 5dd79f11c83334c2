"""From the file of a drawing to its views in metres."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from shapely.affinity import scale as scaled
from shapely.affinity import translate
from shapely.geometry import Polygon
from shapely.ops import unary_union

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.drawing.arrange import arranged
from nerf2mesh.inputs.drawing.axes import world_axes
from nerf2mesh.inputs.drawing.kinds import Cut, Drawing, Lines, Projection, Silhouette
from nerf2mesh.inputs.drawing.pockets import goes_through, pockets
from nerf2mesh.inputs.drawing.raster_views import raster_views
from nerf2mesh.inputs.drawing.steps import step_cuts
from nerf2mesh.inputs.drawing.vector_views import vector_views
from nerf2mesh.inputs.linework import Raster, read_sheet


def read_drawing(config: InputConfig) -> Drawing:
    """The views that `input.image` shows.

    Raises:
        ValueError: the file, its scale, its outlines, or views that do not belong together.
    """
    sheet = read_sheet(config)
    lines = raster_views(sheet) if isinstance(sheet, Raster) else vector_views(sheet)
    found, angle = arranged(lines, config.angle, sheet.sheet.path)
    exact = not isinstance(sheet, Raster)
    read = [_projection(name, found, lines, exact=exact, inner_lines=config.inner_lines) for name in found]
    views, cuts = _one_size(tuple(view for view, _ in read), [cut for _, more in read for cut in more])
    if config.inner_lines:
        cuts = (*cuts, *step_cuts(views, cuts, lines.tolerance_m))
    return Drawing(views, angle, sheet.sheet, cuts, (*sheet.sheet.warnings, *_doubts(found, config.angle, angle)))


def _doubts(found: dict[str, Silhouette], asked: str, angle: str) -> tuple[str, ...]:
    """A warning where two views one above the other may be front and top in either order."""
    if asked != "auto" or len(found) != 2 or not {"top", "bottom"} & set(found):
        return ()
    other = "first" if angle == "third" else "third"
    return (
        f"two views one above the other: the larger was taken for the front view ({angle} angle); if it is the view "
        f"from the top, say input.angle={other}",
    )


def _projection(
    name: str, found: dict[str, Silhouette], lines: Lines, *, exact: bool, inner_lines: bool
) -> tuple[Projection, list[Cut]]:
    view = found[name]
    holes = [face for face in view.inner if goes_through(face, name, found, lines, exact=exact)]
    region = view.region.difference(unary_union([Polygon(face.exterior) for face in holes])) if holes else view.region
    middle = (view.low + view.high) / 2
    rings = tuple(np.asarray(face.exterior.coords) - middle for face in view.inner)
    faces = tuple(translate(face, -middle[0], -middle[1]) for face in view.faces if face not in holes)
    cuts = pockets(name, found, lines, holes, exact=exact) if inner_lines else []
    return Projection(name, translate(region, -middle[0], -middle[1]), rings, faces), cuts


def _one_size(views: tuple[Projection, ...], cuts: list[Cut]) -> tuple[tuple[Projection, ...], tuple[Cut, ...]]:
    """All stretched to the mean of the views' shared extents, which differ by less than the tolerance."""
    sizes: dict[str, list[float]] = {}
    for view in views:
        box = np.asarray(view.region.bounds)
        for axis, size in zip(world_axes(view.name), box[2:] - box[:2]):
            sizes.setdefault(axis, []).append(float(size))
    factors: dict[str, list[float]] = {}
    made = []
    for view in views:
        box = np.asarray(view.region.bounds)
        factor = [float(np.mean(sizes[a])) / float(s) for a, s in zip(world_axes(view.name), box[2:] - box[:2])]
        factors[view.name] = factor
        region, faces = _stretched(view.region, factor), tuple(_stretched(face, factor) for face in view.faces)
        made.append(Projection(view.name, region, tuple(ring * factor for ring in view.lines), faces))
    return tuple(made), tuple(replace(cut, region=_stretched(cut.region, factors[cut.view])) for cut in cuts)


def _stretched(region: Any, factor: list[float]) -> Any:
    return scaled(region, factor[0], factor[1], origin=(0.0, 0.0))
