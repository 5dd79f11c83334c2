"""Checks of what users hand to an operator; every message names the argument, what was wanted and what came."""

from __future__ import annotations

import torch
from torch import Tensor

Sizes = tuple[int | None, ...]


def check_tensor(
    name: str,
    value: Tensor,
    shape: Sizes,
    dtypes: tuple[torch.dtype, ...] = (torch.float32,),
    like: Tensor | None = None,
) -> None:
    """Type, number of axes, their lengths (None: any), element type, and the device of `like`."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name}: a tensor wanted, got {type(value).__name__}")
    if torch.compiler.is_compiling():  # sizes may be unknown until run time: ask for them then
        for wanted_size, size in zip(shape, value.shape):
            if wanted_size is not None:
                torch._check(size == wanted_size)
    elif value.ndim != len(shape) or any(w is not None and w != g for w, g in zip(shape, value.shape)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}: shape [{wanted}] wanted, got {list(value.shape)}")
    if value.dtype not in dtypes:
        kinds = " or ".join(str(kind).removeprefix("torch.") for kind in dtypes)
        raise ValueError(f"{name}: {kinds} wanted, got {str(value.dtype).removeprefix('torch.')}; convert with .to()")
    if like is not None and value.device != like.device:
        raise ValueError(f"{name}: device {like.device} wanted, as for the other tensors, got {value.device}")
