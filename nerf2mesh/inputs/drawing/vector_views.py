"""Views in a DXF or SVG: closed outlines of solid lines; hidden and center lines, dimensions and texts are left out."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import KDTree
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
MAX_GAP = 0.05
"""The longest gap between two dashes that are lines of their own, as a share of the largest view's size."""
IN_LINE = 0.2
"""How far a dash may point past the next one, as a share of the gap (dashes of a curve turn)."""


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
    hidden += _between_dashes(hidden, MAX_GAP * size)
    dashed = [shape for line in hidden if len(line.points) > 3 for shape in _closed(line, SNAP_M)]
    dashed += _bounded([line for line in hidden if not line.closed])
    views = tuple(_silhouette(piece, faces, dashed, 1e-4 * size) for piece in outer)
    return Lines(views, near_lines(hidden), 1e-3 * size)


def _silhouette(outline: Polygon, faces: list[Polygon], dashed: list[Polygon], tolerance: float) -> Silhouette:
    """A view with what lies in it, but for slivers between lines that nearly meet."""
    within = outline.buffer(-tolerance)
    inner = tuple(face for face in faces if within.contains(face) and not face.buffer(-5.0 * tolerance).is_empty)
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


def _bounded(lines: list[Line]) -> list[Polygon]:
    """The regions that hidden lines bound together: a rectangle of four lines, a circle of dashes."""
    strings = [LineString(line.points) for line in lines if len(line.points) > 1]
    if not strings:
        return []
    return list(polygonize(shapely.union_all(shapely.set_precision(np.asarray(strings, dtype=object), SNAP_M))))


def _between_dashes(lines: list[Line], longest: float) -> list[Line]:
    """Lines across the gaps of hidden lines whose every dash is a line of its own; no gap is longer than a dash."""
    strings = [LineString(line.points) for line in lines if not line.closed and len(line.points) > 1]
    if len(strings) < 2:
        return []
    chains = shapely.line_merge(shapely.MultiLineString(strings))
    paths = [np.asarray(chain.coords) for chain in getattr(chains, "geoms", [chains])]
    ends = np.array([end for path in paths for end in (path[0], path[-1])])
    ways = np.array([path[k] - path[j] for path in paths for k, j in ((0, 1), (-1, -2))])
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-12)
    lengths = np.repeat([float(LineString(path).length) for path in paths], 2)
    found: list[Line] = []
    for i, j in KDTree(ends).query_pairs(longest, output_type="ndarray"):
        across = ends[j] - ends[i]
        gap = float(np.linalg.norm(across))
        if i // 2 == j // 2 or not SNAP_M < gap <= max(lengths[i], lengths[j]):
            continue
        if min(ways[i] @ across, -(ways[j] @ across)) > np.sqrt(1.0 - IN_LINE**2) * gap:
            found.append(Line(np.stack([ends[i], ends[j]]), solid=False))
    return found


def _is_hidden(line: Line) -> bool:
    return layer_matches(line.layer, HIDDEN) or (not line.solid and not layer_matches(line.layer, NO_OUTLINE))
