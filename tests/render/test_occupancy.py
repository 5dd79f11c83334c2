import pytest
import torch

from nerf2mesh.render import OccupancyGrid
from nerf2mesh.types import Rays
from tests.render.solids import Solid, random_rays, renderer_of


def cell_centers(resolution: int) -> torch.Tensor:
    axis = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)


def updated(field, resolution=32, n=4, **kwargs) -> OccupancyGrid:
    grid, generator = OccupancyGrid(resolution), torch.Generator().manual_seed(0)
    for _ in range(n):
        grid.update(field, threshold=0.5, generator=generator, warmup=True, **kwargs)
    return grid


def test_starts_full():
    grid = OccupancyGrid(8)
    assert grid.fraction() == 1.0 and grid.occupied().all()


def test_finds_a_ball_cell_by_cell():
    grid = updated(Solid("ball", 0.6, 50.0))
    radius, half = cell_centers(32).norm(dim=-1), 3**0.5 / 32
    assert grid.occupied()[radius < 0.6 - half].all()
    assert not grid.occupied()[radius > 0.6 + half].any()


def test_a_later_partial_update_keeps_what_it_knows():
    field = Solid("ball", 0.6, 50.0)
    grid = updated(field)
    before = grid.occupied()
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        grid.update(field, threshold=0.5, generator=generator)
    inside = cell_centers(32).norm(dim=-1) < 0.6 - 3**0.5 / 32
    assert grid.occupied()[inside].all()
    assert (grid.occupied() ^ before).float().mean() < 0.05


def test_forgets_what_vanished():
    field = Solid("ball", 0.6, 50.0)
    grid = updated(field)
    field.size = 0.4
    generator = torch.Generator().manual_seed(2)
    # 50 * 0.95^n is below the threshold of 0.5 from n = 90 on.
    for _ in range(92):
        grid.update(field, threshold=0.5, generator=generator, warmup=True)
    assert not grid.occupied()[cell_centers(32).norm(dim=-1) > 0.4 + 3**0.5 / 32].any()


def test_thin_starts_are_kept():
    grid = updated(Solid("ball", 0.6, 1e-3))
    assert grid.occupied()[cell_centers(32).norm(dim=-1) < 0.5].all()


def test_full_refresh_is_deterministic_covers_thin_parts_and_forgets():
    class Sheet(Solid):
        def inside(self, points):
            return (points[:, 2] - 0.013).abs() < 0.02

    grid = updated(Solid("ball", 0.9, 50.0))
    grid.bake_full(Sheet("ball", 1.0, 50.0), threshold=0.5)
    z = cell_centers(32)[:, 2]
    assert grid.occupied()[(z - 0.013).abs() < 0.03].all()
    assert not grid.occupied()[(z - 0.013).abs() > 0.17].any()
    other = OccupancyGrid(32)
    other.bake_full(Sheet("ball", 1.0, 50.0), threshold=0.5)
    assert torch.equal(grid.bits, other.bits)


def test_equal_generators_give_equal_bits_and_the_state_travels():
    a, b = updated(Solid("ball", 0.5, 9.0)), updated(Solid("ball", 0.5, 9.0))
    assert torch.equal(a.bits, b.bits) and torch.equal(a.ema, b.ema)
    c = OccupancyGrid(32)
    c.load_state_dict(a.state_dict())
    assert torch.equal(a.bits, c.bits)


def test_a_single_cell_is_where_the_marcher_looks():
    renderer = renderer_of(Solid("box", 1.0, 1.0), resolution=8, samples_per_ray=512, prune_transmittance=0.0)
    bits = torch.zeros(8**3, dtype=torch.bool)
    x, y, z = 5, 2, 6
    bits[(x * 8 + y) * 8 + z] = True
    packed = (bits.view(-1, 8).int() << torch.arange(8)).sum(1)
    renderer.occupancy.bits.copy_(packed.to(torch.uint8))
    assert renderer.occupancy.fraction() == pytest.approx(1 / 512)
    center = cell_centers(8)[(x * 8 + y) * 8 + z]
    origins = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=-1) * 3
    rays = Rays(origins, torch.nn.functional.normalize(center - origins, dim=-1))
    points = renderer.render_rays(rays, extras=True).extra["points"]
    assert len(points) > 50 * 20
    assert ((points - center).abs() <= 1 / 8 + 1e-5).all()


def test_skipping_empty_cells_changes_no_pixel():
    field, rays = Solid("ball", 0.6, 8.0), random_rays(300)
    full = renderer_of(field, resolution=32)
    skipping = renderer_of(field, resolution=32)
    skipping.occupancy = updated(field, n=8)
    a, b = full.render_rays(rays), skipping.render_rays(rays)
    assert b.extra["n_samples"].sum() < a.extra["n_samples"].sum()
    torch.testing.assert_close(a.rgba, b.rgba, atol=5e-2, rtol=0)
    assert (a.rgba - b.rgba).abs().mean() < 1e-3


def test_renderer_refreshes_when_it_is_due():
    renderer = renderer_of(Solid("ball", 0.5, 40.0), occupancy_every=4)
    generator = torch.Generator().manual_seed(0)
    assert [renderer.update_occupancy(step, generator) for step in range(5)] == [True, False, False, False, True]
    assert renderer.occupancy.fraction() < 0.2


@pytest.mark.parametrize("resolution", [0, 1, 7])
def test_odd_sizes_are_refused(resolution):
    with pytest.raises(ValueError, match="occupancy_resolution"):
        OccupancyGrid(resolution)
