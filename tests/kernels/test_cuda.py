"""The same operators on a GPU: against the CPU library, tiny-cuda-nn and nerfacc where they are, without host syncs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, available

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


@pytest.mark.parametrize("growth", [2.0, 1.4473])
def test_same_numbers_as_tiny_cuda_nn(growth: float) -> None:
    tcnn = pytest.importorskip("tinycudann")
    layout = GridLayout(n_levels=8, n_features=2, log2_table_size=15, per_level_scale=growth)
    config = {"otype": "Grid", "type": "Hash", "n_levels": 8, "n_features_per_level": 2, "log2_hashmap_size": 15}
    config |= {"base_resolution": 16, "per_level_scale": growth, "interpolation": "Linear"}
    other = tcnn.Encoding(3, config, dtype=torch.float32)
    assert other.params.numel() == layout.n_params
    points = torch.rand(1 << 14, 3, device="cuda")
    got, wanted = kernels.hash_grid_encode(points, other.params.detach(), layout), other(points)
    # For growth 2 the scales are exact; else the two may differ by an ulp, which moves a few points to another cell.
    error = (got - wanted).abs() / (wanted.abs() + 1e-6)
    assert torch.quantile(error, 0.99) < (1e-4 if growth == 2.0 else 1e-2)


def test_same_weights_as_nerfacc() -> None:
    nerfacc = pytest.importorskip("nerfacc")
    origins, directions = (x.cuda() for x in rays(200))
    s = kernels.march_rays(origins, directions, random_bits(32, 0.4).cuda(), 32, step_size=0.02)
    density = 5 * torch.rand(s.t.shape[0], device="cuda")
    ours = kernels.composite(density, density[:, None], s.t, s.dt, s.packed_info).weights
    packed = s.packed_info.long()
    theirs, _, _ = nerfacc.render_weight_from_density(s.t - s.dt / 2, s.t + s.dt / 2, density, packed_info=packed)
    assert torch.allclose(ours, theirs, atol=1e-5)
