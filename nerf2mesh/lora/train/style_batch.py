"""Batches of a style adapter's training, and the loss that it is trained and measured by.

Letters: B pairs, V frames of a pair (the picture first), s pixels a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, encode_rgba

CHECK_TIMES = (0.3, 0.6, 0.9)


@dataclass(frozen=True)
class StyleBatch:
    """frames in network range and noise like their images [B, V, 4, s, s], kind [B, V], t [B]."""

    frames: Frames
    kind: Tensor
    t: Tensor
    noise: Tensor


def draw(
    pairs: Frames,
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
    b, v = batch_pairs, pairs.images.shape[1]
    rows = torch.randint(len(pairs), (b,), generator=g)
    views = 1 + torch.rand(b, v - 1, generator=g).argsort(dim=1)[:, :n_noisy]
    order = torch.cat([torch.zeros(b, 1, dtype=torch.long), views], dim=1)
    frames = pairs[rows].picked(order).mirrored(torch.rand(b, generator=g) < 0.5)
    kind = torch.full(order.shape, NOISY)
    kind[:, 0] = torch.where(torch.rand(b, generator=g) < drop_condition, ABSENT, CLEAN)
    low = 0.6 * (torch.rand(b, generator=g) < high_noise_share)
    t = (low + (1.0 - low) * torch.rand(b, generator=g)).clamp(1e-3, 1 - 1e-3)
    return StyleBatch(_encoded(frames), kind, t, torch.randn(frames.images.shape, generator=g))


def _encoded(frames: Frames) -> Frames:
    """uint8 pictures in network range."""
    return Frames(encode_rgba(frames.images.float() / 255.0), frames.geometry)


def style_loss(network: nn.Module, batch: StyleBatch) -> Tensor:
    """The prior's own training loss, on the network's device."""
    device = next(network.parameters()).device
    frames, kind, t = batch.frames.to(device), batch.kind.to(device), batch.t.to(device)
    return velocity_loss(network, frames.images, frames.geometry, kind, t, batch.noise.to(device))


@torch.no_grad()
def measure(network: nn.Module, pairs: Frames, n_noisy: int = 3) -> float:
    """Mean velocity loss at fixed noise levels and noise; nan without pairs."""
    g, losses = torch.Generator().manual_seed(1), []
    for i in range(len(pairs)):
        order = torch.arange(min(1 + n_noisy, pairs.images.shape[1]))[None]
        frames = _encoded(pairs[i : i + 1].picked(order))
        kind = torch.full(order.shape, NOISY)
        kind[:, 0] = CLEAN
        noise = torch.randn(frames.images.shape, generator=g)
        for t in CHECK_TIMES:
            losses.append(float(style_loss(network, StyleBatch(frames, kind, torch.tensor([t]), noise))))
    return sum(losses) / len(losses) if losses else float("nan")


def split(n: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Which pairs are learnt from, and which only measured on (none where there are fewer than four)."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept = round(share * n) if n >= 4 else 0
    kept = max(kept, 1) if n >= 4 and share > 0 else kept
    return order[kept:].sort().values, order[:kept].sort().values
