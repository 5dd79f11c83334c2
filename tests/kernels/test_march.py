"""Marching against a test of every lattice point, and against lengths that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nerf2mesh import kernels
from nerf2mesh.kernels import reference
from nerf2mesh.types import Camera

from .compare import needs_native, random_bits, rays


@needs_native
@pytest.mark.parametrize(
    ("resolution", "n_cascades", "step"),
    [(64, 1, 0.0068), (64, 1, 0.0004), (16, 3, 0.03), (64, 2, 0.01), (10, 1, 0.02)],
)
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("jittered", [False, True])
def test_equals_testing_every_lattice_point(
    resolution: int, n_cascades: int, step: float, share: float, jittered: bool
) -> None:
    origins, directions = rays(96)
    bits = random_bits(resolution, share, n_cascades)
    options = {"step_size": step, "n_cascades": n_cascades, "near": 0.05, "far": 6.0}
    options["jitter"] = torch.rand(96) if jittered else None
    got = kernels.march_rays(origins, directions, bits, resolution, **options)
    wanted = reference.march_rays(origins, directions, bits, resolution, **options)
    assert got.n_samples == wanted.n_samples and got.overflow == 0
    for a, b in zip(got[:4], wanted[:4]):
        assert torch.equal(a, b)


def test_one_occupied_cell() -> None:
    bits = torch.zeros(4**3 // 8, dtype=torch.uint8)
    cell = (3 * 4 + 1) * 4 + 2  # x in [0.5, 1], y in [-0.5, 0], z in [0, 0.5]
    bits[cell >> 3] = 1 << (cell & 7)
    origins = torch.tensor([[3.0, -0.25, 0.25], [3.0, 0.25, 0.25]])
    directions = torch.tensor([[-1.0, 0.0, 0.0]]).expand(2, 3)
    s = kernels.march_rays(origins, directions, bits, 4, step_size=0.1)
    assert torch.allclose(s.t, torch.tensor([2.05, 2.15, 2.25, 2.35, 2.45]))
    assert torch.equal(s.dt, torch.full((5,), 0.1))
    assert s.ray_index.tolist() == [0] * 5 and s.packed_info.tolist() == [[0, 5], [5, 0]]


def test_cascades_reach_beyond_the_unit_box() -> None:
    bits = torch.zeros(2, 8**3 // 8, dtype=torch.uint8)
    bits[1] = 255
    s = kernels.march_rays(
        torch.tensor([[5.0, 0.1, 0.1]]),
        torch.tensor([[-1.0, 0.0, 0.0]]),
        bits.view(-1),
        8,
        step_size=0.25,
        n_cascades=2,
    )
    x = 5.0 - s.t
    assert torch.equal(x.abs() > 1, torch.ones_like(x, dtype=torch.bool)) and x.max() < 2 and x.min() > -2
    assert s.n_samples == 8


def test_capacity_cuts_the_last_samples_and_says_so() -> None:
    origins, directions = rays(64)
    bits = random_bits(16, 0.5)
    full = kernels.march_rays(origins, directions, bits, 16, step_size=0.02)
    keep = full.n_samples // 2
    cut = kernels.march_rays(origins, directions, bits, 16, step_size=0.02, capacity=keep)
    assert cut.n_samples == keep and cut.overflow == full.n_samples - keep
    assert torch.equal(cut.t, full.t[:keep]) and torch.equal(cut.ray_index, full.ray_index[:keep])
    ends = cut.packed_info.sum(-1)
    assert ends.max() == keep and cut.packed_info[:, 1].sum() == keep
    assert kernels.march_rays(origins, directions, bits, 16, step_size=0.02, capacity=10**6).overflow == 0


@needs_native
def test_directions_of_any_length() -> None:
    """t counts in units of |direction|: a short direction has more lattice points, none of which may be lost."""
    origins, directions = rays(64)
    bits = random_bits(16, 0.5)
    for length in (0.02, 0.4, 5.0):
        options = {"step_size": 0.06, "capacity": 10**7}
        got = kernels.march_rays(origins, length * directions, bits, 16, **options)
        wanted = reference.march_rays(origins, length * directions, bits, 16, **options)
        assert got.n_samples == wanted.n_samples > 0
        for a, b in zip(got[:4], wanted[:4]):
            assert torch.equal(a, b)


def march_one(
    origin: list[float], direction: list[float], bits: list[int], resolution: int, step: float
) -> list[float]:
    """Places of one ray's samples, every lattice point tested: exact where all numbers are short binary fractions."""
    enter, leave = 0.0, math.inf
    for o, d in zip(origin, direction):
        if d == 0.0:
            enter = math.inf if abs(o) > 1.0 else enter
            continue
        near, far = sorted(((-1.0 - o) / d, (1.0 - o) / d))
        enter, leave = max(enter, near), min(leave, far)
    hits, t = [], enter + 0.5 * step
    while t < leave:
        cell = [min(int((o + t * d + 1.0) * resolution / 2), resolution - 1) for o, d in zip(origin, direction)]
        index = (cell[0] * resolution + cell[1]) * resolution + cell[2]
        if bits[index >> 3] >> (index & 7) & 1:
            hits.append(t)
        t += step
    return hits


