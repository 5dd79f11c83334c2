"""Masks against discs of known coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.foreground import find_foreground
from nerf2mesh.inputs.picture import read_picture
from tests.inputs.pictures import disc, disc_on, disc_rgba

RED = (200, 40, 30)


def _found(image: Image.Image, folder: Path, suffix: str = "png", **config: object):
    file = folder / f"picture.{suffix}"
    image.save(file)
    return find_foreground(read_picture(file), InputConfig(image=str(file), **config))


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(np.minimum(mask, truth).sum() / np.maximum(mask, truth).sum())


def test_alpha_is_taken_as_it_is(tmp_path: Path) -> None:
    found = _found(disc_rgba(RED, (0, 255, 0)), tmp_path)
    assert found.method == "alpha"
    assert np.abs(found.rgba[..., 3] - disc()).max() < 0.003


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (90, 140, 200)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_plain_background(background: tuple[int, int, int], suffix: str, tmp_path: Path) -> None:
    found = _found(disc_on(background, RED), tmp_path, suffix)
    assert found.method == "plain" or suffix == "jpg"  # the flood takes what JPEG leaves around an edge
    assert _iou(found.rgba[..., 3], disc()) > (0.99 if suffix == "png" else 0.95)


def test_plain_edge_has_no_halo(tmp_path: Path) -> None:
    found = _found(disc_on((255, 255, 255), RED), tmp_path)
    visible = found.rgba[..., 3] > 0
    assert np.abs(found.rgba[visible][:, :3] * 255 - RED).max() < 3


def test_shaded_background_is_still_plain(tmp_path: Path) -> None:
    ramp = np.linspace(120, 250, 96)[None, :, None] * np.ones((96, 1, 3)) + np.linspace(0, -40, 96)[:, None, None]
    found = _found(disc_on(ramp, RED), tmp_path)
    assert found.method == "plain" and _iou(found.rgba[..., 3], disc()) > 0.97


def test_small_light_spot_stays_and_large_hole_opens(tmp_path: Path) -> None:
    image = np.asarray(disc_on((255, 255, 255), RED, size=128, radius=50.0)).copy()
    spot, hole = disc(128, 2.5, (40, 64)) > 0.5, disc(128, 15.0, (80, 64)) > 0.5
    image[spot | hole] = 255
    alpha = _found(Image.fromarray(image), tmp_path).rgba[..., 3]
    assert alpha[spot].min() > 0.5 and alpha[disc(128, 11.0, (80, 64)) > 0.5].max() == 0


def test_grabcut_on_a_busy_background(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    blobs = ndimage.gaussian_filter(rng.normal(0, 1, (128, 128)), 4)[..., None] * 400
    noise = np.clip(130 + blobs + rng.normal(0, 6, (128, 128, 1)), 0, 255) * np.array([0.4, 1.0, 0.5])
    found = _found(disc_on(noise, RED, size=128, radius=38.0), tmp_path, foreground="grabcut")
    assert "grabcut" in found.method and found.warnings
    assert _iou(found.rgba[..., 3], disc(128, 38.0)) > 0.95


def test_grabcut_does_not_depend_on_what_ran_before(tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(0)
    image = disc_on(rng.integers(0, 255, (96, 96, 3)), RED)
    masks = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        masks.append(_found(image, tmp_path, foreground="grabcut").rgba)
    assert np.array_equal(*masks)


@pytest.mark.parametrize("method", ["auto", "alpha", "plain", "grabcut"])
def test_empty_mask(method: str, tmp_path: Path) -> None:
    clear = method in ("auto", "alpha")
    image = Image.new("RGBA", (64, 64), (9, 9, 9, 0)) if clear else Image.new("RGB", (64, 64), (9, 9, 9))
    with pytest.raises(ValueError, match=r"got an empty mask .* cut the object out"):
        _found(image, tmp_path, foreground=method)


def test_full_mask(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got a full mask .*foreground=none"):
        _found(Image.new("RGBA", (64, 64), (9, 200, 9, 255)), tmp_path, foreground="alpha")
    assert _found(Image.new("RGB", (64, 64), (9, 200, 9)), tmp_path, foreground="none").share == 1.0


def test_uniform_picture_has_no_object(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got an empty mask"):
        _found(Image.new("RGB", (64, 64), (120, 120, 120)), tmp_path)


def test_unknown_method_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"input\.foreground: expected one of auto, alpha.*got 'magic'"):
        InputConfig(foreground="magic")
