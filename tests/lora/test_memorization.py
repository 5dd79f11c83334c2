"""The check for memorization: shells and distances against closed forms, the test's chance against counting, and that
outputs which are training items are flagged, and outputs which are what the pictures show are not."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nerf2mesh.lora.hull import draw, grid_points, inside, shell_of
from nerf2mesh.lora.memorization import check
from nerf2mesh.lora.memorization.distances import apart, nearest, views_of
from nerf2mesh.lora.memorization.page import record, write_check
from nerf2mesh.lora.train.style import train_style
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.types import Camera
from tests.lora.test_style import config, folder, weights  # noqa: F401  (fixtures)

CAMERAS = Camera.orbit(torch.tensor([0.0, 55.0, 120.0, 200.0, 290.0, 30.0]), torch.tensor([5.0, 20, -10, 40, 10, 75]))


def ball_views(radius: float, color: tuple[float, float, float], size: int, stretch: float = 1.0) -> Tensor:
    """Premultiplied views [6, 4, s, s] of a ball in the middle, by the angle between ray and axis; `stretch` flattens
    it in the world's z by intersecting the ellipsoid exactly."""
    cameras = CAMERAS.resized(size, size)
    rays = cameras.rays()
    scale = torch.tensor([1.0, 1.0, stretch])
    origin, direction = rays.origins * scale, rays.directions * scale
    direction = direction / direction.norm(dim=-1, keepdim=True)
    miss = origin - (origin * direction).sum(-1, keepdim=True) * direction
    alpha = (miss.norm(dim=-1) < radius).float()
    return torch.cat([torch.tensor(color)[:, None, None] * alpha[:, None], alpha[:, None]], dim=1)


def frames_of(scenes: list[Tensor]) -> Frames:
    """The scenes' views as training has them, the first view doubled as the picture."""
    images = torch.stack([torch.cat([views[:1], views]) for views in scenes])
    order = [0, *range(6)]
    pose = CAMERAS.camera_to_world[order].expand(len(scenes), -1, -1, -1)
    focal = (CAMERAS.focal_px[order, 1] / CAMERAS.height_px).expand(len(scenes), -1)
    geometry = FrameGeometry(pose, focal, torch.zeros(len(scenes), dtype=torch.bool))
    return Frames((images * 255).round().to(torch.uint8), geometry)


def test_a_ball_is_inside_its_hull_and_drawn_where_it_is() -> None:
    views = ball_views(0.6, (0.8, 0.2, 0.1), 64)
    cameras = CAMERAS.resized(64, 64)
    distance = grid_points(48)[inside(views[:, 3] > 0.5, cameras, 48)].norm(dim=-1)
    ball = (grid_points(48).norm(dim=-1) < 0.57).sum()
    assert ((distance < 0.57).sum() == ball) and distance.max() < 0.85
    shell = shell_of(views, cameras)
    assert shell.points.norm(dim=-1).min() > 0.5
    seen = shell.colors[(shell.colors != 0.5).any(-1)]  # gray is what no view shows: the layer below the surface
    torch.testing.assert_close(seen, torch.tensor([0.8, 0.2, 0.1]).expand_as(seen))
    assert len(seen) > 0.8 * len(shell.colors)
    silhouette, color = apart(draw(shell, cameras.resized(32, 32)), ball_views(0.6, (0.8, 0.2, 0.1), 32))
    assert silhouette < 0.12 and color < 0.02


def test_distances_in_closed_form() -> None:
    a, b = torch.zeros(2, 1, 4, 8, 8)
    a[..., 3, :, :4], b[..., 3, :, 2:6] = 1.0, 1.0  # 32 pixels each, 16 of them together
    a[:, 0, :, :4] = 0.9
    b[:, 0, :, 2:6] = 0.3
    assert apart(a, b) == pytest.approx((1 - 16 / 48, 0.6 / 3))
    assert apart(a, a) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert apart(a, a.flip(-1)) == pytest.approx((1.0, 1.0))


