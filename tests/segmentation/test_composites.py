"""Composites against what they are said to be made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.segmentation.backgrounds import draw_background
from nerf2mesh.segmentation.composites import composite
from nerf2mesh.segmentation.cutouts import drawn_cutout
from nerf2mesh.segmentation.photograph import framed
from nerf2mesh.segmentation.stream import GROUP, CompositeStream
from nerf2mesh.segmentation.textures import STORED_PX, spectral


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.6])
def test_noise_has_the_spectrum_of_its_exponent(exponent: float) -> None:
    power = np.zeros((STORED_PX, STORED_PX))
    for seed in range(8):
        power += np.abs(np.fft.fft2(spectral(np.random.default_rng(seed), STORED_PX, exponent))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(STORED_PX), np.fft.fftfreq(STORED_PX)))
    used = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[used]), np.log(power[used]), 1)[0]
    assert slope == pytest.approx(-2 * exponent, abs=0.1)


def test_a_number_gives_the_same_composites_in_any_order() -> None:
    streams = [CompositeStream(None, [], 0.0, seed=5, n_scenes=0) for _ in range(2)]
    streams[1].group(3, 48)
    for a, b in zip(streams[0].group(7, 48), streams[1].group(7, 48), strict=True):
        assert np.array_equal(a, b) and a.dtype == np.uint8
    other = CompositeStream(None, [], 0.0, seed=6, n_scenes=0).group(7, 48)
    assert not np.array_equal(streams[0].group(7, 48)[0], other[0])


def test_objects_are_seen_and_leave_ground_around_them() -> None:
    stream = CompositeStream(None, [], 0.0, seed=0, n_scenes=0)
    masks = np.concatenate([stream.group(k, 64)[1] for k in range(8)])
    share = (masks > 127).mean((1, 2))
    assert len(masks) == 8 * GROUP and share.min() > 0.004 and np.median(share) < 0.5
    assert np.quantile(share, 0.9) > 3 * np.quantile(share, 0.1)


def test_objects_differ_from_the_ground_where_nothing_hides_them() -> None:
    """Over the same ground with and without the object, colors change inside of the mask far more than outside."""
    inside, outside = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        cutout = drawn_cutout(rng)
        ground = draw_background(np.random.default_rng([seed, 1]), 64, [])[0]
        picture, mask = composite(np.random.default_rng([seed, 1]), 64, [cutout], [])
        change = np.abs(picture / 255.0 - ground).mean(-1)
        if (mask > 250).any():
            inside.append(change[mask > 250].mean())
            outside.append(np.median(change[mask < 5]))
    assert np.median(inside) > 2.0 * np.median(outside)


def test_the_mask_moves_with_a_framed_picture() -> None:
    """A picture whose red channel is the mask stays one inside of bars and cards."""
    y, x = np.mgrid[0:96, 0:96]
    mask = (np.hypot(x - 40, y - 52) < 20).astype(np.float32)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        picture = np.stack([mask, 0 * mask, 0 * mask], -1)
        outer, inner = framed(rng, picture, mask)
        red = (outer[..., 0] > 0.5) & (outer[..., 1:].max(-1) < 0.25)
        both, either = (red & (inner > 0.5)).sum(), (red | (inner > 0.5)).sum()
        frame_is_red = outer[0, 0, 0] > 0.5 and outer[0, 0, 1:].max() < 0.25
        assert frame_is_red or both / either > 0.95


def test_a_broken_mesh_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "bad.obj").write_text("this is no mesh\n", encoding="utf-8")
    folder = ObjectFolder(tmp_path)
    stream = CompositeStream(folder, folder.entries, 0.5, seed=0, n_scenes=0)
    assert stream.group(0, 32)[0].shape == (GROUP, 32, 32, 3)
    assert capsys.readouterr().out.count("skipped") == 1
