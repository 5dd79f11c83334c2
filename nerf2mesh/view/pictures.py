"""From a visitor's camera to an 8-bit picture of one channel of the field."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.types import Camera, Rendering

CHANNELS = ("color", "depth", "normals", "opacity", "samples")
GREY = 0.92
FARTHEST = 0.15
"""Grey of the farthest depth that is seen; the nearest is white."""
BEHIND = 100.0
"""Depth of what is behind everything."""


def visitor_camera(rotation: np.ndarray, position: np.ndarray, fov: float, width_px: int, height_px: int) -> Camera:
    """From a camera-to-world rotation [3, 3] in OpenCV's axes (x right, y down, z forward), a position [3] and the
    vertical field of view in radians."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.from_numpy(np.ascontiguousarray(rotation)).float() @ torch.diag(
        torch.tensor([1.0, -1.0, -1.0])
    )
    pose[:3, 3] = torch.from_numpy(np.ascontiguousarray(position)).float()
    focal = torch.full((2,), 0.5 * height_px / float(np.tan(0.5 * fov)))
    return Camera(pose, focal, torch.tensor([0.5 * width_px, 0.5 * height_px]), width_px, height_px)


def opencv_pose(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3, 3] in OpenCV's axes and position [3] of one camera."""
    pose = camera.camera_to_world.cpu().double().numpy()
    return pose[:3, :3] @ np.diag([1.0, -1.0, -1.0]), pose[:3, 3]


def channel_picture(shown: Rendering, channel: str) -> np.ndarray:
    """uint8 [h, w, 3] in front of a light grey."""
    opacity = shown.opacity[..., None].cpu()
    if channel == "depth":
        values = opacity * _nearness(shown.depth.cpu()[..., None], opacity) + (1 - opacity) * GREY
    elif channel == "normals":
        assert shown.normal is not None
        values = 0.5 * (shown.normal.cpu() + opacity) + (1 - opacity) * GREY
    elif channel == "opacity":
        values = opacity
    elif channel == "samples":
        count = shown.extra["n_samples"].float().cpu()[..., None]
        values = count / count.max().clamp_min(1.0)
    else:
        values = shown.over(GREY).cpu()
    return (values.expand(*values.shape[:-1], 3).clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def _nearness(depth: Tensor, opacity: Tensor) -> Tensor:
    """1 at the nearest to FARTHEST at the farthest of the depths where more than half the light is stopped."""
    solid = depth[opacity > 0.5]
    if not len(solid):
        return torch.ones_like(depth)
    low, high = solid.min(), solid.max()
    return (1.0 - (1.0 - FARTHEST) * (depth - low) / (high - low).clamp_min(1e-6)).clamp(FARTHEST, 1.0)


def axis_depth(shown: Rendering, camera: Camera) -> np.ndarray:
    """Depth along the viewing axis [h, w], BEHIND where less than half the light is stopped."""
    rays: Tensor = camera.rays().directions
    cosine = -(rays @ camera.camera_to_world[:3, 2])
    depth = torch.where(shown.opacity.cpu() > 0.5, shown.depth.cpu() * cosine, BEHIND)
    return depth.float().numpy()
