"""Which of the given pictures color the mesh, and how much is blurred away."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nerf2mesh import load_config
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.run.finish import _finish_colors
from nerf2mesh.run.result import Result
from nerf2mesh.types import Camera, Observations, View

RED = View(torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(128, 128, 4), Camera.orbit(0.0, 0.0, width_px=128))
PRIOR = SimpleNamespace(image_size=64, render_px=32)


def finished(*overrides: str, view: View = RED) -> tuple[np.ndarray, dict[str, object]]:
    """Vertex colors of a grainy ball after the last two steps, and the facts."""
    ball = icosphere(4, 0.6)
    grain = np.random.default_rng(0).random((ball.n_vertices, 3)).astype(np.float32)
    ball = replace(ball, vertex_colors=grain)
    result = Result(ball, None, None, Observations((view,)), load_config(["mesh.palette=0", *overrides]), lods=[ball])
    facts = _finish_colors(result, PRIOR)
    assert np.array_equal(result.mesh.vertex_colors, result.lods[0].vertex_colors)
    front = ball.vertices[:, 0] > 0.5
    assert np.array_equal(
        result.mesh.vertex_colors[~front].std(0) < 0.9 * grain.std(0), [facts["color_radius"] > 0] * 3
    )
    return result.mesh.vertex_colors[front], facts


def test_the_front_is_the_pictures_and_the_blur_half_a_pixel_of_the_priors_views():
    front, facts = finished()
    assert np.abs(front - [1, 0, 0]).max() < 1e-3 and facts["given_views"]["share"] > 0.1
    assert facts["color_radius"] == pytest.approx(0.5 * 3.2 * 2 * np.tan(np.radians(20)) / 32, rel=1e-4)


@pytest.mark.parametrize("setting", ["mesh.given_views=false", "optimize.weight_color=0"])
def test_who_does_not_want_the_pictures_colors_does_not_get_them(setting):
    front, facts = finished(setting)
    assert "given_views" not in facts and front[:, 1].mean() > 0.3


def test_drawings_and_views_without_weight_do_not_color_the_mesh():
    for view in (replace(RED, domain="lineart"), replace(RED, weight=0.0)):
        front, facts = finished(view=view)
        assert "given_views" not in facts and front[:, 1].mean() > 0.3


def test_hidden_sides_take_the_pictures_colors_unless_it_is_a_drawing_or_not_wanted() -> None:
    near_red = np.tile(np.float32([0.9, 0.15, 0.15]), (2562, 1))
    for view, setting, drawn in (
        (RED, "mesh.palette=7", True),
        (RED, "mesh.palette=0", False),
        (replace(RED, domain="lineart"), "mesh.palette=7", False),
    ):
        ball = replace(icosphere(4, 0.6), vertex_colors=near_red)
        result = Result(ball, None, None, Observations((view,)), load_config([setting, "distill.weight=0"]))
        _finish_colors(result, PRIOR)
        behind = result.mesh.vertex_colors[ball.vertices[:, 0] < -0.5]
        assert (np.abs(behind - [1, 0, 0]).max() < 0.02) == drawn


def test_nothing_is_blurred_where_no_prior_steers_or_none_is_wanted():
    for setting in ("distill.weight=0", "mesh.color_radius=0"):
        assert finished(setting)[1]["color_radius"] == 0.0
    assert finished("mesh.color_radius=0.2")[1]["color_radius"] == 0.2
    with pytest.raises(ValueError, match=r"mesh\.color_radius: expected a number from 0 to 2"):
        load_config(["mesh.color_radius=-1"])
