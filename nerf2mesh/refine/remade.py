"""A mesh that was made anew from the field, brought back to its source wherever nothing was to change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.extract.project import undo_turned
from nerf2mesh.mesh.texture.bake import texel_points, with_texels
from nerf2mesh.mesh.texture.given_views import PIXELS_PER_POINT, reduced
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.refine.nearest import NearestPoints, surface_colors
from nerf2mesh.refine.recolor import FINER, painted_colors
from nerf2mesh.refine.region import Contains
from nerf2mesh.types import View

LIMIT = 0.06
"""World units of the box: a vertex further from the source than this belongs to something else."""


def on_source(mesh: TriangleMesh, nearest: NearestPoints, region: Contains) -> tuple[TriangleMesh, float]:
    """The mesh with its vertices outside the region on the source's surface, and the share of them that are."""
    outside = np.flatnonzero(~region(mesh.vertices))
    if not len(outside):
        return mesh, 1.0
    found = nearest(mesh.vertices[outside])
    close = found.distance < LIMIT
    points = mesh.vertices.copy()
    points[outside[close]] = found.point[close]
    points = undo_turned(mesh, points)
    placed = np.abs(points[outside] - found.point).max(1) < 1e-9
    normals = mesh.normals.copy()
    rows, source = outside[placed], nearest.mesh
    there = (source.normals[source.faces[found.face[placed]]] * found.weights[placed][..., None]).sum(1)
    agree = (there * normals[rows]).sum(1) > 0.0
    normals[rows[agree]] = unit(there[agree])
    return replace(mesh, vertices=points, vertex_normals=normals), float(placed.mean())


def source_colors(
    mesh: TriangleMesh, nearest: NearestPoints, region: Contains, painted: View | None
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh with the source's colors outside the region and the paint-over's inside, where it shows them; and the
    shares of texels (or vertices) in the region and of those of them that are painted."""
    textured = mesh.texture is not None and mesh.uv is not None
    if textured:
        assert mesh.texture is not None
        where = texel_points(mesh, *mesh.texture.shape[:2])
        points, normals = where.points, where.normals
        colors = mesh.texture[where.covered][:, :3] / 255.0
    else:
        assert mesh.vertex_colors is not None
        where, points, normals, colors = None, mesh.vertices, mesh.normals, mesh.vertex_colors.astype(np.float64)
    inside = region(points)
    found = nearest(points[~inside])
    colors = colors.copy()
    colors[~inside] = surface_colors(nearest.mesh, found.face, found.weights)
    weight = np.zeros(int(inside.sum()))
    if painted is not None and inside.any():
        view = reduced(painted, FINER * PIXELS_PER_POINT * len(points))
        weight, shown = painted_colors(mesh, view, points[inside], normals[inside])
        colors[inside] += weight[:, None] * (shown - colors[inside])
    figures = {"texels": float(inside.mean()), "painted": float((weight > 0.5).mean()) if inside.any() else 0.0}
    if where is not None:
        return with_texels(mesh, where, colors), figures
    return replace(mesh, vertex_colors=np.clip(colors, 0.0, 1.0).astype(np.float32)), figures
