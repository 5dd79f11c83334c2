"""Frames: mirrored, picked and joined against geometry that is written out."""

from __future__ import annotations

import pytest
import torch

from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.types import Camera, Observations, View


def scenes(n: int = 2, v: int = 3, size: int = 6, *, orthographic: bool = False) -> Frames:
    g = torch.Generator().manual_seed(4)
    azimuth, elevation = 360.0 * torch.rand(n, v, generator=g), 60.0 * torch.rand(n, v, generator=g) - 20.0
    cameras = Camera.orbit(azimuth, elevation, width_px=size, orthographic=orthographic)
    return Frames(torch.rand(n, v, 4, size, size, generator=g), FrameGeometry.of(cameras))


@pytest.mark.parametrize("orthographic", [False, True])
def test_mirror_image_shows_the_mirrored_world(orthographic: bool) -> None:
    """A point at (x, -y, z) is seen in the mirrored frame where (x, y, z) is seen in the original, left for right."""
    frames = scenes(orthographic=orthographic)
    points = torch.rand(20, 3, generator=torch.Generator().manual_seed(5)) - 0.5
    mirrored = frames.mirrored(torch.tensor([True, False]))
    seen, before = (x.geometry.project(points * torch.tensor([1.0, -1.0, 1.0])) for x in (mirrored, frames))
    original = frames.geometry.project(points)
    torch.testing.assert_close(seen[0], original[0] * torch.tensor([-1.0, 1.0]))
    torch.testing.assert_close(seen[1], before[1])
    assert torch.equal(mirrored.images[0], frames.images[0].flip(-1))
    assert torch.equal(mirrored.images[1], frames.images[1])
    rotation = mirrored.geometry.pose[..., :3, :3]
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2, 3))


def test_mirrored_twice_is_the_same() -> None:
    frames = scenes()
    again = frames.mirrored(torch.tensor([True, True])).mirrored(torch.tensor([True, True]))
    assert torch.equal(again.images, frames.images) and torch.equal(again.geometry.pose, frames.geometry.pose)


def test_picked_frames_keep_their_cameras() -> None:
    frames, order = scenes(), torch.tensor([[2, 0], [1, 1]])
    picked = frames.picked(order)
    for scene in range(2):
        for place, frame in enumerate(order[scene].tolist()):
            assert torch.equal(picked.images[scene, place], frames.images[scene, frame])
            assert torch.equal(picked.geometry.pose[scene, place], frames.geometry.pose[scene, frame])
            assert picked.geometry.focal[scene, place] == frames.geometry.focal[scene, frame]
    assert len(frames[1:]) == 1 and torch.equal(frames[1:].images[0], frames.images[1])


def test_observations_become_one_scene_and_join_others_at_their_size() -> None:
    cameras = [Camera.orbit(angle, 10.0, width_px=8) for angle in (0.0, 90.0)]
    image = torch.cat([torch.full((8, 8, 3), 0.5), torch.full((8, 8, 1), 0.25)], dim=-1)
    frames = Frames.of(Observations(tuple(View(image, camera) for camera in cameras)))
    assert frames.images.shape == (1, 2, 4, 8, 8)
    assert frames.images[0, 0, :, 0, 0].tolist() == [0.125, 0.125, 0.125, 0.25]
    assert frames.geometry.focal[0, 0].item() == pytest.approx(cameras[0].focal_px[1].item() / 8)
    larger = Frames(torch.full((1, 1, 4, 16, 16), 0.75), frames.picked(torch.tensor([[1]])).geometry)
    joined = frames.joined(larger)
    assert joined.images.shape == (1, 3, 4, 8, 8)
    torch.testing.assert_close(joined.images[0, 2], torch.full((4, 8, 8), 0.75))
    assert torch.equal(joined.geometry.pose[0, 2], cameras[1].camera_to_world)
