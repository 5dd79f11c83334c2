"""Operator schemas and shapes: what torch's dispatcher, `torch.compile` and `opcheck` know about the kernels.

`geometry` is GridLayout.geometry; with the growth factor it stands for a whole layout. The implementations are
in _native.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import layout_from

LIBRARY = torch.library.Library("n2m", "DEF")
GRID = "int[] geometry, float growth, int n_active"
MARCH = "int resolution, int n_cascades, float near, float far, float step"
SAMPLES = "Tensor density, Tensor channels, Tensor t, Tensor dt, Tensor packed_info"
SCHEMAS = {
    "grid_forward": f"(Tensor points, Tensor params, {GRID}) -> Tensor",
    "grid_jvp": f"(Tensor points, Tensor params, Tensor tangent, {GRID}) -> (Tensor, Tensor)",
    "grid_backward": f"(Tensor points, Tensor? grad_out, Tensor? tangent, Tensor? grad_tangent, {GRID}) -> Tensor",
    "grid_input_grad": "(Tensor points, Tensor params, Tensor? grad_out, Tensor? tangent, Tensor? grad_tangent, "
    f"{GRID}) -> Tensor",
    "march": f"(Tensor origins, Tensor directions, Tensor bits, Tensor? jitter, {MARCH}, int? capacity) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "composite": f"({SAMPLES}, float stop) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "composite_backward": f"({SAMPLES}, Tensor opacity, Tensor depth, Tensor weights, Tensor? grad_out, "
    "Tensor? grad_opacity, Tensor? grad_depth, Tensor? grad_distortion, float stop) -> (Tensor, Tensor)",
    "update_occupancy": "(Tensor(a!) ema, Tensor(b!) bits, Tensor cells, Tensor values, float decay, float threshold, "
    "bool below_mean) -> ()",
    "adam": "(Tensor(a!) param, Tensor(b!) grad, Tensor(c!) mean, Tensor(d!) square, "
    "float lr, float beta1, float beta2, float eps, float weight_decay, int step, float grad_scale, "
    "int row_size, bool skip_zero_rows, bool zero_grad) -> ()",
    "adam_many": "(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] means, Tensor(c!)[] squares, "
    "float[] rates, int[] counts) -> ()",
}
for _name, _schema in SCHEMAS.items():
    LIBRARY.define(_name + _schema)


def _fake(name: str):
    return torch.library.register_fake(f"n2m::{name}", lib=LIBRARY)


@_fake("grid_forward")
def _(points: Tensor, params: Tensor, geometry: list[int], growth: float, n_active: int) -> Tensor:
    return points.new_empty(points.shape[0], geometry[1] * geometry[2])


@_fake("grid_jvp")
def _(points: Tensor, params: Tensor, tangent: Tensor, geometry: list[int], growth: float, n_active: int):
    shape = (points.shape[0], geometry[1] * geometry[2])
    return points.new_empty(shape), points.new_empty(shape)


@_fake("grid_backward")
def _(points: Tensor, grad_out, tangent, grad_tangent, geometry: list[int], growth: float, n_active: int) -> Tensor:
    return points.new_empty(layout_from(tuple(geometry), growth).n_params)


@_fake("grid_input_grad")
def _(points: Tensor, params, grad_out, tangent, grad_tangent, geometry, growth: float, n_active: int) -> Tensor:
    return torch.empty_like(points, memory_format=torch.contiguous_format)


@_fake("march")
def _(origins: Tensor, directions, bits, jitter, resolution, n_cascades, near, far, step, capacity: int | None):
    n_rays = origins.shape[0]
    on_cpu = origins.device.type == "cpu"
    size = torch.library.get_ctx().new_dynamic_size() if capacity is None or on_cpu else capacity
    index = torch.int32
    counted = origins.new_empty(n_rays, 2, dtype=index)
    flat = origins.new_empty(size), origins.new_empty(size), origins.new_empty(size, dtype=index)
    return *flat, counted, origins.new_empty((), dtype=torch.int64)


@_fake("composite")
def _(density: Tensor, channels: Tensor, t: Tensor, dt: Tensor, packed_info: Tensor, stop: float):
    n_rays = packed_info.shape[0]
    per_ray = [density.new_empty(n_rays) for _ in range(3)]
    return density.new_empty(n_rays, channels.shape[1]), *per_ray, density.new_empty(density.shape[0])


@_fake("composite_backward")
def _(density: Tensor, channels: Tensor, *rest):
    return density.new_empty(density.shape), channels.new_empty(channels.shape)


@_fake("update_occupancy")
def _(*arguments) -> None:
    return None


@_fake("adam")
def _(*arguments) -> None:
    return None


@_fake("adam_many")
def _(*arguments) -> None:
    return None
