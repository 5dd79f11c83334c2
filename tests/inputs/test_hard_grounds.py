"""Masks where neither a flood of the background nor GrabCut from the middle finds the object, against drawn truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs import InputConfig
from nerf2mesh.inputs.bars import content_window
from nerf2mesh.inputs.foreground import Foreground, find_foreground
from nerf2mesh.inputs.mask_quality import EdgeMap, agreement
from nerf2mesh.inputs.picture import read_picture
from tests.inputs.drawn import SIZE, ball, iou, picture


def _found(image: Image.Image, folder: Path, **config: object) -> Foreground:
    file = folder / "picture.png"
    image.save(file)
    return find_foreground(read_picture(file), InputConfig(image=str(file), **config))


@pytest.mark.parametrize("kind", ["white", "dark", "vignette", "shadow", "busy"])
def test_a_ball_is_found(kind: str, tmp_path: Path) -> None:
    image, truth = picture(kind)
    assert iou(_found(image, tmp_path).rgba[..., 3] > 0.5, truth) > 0.93


@pytest.mark.parametrize("bar", [(30, 0), (0, 36)])
def test_bars_are_left_out(bar: tuple[int, int], tmp_path: Path) -> None:
    image, truth = picture("busy")
    pad = ((bar[0], bar[0]), (bar[1], bar[1]))
    barred = np.pad(np.asarray(image), (*pad, (0, 0)))
    found = _found(Image.fromarray(barred), tmp_path)
    assert iou(found.rgba[..., 3] > 0.5, np.pad(truth, pad)) > 0.93
    assert any("bars or a frame" in line for line in found.warnings)


def test_a_framed_card_is_not_the_object(tmp_path: Path) -> None:
    image, truth = picture("busy")
    card = np.pad(np.asarray(image), ((24, 40), (30, 30), (0, 0)), constant_values=250)
    found = _found(Image.fromarray(card), tmp_path)
    assert iou(found.rgba[..., 3] > 0.5, np.pad(truth, ((24, 40), (30, 30)))) > 0.93


@pytest.mark.parametrize("kind", ["white", "dark", "vignette", "shadow", "busy"])
def test_a_ground_around_an_object_is_no_frame(kind: str) -> None:
    window = content_window(np.asarray(picture(kind)[0]))
    assert window.area == SIZE * SIZE


def test_window_of_two_bars_and_a_frame_inside() -> None:
    rng = np.random.default_rng(0)
    rgb = np.zeros((120, 160, 3), np.uint8)
    rgb[20:100] = 255
    rgb[28:92, 12:148] = rng.integers(0, 200, (64, 136, 3))
    window = content_window(rgb)
    assert (window.top, window.bottom, window.left, window.right) == pytest.approx((28, 92, 12, 148), abs=2)


def test_edges_of_the_true_mask_are_edges_of_the_picture() -> None:
    for kind in ("white", "shadow", "busy"):
        image, truth = picture(kind)
        edges = EdgeMap(np.asarray(image))
        moved = np.roll(truth, 25, axis=1)
        assert edges.alignment(truth) > 0.7 and edges.alignment(moved) < 0.3


def test_agreement_is_the_expected_iou() -> None:
    """Were the pixels independent: against the mean over drawn masks."""
    rng = np.random.default_rng(0)
    probability = np.clip(ball((32, 32), 20, 64)[1] + 0.02, 0, 1)
    mask = probability > 0.5
    drawn = [iou(rng.random((64, 64)) < probability, mask) for _ in range(200)]
    assert agreement(mask, probability) == pytest.approx(np.mean(drawn), abs=0.02)
