"""Arguments that break an operator's contract end in a ValueError that names them, never in memory of others."""

from __future__ import annotations

import ctypes
import math

import pytest
import torch

from nerf2mesh.kernels import _lib

from .compare import needs_native, rays, small_layout

ops = torch.ops.n2m
if _lib.cpu() is not None and not hasattr(_lib.cpu(), "n2m_last_error"):  # an older one would be called and crash
    pytest.fail("the native library is older than these sources: python -m nerf2mesh.kernels.build", pytrace=False)
N, RAYS = 30, 20


def spec() -> tuple[list[int], float, int]:
    layout = small_layout()
    return list(layout.geometry), layout.per_level_scale, layout.n_levels


def grid_tensors() -> dict[str, torch.Tensor]:
    layout = small_layout()
    features = torch.zeros(N, layout.n_outputs)
    tangent = {"tangent": torch.zeros(N, 3), "grad_tangent": features}
    return {"points": torch.rand(N, 3), "params": torch.zeros(layout.n_params), "grad_out": features, **tangent}


def samples() -> dict[str, torch.Tensor]:
    flat = {name: torch.rand(2 * RAYS) for name in ("density", "t", "dt")}
    packed = torch.stack([2 * torch.arange(RAYS), torch.full((RAYS,), 2)], 1).int()
    per_ray = {name: torch.zeros(RAYS) for name in ("opacity", "depth")}
    return {
        **flat,
        "channels": torch.rand(2 * RAYS, 3),
        "packed_info": packed,
        **per_ray,
        "weights": torch.rand(2 * RAYS),
    }


GRID_OPERATORS = {
    "grid_forward": ("points", "params"),
    "grid_jvp": ("points", "params", "tangent"),
    "grid_backward": ("points", "grad_out", "tangent", "grad_tangent"),
    "grid_input_grad": ("points", "params", "grad_out", "tangent", "grad_tangent"),
}


@needs_native
@pytest.mark.parametrize(
    ("operator", "short"), [(name, short) for name, used in GRID_OPERATORS.items() for short in used[1:]]
)
def test_short_arrays_of_the_grid(operator: str, short: str) -> None:
    tensors = grid_tensors()
    tensors[short] = tensors[short][:-1].clone()
    with pytest.raises(ValueError, match=rf"{short}: expected \d+ values of torch.float32, got \d+"):
        getattr(ops, operator)(*(tensors[name] for name in GRID_OPERATORS[operator]), *spec())


def test_gradients_without_any_gradient() -> None:
    tensors = grid_tensors()
    if _lib.cpu() is None:
        pytest.skip("the torch twin gives zeros; there is no native library")
    with pytest.raises(ValueError, match="grad_out: expected memory, got a null pointer"):
        ops.grid_backward(tensors["points"], None, None, None, *spec())


@pytest.mark.parametrize("short", ["density", "t", "dt", "channels"])
def test_short_arrays_of_samples(short: str) -> None:
    tensors = samples()
    tensors[short] = tensors[short][:-1].clone()
    used = (tensors[name] for name in ("density", "channels", "t", "dt", "packed_info"))
    with pytest.raises(ValueError, match=r"expected \d+ values of torch.float32, got"):
        ops.composite(*used, 0.0)


@pytest.mark.parametrize("short", ["opacity", "depth", "weights"])
def test_short_results_of_the_forward_pass(short: str) -> None:
    tensors = samples()
    tensors[short] = tensors[short][:-1].clone()
    names = ("density", "channels", "t", "dt", "packed_info", "opacity", "depth", "weights")
    with pytest.raises(ValueError, match=rf"{short}.*: expected \d+ values"):
        ops.composite_backward(*(tensors[name] for name in names), torch.zeros(RAYS, 3), None, None, None, 0.0)


@needs_native
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 7, "n": 42}, "resolution"),
        ({"n_cascades": 0, "n": 0}, "n_cascades"),
        ({"step": math.inf}, "step"),
        ({"near": math.nan}, "near"),
        ({"far": -1.0}, "near, far"),
        ({"n": 63}, "bits: expected 64 values"),
    ],
)
def test_lattices_of_the_marcher(changes: dict, message: str) -> None:
    lattice = {"resolution": 8, "n_cascades": 1, "near": 0.0, "far": 9.0, "step": 0.1, "n": 64, **changes}
    bits = torch.zeros(lattice.pop("n"), dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        ops.march(*rays(RAYS), bits, None, *lattice.values(), None)


@needs_native
@pytest.mark.parametrize(
    ("position", "bad", "message"),
    [
        (4, math.nan, "lr"),
        (5, 2.0, "beta1"),
        (7, -1.0, "eps"),
        (9, 0, "bias1"),
        (11, 0, "row_size"),
        (11, 7, "row_size"),
    ],
)
def test_rates_of_adam(position: int, bad: float, message: str) -> None:
    call = [*(torch.rand(64) for _ in range(4)), 0.1, 0.9, 0.99, 1e-8, 0.0, 3, 1.0, 4, True, False]
    before, call[position] = call[0].clone(), bad
    with pytest.raises(ValueError, match=message):
        ops.adam(*call)
    assert torch.equal(call[0], before)


@pytest.mark.parametrize(
    ("decay", "threshold", "cells"), [(math.nan, 0.5, [1]), (0.9, math.nan, [1]), (0.9, 0.5, [-1]), (0.9, 0.5, [64])]
)
def test_updates_of_the_occupancy(decay: float, threshold: float, cells: list[int]) -> None:
    from nerf2mesh.kernels import update_occupancy

    ema, bits = torch.rand(64), torch.zeros(8, dtype=torch.uint8)
    before = ema.clone()
    with pytest.raises(ValueError, match=r"decay, threshold|cells"):
        update_occupancy(ema, bits, torch.tensor(cells), torch.rand(len(cells)), decay, threshold)
    assert torch.equal(ema, before)


@needs_native
def test_null_pointers_and_levels_through_the_c_abi() -> None:
    library, layout = _lib.cpu(), small_layout()
    points, params, out = torch.rand(N, 3), torch.zeros(layout.n_params), torch.zeros(N, layout.n_outputs)
    grid = _lib.grid_struct(layout, layout.n_levels, False)
    good = [ctypes.byref(grid), N, points.data_ptr(), params.data_ptr(), out.data_ptr()]
    assert library.n2m_grid_forward(*good) == 0
    for position, name in ((0, "grid"), (2, "points"), (3, "params"), (4, "out")):
        call = list(good)
        call[position] = None
        assert library.n2m_grid_forward(*call) == _lib.INVALID
        assert library.n2m_last_error().decode() == f"{name}: expected memory, got a null pointer"
    for active, features, status in ((99, 2, _lib.INVALID), (1, 3, _lib.UNSUPPORTED)):
        broken = _lib.Grid(grid.levels, 3, layout.n_levels, features, active, 0, 0)
        assert library.n2m_grid_forward(ctypes.byref(broken), *good[1:]) == status
        with pytest.raises(ValueError, match=r"n_active|n_features"):
            _lib.check(library, status, "grid_forward")
    assert library.n2m_grid_forward(good[0], -1, *good[2:]) == _lib.INVALID
