"""Operator schemas and shapes: what torch's dispatcher, `torch.compile` and `opcheck` know about the kernels.

`geometry` is GridLayout.geometry; with the growth factor it stands for a whole layout. Devices are added by _cpu and _cuda.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import layout_from

LIBRARY = torch.library.Library("n2m", "DEF")
GRID = "int[] geometry, float growth, int n_active"
SCHEMAS = {
    "grid_forward": f"(Tensor points, Tensor params, {GRID}) -> Tensor",
    "grid_jvp": f"(Tensor points, Tensor params, Tensor tangent, {GRID}) -> (Tensor, Tensor)",
    "grid_backward": f"(Tensor points, Tensor? grad_out, Tensor? tangent, Tensor? grad_tangent, {GRID}) -> Tensor",
    "grid_input_grad": "(Tensor points, Tensor params, Tensor? grad_out, Tensor? tangent, Tensor? grad_tangent, "
    f"{GRID}) -> Tensor",
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
