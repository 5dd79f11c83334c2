"""Geometry between frames and a feature volume: where voxels fall in the frames, where pixels' rays cross the volume.

Letters
    B scenes, V frames a scene, G voxels a side, D samples along a ray. The volume covers the world box [-1, 1]^3 with
    index order (x, y, z); `grid_sample` reads volumes [B, C, x, y, z] at coordinates given as (z, y, x).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.types import Camera, Index

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def _exact(
    method: Callable[Concatenate[FrameGeometry, Arguments], Value],
) -> Callable[Concatenate[FrameGeometry, Arguments], Value]:
    """Without autocast: the products of camera matrices, in half precision, would move rays by a hundredth."""

    @functools.wraps(method)
    def exact(geometry: FrameGeometry, *arguments: Arguments.args, **named: Arguments.kwargs) -> Value:
        with torch.autocast(geometry.pose.device.type, enabled=False):
            return method(geometry, *arguments, **named)

    return exact


@dataclass(frozen=True)
class FrameGeometry:
    """Cameras of a batch of scenes in numbers that do not depend on the image size.

    pose [B, V, 4, 4] camera to world; focal [B, V] in image heights (per world unit where `orthographic` [B]).
    Frames are square with a centered principal point.
    """

    pose: Tensor
    focal: Tensor
    orthographic: Tensor

    @staticmethod
    def of(camera: Camera) -> FrameGeometry:
        """From square cameras of batch shape [B, V]."""
        flag = torch.full(camera.batch_shape[:1], camera.orthographic, device=camera.focal_px.device)
        return FrameGeometry(camera.camera_to_world, camera.focal_px[..., 1] / camera.height_px, flag)

    def __getitem__(self, index: Index) -> FrameGeometry:
        return FrameGeometry(self.pose[index], self.focal[index], self.orthographic[index])

    def frames(self, order: Tensor) -> FrameGeometry:
        """Frames picked by `order` [B, W] from each scene's V frames."""
        row = torch.arange(len(order), device=order.device)[:, None]
        return FrameGeometry(self.pose[row, order], self.focal[row, order], self.orthographic)

    def without_first(self, n: int) -> FrameGeometry:
        """The frames of each scene without the first n."""
        return FrameGeometry(self.pose[:, n:], self.focal[:, n:], self.orthographic)

    @_exact
    def turned_to_front(self) -> FrameGeometry:
        """Turned about the world's Z axis so that frame 0 of each scene stands at azimuth 0."""
        x, y = self.pose[:, 0, 0, 3], self.pose[:, 0, 1, 3]
        r = torch.hypot(x, y).clamp_min(1e-8)
        turn = _about_z(x / r, -y / r)
        return FrameGeometry(turn[:, None] @ self.pose, self.focal, self.orthographic)

    @_exact
    def seen_from(self, azimuth: Tensor, where: Tensor) -> FrameGeometry:
        """Frame 0 of the scenes `where` [B] moved to `azimuth` [B] (radians), the other frames as they are.

        For hidden frames: of those the network sees the azimuth alone, which fixes the frame in which it thinks.
        """
        moved = _about_z(azimuth.cos(), azimuth.sin()) @ self.turned_to_front().pose[:, 0]
        first = torch.where(where[:, None, None], moved, self.pose[:, 0])
        return FrameGeometry(torch.cat([first[:, None], self.pose[:, 1:]], dim=1), self.focal, self.orthographic)

    @_exact
    def project(self, points: Tensor) -> Tensor:
        """Image coordinates in [-1, 1] (x right, y down), [B, V, P, 2], of world points [P, 3]."""
        rotation, center = self.pose[..., :3, :3], self.pose[..., :3, 3]
        local = (points - center[..., None, :]) @ rotation
        depth = torch.where(self.orthographic[:, None, None], 1.0, -local[..., 2]).clamp_min(1e-3)
        x, y = local[..., 0], -local[..., 1]
        return torch.stack([x, y], dim=-1) * (2.0 * self.focal)[..., None, None] / depth[..., None]

    @_exact
    def rays(self, size: int) -> tuple[Tensor, Tensor]:
        """Origins and unit directions [B, V, size * size, 3] through the pixel centers, row by row."""
        axis = (torch.arange(size, device=self.pose.device) + 0.5) / size - 0.5
        y, x = torch.meshgrid(-axis, axis, indexing="ij")
        plane = torch.stack([x, y], dim=-1).reshape(1, 1, -1, 2) / self.focal[..., None, None]
        zeros = torch.zeros_like(plane[..., :1])
        flat = self.orthographic[:, None, None, None]
        rotation = self.pose[..., :3, :3].transpose(-1, -2)
        local = torch.cat([torch.where(flat, 0.0, plane), zeros - 1.0], dim=-1)
        origins = self.pose[..., None, :3, 3] + torch.where(flat, torch.cat([plane, zeros], dim=-1), 0.0) @ rotation
        return origins, F.normalize(local @ rotation, dim=-1)


