"""Implementations of the operators for CPU and CUDA: contiguous memory handed to a native library, or the torch twins.

Everything a kernel writes is allocated here, by torch. On CUDA the work is enqueued on the current stream and nothing
waits.
"""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from . import _lib, reference
from ._check import check_grid_sizes, check_samples, check_size
from ._ops import LIBRARY
from .layout import layout_from

HALF = torch.float16


def has_native(like: Tensor) -> bool:
    """Whether the library of the device of `like` is loaded; without it the torch twins serve."""
    return (_lib.cuda() if like.is_cuda else _lib.cpu()) is not None


def call(name: str, like: Tensor, *arguments: object) -> None:
    """Runs a native function where `like` is; tensors become pointers. Raises what `_lib.check` makes of its status."""
    values = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    library = _lib.cuda() if like.is_cuda else _lib.cpu()
    assert library is not None, f"{name}: has_native was not asked"
    if like.is_cuda:
        with torch.cuda.device(like.device):
            stream = torch.cuda.current_stream(like.device).cuda_stream
            status = getattr(library, f"n2m_{name}_cuda")(*values, stream)
    else:
        library.n2m_set_threads(torch.get_num_threads())
        status = getattr(library, f"n2m_{name}")(*values)
    _lib.check(library, status, name)


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Uninitialized float32 memory; a large piece of main memory is asked for in huge pages."""
    made = like.new_empty(shape, dtype=torch.float32)
    if made.numel() >= 1 << 20 and not made.is_cuda:
        library = _lib.cpu()
        assert library is not None, "memory for a native call, but has_native was not asked"
        library.n2m_prefer_huge_pages(made.data_ptr(), 4 * made.numel())
    return made


def packed(*tensors: Tensor) -> list[Tensor]:
    """Contiguous; on a GPU also aligned for loads of 16 bytes, which a slice of a larger tensor need not be."""
    return [aligned(t.contiguous()) for t in tensors]


def packed_given(*tensors: Tensor | None) -> list[Tensor | None]:
    """`packed` of arguments that may be missing: None stays None."""
    return [None if t is None else aligned(t.contiguous()) for t in tensors]


def aligned(t: Tensor) -> Tensor:
    """`t`, or on a GPU its copy where the memory does not begin at a multiple of 16 bytes."""
    return t.clone() if t.is_cuda and t.data_ptr() % 16 else t


def grid_forward(points: Tensor, params: Tensor, geometry: list[int], growth: float, n_active: int) -> Tensor:
    """Features float32 [n, n_outputs] of points [n, d] in [0, 1]; params are float32 or float16 [n_params]."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        return reference.hash_grid_encode(points, params, layout, n_active)
    check_grid_sizes(layout, points, params)
    points, params = packed(points, params)
    out = fresh(points, len(points), layout.n_outputs)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    call("grid_forward", points, grid, len(points), points, params, out)
    return out


def grid_jvp(
    points: Tensor, params: Tensor, tangent: Tensor, geometry: list[int], growth: float, n_active: int
) -> tuple[Tensor, Tensor]:
    """The features and their derivative along `tangent` [n, d], both float32 [n, n_outputs]."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        with torch.inference_mode(False):
            points, params, tangent = _recordable(points, params, tangent)
            out, out_tangent = reference.hash_grid_jvp(points, params, tangent, layout, n_active)
            return out.detach(), out_tangent.detach()
    check_grid_sizes(layout, points, params, None, tangent)
    points, params, tangent = packed(points, params, tangent)
    out, out_tangent = (fresh(points, len(points), layout.n_outputs) for _ in range(2))
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    call("grid_jvp", points, grid, len(points), points, params, tangent, out, out_tangent)
    return out, out_tangent


def grid_backward(points, grad_out, tangent, grad_tangent, geometry: list[int], growth: float, n_active: int) -> Tensor:
    """Gradient float32 [n_params] of <grad_out, out> + <grad_tangent, out_tangent>; None counts as zero."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        params = points.new_zeros(layout.n_params)
        return _twin_gradient(points, params, params, grad_out, tangent, grad_tangent, layout, n_active)
    check_grid_sizes(layout, points, None, grad_out, tangent, grad_tangent)
    (points,) = packed(points)
    grad_out, tangent, grad_tangent = packed_given(grad_out, tangent, grad_tangent)
    grad_params = fresh(points, layout.n_params).zero_()
    grid = _lib.grid_struct(layout, n_active, False)
    call("grid_backward", points, grid, len(points), points, grad_out, tangent, grad_tangent, grad_params)
    return grad_params


