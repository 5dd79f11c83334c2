"""Pictures as vectors: what the built-in prior's encoder makes of them, before any of it is lifted into space."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry, plucker
from nerf2mesh.priors.builtin.network import CLEAN, MultiViewDenoiser, encode_rgba
from nerf2mesh.types import Camera

GRID = 8
"""Features are averaged over so many fields a side: where something stands counts, a shift by a few pixels does not."""
_BATCH = 64


@torch.no_grad()
def picture_features(network: MultiViewDenoiser, premultiplied: Tensor) -> Tensor:
    """Unit vectors [n, d] of premultiplied RGBA pictures [n, 4, s, s] at the network's size.

    The feature of an empty picture is the origin: without that all pictures would point the same way.
    """
    device = next(network.parameters()).device
    empty = torch.zeros(1, 4, *premultiplied.shape[-2:])
    rows = [_encoded(network, rows.to(device)) for rows in (empty, *premultiplied.float().split(_BATCH))]
    origin, found = rows[0], torch.cat(rows[1:])
    return F.normalize(found - origin, dim=-1).cpu()


def _encoded(network: MultiViewDenoiser, premultiplied: Tensor) -> Tensor:
    n, patch = len(premultiplied), network.config.patch
    device = premultiplied.device
    cameras = Camera.orbit(torch.zeros(n, 1), 10.0, width_px=premultiplied.shape[-1]).to(device)
    blocks = F.pixel_unshuffle(encode_rgba(premultiplied), patch)
    rays = plucker(FrameGeometry.of(cameras), blocks.shape[-1])[:, 0]
    kind = torch.full((n, 1), CLEAN, device=device)
    embedding, _ = network._embeddings(torch.full((n,), 2.0 * math.log(patch), device=device), kind, None)
    coarse = network.shrink(network.fine_in(network.stem(torch.cat([blocks, rays], dim=1)), embedding))
    for block in network.coarse_in:
        coarse = block(coarse, embedding)
    return F.adaptive_avg_pool2d(coarse, GRID).flatten(1)
