"""Bakes how much of the surroundings each texel sees, and packs it with roughness and metallic as glTF wants them.

Letters: n unit normal of a texel; d_k, k < N, directions evenly over the sphere (a Fibonacci spiral); V_k 1 where
nothing lies between the texel and the surroundings along d_k, by the depth of an orthographic picture of the mesh.
    occlusion = sum_k V_k max(0, n . d_k) / sum_k max(0, n . d_k)
is the share of an even light that arrives. Red of the texture is occlusion, green roughness, blue metallic; all linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from nerf2mesh.mesh.texture.bake import bleed, texel_points
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

DIRECTIONS = 96
PICTURE_PX = 256
SLACK_PX = 2.0
"""A texel counts as seen where the picture's depth is at most so many pixels before it, along the surface's slope."""
LEAST_COSINE = 0.05


Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(points [N, 3], unit normals [N, 3]) -> roughness and metallic [N, 2]."""


def bake_orm(mesh: TriangleMesh, size: int, *, occlusion: bool = True, surface: Surface | None = None) -> np.ndarray:
    """The texture uint8 [size, size, 3] of a mesh with uv.

    occlusion: else red is 1 everywhere. surface: else roughness and metallic are the mesh's own.
    """
    where = texel_points(mesh, size)
    seen = visible_share(mesh, where.points, where.normals) if occlusion else np.ones(len(where.points))
    constant = np.broadcast_to([mesh.roughness, mesh.metallic], (len(seen), 2))
    found = constant if surface is None else surface(where.points, where.normals)
    values = np.concatenate([seen[:, None], np.clip(found, 0.0, 1.0)], axis=-1)
    image = np.zeros((size, size, 3), np.uint8)
    image[where.covered] = np.round(255.0 * values)
    return bleed(image, where.covered)


def visible_share(mesh: TriangleMesh, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Occlusion [n] in [0, 1] of surface points [n, 3] with unit normals; 1 where nothing is in the way."""
    arrived, whole = np.zeros(len(points)), np.zeros(len(points))
    cameras = around(float(np.linalg.norm(mesh.vertices, axis=1).max()))
    for k in range(DIRECTIONS):
        cosine = normals @ cameras[k].camera_to_world[:3, 2].double().numpy()
        facing = cosine > LEAST_COSINE
        arrived[facing] += cosine[facing] * visible(mesh, cameras[k], points[facing], cosine[facing])
        whole += np.maximum(cosine, 0.0) * facing
    return np.where(whole > 0, arrived / np.maximum(whole, 1e-9), 1.0)


def visible(mesh: TriangleMesh, camera: Camera, points: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Whether an orthographic camera sees the points [n], whose normals make `cosine` with the way to it."""
    depth = rasterize_mesh(mesh, camera, smooth=False).depth.numpy().astype(np.float64)
    pose = camera.camera_to_world.double().numpy()
    pixels, _ = camera.project(torch.from_numpy(np.ascontiguousarray(points, np.float32)))
    column, row = pixels.floor().long().clamp(0, PICTURE_PX - 1).numpy().T
    distance = (pose[:3, 3] - points) @ pose[:3, 2]
    slack = SLACK_PX / float(camera.focal_px[0]) / cosine
    found = depth[row, column]
    return (found <= 0.0) | (distance < found + slack)


def around(radius: float) -> Camera:
    """Orthographic cameras [DIRECTIONS] on a spiral over the sphere that see a ball of `radius` about the origin."""
    number = np.arange(DIRECTIONS) + 0.5
    elevation = np.degrees(np.arcsin(1.0 - 2.0 * number / DIRECTIONS))
    azimuth = np.degrees(np.pi * (1.0 + math.sqrt(5.0)) * number) % 360.0
    distance = 4.0 * radius
    return Camera.orbit(
        torch.from_numpy(azimuth).float(),
        torch.from_numpy(elevation).float(),
        distance=distance,
        fov_deg=2.0 * math.degrees(math.atan(1.05 * radius / distance)),
        width_px=PICTURE_PX,
        orthographic=True,
    )
