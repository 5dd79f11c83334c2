"""How kernel results are compared, and small inputs that several tests share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nerf2mesh.kernels import GridLayout, available

needs_native = pytest.mark.skipif(
    available()["cpu"] is None,
    reason="there is no native library, whose operators are compared with their torch twins here",
)


def relative_error(got: Tensor, wanted: Tensor) -> float:
    """Largest difference over the largest wanted magnitude; refuses NaN."""
    assert got.shape == wanted.shape, f"{got.shape} against {wanted.shape}"
    assert torch.isfinite(got).all() and torch.isfinite(wanted).all()
    if wanted.numel() == 0:
        return 0.0
    scale = wanted.double().abs().max().item()
    difference = (got.double() - wanted.double()).abs().max().item()
    return difference / scale if scale > 0 else difference


def assert_same_support(got: Tensor, wanted: Tensor) -> None:
    """Exact zeros in the same places: an operator that touched other entries would show here."""
    assert torch.equal(got != 0, wanted != 0)


def small_layout(**changes: object) -> GridLayout:
    """Dense and hashed levels in one small grid."""
    return GridLayout(**{"n_levels": 5, "n_features": 2, "log2_table_size": 10, "base_resolution": 5, **changes})


def rays(n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Rays towards the box from outside and inside, axis-parallel ones, ones on a face and ones that miss."""
    origins = torch.randn(n, 3, generator=generator) * 2
    directions = -origins + torch.randn(n, 3, generator=generator) * 0.5
    directions[: n // 8] = torch.eye(3)[torch.arange(n // 8) % 3]
    origins[: n // 16, 1] = 1.0
    origins[n // 8 : n // 4] *= 0.1
    directions[n // 4 : n // 3] = origins[n // 4 : n // 3]
    return origins, torch.nn.functional.normalize(directions, dim=-1)


def random_bits(resolution: int, share: float, n_cascades: int = 1) -> Tensor:
    """Occupied cells in clusters, so that whole empty blocks occur too."""
    size = math.ceil(resolution / 4)
    blocks = torch.rand(n_cascades, size, size, size) < share**0.5
    blocks = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)
    cells = blocks[:, :resolution, :resolution, :resolution] & (torch.rand(n_cascades, *(resolution,) * 3) < share**0.5)
    return (cells.reshape(-1, 8) * 2 ** torch.arange(8)).sum(-1).to(torch.uint8)
