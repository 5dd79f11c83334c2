"""The CUDA kernels' source, run thread by thread on the CPU, against the CPU library: numbers, not speed."""

from __future__ import annotations

import shutil
from ctypes import c_float, c_int32, c_int64, c_void_p

import pytest
import torch
from torch import Tensor

from nerf2mesh.kernels import GridLayout, _lib

from .compare import random_bits, rays, relative_error, small_layout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_lib.cpu() is None or shutil.which("g++") is None, reason="no native library, or no g++"),
]


def both(name: str, *arguments: object, architecture: int = 900) -> tuple[list[Tensor], list[Tensor]]:
    """All tensors of a call after it, on the emulated device and in the CPU library."""
    from .emulation import library

    results = []
    for lib, suffix, stream in ((library(architecture), "_cuda", (None,)), (_lib.cpu(), "", ())):
        copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        values = [a.data_ptr() if isinstance(a, Tensor) else a for a in copies]
        assert getattr(lib, f"n2m_{name}{suffix}")(*values, *stream) == 0
        results.append([a for a in copies if isinstance(a, Tensor)])
    return results[0], results[1]


def test_adam_of_many_tensors() -> None:
    """33 tensors in two launches: with and without vectors, rows skipped and not, one empty; rates of their own."""
    from .emulation import library

    sizes = [12 * (7 * i % 300) + (i % 3) * 4 * (i % 2) for i in range(33)]
    flags = [
        ((1, 0, 0), (4, 1, 0), (3, 1, 1), (2, 1, 1))[i % 4] if n % 12 == 0 else (1, 0, 1) for i, n in enumerate(sizes)
    ]
    rates = [(0.1 / (i + 1), 0.9, 0.99, 1e-8, 0.1 * (i % 2), 0.271, 0.0297, 1.0) for i in range(33)]
    tensors = []
    for n, (row, *_) in zip(sizes, flags):
        touched = (torch.rand(n // row) < 0.3).repeat_interleave(row)
        tensors.append([torch.randn(n), torch.randn(n) * touched, torch.randn(n), torch.rand(n)])
    wanted = [[t.clone() for t in together] for together in tensors]
    for together, of_rates, of_flags in zip(wanted, rates, flags):
        pointers = [t.data_ptr() for t in together]
        assert _lib.cpu().n2m_adam(len(together[0]), *pointers, *of_rates, *of_flags) == 0
    pointers = [t.data_ptr() for together in tensors for t in together]
    arrays = (c_void_p * 132)(*pointers), (c_int64 * 33)(*sizes)
    options = (c_float * 264)(*(x for row in rates for x in row)), (c_int32 * 99)(*(x for row in flags for x in row))
    assert library(900).n2m_adam_many_cuda(33, *arrays, *options, c_void_p(0)) == 0
    for got, expected in zip(tensors, wanted):
        for a, b in zip(got, expected):
            assert relative_error(a, b) < 1e-6


@pytest.mark.parametrize("sizes", [(16, 2), (8, 4), (5, 2), (8, 1), (3, 8)])
def test_groups_of_levels(sizes: tuple[int, int]) -> None:
    """Levels that fill the groups and levels that do not."""
    n_levels, n_features = sizes
    layout = GridLayout(n_levels=n_levels, n_features=n_features, log2_table_size=11, base_resolution=4)
    n, n_active = 2100, n_levels - 1
    grid = _lib.grid_struct(layout, n_active, False)
    x, params, g = torch.rand(n, 3), torch.randn(layout.n_params), torch.randn(n, layout.n_outputs)
    x[:200] = x[0] + torch.linspace(0, 0.3, 200)[:, None] * (x[1] - x[0])
    assert_close(both("grid_forward", grid, n, x, params, torch.full((n, layout.n_outputs), 7.0)), 2e-6)
    assert_close(both("grid_backward", grid, n, x, g, None, None, torch.zeros(layout.n_params)), 1e-5)


def assert_close(results: tuple[list[Tensor], list[Tensor]], bound: float) -> None:
    for got, wanted in zip(*results):
        assert relative_error(got, wanted) < bound


def assert_equal(results: tuple[list[Tensor], list[Tensor]]) -> None:
    assert all(torch.equal(got, wanted) for got, wanted in zip(*results))


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("n_features", [1, 2, 4, 8])
@pytest.mark.parametrize("half", [False, True])
def test_hash_grid(n_dims: int, n_features: int, half: bool) -> None:
    layout = small_layout(n_dims=n_dims, n_features=n_features, interpolation="smoothstep" if half else "linear")
    n, grid = 300, _lib.grid_struct(layout, 4, half)
    x, v, params = torch.rand(n, n_dims) * 1.4 - 0.2, torch.randn(n, n_dims), torch.randn(layout.n_params)
    x[:4] = torch.tensor([0.0, 1.0, 0.5, 1e-8])[:, None]
    params = params.half() if half else params
    g, h = torch.randn(2, n, layout.n_outputs)
    out = torch.full((n, layout.n_outputs), 7.0)
    assert_close(both("grid_forward", grid, n, x, params, out), 2e-6)
    assert_close(both("grid_jvp", grid, n, x, params, v, out, out), 2e-6)
    for given in ((g, None, None), (g, v, h), (None, v, h)):
        assert_close(both("grid_input_grad", grid, n, x, params, *given, torch.zeros(n, n_dims)), 1e-5)
        assert_close(both("grid_backward", grid, n, x, *given, torch.zeros(layout.n_params)), 1e-5)


@pytest.mark.parametrize("architecture", [800, 900])
@pytest.mark.parametrize("n", [1000, 65_700])
def test_runs_of_samples_in_one_cell(architecture: int, n: int) -> None:
    """Neighbors along a ray are added up before they are written: in memory and, for many points, in shared tiles."""
    layout = GridLayout(n_levels=3, n_features=2, log2_table_size=15, base_resolution=9, per_level_scale=2.0)
    x, g = torch.rand(n, 3), torch.randn(n, layout.n_outputs)
    x[:640] = x[0] + torch.linspace(0, 0.3, 640)[:, None] * (x[1] - x[0])
    x[640:800] = x[640]
    x[-37:] = x[-1]
    g[300:364], g[900:] = 0.0, 0.0  # unused places of a fixed capacity
    inputs = (_lib.grid_struct(layout, 3, False), n, x, g, None, None)
    results = both("grid_backward", *inputs, torch.zeros(layout.n_params), architecture=architecture)
    assert_close(results, 2e-5)
    assert torch.equal(results[0][-1] != 0, results[1][-1] != 0)


@pytest.mark.parametrize("lattice", [(16, 1, 0.05, 1.0), (32, 2, 0.02, 1.0), (16, 1, 0.06, 0.05)])
@pytest.mark.parametrize("masked", [False, True])
def test_march(lattice: tuple[int, int, float, float], masked: bool) -> None:
    n, (resolution, n_cascades, step, length) = 77, lattice
    origins, directions = rays(n)
    bits, jitter = random_bits(resolution, 0.4, n_cascades), torch.rand(n)
    words = int(2 * 3**0.5 * 2 ** (n_cascades - 1) / step + 2) // 64 + 1
    masks = torch.full((n, words), -1) if masked else None
    given = (_lib.March(resolution, n_cascades, 0.05, 60.0, step), n, origins, length * directions, bits, jitter)
    info, total = torch.zeros(n, 2, dtype=torch.int32), torch.zeros((), dtype=torch.int64)
    counted = both("march_count", *given, masks, words, info, total)
    assert_equal(counted)
    *_, info, total = counted[1]
    masks = counted[1][-3] if masked else None
    size = int(total)
    assert size > 0
    flat = torch.zeros(size), torch.zeros(size), torch.zeros(size, dtype=torch.int32)
    assert_equal(both("march_fill", *given, masks, words, info, *flat))


def test_composite() -> None:
    counts = torch.tensor([0, 3, 40, 0, 700, 1, 32, 33], dtype=torch.int32)
    info = torch.stack([torch.cumsum(counts, 0, dtype=torch.int32) - counts, counts], dim=-1).contiguous()
    n, r, k = int(counts.sum()), len(counts), 5
    density, channels, t, dt = torch.rand(n) * 5, torch.rand(n, k), torch.rand(n).cumsum(0) / 9, torch.rand(n) * 0.05
    samples, zeros = (density, channels, t, dt, info), torch.zeros
    for stop in (0.0, 1e-2):
        per_ray = zeros(r, k), zeros(r), zeros(r), zeros(r)
        forward = both("composite_forward", r, k, stop, *samples, *per_ray, zeros(n))
        assert_close(forward, 1e-5)
        opacity, depth, _, weights = forward[1][-4:]
        gradients = [torch.randn(r, k), *torch.randn(3, r)]
        for kept in ((1, 1, 1, 1), (1, 0, 0, 0), (0, 0, 0, 1)):
            given = [g if keep else None for g, keep in zip(gradients, kept)]
            inputs = (r, k, stop, *samples, opacity, depth, weights, *given)
            assert_close(both("composite_backward", *inputs, zeros(n), zeros(n, k)), 2e-4)


@pytest.mark.parametrize("row", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("skip", [0, 1])
def test_adam_and_occupancy(row: int, skip: int) -> None:
    n = row * 516
    touched = (torch.rand(n // row) < 0.3).repeat_interleave(row)
    flat = [torch.randn(n), torch.randn(n) * touched, torch.randn(n), torch.rand(n)]
    rates = (0.1, 0.9, 0.99, 1e-8, 0.1, 0.271, 0.0297, 0.5)
    outcomes = both("adam", n, *flat, *rates, row, skip, 1)
    assert_close(outcomes, 1e-6)
    if skip:
        assert torch.equal(outcomes[0][0][~touched], flat[0][~touched])
    cells, values, ema = torch.randint(0, 4096, (900,)), torch.rand(900) * 2, torch.rand(4096)
    bits = torch.zeros(512, dtype=torch.uint8)
    assert_equal(both("update_occupancy", 4096, ema, bits, 900, cells, values, 0.9, 0.8, 0))
