"""Closed meshes of simple solids: for tests, baselines and camera checks."""

from __future__ import annotations

import numpy as np

from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit


def box(half_extents: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> TriangleMesh:
    """An axis-aligned box around the origin."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [face for a, b, c, d in quads for face in ([a, b, c], [a, c, d])]
    return TriangleMesh(corners * half_extents, np.array(faces))


def icosphere(subdivisions: int = 3, radius: float = 1.0) -> TriangleMesh:
    """A sphere of 20 * 4^subdivisions nearly equal triangles, vertices on the sphere."""
    g = (1.0 + 5.0**0.5) / 2.0
    vertices = [(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g)]
    vertices += [(0, -1, -g), (0, 1, -g), (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)]
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2)]
    faces += [(10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5)]
    faces += [(2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]
    points, triangles = unit(np.array(vertices, dtype=np.float64)), np.array(faces)
    for _ in range(subdivisions):
        points, triangles = _split_in_four(points, triangles)
        points = unit(points)
    return TriangleMesh(points * radius, triangles, vertex_normals=points)


def torus(radius: float = 0.6, tube: float = 0.25, n_around: int = 96, n_tube: int = 48) -> TriangleMesh:
    """A ring around the Z axis, with UV that cover the unit square once."""
    u, v = np.meshgrid(np.arange(n_around) / n_around, np.arange(n_tube) / n_tube, indexing="ij")
    a, b = 2 * np.pi * u, 2 * np.pi * v
    normals = np.stack([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)], axis=-1)
    center = radius * np.stack([np.cos(a), np.sin(a), np.zeros_like(a)], axis=-1)
    i, j = (index.reshape(-1) for index in np.meshgrid(np.arange(n_around), np.arange(n_tube), indexing="ij"))
    quad = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
    index = [(p % n_around) * n_tube + q % n_tube for p, q in quad]
    uv = [np.stack([p / n_around, q / n_tube], axis=-1) for p, q in quad]
    faces = [np.stack([index[k] for k in corner], axis=1) for corner in ((0, 1, 2), (0, 2, 3))]
    uvs = [np.stack([uv[k] for k in corner], axis=1) for corner in ((0, 1, 2), (0, 2, 3))]
    vertices = (center + tube * normals).reshape(-1, 3)
    return TriangleMesh(vertices, np.concatenate(faces), normals.reshape(-1, 3), uv=np.concatenate(uvs))


def _split_in_four(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, index = np.unique(half, axis=0, return_inverse=True)
    ab, bc, ca = (len(points) + index.reshape(-1, 3)).T
    a, b, c = faces.T
    split = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    middle = points[edges].mean(axis=1)
    return np.concatenate([points, middle]), np.concatenate([np.stack(t, axis=1) for t in split])
