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
    views = tuple(
        Silhouette(piece, tuple(face for face in faces if piece.buffer(-1e-4 * size).contains(face))) for piece in outer
    )
    return Lines(views, near_lines([line for line in drawn.lines if _is_hidden(line)]), 1e-3 * size)


def _is_hidden(line: Line) -> bool:
    return layer_matches(line.layer, HIDDEN) or (not line.solid and not layer_matches(line.layer, NO_OUTLINE))