def test_the_nearest_item_is_found_also_in_the_mirror() -> None:
    """A shell that was moved to the side: one item is it, another its mirror image."""
    items = frames_of([ball_views(r, (0.5, 0.5, 0.5), 32) for r in (0.3, 0.5, 0.7)])
    small = [views_of(items, i, 32) for i in range(3)]
    found = nearest(shell_of(*views_of(items, 1, 32)), small)
    assert found[0].item == 1 and found[0].total < 0.2 < found[1].total
    shell = shell_of(*views_of(items, 1, 32))
    moved = type(shell)(shell.points + torch.tensor([0.0, 0.3, 0.0]), shell.colors)
    cameras = CAMERAS.resized(32, 32)
    found = nearest(moved, [(draw(moved.mirrored(), cameras), cameras)])
    assert found[0].mirrored and found[0].total == pytest.approx(0.0, abs=1e-5)


def test_the_chance_is_that_of_counting() -> None:
    """Of all orders of 3 outputs and 4 references: in how many are the 2 smallest outputs?"""
    orders = list(itertools.permutations("ooorrrr"))
    hits = sum(order[:2] == ("o", "o") for order in orders)
    assert check.precedence(2, 3, 4) == pytest.approx(hits / len(orders))
    assert check.precedence(0, 3, 4) == 1.0


COLORS = [(0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.9), (0.8, 0.8, 0.1)]


@pytest.mark.parametrize("copies", [True, False])
def test_copies_are_flagged_and_honest_outputs_are_not(copies: bool, monkeypatch, tmp_path: Path) -> None:
    """A stand-in for the network: with the adapter it gives a training item, or what the picture shows."""
    learnt = [ball_views(0.35 + 0.1 * i, COLORS[i], 64) for i in range(4)]
    shown = [ball_views(0.3 + 0.07 * i, (0.4, 0.1 * i, 0.5), 64, stretch=2.0) for i in range(6)]
    bare = [ball_views(0.5, (0.5, 0.5, 0.5), 64, stretch=0.6 + 0.1 * i) for i in range(6)]
    active = {"now": True}

    def sample(prior, scene: Frames, generator, *, hidden: bool) -> Tensor:
        bytes_of = [(views * 255).round().to(torch.uint8) for views in shown]
        probe = next(i for i in range(6) if torch.equal(scene.images[0, 1:], bytes_of[i]))
        if not active["now"]:
            return bare[probe]
        return learnt[probe % 4] if copies else bare[(probe + 1) % 6] if hidden else shown[probe]

    class Using:
        def __init__(self, network, asked: dict) -> None:
            active["now"] = bool(asked)

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(check, "sample_views", sample)
    monkeypatch.setattr(check.adapters, "using", Using)
    monkeypatch.setattr(check.adapters, "stacked", lambda network: {"style": 1.0})
    prior = type("Prior", (), {"network": None})()
    found = check.check_memorization(prior, frames_of(learnt), frames_of(shown))  # pyright: ignore[reportArgumentType]
    assert found.flagged is copies and len(found.outputs) == 12
    assert (len(found.copies) == 12) is copies
    names = [f"{i}.png" for i in range(4)]
    text = write_check(tmp_path, found, names).read_text(encoding="utf-8")
    assert text.count("data:image/png") == 12 and "http" not in text.replace("http-equiv", "")
    nearest_of = [row["nearest"] for row in record(found, names)["outputs"]]  # pyright: ignore
    assert not copies or nearest_of == [f"{probe % 4}.png" for probe in range(6) for _ in range(2)]


@pytest.mark.slow
def test_training_ends_with_the_check(folder: Path, weights: Path, tmp_path: Path) -> None:  # noqa: F811
    path = train_style(config(folder, weights, tmp_path / "run", steps=1, memorization_probes=1))
    found = json.loads((tmp_path / "run/memorization.json").read_text())
    assert len(found["outputs"]) == 2 and found["flagged"] is False
    assert (tmp_path / "run/memorization.html").is_file() and path.is_file()
    again = json.loads(json.dumps(found))
    train_style(config(folder, weights, tmp_path / "run", steps=1, memorization_probes=1))
    assert json.loads((tmp_path / "run/memorization.json").read_text()) == again
