"""The canonical frame, the input camera and the ring of novel views, which protocol `core` and others share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nerf2mesh.evaluate.protocols.scoring import Case, Settings, picture, render_views
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera

BOUNDING_RADIUS = 0.9
INPUT_ELEVATION_DEG = 20.0
RING_VIEWS = 16


def canonical_frame(mesh: TriangleMesh, radius: float = BOUNDING_RADIUS) -> TriangleMesh:
    """The mesh with its bounding box centered on the origin and its farthest vertex at distance `radius`."""
    vertices = mesh.vertices - 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    return replace(mesh, vertices=vertices * (radius / np.linalg.norm(vertices, axis=1).max()))


def turned(mesh: TriangleMesh, yaw_deg: float) -> TriangleMesh:
    """The mesh turned about the world's Z axis so that its side at azimuth `yaw_deg` comes to azimuth 0."""
    angle = np.radians(-yaw_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    normals = None if mesh.vertex_normals is None else mesh.vertex_normals @ turn.T
    return replace(mesh, vertices=mesh.vertices @ turn.T, vertex_normals=normals) if yaw_deg else mesh


def make_case(name: str, mesh: TriangleMesh, *, size_px: int = 256, settings: Settings | None = None) -> Case:
    """Renders the input and the ring of novel views of a mesh that is in the canonical frame."""
    settings = settings or Settings()
    camera, ring = input_camera(size_px), ring_cameras(size_px)
    image = picture(render_views(mesh, camera, settings))
    return Case(name, mesh, image, camera, ring, render_views(mesh, ring, settings), settings)


def input_camera(size_px: int = 256) -> Camera:
    """The camera of the given picture: azimuth 0, elevation 20 degrees, distance 3.2, field of view 40 degrees."""
    return Camera.orbit(0.0, INPUT_ELEVATION_DEG, width_px=size_px)


def ring_cameras(size_px: int = 256) -> Camera:
    """The 16 compared views, [16]: azimuth 22.5 k degrees, elevation 0 for even k and 30 degrees for odd k."""
    k = torch.arange(RING_VIEWS)
    return Camera.orbit(360.0 / RING_VIEWS * k, torch.where(k % 2 == 0, 0.0, 30.0), width_px=size_px)
