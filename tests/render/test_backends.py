"""The nerfacc backend's own arithmetic, over a stand-in of nerfacc's functions (the real one needs a GPU)."""

import sys
from types import SimpleNamespace

import pytest
import torch

from nerf2mesh.kernels import reference
from nerf2mesh.render import backends


def packed_scan(values, packed_info):
    rays = [values[s : s + n] for s, n in packed_info.tolist()]
    return torch.cat([torch.cumsum(ray, 0) - ray for ray in rays])


def weight_from_density(t_starts, t_ends, sigmas, packed_info=None):
    optical = sigmas * (t_ends - t_starts)
    transmittance = torch.exp(-packed_scan(optical, packed_info))
    alpha = 1 - torch.exp(-optical)
    return transmittance * alpha, transmittance, alpha


def accumulate(weights, values=None, ray_indices=None, n_rays=None):
    values = weights[:, None] if values is None else weights[:, None] * values
    return torch.zeros(n_rays, values.shape[1], dtype=values.dtype).index_add(0, ray_indices, values)


def traverse(rays_o, rays_d, binaries, aabbs, near_planes, far_planes, step_size, cone_angle):
    """Two samples in each occupied cell's middle: enough to see which cells arrived, and where the lattice starts."""
    cells = binaries[0].nonzero()
    start = near_planes[:, None] + torch.arange(2) * step_size
    n = rays_o.shape[0]
    vals = torch.stack([start, start + step_size], dim=-1).reshape(-1)
    left = torch.tensor([True, False]).repeat(2 * n)
    intervals = SimpleNamespace(vals=vals, is_left=left, is_right=~left, cells=cells)
    index = torch.arange(n).repeat_interleave(2)
    packed = torch.stack([torch.arange(n) * 2, torch.full((n,), 2)], dim=1)
    traverse.seen = cells, aabbs
    return intervals, SimpleNamespace(ray_indices=index, packed_info=packed), None


@pytest.fixture
def nerfacc(monkeypatch):
    module = SimpleNamespace(
        render_weight_from_density=weight_from_density,
        accumulate_along_rays=accumulate,
        exclusive_sum=packed_scan,
        traverse_grids=traverse,
    )
    monkeypatch.setitem(sys.modules, "nerfacc", module)
    return module


def test_composite_is_the_twins_with_gradients(nerfacc):
    generator = torch.Generator().manual_seed(0)
    packed = torch.tensor([[0, 5], [5, 0], [5, 9], [14, 1]], dtype=torch.int32)
    t, dt = torch.cumsum(torch.rand(15, generator=generator), 0).double(), torch.full((15,), 0.3).double()
    results = []
    for composite in (backends._composite_nerfacc, reference.composite):
        density = (torch.rand(15, generator=generator.manual_seed(1)) * 3).double().requires_grad_()
        channels = torch.rand(15, 4, generator=generator).double().requires_grad_()
        done = composite(density, channels, t, dt, packed)
        loss = (done.channels**2).sum() + (done.opacity * done.depth).sum() + done.distortion.sum()
        results.append([*done, *torch.autograd.grad(loss, [density, channels])])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a.double(), b.double(), atol=1e-9, rtol=1e-7)


def test_march_hands_over_cells_and_lattice(nerfacc):
    bits = torch.zeros(8, dtype=torch.uint8)
    cell = (3 * 4 + 1) * 4 + 2
    bits[cell >> 3] = 1 << (cell & 7)
    rays_o, rays_d = torch.zeros(3, 3), torch.eye(3)
    jitter = torch.tensor([0.5, 0.75, 0.5])
    samples = backends._march_nerfacc(rays_o, rays_d, bits, 4, near=1.0, step_size=0.1, jitter=jitter)
    cells, box = traverse.seen
    assert cells.tolist() == [[3, 1, 2]] and box.tolist() == [[-1, -1, -1, 1, 1, 1]]
    torch.testing.assert_close(samples.t, torch.tensor([1.05, 1.15, 1.075, 1.175, 1.05, 1.15]))
    torch.testing.assert_close(samples.dt, torch.full((6,), 0.1))
    assert samples.ray_index.dtype == samples.packed_info.dtype == torch.int32
    empty = backends._march_nerfacc(rays_o[:0], rays_d[:0], bits, 4, step_size=0.1)
    assert empty.packed_info.shape == (0, 2) and empty.t.shape == (0,)


def test_load_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "nerfacc", None)
    with pytest.raises(ValueError, match=r"nerfacc cannot|pip install"):
        backends.load_backend("nerfacc", torch.device("cuda"))
