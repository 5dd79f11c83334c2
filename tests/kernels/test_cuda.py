"""The same operators on a GPU: against the CPU library, tiny-cuda-nn and nerfacc where they are, without host syncs."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, available
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Rays
from tests.fields.make import rough_field
from tests.render.solids import random_rays

from .compare import random_bits, rays, relative_error, small_layout

pytestmark = pytest.mark.gpu
SHAPES = [(d, f, i) for d in (2, 3) for f in (1, 2, 4, 8) for i in ("linear", "smoothstep")]


def test_native_library_is_there() -> None:
    assert available()["cuda"] == "native"


def everything(device: str, layout: GridLayout, n: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    points = torch.rand(n, layout.n_dims, generator=generator).to(device).requires_grad_()
    params = draw(layout.n_params).to(device, dtype).requires_grad_()
    tangent = draw(n, layout.n_dims).to(device).requires_grad_()
    weight = draw(n, layout.n_outputs).to(device)
    out = kernels.hash_grid_encode(points, params, layout, layout.n_levels - 1)
    first = torch.autograd.grad((out * weight).sum(), (points, params), create_graph=True)
    second = torch.autograd.grad((first[0] * tangent).sum(), (points, params))
    value, along = kernels.hash_grid_jvp(points, params, tangent, layout)
    jvp = torch.autograd.grad((value * weight + along * weight.flip(0)).sum(), (points, params, tangent))
    return [out, *first, *second, value, along, *jvp]


@pytest.mark.parametrize(("n_dims", "n_features", "interpolation"), SHAPES)
@pytest.mark.parametrize("n", [0, 1, 333, 70_000])
def test_hash_grid_equals_cpu(n_dims: int, n_features: int, interpolation: str, n: int) -> None:
    layout = small_layout(n_dims=n_dims, n_features=n_features, interpolation=interpolation)
    results = [everything(device, layout, n, torch.float32) for device in ("cuda", "cpu")]
    for i, (got, wanted) in enumerate(zip(*results)):
        assert relative_error(got.cpu(), wanted) < 2e-5, i


@pytest.mark.parametrize("n_features", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [70_000, 3001])
def test_samples_in_the_order_of_their_rays(n_features: int, n: int) -> None:
    """Runs of neighbors in one cell, which the backward pass adds up before it writes; some runs cross warps."""
    layout = GridLayout(n_levels=8, n_features=n_features, log2_table_size=17, base_resolution=8)
    along = torch.linspace(0, 1, 97)[torch.arange(n) % 97][:, None]
    ends = torch.rand(2, n // 97 + 1, 3).repeat_interleave(97, 1)[:, :n]
    points = ends[0] + along * (ends[1] - ends[0])
    points[: n // 10] = points[0]  # one run as long as whole blocks
    weight, params = torch.randn(n, layout.n_outputs), torch.randn(layout.n_params)
    gradients = []
    for device in ("cuda", "cpu"):
        p = params.to(device).requires_grad_()
        out = kernels.hash_grid_encode(points.to(device), p, layout)
        gradients.append(torch.autograd.grad((out * weight.to(device)).sum(), p)[0].cpu())
    assert relative_error(*gradients) < 5e-5
    assert torch.equal(gradients[0] != 0, gradients[1] != 0)


def test_views_that_begin_anywhere() -> None:
    """A slice of a larger tensor is contiguous, but not aligned for vector loads."""
    layout = small_layout(n_features=4)
    flat = torch.rand(1 + 3 * 500, device="cuda")
    params = torch.randn(1 + layout.n_params, device="cuda")
    wanted = kernels.hash_grid_encode(flat[1:].clone().view(-1, 3), params[1:].clone(), layout)
    assert torch.equal(kernels.hash_grid_encode(flat[1:].view(-1, 3), params[1:], layout), wanted)
    for skip, row in ((False, 1), (True, 4)):
        whole = [torch.rand(4097, device="cuda") for _ in range(4)]
        moved = [x[1:] for x in whole]
        copies = [x.clone() for x in moved]
        for state in (moved, copies):
            kernels.adam_step(*state, step=2, lr=0.1, row_size=row, skip_zero_rows=skip)
        for got, expected in zip(moved, copies):
            assert relative_error(got, expected) < 1e-6


def test_float16_storage_equals_cpu() -> None:
    layout = small_layout(n_features=4)
    for got, wanted in zip(*(everything(device, layout, 500, torch.float16) for device in ("cuda", "cpu"))):
        assert relative_error(got.cpu().float(), wanted.float()) < 2e-3


@pytest.mark.parametrize("n_cascades", [1, 2])
@pytest.mark.parametrize("step", [0.02, 0.0004])
def test_march_and_composite_equal_cpu(n_cascades: int, step: float) -> None:
    origins, directions = rays(500)
    bits, jitter = random_bits(32, 0.4, n_cascades), torch.rand(500)
    options = {"step_size": step, "n_cascades": n_cascades}
    wanted = kernels.march_rays(origins, directions, bits, 32, jitter=jitter, **options)
    moved = [x.cuda() for x in (origins, directions, bits)]
    exact = kernels.march_rays(*moved, 32, jitter=jitter.cuda(), **options)
    # Division may round differently there: a sample at a face may come or go.
    assert abs(exact.t.shape[0] - wanted.n_samples) <= 2 + wanted.n_samples // 10_000
    images = []
    for device in ("cuda", "cpu"):
        generator = torch.Generator().manual_seed(2)
        density = (5 * torch.rand(wanted.n_samples, generator=generator)).to(device).requires_grad_()
        channels = torch.rand(wanted.n_samples, 5, generator=generator).to(device).requires_grad_()
        packed = [x.to(device) for x in wanted[:2]]
        image = kernels.composite(density, channels, *packed, wanted.packed_info.to(device), stop=1e-4)
        total = sum(part.square().sum() for part in image[:4])
        images.append([*image, *torch.autograd.grad(total, (density, channels))])
    for got, expected in zip(*images):
        assert relative_error(got.detach().cpu(), expected.detach()) < 2e-4


def test_a_training_step_never_waits_for_the_gpu() -> None:
    layout, capacity = GridLayout(n_levels=4), 1 << 16
    origins, directions = (x.cuda() for x in rays(500))
    bits = random_bits(32, 0.4).cuda()
    params = torch.nn.Parameter(0.1 * torch.randn(layout.n_params, device="cuda"))
    optimizer = kernels.FusedAdam([params])
    full = kernels.march_rays(origins, directions, bits, 32, step_size=0.02)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            s = kernels.march_rays(origins, directions, bits, 32, step_size=0.02, capacity=capacity)
            index = s.ray_index.long()
            features = kernels.hash_grid_encode(
                0.5 + 0.2 * (origins[index] + s.t[:, None] * directions[index]), params, layout
            )
            image = kernels.composite(features.sum(-1).exp(), features[:, :3].contiguous(), s.t, s.dt, s.packed_info)
            image.channels.square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    n = full.t.shape[0]
    assert int(s.n_samples) == n and int(s.overflow) == 0
    assert torch.equal(s.t[:n], full.t) and not s.dt[n:].any()
    cut = kernels.march_rays(origins, directions, bits, 32, step_size=0.02, capacity=n // 2)
    assert int(cut.overflow) == n - n // 2 and torch.equal(cut.t, full.t[: n // 2])


def test_a_bounded_rendering_is_the_exact_one_and_never_waits() -> None:
    field, lines = rough_field(), random_rays(400)
    config = RendererConfig(samples_per_ray=96)
    wanted = VolumeRenderer(config, field, OccupancyGrid(16)).render_rays(lines)
    renderer = VolumeRenderer(config, copy.deepcopy(field).cuda(), OccupancyGrid(16).cuda())
    lines = Rays(lines.origins.cuda(), lines.directions.cuda())
    exact = renderer.render_rays(lines)
    assert relative_error(exact.rgba.cpu(), wanted.rgba) < 2e-3
    draw = lambda: renderer.backward_in_chunks(lines, lambda r: r.rgba.square().mean())[0]
    draw()  # counts, and waits
    torch.cuda.set_sync_debug_mode("error")
    try:
        renderings = [draw() for _ in range(8)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(renderings[-1].rgba, exact.rgba.detach(), atol=1e-5, rtol=1e-4)
    assert renderer.lost_samples == 0


@pytest.mark.parametrize("row", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("skip", [False, True])
def test_adam_equals_cpu(row: int, skip: bool) -> None:
    n = row * 1003
    touched = (torch.rand(n // row) < 0.3).repeat_interleave(row)
    start = [torch.randn(n), torch.randn(n) * touched, torch.randn(n), torch.rand(n)]
    outcomes = []
    for device in ("cuda", "cpu"):
        flat = [x.to(device, copy=True) for x in start]
        kernels.adam_step(*flat, step=3, lr=0.1, row_size=row, skip_zero_rows=skip, weight_decay=0.1, zero_grad=True)
        outcomes.append([x.cpu() for x in flat])
    for got, wanted, before in zip(*outcomes, start):
        assert relative_error(got, wanted) < 1e-5
        assert not skip or before is start[1] or torch.equal(got[~touched], before[~touched])


def test_fused_adam_equals_cpu() -> None:
    """40 parameters in two launches: with and without vectors, two groups, rows skipped, one without gradient."""
    sizes = [4 * (3 + 97 * i % 400) + (i % 5 == 0) for i in range(39)] + [40_000]
    start, grads = [torch.randn(n) for n in sizes], [torch.randn(n) for n in sizes]
    grads[-1] *= (torch.rand(10_000) < 0.2).repeat_interleave(4)
    outcomes = []
    for device in ("cuda", "cpu"):
        params = [nn.Parameter(x.to(device, copy=True)) for x in start]
        groups = [{"params": params[:-1], "weight_decay": 0.1}, {"params": params[-1:], "row_size": 4, "lr": 0.05}]
        optimizer = kernels.FusedAdam(groups, eps=1e-8)
        for step in range(3):
            for i, (param, grad) in enumerate(zip(params, grads)):
                param.grad = grad.to(device) * (step + 1) if i != 7 else None
            optimizer.step()
        outcomes.append(torch.cat([param.detach().cpu() for param in params]))
        assert torch.equal(params[7].detach().cpu(), start[7])
    assert relative_error(*outcomes) < 1e-5


@pytest.mark.parametrize("n", [65_536, 65_600])
def test_many_rays_march_as_few_do(n: int) -> None:
    """The same samples in one call as in several."""
    origins, directions = (x.cuda() for x in rays(n))
    bits, jitter = random_bits(32, 0.4).cuda(), torch.rand(n, device="cuda")
    whole = kernels.march_rays(origins, directions, bits, 32, jitter=jitter, step_size=0.02)
    found = 0
    for begin in range(0, n, 20_000):
        some = slice(begin, begin + 20_000)
        part = kernels.march_rays(origins[some], directions[some], bits, 32, jitter=jitter[some], step_size=0.02)
        m = part.t.shape[0]
        assert torch.equal(part.t, whole.t[found : found + m])
        assert torch.equal(part.ray_index + begin, whole.ray_index[found : found + m])
        found += m
    assert found == whole.t.shape[0] > n


def test_directions_of_any_length() -> None:
    origins, directions = rays(64)
    bits = random_bits(16, 0.5)
    options = {"step_size": 0.06}
    got = kernels.march_rays(origins.cuda(), 0.02 * directions.cuda(), bits.cuda(), 16, **options)
    wanted = kernels.march_rays(origins, 0.02 * directions, bits, 16, **options)
    assert abs(got.t.shape[0] - wanted.n_samples) <= 2 + wanted.n_samples // 10_000


def test_refreshing_the_occupancy_never_waits() -> None:
    ema, bits = torch.rand(4096, device="cuda"), torch.zeros(512, dtype=torch.uint8, device="cuda")
    cells, values = torch.arange(4096, device="cuda"), torch.rand(4096, device="cuda")
    kernels.update_occupancy(ema, bits, cells, values, 0.9, 0.5, below_mean=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        kernels.update_occupancy(ema, bits, cells, values, 0.9, 0.5, below_mean=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_update_and_adam_equal_cpu() -> None:
    ema, cells, values = torch.rand(4096), torch.randint(0, 4096, (900,)), torch.rand(900) * 2
    outcomes = []
    for device in ("cuda", "cpu"):
        state, bits = ema.clone().to(device), torch.zeros(512, dtype=torch.uint8, device=device)
        kernels.update_occupancy(state, bits, cells.to(device), values.to(device), 0.9, 0.8)
        torch.manual_seed(3)
        flat = [torch.randn(4096).to(device) for _ in range(3)] + [torch.rand(4096).to(device)]
        flat[1][:64] = 0
        kernels.adam_step(*flat, step=3, lr=0.1, row_size=4, skip_zero_rows=True, weight_decay=0.1)
        outcomes.append([state, bits, *flat])
    for got, wanted in zip(*outcomes):
        assert relative_error(got.cpu(), wanted) < 1e-5


def test_same_numbers_as_tiny_cuda_nn() -> None:
    """Values and gradients to parameters and points; growth 2.0 and 1.4473, linear and smoothstep."""
    pytest.importorskip("tinycudann")
    from benchmarks.gpu.parity import with_tiny_cuda_nn

    found = with_tiny_cuda_nn()
    assert len(found) == 24 and "failed" not in found, found


def test_same_numbers_as_nerfacc() -> None:
    pytest.importorskip("nerfacc")
    from benchmarks.gpu.parity import with_nerfacc

    found = with_nerfacc()
    assert "failed" not in found, found
