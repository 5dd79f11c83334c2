"""Compositing against closed forms, a double loop, and autograd of the twin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import reference

from .compare import needs_native, relative_error


def ragged(counts: list[int], n_channels: int = 3) -> tuple[Tensor, ...]:
    """Random samples of rays with the given numbers of samples."""
    count = torch.tensor(counts, dtype=torch.int32)
    packed_info = torch.stack([torch.cumsum(count, 0, dtype=torch.int32) - count, count], dim=-1)
    n = int(count.sum())
    dt = 0.01 + 0.05 * torch.rand(n)
    t = torch.cat([torch.cumsum(part, 0) for part in dt.split(counts)]) if counts else dt
    return torch.rand(n) * 8, torch.rand(n, n_channels), t, dt, packed_info


def test_homogeneous_slab() -> None:
    """Through a slab of density s and depth L: opacity 1 - exp(-s L), mean depth from the exponential distribution."""
    density, n = 2.5, 20_000
    dt = torch.full((n,), 1.0 / n)
    t = (torch.arange(n) + 0.5) / n
    info = torch.tensor([[0, n]], dtype=torch.int32)
    out = kernels.composite(torch.full((n,), density), torch.ones(n, 2), t, dt, info)
    opacity = 1 - math.exp(-density)
    assert out.opacity.item() == pytest.approx(opacity, rel=1e-4)
    assert out.channels[0].tolist() == pytest.approx([opacity] * 2, rel=1e-4)
    assert out.depth.item() == pytest.approx(1 / density - math.exp(-density) * (1 + 1 / density), rel=1e-3)


def test_distortion_is_the_double_sum() -> None:
    density, channels, t, dt, info = ragged([17])
    out = kernels.composite(density, channels, t, dt, info)
    w, t, dt = out.weights.double(), t.double(), dt.double()
    pairs = (w[:, None] * w * (t[:, None] - t).abs()).sum()
    assert out.distortion.item() == pytest.approx((pairs + (w * w * dt).sum() / 3).item(), rel=1e-5)


@needs_native
@pytest.mark.parametrize("counts", [[5], [0, 3, 0, 40, 1, 0], [64] * 9, [700, 2]])
@pytest.mark.parametrize("stop", [0.0, 0.05])
@pytest.mark.parametrize("n_channels", [0, 1, 7])
def test_values_and_gradients(counts: list[int], stop: float, n_channels: int) -> None:
    inputs = ragged(counts, n_channels)
    weights = [torch.randn(len(counts), n_channels), *(torch.randn(len(counts)) for _ in range(3))]

    def run(module, dtype: torch.dtype) -> list[Tensor]:
        density, channels, t, dt = (x.to(dtype) for x in inputs[:4])
        leaves = density.requires_grad_(), channels.requires_grad_()
        out = module.composite(*leaves, t, dt, inputs[4], stop=stop)
        total = sum((o * w.to(dtype)).sum() for o, w in zip(out, weights))
        return [*out, *torch.autograd.grad(total, leaves)]

    for i, (got, wanted) in enumerate(zip(run(kernels, torch.float32), run(reference, torch.float64))):
        assert relative_error(got, wanted) < 1e-5, i


def loop_over_samples(inputs: tuple[Tensor, ...], stop: float) -> list[list[float]]:
    """Colour, opacity and depth of every ray, sample after sample in Python's doubles."""
    density, channels, t, dt, info = (x.tolist() for x in inputs)
    rows = []
    for start, count in info:
        passed, row = 1.0, [0.0] * (len(channels[0]) + 2)
        for s in range(start, start + count):
            w = passed * -math.expm1(-density[s] * dt[s]) if passed >= stop else 0.0
            row = [total + w * value for total, value in zip(row, [*channels[s], 1.0, t[s]])]
            passed *= math.exp(-density[s] * dt[s])
        rows.append(row)
    return rows


@pytest.mark.parametrize("stop", [0.0, 0.4])
def test_against_plain_python(stop: float) -> None:
    inputs = ragged([0, 3, 40, 1, 0, 17], 2)
    out = kernels.composite(*inputs, stop=stop)
    got = torch.cat([out.channels, out.opacity[:, None], out.depth[:, None]], dim=1)
    assert relative_error(got, torch.tensor(loop_over_samples(inputs, stop))) < 1e-5


