"""The occupancy grid's running maximum and its bits."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ._check import check_tensor


def update_occupancy(
    ema: Float[Tensor, "cells"],
    bits: UInt8[Tensor, "bytes"],
    cells: Int64[Tensor, "m"],
    values: Float[Tensor, "m"],
    decay: float,
    threshold: float,
    *,
    below_mean: bool = False,
) -> None:
    """In place: ema *= decay, ema[cells] = max(ema[cells], values), bits = ema > threshold.

    `cells` may repeat; they must lie in [0, len(ema)) (checked on the CPU). With `below_mean` the threshold is the
    smaller of `threshold` and ema's mean, computed where the tensors are. `values` are densities, not negative. ema and
    bits must be contiguous. Source: Mueller et al. 2022, appendix C.
    """
    check_tensor("ema", ema, (None,))
    if ema.numel() % 8 or not (ema.is_contiguous() and bits.is_contiguous()):
        raise ValueError(
            f"ema, bits: expected contiguous memory and a multiple of 8 cells, got {ema.numel()} cells with strides "
            f"{ema.stride()} and {bits.stride()}; pad the cells, or call .contiguous() where the two are made"
        )
    check_tensor("bits", bits, (ema.numel() // 8,), (torch.uint8,), like=ema)
    check_tensor("cells", cells, (None,), (torch.int64,), like=ema)
    check_tensor("values", values, tuple(cells.shape), like=ema)
    if not math.isfinite(decay) or math.isnan(threshold):
        raise ValueError(f"decay, threshold: expected numbers, got {decay} and {threshold}; set them")
    torch.ops.n2m.update_occupancy(ema, bits, cells, values.detach(), decay, threshold, below_mean)
