"""Meshes and views on which two rasterizers are compared: textures, colors, bare, seams, wild vertices, open sides."""

from __future__ import annotations

import numpy as np
import torch

from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.render.raster_arrays import MeshArrays, ViewArrays
from nerf2mesh.render.rasterizer import camera_arrays
from nerf2mesh.types import Camera

OUTPUTS = ("rgb", "opacity", "depth", "normal", "face", "barycentric", "layers")


def ball(level: int = 3, *, textured: bool = False) -> MeshArrays:
    """A ball with vertex colors and normals, or with a noisy texture and the faces' own normals."""
    shape, rng = icosphere(level, 0.7), np.random.default_rng(level)
    vertices, faces = np.ascontiguousarray(shape.vertices, np.float64), np.ascontiguousarray(shape.faces, np.int32)
    if textured:
        uv = rng.uniform(-1.5, 2.5, (len(faces), 3, 2)).astype(np.float32)
        return MeshArrays(vertices, faces, uv=uv, texture=rng.integers(0, 256, (17, 23, 4), dtype=np.uint8))
    normals = (vertices / np.linalg.norm(vertices, axis=1, keepdims=True)).astype(np.float32)
    return MeshArrays(vertices, faces, normals, rng.random((len(vertices), 3)).astype(np.float32))


def crate() -> MeshArrays:
    """Twelve large faces, twice: every depth is shared by two faces, of which the first is seen."""
    shape = box((0.9, 1.1, 1.3))
    vertices, faces = np.ascontiguousarray(shape.vertices, np.float64), np.ascontiguousarray(shape.faces, np.int32)
    return MeshArrays(vertices, np.concatenate([faces, faces]))


def wild() -> MeshArrays:
    """The ball, and triangles behind the eye, through its plane, without area, not finite, and very far away."""
    mesh = ball(2)
    corners = np.array([[4.0, 0, 0], [-9.0, 0.3, 0.1], [0.2, 2.0, -1.0], [np.nan, 0, 0], [1e200, 0, 1], [0, -1e10, 0]])
    n = len(mesh.vertices)
    extra = np.random.default_rng(0).integers(0, n + len(corners), (40, 3)).astype(np.int32)
    extra[:6] = n + np.array([[0, 1, 2], [1, 2, 5], [3, 0, 1], [4, 1, 2], [2, 2, 2], [5, 2, 0]])
    return MeshArrays(np.concatenate([mesh.vertices, corners]), np.concatenate([mesh.faces, extra]))


def views(n: int, side: int, *, supersample: int = 1, orthographic: bool = False, lit: bool = True) -> ViewArrays:
    """Cameras all around; orthographic ones see what lies behind their plane, too."""
    azimuth = torch.arange(n) * (360.0 / n) + 7.0
    camera = Camera.orbit(azimuth, torch.linspace(-50.0, 70.0, n), width_px=side, orthographic=orthographic)
    arrays, height, width = camera_arrays(camera)
    lights = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32) if lit else None
    near = -50.0 if orthographic else 1e-3
    return ViewArrays(arrays, height, width, supersample, orthographic, lights, 0.3, near)


CASES = {
    "colors": (ball(), views(3, 20, supersample=2)),
    "texture": (ball(2, textured=True), views(2, 33)),
    "large faces": (crate(), views(2, 70, supersample=2)),
    "orthographic": (crate(), views(2, 24, supersample=3, orthographic=True, lit=False)),
    "wild": (wild(), views(2, 40)),
    "nothing": (MeshArrays(np.zeros((0, 3)), np.zeros((0, 3), np.int32)), views(2, 9)),
}
