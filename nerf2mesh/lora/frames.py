"""Pictures that a subject adapter learns from, and the names and weights of the adapters of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.lora import adapters
from nerf2mesh.lora.config import LoraConfig
from nerf2mesh.types import Observations

SUBJECT = "subject"


@dataclass(frozen=True)
class Frames:
    """Pictures to learn from: premultiplied RGBA [n, 4, s, s] any size, pose [n, 4, 4], focal [n] in image heights."""

    images: Tensor
    pose: Tensor
    focal: Tensor
    orthographic: bool

    @staticmethod
    def of(observations: Observations) -> Frames:
        views = observations.views
        images = [torch.cat([v.image[..., :3] * v.image[..., 3:], v.image[..., 3:]], dim=-1) for v in views]
        return Frames(
            torch.stack(images).permute(0, 3, 1, 2),
            torch.stack([v.camera.camera_to_world for v in views]),
            torch.stack([v.camera.focal_px[1] / v.camera.height_px for v in views]),
            views[0].camera.orthographic,
        )

    def joined(self, other: Frames) -> Frames:
        size = self.images.shape[-2:]
        images = F.interpolate(other.images, size=size, mode="bilinear", antialias=True)
        return Frames(
            torch.cat([self.images, images]),
            torch.cat([self.pose, other.pose]),
            torch.cat([self.focal, other.focal]),
            self.orthographic,
        )


def learn(
    network: torch.nn.Module, config: LoraConfig, loss: Callable[[], Tensor], progress: Callable[[float], None] | None
) -> list[float]:
    """Fits adapter SUBJECT (attached if need be) to `loss` for `config.steps` and leaves it frozen; the losses."""
    if SUBJECT not in adapters.names(network):
        adapters.attach(network, SUBJECT, config.rank)
    adapters.stack(network, active(network, config))
    parameters = adapters.train_only(network, SUBJECT)
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    losses = []
    for _ in range(config.steps):
        found = loss()
        found.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(found.detach()))
        if progress:
            progress(losses[-1])
    network.requires_grad_(False)
    return losses


def active(network: torch.nn.Module, config: LoraConfig) -> dict[str, float]:
    """The weights of all adapters that a run uses on this network: the user's, and the subject's.

    A user's file may hold layers of text encoders alone.
    """
    present, weights = adapters.names(network), config.weights or [1.0] * len(config.adapters)
    stacked = {style_name(i): weight for i, weight in enumerate(weights) if style_name(i) in present}
    if SUBJECT in present:
        stacked[SUBJECT] = config.subject_weight
    return stacked


def style_name(index: int) -> str:
    return f"style{index}"
