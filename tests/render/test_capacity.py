"""Passes with a fixed number of places, as on a GPU, against exact ones; the CPU's marcher is padded by hand."""

from __future__ import annotations

import pytest
import torch

from nerf2mesh.kernels import Samples
from nerf2mesh.render.capacity import HEADROOM, Capacity, rounded
from nerf2mesh.render.samples import lit_samples
from nerf2mesh.types import Rays
from nerf2mesh.utils.device_copy import LAG
from tests.fields.make import rough_field
from tests.render.solids import random_rays, renderer_of


def padded(samples: Samples, places: int) -> Samples:
    """What the marcher gives on a GPU for a capacity: unused places have dt = 0 and ray 0."""
    flat = [torch.nn.functional.pad(x, (0, places - len(x))) for x in samples[:3]]
    return Samples(*flat, samples.packed_info, torch.tensor(len(samples.t)), torch.tensor(0))


def marched(rays: Rays) -> tuple[Samples, torch.Tensor]:
    samples = renderer_of(rough_field(), samples_per_ray=64, prune_transmittance=0.0).sample(rays)
    return samples, 4.0 * torch.rand(len(samples.t), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("thickness", [1.0, 1e-6])
def test_lit_samples_in_a_fixed_number_of_places(thickness: float) -> None:
    """Thin too: then the light after the last ray would reach the unused places."""
    samples, density = marched(random_rays(50))
    density = density * thickness
    exact = lit_samples(samples, density, 0.1)
    n, places = len(exact.t), 5000
    assert n == len(samples.t) if thickness < 1 else n < len(samples.t)
    tail = torch.nn.functional.pad(density, (0, 77), value=100.0)
    found = lit_samples(padded(samples, len(density) + 77), tail, 0.1, places)
    assert int(found.n_samples) == n and int(found.overflow) == 0 and len(found.t) == places
    assert all(torch.equal(a[:n], b) for a, b in zip(found[:3], exact[:3], strict=True))
    assert torch.equal(found.packed_info, exact.packed_info) and not found.dt[n:].any()
    cut = lit_samples(samples, density, 0.1, n // 2)
    assert int(cut.n_samples) == n // 2 and int(cut.overflow) == n - n // 2
    assert all(torch.equal(a, b[: n // 2]) for a, b in zip(cut[:3], exact[:3], strict=True))
    assert int(cut.packed_info.sum(1).max()) == n // 2 and int(cut.packed_info.min()) >= 0


def test_unused_places_change_neither_image_nor_gradient() -> None:
    field, rays = rough_field(), random_rays(50)
    renderer = renderer_of(field, samples_per_ray=64)
    exact = renderer.sample(rays)
    results = []
    for samples in (exact, padded(exact, len(exact.t) + 500)):
        field.zero_grad()
        rendering = renderer.shade(rays, samples, normals="finite_difference", extras=True)
        (rendering.rgba.square().sum() + rendering.normal.sum() + rendering.extra["distortion"].sum()).backward()
        assert not rendering.extra["weights"][len(exact.t) :].any()
        results.append([rendering.rgba.detach(), rendering.depth.detach(), *(p.grad for p in field.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6 * float(a.abs().max()), rtol=1e-5)


def test_capacity_follows_the_counts_that_have_arrived() -> None:
    capacity = Capacity()
    assert capacity.places() is None
    capacity.learn(10_000, None)
    first = capacity.places()
    assert first >= HEADROOM * 10_000
    for _ in range(LAG):
        assert capacity.places() == first
        capacity.learn(torch.tensor(20_000), first)
    assert capacity.places() >= HEADROOM * 20_000
    assert capacity.lost == 20_000 - first


def test_few_sizes() -> None:
    sizes = sorted({rounded(n) for n in range(1, 1 << 17, 7)})
    assert sizes[0] == 1024 and len(sizes) <= 8 * 7 + 1
    assert all(n <= rounded(n) <= 1.13 * n + 1024 for n in (1, 1024, 5000, 123_456, 9_999_999))
