"""Views in a DXF or SVG: closed outlines of solid lines; hidden and center lines, dimensions and texts are left out."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.ops import polygonize, unary_union

from nerf2mesh.inputs.drawing.kinds import Lines, Silhouette
from nerf2mesh.inputs.drawing.raster_views import MIN_VIEW_SHARE
from nerf2mesh.inputs.linework.kinds import Line, Linework, layer_matches
from nerf2mesh.inputs.plan.vector_walls import near_lines

NO_OUTLINE = (
    "dim",
    "text",
    "center",
    "centre",
    "mitte",
    "hidden",
    "verdeckt",
    "anno",
    "hatch",
    "border",
    "frame",
    "title",
)
HIDDEN = ("hidden", "verdeckt", "dash")
SNAP_M = 1e-6
"""Ends closer than this meet."""


def vector_views(drawn: Linework) -> Lines:
    """Silhouettes, with the closed outlines inside them.

    Raises:
        ValueError: no outline is closed.
    """
    lines = [line for line in drawn.lines if line.solid and not layer_matches(line.layer, NO_OUTLINE)]
    strings = [LineString(line.points) for line in lines if len(line.points) > 1]
    noded = shapely.union_all(shapely.set_precision(np.asarray(strings, dtype=object), SNAP_M)) if strings else None
    faces = list(polygonize(noded)) if noded is not None else []
    faces += [face for area in drawn.areas for face in getattr(area.region, "geoms", [area.region])]
    if not faces:
        raise ValueError(
            f"input.image: expected closed outlines, got {len(lines)} lines that close none in {drawn.sheet.path}; "
            "close the views' outlines"
        )
    whole = unary_union(faces)
    outer = [Polygon(piece.exterior) for piece in getattr(whole, "geoms", [whole])]
    largest = max(piece.area for piece in outer)
    outer = [piece for piece in outer if piece.area > MIN_VIEW_SHARE * largest]
    size = float(np.sqrt(largest))
    hidden = [line for line in drawn.lines if _is_hidden(line)]
    dashed = [shape for line in hidden if len(line.points) > 3 for shape in _closed(line, SNAP_M)]
    views = tuple(_silhouette(piece, faces, dashed, 1e-4 * size) for piece in outer)
    return Lines(views, near_lines(hidden), 1e-3 * size)


def _silhouette(outline: Polygon, faces: list[Polygon], dashed: list[Polygon], tolerance: float) -> Silhouette:
    """A view with what lies in it."""
    within = outline.buffer(-tolerance)
    inner = tuple(face for face in faces if within.contains(face))
    rim = outline.buffer(tolerance)
    return Silhouette(
        outline,
        inner,
        tuple(shape for shape in dashed if within.contains(shape)),
        tuple(face for face in faces if rim.contains(face)),
    )


def _closed(line: Line, tolerance: float) -> list[Polygon]:
    """The region that a closed line bounds, if it is one."""
    ends_meet = line.closed or bool(np.linalg.norm(line.points[0] - line.points[-1]) < tolerance)
    shape = Polygon(line.points) if ends_meet else None
    return [shape] if shape is not None and shape.is_valid and shape.area > 0 else []


def _is_hidden(line: Line) -> bool:
    return layer_matches(line.layer, HIDDEN) or (not line.solid and not layer_matches(line.layer, NO_OUTLINE))
