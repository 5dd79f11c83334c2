"""Named closed parts of one color each, made by manifold3d."""

from __future__ import annotations

from dataclasses import dataclass

import manifold3d
import numpy as np

from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

SRGB = tuple[float, float, float]


@dataclass(frozen=True)
class Picture:
    """What some faces [n] of a part show: uv [n, 3, 2] at corners, from the lower left of image [h, w, 3] uint8."""

    name: str
    faces: np.ndarray
    uv: np.ndarray
    image: np.ndarray


@dataclass(frozen=True)
class Part:
    """A node of a scene: its mesh in metres in the world frame (+Z up), the color of its material, and the pictures on
    some of its faces, each of which is a material of its own."""

    name: str
    mesh: TriangleMesh
    color: SRGB
    material: str
    pictures: tuple[Picture, ...] = ()


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
