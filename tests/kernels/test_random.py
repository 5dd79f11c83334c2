"""Three hundred random grids, point sets and ray batches: the native operators against their twins."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, reference

from .compare import assert_same_support, needs_native, random_bits, rays, relative_error

pytestmark = needs_native
MANY = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def layouts(draw) -> GridLayout:
    return GridLayout(
        n_dims=draw(st.sampled_from([2, 3])),
        n_levels=draw(st.integers(1, 5)),
        n_features=draw(st.sampled_from([1, 2, 4, 8])),
        log2_table_size=draw(st.integers(3, 12)),
        base_resolution=draw(st.integers(2, 20)),
        per_level_scale=draw(st.floats(1.0, 2.5)),
        interpolation=draw(st.sampled_from(["linear", "smoothstep"])),
    )


@MANY
@given(layout=layouts(), n=st.integers(0, 70), seed=st.integers(0, 2**31), active=st.integers(0, 5))
def test_hash_grid(layout: GridLayout, n: int, seed: int, active: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points, params = (
        torch.rand(n, layout.n_dims, generator=generator),
        torch.randn(layout.n_params, generator=generator),
    )
    weight = torch.randn(n, layout.n_outputs, generator=generator)
    results = []
    for module in (kernels, reference):
        x, p = points.clone().requires_grad_(), params.clone().requires_grad_()
        out = module.hash_grid_encode(x, p, layout, min(active, layout.n_levels))
        total = (out * weight).sum() + 0.0 * x.sum() + 0.0 * p.sum()
        results.append([out.detach(), *torch.autograd.grad(total, (x, p))])
    for got, wanted in zip(*results):
        assert relative_error(got, wanted) < 1e-5
    assert_same_support(results[0][2], results[1][2])


@MANY
@given(
    resolution=st.sampled_from([2, 4, 8, 12, 16, 24]),
    n=st.integers(0, 24),
    step=st.floats(0.01, 0.4),
    near=st.floats(0.0, 2.0),
    length=st.floats(0.1, 10.0),
    stop=st.sampled_from([0.0, 0.01, 0.3]),
    seed=st.integers(0, 2**31),
)
def test_march_and_composite(
    resolution: int, n: int, step: float, near: float, length: float, stop: float, seed: int
) -> None:
    torch.manual_seed(seed)
    origins, directions = rays(n)
    bits, jitter = random_bits(resolution, 0.4), torch.rand(n)
    options = {"step_size": step, "near": near, "far": near + length, "jitter": jitter}
    got = kernels.march_rays(origins, directions, bits, resolution, **options)
    wanted = reference.march_rays(origins, directions, bits, resolution, **options)
    for a, b in zip(got[:4], wanted[:4]):
        assert torch.equal(a, b)
    density, channels = torch.rand(got.n_samples) * 10, torch.rand(got.n_samples, 2)
    images = []
    for module, dtype in ((kernels, torch.float32), (reference, torch.float64)):
        leaves = density.to(dtype).requires_grad_(), channels.to(dtype).requires_grad_()
        image = module.composite(*leaves, got.t.to(dtype), got.dt.to(dtype), got.packed_info, stop=stop)
        total = sum(part.sum() for part in image[:4])
        images.append([*image, *torch.autograd.grad(total, leaves)])
    if stop == 0.0:  # else a transmittance within rounding of the bound may fall on either side
        for a, b in zip(*images):
            assert relative_error(a.detach(), b.detach()) < 2e-5