def test_gradient_is_the_slope() -> None:
    """Central differences of the sum of all outputs, in the direction of every sample's density."""
    density, channels, t, dt, info = ragged([4, 0, 3], 2)

    def total(values: Tensor) -> Tensor:
        return sum(part.double().sum() for part in kernels.composite(values, channels, t, dt, info)[:4])

    leaf = density.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    steps = 1e-2 * torch.eye(7)
    slopes = torch.stack([(total(density + step) - total(density - step)) / 2e-2 for step in steps])
    assert relative_error(gradient, slopes.float()) < 2e-3


def test_gradcheck_of_the_twin() -> None:
    density, channels, t, dt, info = (x.double() if x.is_floating_point() else x for x in ragged([4, 0, 3]))

    def function(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return reference.composite(a, b, t, dt, info)[:4]

    assert torch.autograd.gradcheck(function, (density.requires_grad_(), channels.requires_grad_()))


@needs_native
def test_each_output_alone_has_a_gradient() -> None:
    density, channels, t, dt, info = ragged([6, 9])
    for i in range(4):
        leaf = density.clone().requires_grad_()
        twin = density.double().requires_grad_()
        (got,) = torch.autograd.grad(kernels.composite(leaf, channels, t, dt, info)[i].sum(), leaf)
        double = reference.composite(twin, channels.double(), t.double(), dt.double(), info)
        assert relative_error(got, torch.autograd.grad(double[i].sum(), twin)[0]) < 1e-5
    assert not kernels.composite(density.requires_grad_(), channels, t, dt, info).weights.requires_grad


def test_extreme_densities_stay_finite() -> None:
    _, channels, t, dt, info = ragged([8, 8])
    density = torch.tensor([0.0, 1e-30, 1e-6, 1e3, 1e6, 1e30, 0.0, 1.0] * 2, requires_grad=True)
    out = kernels.composite(density, channels, t, dt, info)
    sum(part.sum() for part in out[:4]).backward()
    assert torch.isfinite(density.grad).all() and all(torch.isfinite(part).all() for part in out)
    assert (out.opacity <= 1).all()


def test_padding_and_no_rays() -> None:
    density, channels, t, dt, info = ragged([3, 2])
    more = [torch.cat([x, torch.zeros(4, *x.shape[1:])]) for x in (density, channels, t, dt)]
    leaf = more[0].requires_grad_()
    out = kernels.composite(leaf, *more[1:], info)
    out.channels.sum().backward()
    assert torch.equal(out.channels, kernels.composite(density, channels, t, dt, info).channels)
    assert not leaf.grad[5:].any() and not out.weights[5:].any()
    none = kernels.composite(density[:0], channels[:0], t[:0], dt[:0], info[:0])
    assert none.channels.shape == (0, 3) and none.opacity.shape == (0,)


def test_views_are_read_rightly() -> None:
    inputs = ragged([3, 0, 9])
    spread = [torch.stack([x, x], dim=-1)[..., 0] for x in inputs]
    assert not any(x.is_contiguous() for x in spread)
    images = []
    for density, channels, *rest in (inputs, spread):
        leaves = density.requires_grad_(), channels.requires_grad_()
        image = kernels.composite(*leaves, *rest)
        images.append([*image, *torch.autograd.grad(image.channels.square().sum(), leaves)])
    for wanted, got in zip(*images):
        assert torch.equal(got, wanted)


def test_refuses() -> None:
    density, channels, t, dt, info = ragged([3, 2])
    with pytest.raises(ValueError, match=r"channels: expected the shape \[5, any\], got \[4, 3\]"):
        kernels.composite(density, channels[:4], t, dt, info)
    with pytest.raises(ValueError, match="packed_info: expected int32, got int64"):
        kernels.composite(density, channels, t, dt, info.long())
    for bad in ([[0, 6], [0, 0]], [[-1, 2], [0, 0]], [[0, 3], [4, 2]]):
        with pytest.raises(ValueError, match=r"packed_info: expected .* within 5 samples, got"):
            kernels.composite(density, channels, t, dt, torch.tensor(bad, dtype=torch.int32))
    with pytest.raises(ValueError, match="t: expected the other tensors' device cpu, got"):
        kernels.composite(density, channels, t.to("meta"), dt, info)
    with pytest.raises(ValueError, match="stop"):
        kernels.composite(density, channels, t, dt, info, stop=1.0)
