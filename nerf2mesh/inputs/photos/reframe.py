"""A photograph as a camera that looks straight at the object would have taken it: square, level, without distortion.

A turn of the camera about its own center changes a picture by a homography, whatever the scene (Hartley and Zisserman,
Multiple View Geometry, section 8.4). Distortion, turn and crop are one resampling: each wanted pixel is followed along
its ray into the photograph. What lies beyond the photograph's border is unknown, not empty.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from nerf2mesh.inputs.photos.axes import WorldChange
from nerf2mesh.inputs.photos.box import corners
from nerf2mesh.inputs.photos.capture import OPENGL_TO_OPENCV, Lens, Shot
from nerf2mesh.types import Camera, View

MARGIN = 1.06
"""Of the frame around the object's box."""
MAX_FINER = 4
"""Samples a side of a pixel where the photograph has more detail than the frame."""
MIN_SIDE_PX = 16


def frame_tangent(pose: np.ndarray, half: np.ndarray) -> float:
    """Half the frame's side at distance 1 in which the object's box [half sides 3] fits, for a camera that looks at the
    origin from where `pose` is."""
    local = (corners(-half, half) - pose[:3, 3]) @ look_at_origin(pose)[:3, :3]
    return MARGIN * float((np.abs(local[:, :2]) / np.maximum(-local[:, 2:], 1e-6)).max())


def look_at_origin(pose: np.ndarray) -> np.ndarray:
    """The pose [4, 4] at the same place that looks at the origin, its picture's up towards +Z (straight from above: as
    the camera was held)."""
    back = pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.999 else pose[:3, 1]
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    turned = np.eye(4)
    turned[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    turned[:3, 3] = pose[:3, 3]
    return turned


def common_side(shots: tuple[Shot, ...], tangents: list[float], largest: int) -> int:
    """The frames' side in pixels: that of the photographs' own pixels (the median), at most `largest`."""
    own = [2.0 * tangent * max(shot.lens.focal_px) for shot, tangent in zip(shots, tangents)]
    return int(min(largest, max(MIN_SIDE_PX, round(float(np.median(own))))))


def framed_camera(pose: np.ndarray, tangent: float, side_px: int) -> Camera:
    """The square camera that looks at the origin from where `pose` (object axes) is."""
    focal = 0.5 * side_px / tangent
    return Camera(
        torch.from_numpy(look_at_origin(pose)).float(),
        torch.full((2,), focal),
        torch.full((2,), 0.5 * side_px),
        side_px,
        side_px,
    )


def framed_view(
    rgba: np.ndarray, lens: Lens, shot: Shot, change: WorldChange, tangent: float, side_px: int, domain: str
) -> View:
    """The view of one photograph.

    rgba: [h, w, 4] float32 straight alpha, the cut-out photograph at the size of `lens`.
    """
    pose = change.pose(shot.pose)
    camera = framed_camera(pose, tangent, side_px)
    finer = min(MAX_FINER, max(1, math.ceil(2.0 * tangent * max(lens.focal_px) / side_px - 0.01)))
    pixels, shown = source_pixels(camera, finer, pose, lens)
    image, inside = sampled(rgba, pixels, shown, side_px, finer)
    known = None if inside.all() else torch.from_numpy(inside)
    return View(torch.from_numpy(image), camera, domain=domain, known=known)


def source_pixels(camera: Camera, finer: int, pose: np.ndarray, lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """Where in the photograph the samples of the frame lie: pixels [s * s, 2] and which the lens shows [s * s], s the
    frame's side times `finer`."""
    focal, side = float(camera.focal_px[0]) * finer, camera.width_px * finer
    grid = (np.arange(side) + 0.5 - 0.5 * side) / focal
    x, y = np.meshgrid(grid, -grid)
    local = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3)
    turn = (pose @ OPENGL_TO_OPENCV)[:3, :3].T @ look_at_origin(pose)[:3, :3]
    return lens.project(local @ turn.T)


def sampled(
    rgba: np.ndarray, pixels: np.ndarray, shown: np.ndarray, side_px: int, finer: int
) -> tuple[np.ndarray, np.ndarray]:
    """The photograph's premultiplied colors at `pixels`, by cubic interpolation, averaged over blocks of finer^2.

    Returns straight RGBA [s, s, 4] and which pixels lie within the photograph [s, s].
    """
    import cv2

    premultiplied = rgba.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:]
    height, width = rgba.shape[:2]
    inside = shown & (pixels >= 0).all(1) & (pixels <= [width, height]).all(1)
    side = side_px * finer
    at = np.where(inside[:, None], pixels - 0.5, -10.0).astype(np.float32).reshape(side, side, 2)
    fine = cv2.remap(premultiplied, at, np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    fine = np.clip(fine, 0.0, 1.0) * inside.reshape(side, side, 1)
    blocks = fine.reshape(side_px, finer, side_px, finer, 4).mean((1, 3))
    alpha = np.where(blocks[..., 3:] < 1.0 / 512.0, 0.0, blocks[..., 3:])
    color = np.where(alpha > 0, blocks[..., :3] / np.maximum(alpha, 1e-6), 0.0)
    known = np.asarray(inside.reshape(side_px, finer, side_px, finer).all((1, 3)))
    return np.concatenate([np.clip(color, 0.0, 1.0), alpha], -1).astype(np.float32), known