@pytest.mark.parametrize("step", [0.0625, 0.015625])
def test_against_plain_python(step: float) -> None:
    bits = random_bits(16, 0.6)
    origins = torch.randint(-12, 13, (60, 3)) / 8.0
    directions = torch.tensor([0.0, 0.25, 0.5, 1.0, -0.25, -0.5, -1.0])[torch.randint(0, 7, (60, 3))]
    directions[(directions == 0).all(-1), 0] = 1.0
    s = kernels.march_rays(origins, directions, bits, 16, step_size=step)
    wanted = [march_one(o, d, bits.tolist(), 16, step) for o, d in zip(origins.tolist(), directions.tolist())]
    assert s.packed_info[:, 1].tolist() == [len(hits) for hits in wanted]
    assert s.t.tolist() == [t for hits in wanted for t in hits] and s.n_samples > 100


WILD = [0.0, 1.0, -3.7, 1e9, -1e20, 1e30, 1e-38, math.inf, -math.inf, math.nan]


def test_wild_rays_stay_inside_memory_and_spare_the_others() -> None:
    """Rays between wild ones keep their samples; what is counted of the wild ones is also written."""
    origins, directions = rays(40)
    bits = random_bits(16, 0.5)
    plain = kernels.march_rays(origins, directions, bits, 16, step_size=0.05)
    wild = torch.tensor(WILD)[torch.randint(0, len(WILD), (40, 6))]
    both = torch.stack([origins, wild[:, :3]], 1).flatten(0, 1), torch.stack([directions, wild[:, 3:]], 1).flatten(0, 1)
    both[1][both[1].abs() < 1e-30] = 0.0  # a vanishing direction has 2^24 samples
    s = kernels.march_rays(*both, bits, 16, step_size=0.05)
    kept = s.ray_index % 2 == 0
    assert torch.equal(s.packed_info[::2, 1], plain.packed_info[:, 1])
    assert torch.equal(s.t[kept], plain.t) and torch.equal(s.ray_index[kept] // 2, plain.ray_index)
    assert s.packed_info.min() >= 0 and s.n_samples == int(s.packed_info[:, 1].sum()) == len(s.t)


def test_rays_from_very_far() -> None:
    origins = torch.tensor([[1e30, 0.1, 0.1], [1e20, 1e20, 1e20], [math.inf, 0, 0], [math.nan, 0, 0], [1e4, 0, 0]])
    directions = torch.nn.functional.normalize(-origins, dim=-1)
    directions[2:4] = torch.tensor([-1.0, 0.0, 0.0])
    bits = torch.full((64,), 255, dtype=torch.uint8)
    s = kernels.march_rays(origins, directions, bits, 8, step_size=0.1)
    # Where a float at that distance steps over the box there is nothing to find.
    assert s.packed_info[:4, 1].tolist() == [0, 0, 0, 0]
    assert 19 <= s.packed_info[4, 1] <= 21


def test_a_ray_without_a_direction_has_no_samples() -> None:
    bits = torch.full((64,), 255, dtype=torch.uint8)
    for module in (kernels, reference):
        s = module.march_rays(torch.zeros(2, 3), torch.tensor([[0.0, 0, 0], [1.0, 0, 0]]), bits, 8, step_size=0.1)
        assert s.packed_info[:, 1].tolist() == [0, 10]


def test_parallel_rays_of_an_orthographic_camera() -> None:
    """Every ray that meets the box crosses all of it: depth 2 over the step, whatever its pixel."""
    camera = Camera.orbit(90.0, 0.0, distance=3.0, fov_deg=60.0, width_px=12, orthographic=True)
    found = camera.rays().flatten()
    assert torch.equal(found.directions, found.directions[:1].expand_as(found.directions))
    full = torch.full((8**3 // 8,), 255, dtype=torch.uint8)
    s = kernels.march_rays(found.origins, found.directions, full, 8, step_size=0.02)
    across = found.origins[:, [0, 2]].abs().amax(-1)
    assert 0 < int((across < 0.99).sum()) < 144
    assert (s.packed_info[across < 0.99, 1] - 100).abs().max() <= 1 and not s.packed_info[across > 1.01, 1].any()
    image = kernels.composite(torch.full_like(s.t, 0.7), torch.ones_like(s.t)[:, None], s.t, s.dt, s.packed_info)
    assert torch.allclose(image.opacity[across < 0.99], torch.tensor(1 - math.exp(-1.4)), atol=5e-3)


def test_no_rays_and_no_cells() -> None:
    bits = torch.zeros(64, dtype=torch.uint8)
    none = kernels.march_rays(torch.zeros(0, 3), torch.zeros(0, 3), bits, 8, step_size=0.1)
    assert none.n_samples == 0 and none.packed_info.shape == (0, 2)
    origins, directions = rays(32)
    empty = kernels.march_rays(origins, directions, bits, 8, step_size=0.1)
    assert empty.n_samples == 0 and not empty.packed_info.any()


def test_views_are_read_rightly() -> None:
    origins, directions = rays(32)
    bits = random_bits(8, 0.5)
    wanted = kernels.march_rays(origins, directions, bits, 8, step_size=0.1)
    got = kernels.march_rays(origins.T.contiguous().T, directions.repeat(1, 2)[:, :3], bits, 8, step_size=0.1)
    assert torch.equal(got.t, wanted.t)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_size": 0.0}, "step_size: expected at least"),
        ({"step_size": float("nan")}, "step_size: expected at least"),
        ({"step_size": 1e-8}, "step_size: expected at least 2.1e-07"),
        ({"near": 2.0, "far": 1.0}, "near < far"),
        ({"jitter": torch.rand(3)}, r"jitter: expected the shape \[4\]"),
        ({"occupancy_bits": torch.zeros(7, dtype=torch.uint8)}, "occupancy_bits: expected the shape"),
        ({"occupancy_bits": torch.zeros(64)}, "occupancy_bits: expected uint8"),
        ({"resolution": 7}, "resolution: expected an even number"),
        (
            {"resolution": 1024, "n_cascades": 5},
            r"resolution, n_cascades: expected at most 2\^32 cells, got 5368709120",
        ),
        ({"capacity": -1}, "capacity"),
        ({"rays_d": torch.rand(5, 3)}, "rays_d: expected the shape"),
    ],
)
def test_refuses(changes: dict, message: str) -> None:
    options = {"rays_o": torch.rand(4, 3), "rays_d": torch.rand(4, 3), "resolution": 8, "step_size": 0.1}
    options["occupancy_bits"] = torch.zeros(64, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        kernels.march_rays(**{**options, **changes})
