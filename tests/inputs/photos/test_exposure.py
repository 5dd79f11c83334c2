"""Exposures from shared points, against known ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from nerf2mesh.inputs.photos.exposure import brightness, evened, exposed, log_exposures
from nerf2mesh.inputs.picture import Picture


def _values(rng: np.random.Generator, gains: np.ndarray, n_points: int = 300, wrong: float = 0.15) -> tuple:
    """Each picture sees half of the points; a share of the values is nonsense."""
    picture, point = np.nonzero(rng.random((len(gains), n_points)) < 0.5)
    value = gains[picture] + rng.normal(-1.5, 0.6, n_points)[point] + rng.normal(0.0, 0.02, len(picture))
    bad = rng.random(len(picture)) < wrong
    return picture, point, np.where(bad, value + rng.normal(0.0, 2.0, len(picture)), value)


def test_known_exposures_come_back_among_false_matches() -> None:
    rng = np.random.default_rng(0)
    gains = rng.uniform(-0.5, 0.5, 9)
    found = log_exposures(*_values(rng, gains), 9)
    assert found == pytest.approx(gains - np.median(gains), abs=0.01)


def test_a_picture_that_shares_little_keeps_its_exposure() -> None:
    rng = np.random.default_rng(1)
    picture, point, value = _values(rng, np.array([0.0, 0.4, -0.3, 0.2]), wrong=0.0)
    few = np.flatnonzero(picture == 3)[:5]
    kept = np.concatenate([np.flatnonzero(picture != 3), few])
    found = log_exposures(picture[kept], point[kept], value[kept], 4)
    assert found[3] == 0.0 and found[1] - found[2] == pytest.approx(0.7, abs=0.01)
    alone = 300 + np.arange(40)  # points that no other picture has
    many = [np.append(kept_of, more) for kept_of, more in ((picture[kept], alone * 0 + 3), (point[kept], alone))]
    assert log_exposures(*many, np.append(value[kept], np.ones(40)), 4) == pytest.approx(found)
    assert not log_exposures(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 3).any()


def _picture(scale: float) -> Picture:
    """A ramp of linear light up to 0.4 times `scale`, by the curve of the sRGB standard."""
    linear = np.clip(np.linspace(0.02, 0.4, 4096).reshape(64, 64) * scale, 0.0, 1.0)
    srgb = 1.055 * linear ** (1 / 2.4) - 0.055
    rgba = np.concatenate([np.repeat(srgb[..., None], 3, -1), np.ones((64, 64, 1))], -1)
    return Picture(np.round(255 * rgba).astype(np.uint8), True, "ramp", "PNG", (64, 64), "")


def test_light_doubles_where_the_exposure_does() -> None:
    pixels = np.stack(np.meshgrid(np.arange(4, 60), np.arange(4, 60)), -1).reshape(-1, 2) + 0.5
    one, two = (brightness(_picture(scale).rgba, pixels) for scale in (1.0, 2.0))
    assert two / one == pytest.approx(2.0, rel=0.03)
    brought = exposed(_picture(2.0), -np.log(2.0)).rgba.astype(int)
    assert np.abs(brought - _picture(1.0).rgba).max() <= 2


def test_pictures_of_a_model_are_brought_to_one_exposure() -> None:
    """Three pictures of one ramp with 0.7, 1 and 1.4 times the light, tracked at the same pixels."""
    rng = np.random.default_rng(2)
    at = rng.uniform(3, 61, (200, 2))
    names = ["a.png", "b.png", "c.png"]
    pictures = dict(zip(names, map(_picture, (0.7, 1.0, 1.4))))
    seen = [SimpleNamespace(xy=xy, point3D_id=k, has_point3D=lambda: True) for k, xy in enumerate(at)]
    model = SimpleNamespace(images={k: SimpleNamespace(name=name, points2D=seen) for k, name in enumerate(names)})
    found, facts = evened(model, pictures, names)
    assert facts["exposures_differ_by"] == pytest.approx(2.0, rel=0.03)
    assert max(np.abs(found[name].rgba.astype(int) - pictures["b.png"].rgba).max() for name in names) <= 4
    same, told = evened(model, dict.fromkeys(names, pictures["b.png"]), names)
    assert told["exposures_differ_by"] == pytest.approx(1.0) and same["a.png"] is pictures["b.png"]
