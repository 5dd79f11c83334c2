"""Drawings against shapes whose lines are known."""

from __future__ import annotations

import math

import pytest
import torch

from nerf2mesh.procedural.drawing import LOOK_FUNCTIONS, contours, creases, draw, line_strength, suggestive_contours
from nerf2mesh.procedural.exact import render_exact
from nerf2mesh.procedural.gbuffer import GBuffer, scene_gbuffer
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.parts import Part, pack_parts
from nerf2mesh.procedural.render import SceneRenderer, Scenes
from nerf2mesh.types import Camera


def one(*parts: Part) -> Scenes:
    shapes, colors = pack_parts([list(parts)])
    colors[:, :, :6] = 0.5
    light = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0]])
    return Scenes(shapes, colors, torch.eye(3)[None], torch.zeros(1, 3), torch.ones(1), light)


def seen(scene: Scenes, azimuth_deg: float = 0.0, elevation_deg: float = 0.0, size_px: int = 128) -> GBuffer:
    camera = Camera.orbit(torch.tensor([azimuth_deg]), elevation_deg, width_px=size_px)
    return {key: value[0] for key, value in render_exact(scene, camera).items()}


@pytest.fixture(scope="module")
def ball() -> GBuffer:
    return seen(one(Part(size=(0.6, 0.6, 0.6), ellipsoid=True)))


def test_exact_rendering_of_a_ball(ball: GBuffer) -> None:
    """Area, depth and facing in closed form."""
    focal = 64 / math.tan(math.radians(20))
    area = math.pi * (focal * 0.6 / math.sqrt(3.2**2 - 0.6**2)) ** 2
    assert float(ball["alpha"].sum()) == pytest.approx(area, rel=0.003)
    assert float(ball["depth"].where(ball["alpha"] > 0, torch.inf).min()) == pytest.approx(2.6, abs=1e-3)
    assert float(ball["facing"].max()) == pytest.approx(1.0, abs=1e-3)


def test_batched_renderer_gives_the_same_gbuffer() -> None:
    seeds = range(40, 42)
    scenes, cameras = sample_scenes(seeds), sample_cameras(seeds, ViewConfig(n_views=1, size_px=32))
    renderer = SceneRenderer(n_steps=60)
    many = scene_gbuffer(scenes, cameras, renderer)
    plain = renderer.render(scenes, cameras)["rgba"]
    assert torch.equal(plain[..., :3], many["rgb"]) and torch.equal(plain[..., 3], many["alpha"])
    for i in range(2):
        exact = render_exact(scenes[i : i + 1], cameras[i])
        both = (exact["alpha"] > 0.99) & (many["alpha"][i] > 0.99)
        assert both.float().mean() > 0.05
        for key in ("rgb", "albedo", "normal", "depth", "facing"):
            error = (exact[key] - many[key][i]).abs()[both]
            assert float(error.median()) < 2e-3, key


def test_a_ball_has_one_contour_and_no_other_line(ball: GBuffer) -> None:
    found = contours(ball)
    y, x = torch.nonzero(found).T.float() + 0.5
    radius = torch.hypot(x - 64, y - 64)
    true = math.sqrt(float((ball["alpha"] > 0.5).sum()) / math.pi)
    assert float((radius - true).abs().max()) < 2.5
    turns = torch.atan2(y - 64, x - 64).mul(18 / math.pi).floor().unique()
    assert len(turns) == 36  # all the way round
    assert not suggestive_contours(ball).any()
    assert not (creases(ball) & (ball["facing"] > 0.5)).any()


def test_a_box_shows_its_edges_as_creases() -> None:
    """Seen at azimuth 45 the box's upright edge lies in the picture's middle column."""
    box = seen(one(Part(size=(0.4, 0.4, 0.4), corner=0.0, edge=0.02)), azimuth_deg=45.0)
    found = creases(box)
    y, x = torch.nonzero(found).T
    assert len(torch.unique(y)) > 20
    assert ((x - 63.5).abs() <= 2).float().mean() > 0.9


def test_one_surface_before_another_has_a_contour() -> None:
    front = Part(center=(0.5, 0.0, 0.0), size=(0.2, 0.2, 0.2), ellipsoid=True, blend=0.001)
    wall = Part(center=(-0.4, 0.0, 0.0), size=(0.1, 0.7, 0.7), corner=0.0, edge=0.1, blend=0.001)
    buffer = seen(one(front, wall))
    near = buffer["depth"] < 2.8
    inner = contours(buffer) & (buffer["alpha"] > 0.99)
    assert (inner & near).sum() > 30
    grown = torch.nn.functional.max_pool2d(near.float()[None], 5, 1, 2)[0] > 0
    middle = torch.zeros_like(inner)
    middle[30:98, 30:98] = True
    assert not (inner & middle & ~grown).any()


def test_a_bowl_has_suggestive_contours_where_nothing_is_hidden() -> None:
    """A dent in a slab: its far slope nearly turns away, with no step in depth."""
    bump = Part(center=(0.0, 0.0, 0.1), size=(0.35, 0.35, 0.35), ellipsoid=True, blend=0.35)
    slab = Part(size=(0.8, 0.8, 0.1), corner=0.2, edge=0.8, blend=0.35)
    buffer = seen(one(slab, bump), elevation_deg=38.0)
    assert suggestive_contours(buffer).sum() > 5


@pytest.mark.parametrize("look", LOOK_FUNCTIONS)
def test_looks_keep_the_mask_and_are_repeatable(ball: GBuffer, look: str) -> None:
    picture = draw(ball, look, seed=3)
    assert picture.shape == (128, 128, 4) and torch.equal(picture[..., 3], ball["alpha"])
    assert float(picture.min()) >= 0 and float(picture.max()) <= 1
    assert torch.equal(picture, draw(ball, look, seed=3))
    batch = {key: torch.stack([value, value]) for key, value in ball.items()}
    assert torch.allclose(draw(batch, look, seed=3)[1], picture, atol=1e-6)
    if look == "pencil":
        assert not torch.equal(picture, draw(ball, look, seed=4))


def test_lines_lie_on_the_object_only(ball: GBuffer) -> None:
    assert not (line_strength(ball) * (ball["alpha"] == 0)).any()
    ink = 1 - draw(ball, "line")[..., 0]
    middle = ink[54:74, 54:74]
    assert float(middle.max()) < 0.01
    with pytest.raises(ValueError, match="look"):
        draw(ball, "watercolor")


def test_each_level_of_abstraction_keeps_a_part_of_the_lines_before() -> None:
    """A bar before a slab: line has creases, contour what stands before what, outline the border."""
    slab = Part(size=(0.5, 0.5, 0.3), corner=0.02, edge=0.02)
    bar = Part(center=(0.9, 0.0, 0.0), size=(0.1, 0.1, 0.6))
    buffer = seen(one(slab, bar), elevation_deg=20.0)
    dark = {look: draw(buffer, look)[..., 0] < 0.5 for look in ("line", "contour", "outline")}
    inside = buffer["alpha"] > 0.5
    assert not (dark["outline"] & ~dark["contour"] & inside).any()
    assert not (dark["contour"] & ~dark["line"] & inside).any()
    ink = {look: int((mask & inside).sum()) for look, mask in dark.items()}
    assert ink["line"] > ink["contour"] > ink["outline"] > 0
    away = torch.nn.functional.max_pool2d((~inside).float()[None], 9, 1, 4)[0] == 0
    assert not (dark["outline"] & away).any(), "nothing within the silhouette"
