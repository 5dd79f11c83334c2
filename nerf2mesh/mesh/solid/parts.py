"""Named closed parts of one color each, made by manifold3d."""

from __future__ import annotations

from dataclasses import dataclass

import manifold3d
import numpy as np

from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

SRGB = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """A node of a scene: its mesh in metres in the world frame (+Z up), and the color of its material."""

    name: str
    mesh: TriangleMesh
    color: SRGB
    material: str


def to_mesh(solid: manifold3d.Manifold) -> TriangleMesh:
    """The solid's surface."""
    found = solid.to_mesh64()
    return TriangleMesh(np.asarray(found.vert_properties)[:, :3], np.asarray(found.tri_verts).astype(np.int64))


def part_of(name: str, solid: manifold3d.Manifold, color: SRGB, material: str = "") -> Part:
    """A part with a material of its own unless one is named."""
    return Part(name, to_mesh(solid), color, material or name)


def faceted(mesh: TriangleMesh) -> TriangleMesh:
    """The same surface with a vertex for each corner of each flat face, so that edges are sharp in every viewer."""
    key = np.concatenate([mesh.faces.reshape(-1, 1), np.round(np.repeat(mesh.face_normals, 3, 0) * 1e4)], axis=1)
    _, first, index = np.unique(key.astype(np.int64), axis=0, return_index=True, return_inverse=True)
    corner = mesh.faces.reshape(-1)
    normals = np.repeat(mesh.face_normals, 3, axis=0)[first]
    return TriangleMesh(mesh.vertices[corner[first]], index.reshape(-1, 3), unit(normals))


def merged(parts: list[Part]) -> TriangleMesh:
    """All parts in one mesh with colors at the vertices."""
    starts = np.cumsum([0, *(part.mesh.n_vertices for part in parts)])
    return TriangleMesh(
        np.concatenate([part.mesh.vertices for part in parts]),
        np.concatenate([part.mesh.faces + start for part, start in zip(parts, starts)]),
        vertex_colors=np.concatenate(
            [np.tile(np.asarray(part.color, np.float32), (part.mesh.n_vertices, 1)) for part in parts]
        ),
    )
