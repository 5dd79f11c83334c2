"""Which scenes a seed gives: fixed for the training families, and never of a held-out kind by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerf2mesh.procedural import grammar
from nerf2mesh.procedural.families import FAMILIES, HELD_OUT_FAMILIES
from nerf2mesh.procedural.families import held_out as makers
from nerf2mesh.procedural.grammar import ViewConfig, draw_parts, sample_cameras, sample_scenes
from nerf2mesh.procedural.palette import Palette
from nerf2mesh.procedural.parts import MAX_PARTS
from nerf2mesh.procedural.render import SceneRenderer

PARTS_OF_SEED = {
    0: (9, 365.013, 3300.288),
    1: (7, 221.3255, 1707.557),
    2: (4, 114.573, 1401.96),
    3: (2, 47.4143, 376.336),
    4: (4, 77.9257, 556.855),
    5: (5, 154.6206, 1111.347),
    6: (6, 226.7169, 2220.431),
    7: (9, 372.8069, 2324.147),
    511: (4, 124.0142, 841.99),
    20000: (9, 305.2486, 2708.354),
    24575: (7, 203.8779, 2655.098),
    45055: (6, 184.7536, 1825.33),
    1073741824: (3, 136.7718, 1556.55),
}
"""Scenes that weights were trained on: seed -> (parts, sum and sum of squares of the scene's numbers)."""


@pytest.mark.parametrize("seed", PARTS_OF_SEED)
def test_training_scenes_stay_as_they_are(seed: int) -> None:
    """Data version 1: weights in use were trained on these."""
    scene = sample_scenes([seed])
    used = scene.shapes[0, :, 2] > -40
    values = torch.cat([scene.shapes[0][used].flatten(), scene.colors[0][used].flatten(), scene.light[0]]).double()
    values = torch.cat([values, scene.center[0].double(), scene.scale.double(), scene.rotation.flatten().double()])
    parts, total, squares = PARTS_OF_SEED[seed]
    assert int(used.sum()) == parts
    assert float(values.sum()) == pytest.approx(total, rel=1e-5, abs=1e-4)
    assert float(values.square().sum()) == pytest.approx(squares, rel=1e-5)


def test_defaults_never_draw_a_held_out_family(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list:
        raise AssertionError("a held-out family was drawn")

    assert not set(FAMILIES) & set(HELD_OUT_FAMILIES)
    monkeypatch.setattr(grammar, "HELD_OUT_FAMILIES", dict.fromkeys(HELD_OUT_FAMILIES, (refuse, 1.0)))
    for seed in range(200):
        draw_parts(seed)
    with pytest.raises(AssertionError, match="held-out"):
        sample_scenes([0], list(HELD_OUT_FAMILIES))


def test_unknown_families_are_named() -> None:
    with pytest.raises(ValueError, match="boat"):
        sample_scenes([0], ["boat"])


@pytest.mark.parametrize("family", HELD_OUT_FAMILIES)
def test_held_out_families_fit_the_frame(family: str) -> None:
    make = getattr(makers, family)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        assert 4 <= len(make(rng, Palette(rng))) <= MAX_PARTS
    scenes = sample_scenes(range(4), [family])
    views = SceneRenderer().render(scenes, sample_cameras(range(4), ViewConfig(n_views=2, size_px=24)))
    alpha = views["rgba"][..., 3]
    assert (alpha.flatten(1).mean(1) > 0.01).all()
    border = torch.cat([alpha[..., 0, :], alpha[..., -1, :], alpha[..., :, 0], alpha[..., :, -1]], dim=-1)
    assert float(border.mean()) < 0.02
