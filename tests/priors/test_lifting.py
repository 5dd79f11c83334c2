import pytest
import torch
import torch.nn.functional as F

from nerf2mesh.priors.builtin.lifting import (
    FrameGeometry,
    composite_along_rays,
    gathered,
    lift,
    plucker,
    ray_features,
    voxel_centers,
)
from nerf2mesh.types import Camera


def cameras(orthographic: bool = False) -> Camera:
    azimuth, elevation = torch.tensor([[10.0, 130.0, -75.0]]), torch.tensor([[5.0, 40.0, -20.0]])
    return Camera.orbit(azimuth, elevation, width_px=16, fov_deg=35.0, orthographic=orthographic)


@pytest.mark.parametrize("orthographic", [False, True])
def test_projection_is_the_cameras(orthographic: bool) -> None:
    camera = cameras(orthographic)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels, _ = camera.project(points)
    torch.testing.assert_close(FrameGeometry.of(camera).project(points), pixels / 8 - 1, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("orthographic", [False, True])
def test_rays_are_the_cameras(orthographic: bool) -> None:
    camera = cameras(orthographic)
    origins, directions = FrameGeometry.of(camera).rays(16)
    truth = camera.rays()
    torch.testing.assert_close(origins, truth.origins.reshape(1, 3, -1, 3).expand_as(origins), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(directions, truth.directions.reshape(1, 3, -1, 3), atol=1e-5, rtol=1e-5)


def test_plucker_moment_does_not_depend_on_the_point() -> None:
    rays = plucker(FrameGeometry.of(cameras()), 8)
    d, m = rays[:, :, :3], rays[:, :, 3:]
    assert (d * m).sum(2).abs().max() < 1e-5


def test_turned_to_front_puts_the_first_frame_at_azimuth_zero() -> None:
    turned = FrameGeometry.of(cameras()).turned_to_front()
    center = turned.pose[0, 0, :3, 3]
    assert float(center[1].abs()) < 1e-5
    assert float(center[0]) > 0
    relative = turned.pose[0, 0].inverse() @ turned.pose[0, 1]
    before = cameras().camera_to_world[0]
    torch.testing.assert_close(relative, before[0].inverse() @ before[1], atol=1e-5, rtol=1e-5)


def test_lift_reads_the_pixel_under_each_voxel() -> None:
    """A picture of its own x coordinate, lifted, is the projection of the voxel."""
    camera = cameras()
    geometry = FrameGeometry.of(camera)
    ramp = ((torch.arange(64) + 0.5) / 32 - 1).expand(1, 3, 1, 64, 64).contiguous()
    lifted = lift(ramp, geometry, 8).reshape(1, 3, -1)
    grid = geometry.project(voxel_centers(8, ramp.device))
    truth, inside = grid[..., 0], (grid.abs() < 0.95).all(-1)
    torch.testing.assert_close(lifted[inside], truth[inside], atol=1e-4, rtol=1e-4)


def test_ray_features_read_the_volume_in_xyz_order() -> None:
    size = 24
    volume = voxel_centers(size, torch.device("cpu")).T.reshape(1, 3, size, size, size)
    geometry = FrameGeometry.of(cameras())
    values, offset = ray_features(volume, geometry, 4, 6)
    origins, directions = geometry.rays(4)
    middle = -(origins * directions).sum(-1, keepdim=True)
    points = origins[..., None, :] + (middle + offset)[..., None] * directions[..., None, :]
    inside = (points.abs() < 0.9).all(-1)
    torch.testing.assert_close(values.movedim(2, -1)[inside], points[inside], atol=1e-4, rtol=1e-4)


def test_compositing_closed_form() -> None:
    density = torch.tensor([[[[0.5, 1.0, 2.0]]]])
    features = torch.tensor([[[[[1.0, 10.0, 100.0]]]]])
    out, weights = composite_along_rays(features, density)
    e = torch.exp
    truth = torch.stack([1 - e(-density[..., 0]), e(-density[..., 0]) * (1 - e(-density[..., 1])),
                         e(-density[..., 0] - density[..., 1]) * (1 - e(-density[..., 2]))], -1)  # fmt: skip
    torch.testing.assert_close(weights, truth)
    torch.testing.assert_close(out, (features * truth[:, :, None]).sum(-1))
    assert float(1 - weights.sum()) == pytest.approx(float(e(-density.sum())), rel=1e-5)


@pytest.mark.parametrize("size", [(5, 6), (4, 5, 6)])
def test_gathered_samples_are_grid_samples_with_their_gradients(size: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(8)
    at = torch.rand(2, 300, len(size), generator=generator, dtype=torch.float64) * 2.6 - 1.3
    values = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, 3, 300, generator=generator, dtype=torch.float64)
    grid = at[(slice(None), *(None,) * (len(size) - 1))]
    found = []
    for function in (lambda x: gathered(x, at), lambda x: F.grid_sample(x, grid, align_corners=False).flatten(2)):
        leaf = values.clone().requires_grad_()
        out = function(leaf)
        found.append((out.detach(), torch.autograd.grad((out * weight).sum(), leaf)[0]))
    torch.testing.assert_close(found[0], found[1])


def test_geometry_is_exact_under_autocast() -> None:
    geometry = FrameGeometry.of(cameras())
    points = voxel_centers(4, torch.device("cpu"))

    def found() -> list[torch.Tensor]:
        moved = geometry.seen_from(torch.tensor([0.3]), torch.tensor([True]))
        return [*geometry.rays(8), geometry.project(points), geometry.turned_to_front().pose, moved.pose]

    plain = found()
    with torch.autocast("cpu", torch.bfloat16):
        under = found()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(plain, under, strict=True))
