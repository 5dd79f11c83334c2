"""Convolutions 3 wide in 2D and 3D for one or a few CPU cores: torch's layers with fewer multiplications.

    y = A^T [(G w) * (B^T x)] per tile of 2 outputs along every axis (F(2, 3), Lavin & Gray 2016, arXiv 1509.09308):
    4 / 9 of the multiplications in 2D, 8 / 27 in 3D, the same in both gradients; equal to float32 rounding.

Letters
    E = 4^d points of the transform; images are channels last in memory. The layers fall back on torch wherever the
    native kernel does not apply: another device or type, autocast, odd or oblong images, channels not a multiple of 16.
"""

from __future__ import annotations

from ctypes import CDLL, c_int32, c_int64, c_void_p
from functools import cache

import torch
from torch import Tensor, nn

from . import _lib

PANEL = 16
P, I32, I64 = c_void_p, c_int32, c_int64
FILTER = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float32)
"""G: what three taps say at the four points."""


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`; see the module's text."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _applies(self, input, weight):
            return _Convolution.apply(input, weight, bias)
        return super()._conv_forward(input, weight, bias)


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`; see the module's text."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _applies(self, input, weight):
            return _Convolution.apply(input, weight, bias)
        return super()._conv_forward(input, weight, bias)


def _applies(layer: nn.Conv2d | nn.Conv3d, x: Tensor, weight: Tensor) -> bool:
    d = weight.ndim - 2
    plain = (layer.padding, layer.stride, layer.dilation, layer.groups) == ((1,) * d, (1,) * d, (1,) * d, 1)
    if not plain or layer.padding_mode != "zeros" or tuple(weight.shape[2:]) != (3,) * d or x.ndim != d + 2:
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False
    side = x.shape[-1]
    even = side % 2 == 0 and x.numel() > 0 and tuple(x.shape[2:]) == (side,) * d
    return even and weight.shape[0] % PANEL == 0 and weight.shape[1] % PANEL == 0 and _library() is not None


@cache
def _library() -> CDLL | None:
    """The CPU library with the signatures of csrc/n2m_winograd_abi.h, or None where it is missing or older."""
    library = _lib.cpu()
    if library is None or not hasattr(library, "n2m_winograd_forward"):
        return None
    library.n2m_winograd_forward.argtypes = [I32, I64, I32, I32, I32, P, P, P, P]
    library.n2m_winograd_weight_gradient.argtypes = [I32, I64, I32, I32, I32, P, P, P]
    return library


def _call(name: str, *arguments: int | None) -> None:
    """Runs a function of the library; raises what `_lib.check` makes of its status."""
    library = _library()
    assert library is not None, f"{name}: _applies was not asked"
    _lib.check(library, getattr(library, f"n2m_{name}")(*arguments), name)


@cache
def _filter(n_dims: int) -> Tensor:
    """G along every axis, [4^d, 3^d]."""
    whole = FILTER
    for _ in range(n_dims - 1):
        whole = torch.kron(whole, FILTER)
    return whole


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=_format(x))


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    x, n_dims, (n_out, n_in) = _channels_last(x), x.ndim - 2, weight.shape[:2]
    panels = weight.reshape(n_out // PANEL, PANEL, n_in, -1).permute(3, 0, 2, 1).flatten(1)
    points = _filter(n_dims) @ panels
    y = torch.empty(len(x), n_out, *x.shape[2:], dtype=x.dtype, memory_format=_format(x))
    at_bias = None if bias is None else bias.contiguous().data_ptr()
    sizes = (n_dims, x.shape[0], x.shape[-1], n_in, n_out)
    _call("winograd_forward", *sizes, x.data_ptr(), points.data_ptr(), at_bias, y.data_ptr())
    return y


def _format(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.ndim == 4 else torch.channels_last_3d


def _weight_gradient(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    x, n_dims, (n_out, n_in) = _channels_last(x), x.ndim - 2, weight.shape[:2]
    points = x.new_empty(4**n_dims, n_in, n_out)
    sizes = (n_dims, x.shape[0], x.shape[-1], n_in, n_out)
    _call("winograd_weight_gradient", *sizes, x.data_ptr(), grad.data_ptr(), points.data_ptr())
    taps = _filter(n_dims).T @ points.flatten(1)
    return taps.unflatten(1, (n_in, n_out)).permute(2, 1, 0).reshape(weight.shape)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (x, weight), grad = ctx.saved_tensors, _channels_last(grad)
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(tuple(range(2, weight.ndim))).transpose(0, 1)
            to_x = _convolved(grad, turned, None)
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(x, grad, weight)
        if ctx.needs_input_grad[2]:
            to_bias = grad.sum((0, *range(2, grad.ndim)))
        return to_x, to_weight, to_bias
