"""Depth between the lines: where a view draws no line, the surface that it shows has no step.

The visual hull of a plate with round bosses has square ones, and further ones where two rows cross. The view that looks
onto the plate shows one flat face around the circles, without a line in it. So within each face of a view whatever
stands up from a flat part of it goes, unless a silhouette then lost something: on a drawing that leaves its inner
lines out nothing is taken away. (That each region between lines is one smooth surface is the first rule of reading
line drawings: Huffman 1971, "Impossible objects as nonsense sentences"; Clowes 1971, "On seeing things".)
"""

from __future__ import annotations

from typing import Any

import manifold3d
import numpy as np
from shapely.ops import unary_union

from nerf2mesh.inputs.drawing.axes import as_seen, prism, section_of
from nerf2mesh.inputs.drawing.kinds import Cut, Projection

FLAT = 0.999
"""Least cosine to the sight of what counts as flat."""
SOME = 0.02
"""Less than this share of a face is nothing."""
NEAR, FAR = 2e-3, 1e-2
"""Heights above a flat part, as shares of the part's size, between which a wall stands upright."""
KEPT = 1e-3
"""Share of a silhouette that may go."""


def hull_of(views: tuple[Projection, ...]) -> manifold3d.Manifold:
    """The largest solid that the silhouettes allow, in metres, its box's middle at the origin."""
    length = 2.0 * max(float(np.abs(view.region.bounds).max()) for view in views)
    prisms = [prism(view.name, view.region, -length, length) for view in views]
    return manifold3d.Manifold.batch_boolean(prisms, manifold3d.OpType.Intersect)


def carved(solid: manifold3d.Manifold, cuts: tuple[Cut, ...]) -> manifold3d.Manifold:
    """The solid without the cuts."""
    box = np.asarray(solid.bounding_box()) if not solid.is_empty() else np.ones(6)
    far = 2.0 * float(np.abs(box).max())
    for cut in cuts:
        low, high = (-far, cut.floor_m) if cut.behind else (cut.floor_m, far)
        solid -= prism(cut.view, cut.region, low, max(high, low))
    return solid


def step_cuts(views: tuple[Projection, ...], cuts: tuple[Cut, ...], tolerance_m: float) -> list[Cut]:
    """What the faces between the views' lines take from the hull besides `cuts`."""
    solid = carved(hull_of(views), cuts)
    found: list[Cut] = []
    if solid.is_empty():
        return found
    size = float(np.ptp(np.reshape(solid.bounding_box(), (2, 3)), axis=0).max())
    for view in views:
        for k, face in enumerate(view.faces):
            others = unary_union([other for j, other in enumerate(view.faces) if j != k])
            wide = face.buffer(tolerance_m, join_style="mitre").difference(others)
            level = _step(as_seen(view.name, solid), face, size, tolerance_m)
            if level is None:
                continue
            cut = Cut(view.name, wide, level)
            smaller = carved(solid, (cut,))
            if not smaller.is_empty() and all(_is_kept(v.name, solid, smaller, tolerance_m) for v in views):
                solid = smaller
                found.append(cut)
    return found


def _is_kept(name: str, solid: manifold3d.Manifold, smaller: manifold3d.Manifold, tolerance_m: float) -> bool:
    """Whether a silhouette loses nothing, but for strips thinner than the lines are known."""
    before, after = (as_seen(name, part).project() for part in (solid, smaller))
    lost = before - after
    if lost.area() > KEPT * before.area():
        lost = lost.offset(-tolerance_m / 2.0, manifold3d.JoinType.Miter)
    return lost.area() <= KEPT * before.area()


def _step(solid: manifold3d.Manifold, face: Any, size: float, tolerance_m: float) -> float | None:
    """The height of the lowest visible flat part of a face from which something stands up; None without one.

    solid: in the view's axes.
    """
    box = np.asarray(solid.bounding_box())
    column = manifold3d.Manifold.extrude(section_of(face), float(box[5] - box[2]) + 2 * size)
    column = solid ^ column.translate((0.0, 0.0, float(box[2]) - size))
    section = section_of(face)
    area = section.area()
    for level in _flat_levels(column, SOME * area, NEAR * size):
        upper, higher = (column.trim_by_plane((0.0, 0.0, 1.0), level + share * size).project() for share in (NEAR, FAR))
        near, far = upper.area(), higher.area()
        if near < SOME * area:
            return None
        if area - near > SOME * area and near - far < 0.05 * near:
            low = (section - upper).offset(-tolerance_m / 2.0, manifold3d.JoinType.Miter)
            if not low.is_empty():  # no strip between an outline and a silhouette that differ by less
                return level
    return None


def _flat_levels(solid: manifold3d.Manifold, least: float, apart: float) -> list[float]:
    """The heights of the surfaces of at least so much area that look up, from the lowest."""
    mesh = solid.to_mesh64()
    if not len(mesh.tri_verts):
        return []
    corners = np.asarray(mesh.vert_properties)[:, :3][np.asarray(mesh.tri_verts).astype(np.int64)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2.0
    area = np.linalg.norm(normals, axis=1)
    flat = normals[:, 2] > FLAT * np.maximum(area, 1e-30)
    order = np.argsort(corners[flat, :, 2].mean(1))
    heights, areas = corners[flat, :, 2].mean(1)[order], area[flat][order]
    groups = np.split(np.arange(len(heights)), np.flatnonzero(np.diff(heights) > apart) + 1)
    return [float(np.average(heights[g], weights=areas[g])) for g in groups if len(g) and areas[g].sum() > least]
