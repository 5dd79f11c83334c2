"""Whether a region of a mesh can be painted in its own texture, and a new texture where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerf2mesh.mesh import MeshConfig, TriangleMesh
from nerf2mesh.mesh.scene_file import load_scene, shapes_in
from nerf2mesh.mesh.texture.bake import bleed, texel_points
from nerf2mesh.mesh.texture.unwrap import unwrap
from nerf2mesh.refine.nearest import surface_colors
from nerf2mesh.refine.region import Contains
from nerf2mesh.refine.source import Source, same_place
from nerf2mesh.render.rasterizer import rasterize_uv

TOLERATED = 0.002
"""Share of the region's texels that may lie under two triangles: rims of charts that touch."""
LEAST_TEXELS = 1.0
"""Texels a triangle of the region, on average: a palette, whose triangles are points, has next to none."""


def region_faces(mesh: TriangleMesh, region: Contains) -> np.ndarray:
    """bool [F]: triangles with a corner or their middle in the region."""
    corners = region(mesh.vertices)[mesh.faces].any(1)
    return corners | region(mesh.corners.mean(1))


def atlas_fault(mesh: TriangleMesh, region: Contains) -> str:
    """Why the region cannot be painted in the mesh's own texture, as "a mesh ..."; empty where it can."""
    if mesh.uv is None or mesh.texture is None:
        return "a mesh without texture coordinates"
    faces = region_faces(mesh, region)
    height, width = mesh.texture.shape[:2]
    if (mesh.uv[faces] < -1e-4).any() or (mesh.uv[faces] > 1.0 + 1e-4).any():
        return "a mesh whose texture repeats in the region"
    inside = rasterize_uv(mesh.uv[faces], height, width)
    covered, twice = inside["face"] >= 0, inside["layers"] > 1
    if covered.sum() < LEAST_TEXELS * faces.sum():
        return f"a mesh whose texture has {int(covered.sum())} texels for {int(faces.sum())} triangles of the region"
    if not faces.all():
        twice |= covered & (rasterize_uv(mesh.uv[~faces], height, width)["face"] >= 0)
    if twice.sum() > max(4.0, TOLERATED * covered.sum()):
        return f"a mesh in whose texture {int(twice.sum())} texels of the region are used twice"
    return ""


def check_atlas(source: Source, region: Contains) -> None:
    """ValueError where the mesh's own texture coordinates cannot be kept."""
    fault = atlas_fault(source.mesh, region)
    parts = 0 if fault else sum(shape.visual.kind == "texture" for shape, _ in shapes_in(load_scene(source.file)))
    if parts > 1:
        fault = f"{parts} textured parts, whose texture coordinates are joined when they are read"
    if fault:
        raise ValueError(
            f"refine.keep_topology: expected a mesh with one texture that shows each place once, got {fault} "
            f"({source.file.name}); unwrap it first, or leave refine.keep_topology out"
        )


def with_atlas(mesh: TriangleMesh, config: MeshConfig) -> tuple[TriangleMesh, dict[str, object]]:
    """The same surface with new texture coordinates and its own colors in a new texture; and how it was unwrapped."""
    first, place = same_place(mesh)
    joined = TriangleMesh(mesh.vertices[first], place[mesh.faces])
    size = config.texture_size
    uv, made = unwrap(joined, size, padding_px=config.texture_padding_px, time_limit_s=config.unwrap_time_limit_s)
    unwrapped = replace(mesh, uv=uv, texture=None, vertex_colors=None)
    where = texel_points(unwrapped, size)
    texture = np.zeros((size, size, 3), np.uint8)
    texture[where.covered] = np.round(255.0 * surface_colors(mesh, where.face, where.weights))
    return replace(unwrapped, texture=bleed(texture, where.covered)), made
