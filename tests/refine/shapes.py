"""Analytic shapes with textures whose color at every point is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import torus

RED, BLUE = (220, 40, 40), (40, 60, 200)


def ball(radius: float = 0.6, n_around: int = 48, n_up: int = 24) -> TriangleMesh:
    """A sphere whose uv are longitude and latitude; red where z > 0, blue below."""
    u, v = np.meshgrid(np.arange(n_around + 1) / n_around, np.arange(n_up + 1) / n_up, indexing="ij")
    a, b = 2 * np.pi * u, np.pi * (v - 0.5)
    normals = np.stack([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)], axis=-1)
    normals[..., 0][:, [0, -1]] = normals[..., 1][:, [0, -1]] = 0.0
    normals[-1] = normals[0]
    number = np.arange(u.size).reshape(u.shape)
    one = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:]], axis=-1)[:, 1:]
    two = np.stack([number[:-1, :-1], number[1:, 1:], number[:-1, 1:]], axis=-1)[:, :-1]
    faces = np.concatenate([one.reshape(-1, 3), two.reshape(-1, 3)])
    uv = np.stack([u, v], axis=-1).reshape(-1, 2)[faces]
    texture = np.zeros((128, 256, 3), np.uint8)
    texture[:64], texture[64:] = RED, BLUE
    flat = normals.reshape(-1, 3)
    return TriangleMesh(radius * flat, faces, flat, uv=uv.astype(np.float32), texture=texture)


def ring() -> TriangleMesh:
    """The torus of the mesh room in one grey."""
    return replace(torus(n_around=32, n_tube=16), texture=np.full((64, 64, 3), 150, np.uint8))


def saved(mesh: TriangleMesh, path: Path) -> Path:
    """The mesh as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mesh(mesh, path)
    return path
