"""Adam by the native libraries or the torch twin; on a GPU all tensors in one call."""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from . import _lib, reference
from ._call import call, has_native
from ._check import check_size


def adam(
    param,
    grad,
    mean,
    square,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    step,
    grad_scale,
    row_size,
    skip_zero_rows,
    zero_grad,
) -> None:
    """`nerf2mesh.kernels.adam_step`, in place on the four tensors, without the checks of range and device."""
    if not has_native(param):
        options = {"weight_decay": weight_decay, "grad_scale": grad_scale, "row_size": row_size}
        options |= {"skip_zero_rows": skip_zero_rows, "zero_grad": zero_grad}
        reference.adam_step(param, grad, mean, square, step=step, lr=lr, betas=(beta1, beta2), eps=eps, **options)
        return
    for name, value in (("param", param), ("grad", grad), ("mean", mean), ("square", square)):
        check_size(name, value, param.numel())
    rates = (lr, beta1, beta2, eps, weight_decay, 1 - beta1**step, 1 - beta2**step, grad_scale)
    flags = (row_size, int(skip_zero_rows), int(zero_grad))
    call("adam", param, param.numel(), param, grad, mean, square, *rates, *flags)


def adam_many(params, grads, means, squares, rates: list[float], counts: list[int]) -> None:
    """`adam` for lists of tensors on one device, on a GPU in one call for all of them.

    rates: lr, beta1, beta2, eps and weight_decay of each tensor in turn. counts: step and row size of each; with a row
    size above 0 rows whose gradient is all zero are left alone.
    """
    tensors = list(zip(params, grads, means, squares))
    if tensors and tensors[0][0].is_cuda and hasattr(_lib.cuda(), "n2m_adam_many_cuda"):
        _adam_on_gpu(tensors, rates, counts)
        return
    for i, (param, grad, mean, square) in enumerate(tensors):
        step, row_size = counts[2 * i : 2 * i + 2]
        lr, beta1, beta2, eps, decay = rates[5 * i : 5 * i + 5]
        rows = max(row_size, 1), row_size > 0
        adam(param, grad, mean, square, lr, beta1, beta2, eps, decay, step, 1.0, *rows, False)


def _adam_on_gpu(tensors: list[tuple[Tensor, ...]], rates: list[float], counts: list[int]) -> None:
    """Arrays as n2m_adam_many_cuda takes them; they are copied into the launch."""
    pointers = tuple(t.data_ptr() for together in tensors for t in together)
    sizes = tuple(t.numel() for together in tensors for t in together)
    if any(t.dtype != torch.float32 for together in tensors for t in together):
        raise ValueError("params: expected float32 with gradient and moments, got another type; convert them")
    numbers: list[float] = []
    rows: dict[tuple, tuple[float, ...]] = {}  # most tensors share rates and step
    for i in range(len(tensors)):
        given = (*rates[5 * i : 5 * i + 5], counts[2 * i])
        if given not in rows:
            _, beta1, beta2, _, _, step = given
            rows[given] = (*given[:5], 1 - beta1**step, 1 - beta2**step, 1.0)
        numbers += rows[given]
    given_rates, flags = (_lib.F32 * len(numbers))(*numbers), _adam_flags(tuple(counts[1::2]))
    call("adam_many", tensors[0][0], len(tensors), *_adam_arrays(pointers, sizes), given_rates, flags)


@functools.lru_cache(maxsize=16)
def _adam_arrays(pointers: tuple[int, ...], sizes: tuple[int, ...]) -> tuple:
    """Addresses [n, 4] and sizes [n], kept because they come back every step; four sizes that differ are refused."""
    for i in range(0, len(sizes), 4):
        for name, size in zip(("grad", "mean", "square"), sizes[i + 1 : i + 4]):
            if size != sizes[i]:
                raise ValueError(f"{name}: expected {sizes[i]} values, got {size}; give as many as the parameter has")
    return (_lib.P * len(pointers))(*pointers), (_lib.I64 * (len(sizes) // 4))(*sizes[::4])


@functools.lru_cache(maxsize=16)
def _adam_flags(row_sizes: tuple[int, ...]) -> ctypes.Array:
    """Row size (at least 1), whether zero rows are skipped, whether the gradient is cleared, of each tensor."""
    return (_lib.I32 * (3 * len(row_sizes)))(*(x for row in row_sizes for x in (max(row, 1), int(row > 0), 0)))