def grid_input_grad(points, params, grad_out, tangent, grad_tangent, geometry, growth: float, n_active: int) -> Tensor:
    """Gradient float32 [n, d] with respect to the points of what `grid_backward` differentiates."""
    layout = layout_from(tuple(geometry), growth)
    if not has_native(points):
        return _twin_gradient(points, params, points, grad_out, tangent, grad_tangent, layout, n_active)
    check_grid_sizes(layout, points, params, grad_out, tangent, grad_tangent)
    points, params = packed(points, params)
    grad_out, tangent, grad_tangent = packed_given(grad_out, tangent, grad_tangent)
    grad_points = fresh(points, *points.shape)
    grid = _lib.grid_struct(layout, n_active, params.dtype == HALF)
    arrays = (points, params, grad_out, tangent, grad_tangent, grad_points)
    call("grid_input_grad", points, grid, len(points), *arrays)
    return grad_points


def _recordable(*tensors: Tensor) -> list[Tensor]:
    """Copies of inference tensors, which autograd refuses; call it outside of inference mode."""
    return [t.clone() if t.is_inference() else t for t in tensors]


def _recordable_given(*tensors: Tensor | None) -> list[Tensor | None]:
    """`_recordable` of arguments that may be missing: None stays None."""
    return [t.clone() if t is not None and t.is_inference() else t for t in tensors]


def _twin_gradient(points, params, wanted, grad_out, tangent, grad_tangent, layout, n_active: int) -> Tensor:
    """Gradient with respect to `wanted` (points or params) of <grad_out, out> + <grad_tangent, out_tangent>."""
    for_points = wanted is points
    with torch.inference_mode(False), torch.enable_grad():
        points, params = (t.detach().requires_grad_() for t in _recordable(points, params))
        grad_out, tangent, grad_tangent = _recordable_given(grad_out, tangent, grad_tangent)
        total = points.new_zeros(()) + 0.0 * points.sum() + 0.0 * params.sum()
        if grad_tangent is not None:
            assert tangent is not None, "grad_tangent belongs to a derivative along a tangent"
            out, out_tangent = reference.hash_grid_jvp(points, params, tangent, layout, n_active)
            total = total + (grad_tangent * out_tangent).sum()
        else:
            out = reference.hash_grid_encode(points, params, layout, n_active)
        if grad_out is not None:
            total = total + (grad_out * out).sum()
        (gradient,) = torch.autograd.grad(total, points if for_points else params)
    return gradient.to(torch.float32)


