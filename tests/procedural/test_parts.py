import numpy as np
import pytest
import torch

from nerf2mesh.procedural.parts import MAX_PARTS, Part, pack_parts, part_distance, scene_distance


def distance(parts: list[Part], points: torch.Tensor) -> torch.Tensor:
    shapes, _ = pack_parts([parts])
    return scene_distance(shapes, *(c[None].contiguous() for c in points.unbind(-1)))[0]


@pytest.fixture
def points() -> torch.Tensor:
    return torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 3 - 1.5


def test_ball_distance_is_exact(points: torch.Tensor) -> None:
    d = distance([Part(size=(0.5, 0.5, 0.5), ellipsoid=True)], points)
    torch.testing.assert_close(d, points.norm(dim=-1) - 0.5, atol=1e-4, rtol=1e-4)


def test_rounded_box_distance_is_exact(points: torch.Tensor) -> None:
    size = torch.tensor([0.5, 0.3, 0.4])
    d = distance([Part(size=tuple(size.tolist()), corner=0.0, edge=0.02)], points)
    q = points.abs() - size
    truth = q.clamp_min(0).norm(dim=-1) + q.amax(-1).clamp_max(0)
    assert (d - truth).abs().max() < 0.02 * 0.3 + 1e-3


def test_ring_has_its_hole() -> None:
    ring = Part(size=(0.6, 0.6, 0.1), corner=1.0, wall=0.3, edge=0.95)
    d = distance([ring], torch.tensor([[0.0, 0.0, 0.0], [0.51, 0.0, 0.0], [0.0, 0.51, 0.0]]))
    assert d[0] > 0.3
    assert (d[1:] < 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_distance_never_exceeds_the_way_to_the_surface(seed: int) -> None:
    """The sphere-tracing condition, checked by brute force against a dense sampling of the inside."""
    rng = np.random.default_rng(seed)
    part = Part(
        size=tuple(rng.uniform(0.2, 0.6, 3)), corner=rng.random(), edge=rng.random(), taper=rng.uniform(-0.6, 0.6),
        bend=rng.uniform(-0.4, 0.4), wall=0.4 if seed % 3 == 0 else 0.0,
    )  # fmt: skip
    axis = torch.linspace(-1.2, 1.2, 61)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    inside = grid[distance([part], grid) < 0]
    probes = torch.from_numpy(rng.uniform(-1.2, 1.2, (300, 3))).float()
    outside = probes[distance([part], probes) > 0]
    nearest = torch.cdist(outside, inside).amin(1)
    assert (distance([part], outside) <= nearest * 1.05 + 0.005).all()


def test_mirror_and_fold_copy_the_part() -> None:
    leg = Part(center=(0.4, 0.3, 0.0), size=(0.1, 0.1, 0.3), mirror=True, fold=True)
    d = distance([leg], torch.tensor([[x, y, 0.0] for x in (-0.4, 0.4) for y in (-0.3, 0.3)]))
    assert (d < 0).all()


def test_cut_removes() -> None:
    ball = Part(size=(0.5, 0.5, 0.5), ellipsoid=True)
    knife = Part(center=(1.0, 0, 0), size=(1.0, 2.0, 2.0), corner=0.02, edge=0.02, cut=True)
    d = distance([ball, knife], torch.tensor([[0.2, 0.0, 0.0], [-0.2, 0.0, 0.0]]))
    assert d[0] > 0 > d[1]


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        pack_parts([[Part()] * (MAX_PARTS + 1)])


def test_absent_parts_change_nothing(points: torch.Tensor) -> None:
    shapes, _ = pack_parts([[Part(ellipsoid=True)]])
    x, y, z = (c[None].contiguous() for c in points.unbind(-1))
    torch.testing.assert_close(scene_distance(shapes, x, y, z), part_distance(shapes[:, 0], x, y, z).clamp_max(50.0))
