"""Batches of a style adapter's training, and the loss that it is trained and measured by.

Letters: B pairs, V frames of a pair (the picture first), s pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerf2mesh.lora.train.pairs import Frames3d
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, encode_rgba
from nerf2mesh.priors.builtin.train import velocity_loss

CHECK_TIMES = (0.3, 0.6, 0.9)


@dataclass(frozen=True)
class StyleBatch:
    """images and noise [B, V, 4, s, s] in network range, kind [B, V], t [B]."""

    images: Tensor
    geometry: FrameGeometry
    kind: Tensor
    t: Tensor
    noise: Tensor


def draw(
    frames: Frames3d,
    g: torch.Generator,
    *,
    batch_pairs: int,
    n_noisy: int,
    drop_condition: float,
    high_noise_share: float,
) -> StyleBatch:
    """Pairs and views at random, mirrored in half of the cases; the picture is hidden with `drop_condition`.

    high_noise_share of the times are drawn from [0.6, 1], the rest from [0, 1].
    """
    b, v = batch_pairs, frames.images.shape[1]
    rows = torch.randint(len(frames), (b,), generator=g)
    views = 1 + torch.rand(b, v - 1, generator=g).argsort(dim=1)[:, :n_noisy]
    order = torch.cat([torch.zeros(b, 1, dtype=torch.long), views], dim=1)
    images = frames.images[rows[:, None], order].float() / 255.0
    geometry = frames.geometry()[rows].frames(order)
    mirror = torch.rand(b, generator=g) < 0.5
    images = torch.where(mirror[:, None, None, None, None], images.flip(-1), images)
    flipped = torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None] * geometry.pose * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    pose = torch.where(mirror[:, None, None, None], flipped, geometry.pose)
    kind = torch.full(order.shape, NOISY)
    kind[:, 0] = torch.where(torch.rand(b, generator=g) < drop_condition, ABSENT, CLEAN)
    low = 0.6 * (torch.rand(b, generator=g) < high_noise_share)
    t = (low + (1.0 - low) * torch.rand(b, generator=g)).clamp(1e-3, 1 - 1e-3)
    geometry = FrameGeometry(pose, geometry.focal, geometry.orthographic)
    return StyleBatch(encode_rgba(images), geometry, kind, t, torch.randn(images.shape, generator=g))


def style_loss(network: nn.Module, batch: StyleBatch) -> Tensor:
    """The prior's own training loss, on the network's device."""
    device = next(network.parameters()).device
    geometry = FrameGeometry(*(value.to(device) for value in vars(batch.geometry).values()))
    kind, t = batch.kind.to(device), batch.t.to(device)
    return velocity_loss(network, batch.images.to(device), geometry, kind, t, batch.noise.to(device))


@torch.no_grad()
def measure(network: nn.Module, frames: Frames3d, n_noisy: int = 3) -> float:
    """Mean velocity loss at fixed noise levels and noise; nan without pairs."""
    g, losses = torch.Generator().manual_seed(1), []
    for i in range(len(frames)):
        order = torch.arange(min(1 + n_noisy, frames.images.shape[1]))[None]
        images = encode_rgba(frames.images[i : i + 1][:, order[0]].float() / 255.0)
        geometry = frames.geometry()[i : i + 1].frames(order)
        kind = torch.full(order.shape, NOISY)
        kind[:, 0] = CLEAN
        noise = torch.randn(images.shape, generator=g)
        for t in CHECK_TIMES:
            losses.append(float(style_loss(network, StyleBatch(images, geometry, kind, torch.tensor([t]), noise))))
    return sum(losses) / len(losses) if losses else float("nan")


def split(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Which pairs are learnt from, and which only measured on (none where there are fewer than four)."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept = round(share * n) if n >= 4 else 0
    kept = max(kept, 1) if n >= 4 and share > 0 else kept
    return order[kept:].sort().values, order[:kept].sort().values