def march(origins, directions, bits, jitter, resolution, n_cascades, near, far, step, capacity: int | None):
    """t, dt, ray_index [c], packed_info [r, 2] and the count of all samples found, as `march_rays` tells them."""
    if not has_native(origins):
        lattice = {"near": near, "far": far, "step_size": step, "jitter": jitter, "n_cascades": n_cascades}
        found = reference.march_rays(origins, directions, bits, resolution, capacity=capacity, **lattice)
        return *_pad(found[:3], capacity, origins.is_cuda), found[3], torch.tensor(found.n_samples + found.overflow)
    check_size("origins", origins, 3 * len(origins))
    check_size("directions", directions, origins.numel())
    check_size("bits", bits, n_cascades * resolution**3 // 8, torch.uint8)
    check_size("jitter", jitter, len(origins))
    origins, directions, bits = packed(origins, directions, bits)
    (jitter,) = packed_given(jitter)
    n_rays = len(origins)
    # One bit per lattice point that a ray can have; very fine lattices march twice instead of remembering.
    words = int(2.0 * 3.0**0.5 * 2 ** (n_cascades - 1) / step + 2) // 64 + 1
    masks = origins.new_empty(n_rays, words, dtype=torch.int64) if words <= 64 else None
    info, wanted = origins.new_empty(n_rays, 2, dtype=torch.int32), origins.new_zeros((), dtype=torch.int64)
    parameters = _lib.March(resolution, n_cascades, near, far, step)
    inputs = (parameters, n_rays, origins, directions, bits, jitter, masks, words)
    call("march_count", origins, *inputs, info, wanted)
    info, size, used = _clip(info, wanted, capacity)
    make = origins.new_zeros if size > used else origins.new_empty
    t, dt, ray_index = make(size), make(size), make(size, dtype=torch.int32)
    call("march_fill", origins, *inputs, info, t, dt, ray_index)
    return t, dt, ray_index, info, wanted


def _clip(info: Tensor, wanted: Tensor, capacity: int | None) -> tuple[Tensor, int, int]:
    """packed_info cut to the capacity, the size of the buffers, and how much of them is surely used."""
    fixed = capacity is not None and wanted.is_cuda
    # The only place that waits for a GPU, and only without a capacity.
    total = int(wanted) if capacity is None or not wanted.is_cuda else capacity
    if total >= 2**31:
        raise ValueError(
            f"rays: expected fewer than 2^31 samples at once, got {total}; march fewer rays or with a larger step_size"
        )
    size = total if capacity is None else min(total, capacity)
    if fixed or size < total:
        start = info[:, 0].clamp(max=size)
        info = torch.stack([start, torch.minimum(info[:, 1], size - start)], dim=-1)
    return info, size, 0 if fixed else size


def _pad(buffers: tuple[Tensor, ...], capacity: int | None, fixed: bool) -> list[Tensor]:
    if capacity is None or not fixed:
        return list(buffers)
    return [torch.nn.functional.pad(b, (0, capacity - len(b))) for b in buffers]


def composite(density, channels, t, dt, packed_info, stop: float) -> tuple[Tensor, ...]:
    """Channels [r, k], opacity, depth, distortion [r] and weights [c] of samples, as `composite` of the package."""
    check_samples(density, channels, t, dt, packed_info)
    if not has_native(density):
        return tuple(x.detach() for x in reference.composite(density, channels, t, dt, packed_info, stop=stop))
    inputs = packed(density, channels, t, dt, packed_info)
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    out, weights = density.new_empty(n_rays, n_channels), density.new_zeros(density.shape[0])
    opacity, depth, distortion = (density.new_empty(n_rays) for _ in range(3))
    outputs = (out, opacity, depth, distortion, weights)
    call("composite_forward", density, n_rays, n_channels, stop, *inputs, *outputs)
    return out, opacity, depth, distortion, weights


def composite_backward(
    density, channels, t, dt, packed_info, opacity, depth, weights, grad_out, grad_opacity, grad_depth, grad_distortion,
    stop: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients with respect to density [c] and channels [c, k]; a missing gradient of an output counts as zero."""
    grads = (grad_out, grad_opacity, grad_depth, grad_distortion)
    check_samples(density, channels, t, dt, packed_info)
    n_rays, n_channels = packed_info.shape[0], channels.shape[1]
    check_size("weights", weights, density.numel())
    check_size("grad_out", grad_out, n_rays * n_channels)
    for per_ray in (opacity, depth, *grads[1:]):
        check_size("opacity, depth, grads", per_ray, n_rays)
    if not has_native(density):
        return _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop)
    inputs = (*packed(density, channels, t, dt, packed_info, opacity, depth, weights), *packed_given(*grads))
    # Samples of no ray (the padding of a fixed capacity) keep a zero gradient.
    grad_density, grad_channels = density.new_zeros(density.shape), channels.new_zeros(channels.shape)
    call("composite_backward", density, n_rays, n_channels, stop, *inputs, grad_density, grad_channels)
    return grad_density, grad_channels


def _twin_composite_backward(density, channels, t, dt, packed_info, grads, stop: float) -> tuple[Tensor, ...]:
    with torch.inference_mode(False), torch.enable_grad():
        density, channels, t, dt = _recordable(density, channels, t, dt)
        grads = _recordable_given(*grads)
        density, channels = density.detach().requires_grad_(), channels.detach().requires_grad_()
        outputs = reference.composite(density, channels, t, dt, packed_info, stop=stop)[:4]
        total = 0.0 * density.sum() + 0.0 * channels.sum()
        total = total + sum((g * o).sum() for g, o in zip(grads, outputs) if g is not None)
        return torch.autograd.grad(total, (density, channels))


def update_occupancy(ema, bits, cells, values, decay: float, threshold: float, below_mean: bool) -> None:
    """`nerf2mesh.kernels.update_occupancy`, in place on `ema` and `bits`, without the checks of shape and device."""
    if not cells.is_cuda and cells.numel():
        first, last = int(cells.min()), int(cells.max())
        if first < 0 or last >= ema.numel():
            raise ValueError(
                f"cells: expected indices from 0 to {ema.numel() - 1}, got {first} to {last}; drop those outside"
            )
    check_size("ema", ema, 8 * bits.numel())
    check_size("bits", bits, ema.numel() // 8, torch.uint8)
    check_size("cells", cells, values.numel(), torch.int64)
    check_size("values", values, cells.numel())
    if not has_native(ema) or (below_mean and ema.is_cuda):  # on a GPU the mean is torch's to take
        reference.update_occupancy(ema, bits, cells, values, decay, threshold, below_mean=below_mean)
        return
    cells, values = packed(cells, values)
    sizes = (cells.numel(), cells, values, decay, threshold, int(below_mean))
    call("update_occupancy", ema, ema.numel(), ema, bits, *sizes)


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


IMPLEMENTATIONS = {
    "grid_forward": grid_forward,
    "grid_jvp": grid_jvp,
    "grid_backward": grid_backward,
    "grid_input_grad": grid_input_grad,
    "march": march,
    "composite": composite,
    "composite_backward": composite_backward,
    "update_occupancy": update_occupancy,
    "adam": adam,
    "adam_many": adam_many,
}
for _name, _function in IMPLEMENTATIONS.items():
    LIBRARY.impl(_name, _function, "CPU")
    LIBRARY.impl(_name, _function, "CUDA")
