"""Checks of what users hand to an operator; every message names the argument, what was wanted and what came."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import GridLayout

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
        raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}; convert it with torch.as_tensor")
    if torch.compiler.is_compiling():  # sizes may be unknown until run time: ask for them then
        for wanted_size, size in zip(shape, value.shape):
            if wanted_size is not None:
                torch._check(size == wanted_size)
    elif value.ndim != len(shape) or any(w is not None and w != g for w, g in zip(shape, value.shape)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}: expected the shape [{wanted}], got {list(value.shape)}; reshape it")
    if value.dtype not in dtypes:
        kinds = " or ".join(str(kind).removeprefix("torch.") for kind in dtypes)
        raise ValueError(f"{name}: expected {kinds}, got {str(value.dtype).removeprefix('torch.')}; convert with .to()")
    if like is not None and value.device != like.device:
        raise ValueError(
            f"{name}: expected the other tensors' device {like.device}, got {value.device}; move it with .to()"
        )


def check_size(name: str, value: Tensor | None, n_values: int, dtype: torch.dtype = torch.float32) -> None:
    """Number and type of the values behind a pointer; None passes. Costs next to nothing, unlike `check_tensor`."""
    if value is not None and (value.numel() != n_values or value.dtype != dtype):
        raise ValueError(
            f"{name}: expected {n_values} values of {dtype}, got {value.numel()} of {value.dtype}; convert it"
        )


def check_grid_sizes(
    layout: GridLayout,
    points: Tensor,
    params: Tensor | None = None,
    grad_out: Tensor | None = None,
    tangent: Tensor | None = None,
    grad_tangent: Tensor | None = None,
) -> None:
    """The operators may be called directly: nothing that the library reads may be shorter than it takes it to be."""
    n = len(points)
    check_size("points", points, n * layout.n_dims)
    if params is not None:
        check_size("params", params, layout.n_params, params.dtype if params.dtype == torch.float16 else torch.float32)
    check_size("grad_out", grad_out, n * layout.n_outputs)
    check_size("tangent", tangent, n * layout.n_dims)
    check_size("grad_tangent", grad_tangent, n * layout.n_outputs)


def check_packing(packed_info: Tensor, n_samples: int) -> None:
    """ValueError where a ray's samples lie outside the arrays. On the CPU only: a GPU would have to be waited for."""
    if packed_info.is_cuda or not len(packed_info):
        return
    last = packed_info.sum(1, dtype=torch.int64)
    if int(packed_info.min()) < 0 or int(last.max()) > n_samples:
        raise ValueError(
            f"packed_info: expected (start, count) of rays within {n_samples} samples, got a smallest entry "
            f"{int(packed_info.min())} and an end at {int(last.max())}; pass what march_rays gave with these samples"
        )


def check_samples(density: Tensor, channels: Tensor, t: Tensor, dt: Tensor, packed_info: Tensor) -> None:
    """Samples of one length, and rays that lie within them."""
    n = density.numel()
    for name, value in (("density", density), ("t", t), ("dt", dt)):
        check_size(name, value, n)
    check_size("channels", channels, n * channels.shape[1])
    check_size("packed_info", packed_info, 2 * len(packed_info), torch.int32)
    check_packing(packed_info, n)