def _about_z(cos: Tensor, sin: Tensor) -> Tensor:
    """Turns about the Z axis [B, 4, 4]."""
    turn = torch.eye(4, device=cos.device).repeat(len(cos), 1, 1)
    turn[:, 0, 0] = turn[:, 1, 1] = cos
    turn[:, 0, 1], turn[:, 1, 0] = -sin, sin
    return turn


def plucker(geometry: FrameGeometry, size: int) -> Tensor:
    """Ray direction and moment about the origin, [B, V, 6, size, size]; moments are divided by 3."""
    origins, directions = geometry.rays(size)
    rays = torch.cat([directions, torch.linalg.cross(origins, directions) / 3.0], dim=-1)
    return rays.transpose(-1, -2).unflatten(-1, (size, size))


def voxel_centers(size: int, device: torch.device) -> Tensor:
    """World positions [size^3, 3] of voxel centers in (x, y, z) index order."""
    axis = (torch.arange(size, device=device) + 0.5) * (2.0 / size) - 1.0
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


def sampled(values: Tensor, at: Tensor) -> Tensor:
    """`grid_sample` (linear, zeros outside, align_corners=False): values [N, C, *size] at `at` [N, P, d] -> [N, C, P].

    Compiled for a GPU it is `gathered`: the backward pass of torch's own kernel adds every number by itself.
    """
    if values.device.type == "cuda" and torch.compiler.is_compiling():
        return gathered(values, at)
    grid = at[(slice(None), *(None,) * (at.shape[-1] - 1))]
    return F.grid_sample(values, grid, align_corners=False, padding_mode="zeros").flatten(2)


def gathered(values: Tensor, at: Tensor) -> Tensor:
    """`sampled` by rows of channels, one for each of the 2^d corners around a point: in the backward pass neighbors in
    memory are added together. Meant to be compiled, which keeps the rows from being written out."""
    n, channels, *size = values.shape
    rows = values.flatten(2).transpose(1, 2).reshape(-1, channels)
    index = torch.arange(n, device=at.device)[:, None, None]
    weight = torch.ones_like(at[..., :1])
    for k, side in enumerate(size):
        place = (at[..., len(size) - 1 - k, None] + 1.0) * (side / 2.0) - 0.5
        low = place.floor()
        corner = torch.stack([low, low + 1.0], dim=-1)
        share = (1.0 - (place[..., None] - corner).abs()) * ((corner >= 0.0) & (corner < side))
        index = (index[..., None] * side + corner.clamp(0, side - 1).long()).flatten(2)
        weight = (weight[..., None] * share).flatten(2)
    return (rows[index] * weight[..., None]).sum(dim=2).transpose(1, 2)


def lift(features: Tensor, geometry: FrameGeometry, size: int) -> Tensor:
    """Frame features [B, V, C, h, w] read at the projections of the voxel centers: [B, V, C, size, size, size]."""
    n_scenes, n_frames, channels = features.shape[:3]
    at = geometry.project(voxel_centers(size, features.device)).flatten(0, 1)
    values = sampled(features.flatten(0, 1).float(), at)
    return values.reshape(n_scenes, n_frames, channels, size, size, size)


def ray_features(volume: Tensor, geometry: FrameGeometry, size: int, n_samples: int) -> tuple[Tensor, Tensor]:
    """Volume features [B, V, C, size * size, D] along each pixel's ray, and distances [B, V, size * size, D]."""
    origins, directions = geometry.rays(size)
    middle = -(origins * directions).sum(-1, keepdim=True)
    offset = (torch.arange(n_samples, device=volume.device) + 0.5) / n_samples * 2.4 - 1.2
    points = origins[..., None, :] + (middle + offset)[..., None] * directions[..., None, :]
    values = sampled(volume.float(), points.flip(-1).flatten(1, 3))
    n_scenes, n_frames = geometry.focal.shape
    return values.reshape(n_scenes, -1, n_frames, size * size, n_samples).transpose(1, 2), offset.expand_as(
        points[..., 0]
    )


def composite_along_rays(features: Tensor, density: Tensor) -> tuple[Tensor, Tensor]:
    """Front-to-back compositing (Max 1995): features [B, V, C, P, D], optical depth of samples [B, V, P, D].

    Returns pixel features [B, V, C, P] and the weights [B, V, P, D].
    """
    before = torch.cumsum(density, dim=-1) - density
    weights = torch.exp(-before) * (1.0 - torch.exp(-density))
    return (features * weights[:, :, None]).sum(-1), weights
