"""Pictures of scenes with their cameras: what the built-in denoiser and the subject adapters are trained on.

Letters: B scenes, V frames a scene, s pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.types import Observations
from nerf2mesh.utils.device_copy import to_device


@dataclass(frozen=True)
class Frames:
    """Frames of a batch of scenes; images [B, V, 4, s, s] are premultiplied RGBA, as floats or as uint8."""

    images: Tensor
    geometry: FrameGeometry

    @staticmethod
    def of(observations: Observations) -> Frames:
        """The given views as one scene. All must have one size and one projection."""
        views = observations.views
        images = [torch.cat([v.image[..., :3] * v.image[..., 3:], v.image[..., 3:]], dim=-1) for v in views]
        geometry = FrameGeometry(
            torch.stack([v.camera.camera_to_world for v in views])[None],
            torch.stack([v.camera.focal_px[1] / v.camera.height_px for v in views])[None],
            torch.tensor([views[0].camera.orthographic]),
        )
        return Frames(torch.stack(images).permute(0, 3, 1, 2)[None], geometry)

    def __len__(self) -> int:
        """How many scenes."""
        return len(self.images)

    def __getitem__(self, scenes: Tensor | slice) -> Frames:
        """The chosen scenes."""
        return Frames(self.images[scenes], self.geometry[scenes])

    def picked(self, order: Tensor) -> Frames:
        """Frames picked by `order` [B, W] from each scene's V frames."""
        row = torch.arange(len(order), device=order.device)[:, None]
        return Frames(self.images[row, order], self.geometry.frames(order))

    def joined(self, other: Frames) -> Frames:
        """The frames of both, scene by scene; the other's pictures are brought to the size of these."""
        size = self.images.shape[-2:]
        rows = F.interpolate(other.images.flatten(0, 1), size=size, mode="bilinear", antialias=True)
        images = rows.unflatten(0, other.images.shape[:2])
        pose = torch.cat([self.geometry.pose, other.geometry.pose], dim=1)
        focal = torch.cat([self.geometry.focal, other.geometry.focal], dim=1)
        geometry = FrameGeometry(pose, focal, self.geometry.orthographic)
        return Frames(torch.cat([self.images, images], dim=1), geometry)

    def mirrored(self, where: Tensor) -> Frames:
        """The scenes `where` [B] as their mirror images in the world's plane y = 0: pictures flipped, cameras moved.

        The pose M becomes S M T, where S negates the world's y and T the camera's x (which flips the picture).
        """
        device = self.geometry.pose.device
        world, camera = to_device(torch.tensor([[1.0, -1.0, 1.0, 1.0], [-1.0, 1.0, 1.0, 1.0]]), device)
        flipped = world[:, None] * self.geometry.pose * camera
        pose = torch.where(where[:, None, None, None], flipped, self.geometry.pose)
        images = torch.where(where[:, None, None, None, None], self.images.flip(-1), self.images)
        return Frames(images, FrameGeometry(pose, self.geometry.focal, self.geometry.orthographic))

    def to(self, device: torch.device | str) -> Frames:
        """Pictures and cameras on `device`."""
        geometry = FrameGeometry(*(value.to(device) for value in vars(self.geometry).values()))
        return Frames(self.images.to(device), geometry)
