"""Resampling against brute force, and what becomes of a disc on its way to a View."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.inputs import InputConfig, demo_picture, load_observations
from nerf2mesh.inputs.framing import object_window, resample, whole_window
from nerf2mesh.types import Camera
from tests.inputs.pictures import disc, disc_rgba

RED = (200, 40, 30)


def test_whole_factor_is_the_block_mean_of_premultiplied_color() -> None:
    rgba = np.random.default_rng(0).random((48, 48, 4)).astype(np.float32)
    small = resample(rgba, (0.0, 0.0, 48.0), 12)
    premultiplied = rgba[..., :3] * rgba[..., 3:]
    alpha = rgba[..., 3].reshape(12, 4, 12, 4).mean((1, 3))
    color = premultiplied.reshape(12, 4, 12, 4, 3).mean((1, 3)) / alpha[..., None]
    assert np.allclose(small[..., 3], alpha, atol=1e-6) and np.allclose(small[..., :3], color, atol=1e-5)


def test_fractional_window_keeps_the_total() -> None:
    rgba = np.zeros((40, 40, 4), np.float32)
    rgba[10:30, 12:25] = 1.0
    window = (-3.3, -5.7, 52.1)
    result = resample(rgba, window, 17)
    assert result[..., 3].sum() * (52.1 / 17) ** 2 == pytest.approx(20 * 13, rel=1e-5)


def test_identity_window_changes_nothing() -> None:
    rgba = np.random.default_rng(0).uniform(0.1, 1, (20, 20, 4)).astype(np.float32)
    assert np.allclose(resample(rgba, whole_window(20, 20), 20), rgba, atol=1e-6)


def test_enlarging_interpolates() -> None:
    ramp = np.ones((16, 16, 4), np.float32)
    ramp[..., 0] = np.arange(16) / 16
    large = resample(ramp, (2.0, 2.0, 8.0), 32)
    assert np.allclose(np.diff(large[4, :, 0]), 1 / 16 / 4, atol=1e-5)


def test_window_outside_the_picture_is_transparent() -> None:
    result = resample(np.ones((10, 20, 4), np.float32), whole_window(10, 20), 20)
    assert result[:5, :, 3].max() == 0 and result[5:15, :, 3].min() == 1 and result[15:, :, 3].max() == 0


def _load(folder: Path, image: Image.Image, **config: object):
    file = folder / "picture.png"
    image.save(file)
    return load_observations(InputConfig(image=str(file), **config))


def test_object_is_centerd_scaled_and_clean(tmp_path: Path) -> None:
    image = disc_rgba(RED, (0, 255, 0), size=200, radius=30.0, center=(60.0, 90.0))
    view = _load(tmp_path, image, size_px=64, fill=0.75).views[0]
    truth = disc(64, radius=24.0)
    assert view.image.shape == (64, 64, 4) and view.image.dtype == torch.float32
    assert np.abs(view.image[..., 3].numpy() - truth).mean() < 0.01
    visible = view.image[..., 3] > 0
    assert (view.image[visible][:, :3] * 255 - torch.tensor(RED)).abs().max() < 1.0


def test_framing_is_kept_without_recenter(tmp_path: Path) -> None:
    image = disc_rgba(RED, (0, 0, 0), size=128, radius=20.0, center=(40.0, 70.0))
    view = _load(tmp_path, image, size_px=32, recenter=False, elevation_deg=20.0, fov_deg=33.0).views[0]
    assert np.abs(view.image[..., 3].numpy() - disc(32, radius=5.0, center=(10.0, 17.5))).max() < 0.02
    expected = Camera.orbit(0.0, 20.0, fov_deg=33.0, width_px=32)
    assert torch.equal(view.camera.camera_to_world, expected.camera_to_world)
    assert torch.equal(view.camera.focal_px, expected.focal_px)


def test_notes_for_the_report(tmp_path: Path) -> None:
    image = disc_rgba(RED, (0, 0, 0), size=128, radius=30.0, center=(10.0, 70.0))
    notes = _load(tmp_path, image).notes
    assert notes["foreground"] == "alpha" and len(notes["sha256"]) == 64 and notes["file_size_px"] == (128, 128)
    assert notes["picture"].shape == (128, 128, 3) and notes["mask"].dtype == np.uint8
    assert any("touches the picture's border" in warning for warning in notes["warnings"])


def test_tiny_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an object of at least 12 px, got \d px"):
        _load(tmp_path, disc_rgba(RED, (0, 0, 0), size=64, radius=4.0))


def test_window_of_a_box() -> None:
    alpha = np.zeros((50, 60))
    alpha[10:20, 30:50] = 1.0
    assert object_window(alpha, 0.5) == (20.0, -5.0, 40.0)


@pytest.mark.parametrize(
    "bad", [{"fill": 0.0}, {"size_px": 4}, {"fov_deg": 0.0}, {"distance": 0.5}, {"elevation_deg": 99}]
)
def test_config_bounds(bad: dict[str, float]) -> None:
    name = next(iter(bad))
    with pytest.raises(ValueError, match=rf"input\.{name}: expected .* got .*; leave"):
        InputConfig(**bad)


@pytest.mark.parametrize("name", ["duck", "wizard"])
def test_demo_pictures(name: str) -> None:
    notes = load_observations(InputConfig(image=str(demo_picture(name)))).notes
    assert notes["foreground"] == "alpha" and 0.05 < notes["mask_share"] < 0.6 and notes["warnings"] == []


def test_unknown_demo_picture() -> None:
    with pytest.raises(ValueError, match="expected duck or wizard, got 'cat'"):
        demo_picture("cat")
