"""Sheets of figures, and photographs whose azimuths are told: order, sides, one scale; the truth is an ellipsoid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from nerf2mesh import load_config
from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.figures import common_windows
from nerf2mesh.types import View

HALF = (0.35, 0.5, 0.8)
"""Half axes along x, y, z: the front shows y by z, the side x by z, the top y by x."""
COLORS = {"front": (200, 40, 40), "right": (40, 160, 60), "back": (50, 60, 200), "top": (200, 170, 40)}
SHOWN = {"front": (1, 2), "right": (0, 2), "back": (1, 2), "top": (1, 0)}


def _draw(pen: ImageDraw.ImageDraw, name: str, center: tuple[float, float], px: float) -> None:
    across, up = (HALF[k] * px for k in SHOWN[name])
    x, y = center
    pen.ellipse((x - across, y - up, x + across, y + up), fill=COLORS[name])


def _page(path: Path, placed: dict[str, tuple[float, float, float]], size: tuple[int, int] = (900, 400)) -> Path:
    """Figures by name at (x, y), with so many pixels for a world unit; a caption of small letters below each."""
    page = Image.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(page)
    for name, (x, y, px) in placed.items():
        _draw(pen, name, (x, y), px)
        pen.text((x - 12, y + 0.8 * px + 14), name, fill=(0, 0, 0))
    page.save(path)
    return path


ROW = {"front": (150, 180, 170), "right": (450, 190, 170), "back": (750, 185, 170)}


def _load(**settings: object) -> tuple[View, ...]:
    return load_observations(InputConfig(**{"kind": "sheet", "size_px": 128, "foreground": "plain", **settings})).views


def _inside(view: View) -> torch.Tensor:
    """Where the view's rays meet an ellipsoid of HALF, scaled to the height that the picture shows."""
    rays = view.camera.rays()
    scale = _height(view) / (2 * HALF[2])
    half = scale * torch.tensor(HALF)
    o, d = rays.origins / half, rays.directions / half
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
    return b * b - a * c > 0


def _height(view: View) -> float:
    """Of the object, in world units."""
    rows = torch.nonzero((view.image[..., 3] > 0.5).any(1))[:, 0]
    return float(rows[-1] - rows[0] + 1) / float(view.camera.focal_px[1])


def test_figures_become_views_of_one_solid(tmp_path: Path) -> None:
    """Each view's mask is the ellipsoid's silhouette along its camera's own rays, the scale being the height's."""
    path = _page(tmp_path / "page.png", ROW)
    views = _load(image=str(path), views=["front", "right", "back"])
    assert [round(float(view.camera.azimuth_deg)) % 360 for view in views] == [0, 270, 180]
    for view, name in zip(views, ROW):
        assert view.camera.orthographic
        mask, expected = view.image[..., 3] > 0.5, _inside(view)
        assert float((mask & expected).sum() / (mask | expected).sum()) > 0.97
        color = view.image[64, 64, :3] * 255
        torch.testing.assert_close(color, torch.tensor(COLORS[name]).float(), atol=3.0, rtol=0)


def test_rows_are_read_from_above_and_then_from_the_left(tmp_path: Path) -> None:
    placed = {"back": (150, 520, 150), "front": (150, 170, 150), "right": (450, 175, 150)}
    path = _page(tmp_path / "page.png", placed, (600, 720))
    observations = load_observations(InputConfig(kind="sheet", image=str(path), size_px=64, foreground="plain"))
    assert observations.notes["sheet"]["views"] == "front, right, back"
    boxes = np.array(observations.notes["sheet"]["boxes_px"])
    np.testing.assert_allclose((boxes[:, 0] + boxes[:, 1]) / 2, [170, 175, 520], atol=1.5)
    np.testing.assert_allclose((boxes[:, 2] + boxes[:, 3]) / 2, [150, 450, 150], atol=1.5)
    assert any("were taken for front, right, back" in said for said in observations.notes["warnings"])


def test_the_annotated_page_has_a_frame_around_each_figure(tmp_path: Path) -> None:
    path = _page(tmp_path / "page.png", ROW)
    notes = load_observations(InputConfig(kind="sheet", image=str(path), size_px=64)).notes
    shown, plain = np.asarray(notes["picture"]), np.asarray(Image.open(path))
    assert shown.shape == plain.shape
    for top, bottom, left, right in notes["sheet"]["boxes_px"]:
        edge = shown[top, left:right]
        assert (edge == (210, 40, 40)).all(-1).mean() > 0.95
        assert (shown[bottom - 1, left:right] == (210, 40, 40)).all(-1).mean() > 0.95


def test_figures_of_other_size_get_one_height(tmp_path: Path) -> None:
    """One file each, the second at half the scale."""
    files = []
    for name, px in (("front", 180), ("right", 90)):
        files.append(str(_page(tmp_path / f"{name}.png", {name: (200, 200, px)}, (400, 420))))
    front, right = _load(images=files, views=["front", "right"])
    assert _height(front) == pytest.approx(_height(right), rel=0.03)


def test_a_top_view_has_the_fronts_width() -> None:
    front, top = np.zeros((100, 100), np.float32), np.zeros((100, 100), np.float32)
    front[10:90, 30:70] = 1.0  # 80 high, 40 wide
    top[45:55, 40:60] = 1.0  # 20 wide, 10 deep: drawn at half the scale
    windows = common_windows([front, top], [0.0, 0.0], [0.0, 90.0], 0.8)
    assert windows[0] == (0.0, 0.0, 100.0)
    assert windows[1] == (25.0, 25.0, 50.0)


def test_a_top_view_beside_side_views_alone_has_their_depth() -> None:
    """The side's width is the object's depth, which the view from above shows from top to bottom."""
    side, top = np.zeros((100, 100), np.float32), np.zeros((100, 100), np.float32)
    side[10:90, 40:60] = 1.0  # 80 high, 20 deep
    top[45:55, 40:60] = 1.0  # 20 wide, 10 deep: drawn at half the scale
    assert common_windows([side, top], [270.0, 0.0], [0.0, 90.0], 0.8)[1] == (25.0, 25.0, 50.0)
    front = np.zeros((100, 100), np.float32)
    front[10:90, 30:70] = 1.0
    windows = common_windows([side, front, top], [270.0, 0.0, 0.0], [0.0, 0.0, 90.0], 0.8)
    assert windows[2] == (25.0, 25.0, 50.0)


@pytest.mark.parametrize(
    "views, words",
    [
        (["front", "right"], "expected 2 figures for input.views, got 3"),
        (["front", "right", "back", "left"], "expected 4 figures for input.views, got 3"),
    ],
)
def test_another_number_of_figures_is_refused(tmp_path: Path, views: list[str], words: str) -> None:
    path = _page(tmp_path / "page.png", ROW)
    with pytest.raises(ValueError, match=words):
        _load(image=str(path), views=views)


def test_figures_that_cannot_be_one_object_are_refused(tmp_path: Path) -> None:
    path = _page(tmp_path / "page.png", ROW | {"back": (750, 185, 90)})
    with pytest.raises(ValueError, match=r"figures of one height .* level views of one object"):
        _load(image=str(path), views=["front", "right", "back"])


def _ellipses(path: Path, *halves: tuple[int, int]) -> str:
    """One figure beside the other, of half axes across and up."""
    page = Image.new("RGB", (400 * len(halves), 420), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    for k, (across, up) in enumerate(halves):
        pen.ellipse((200 + 400 * k - across, 210 - up, 200 + 400 * k + across, 210 + up), fill=(180, 60, 40))
    page.save(path)
    return str(path)


def test_opposite_sides_have_one_outline(tmp_path: Path) -> None:
    """Ellipses of one height share as much as their widths: 40 % is refused, 70 % warned of, 95 % neither."""
    path = tmp_path / "page.png"
    with pytest.raises(ValueError, match=r"expected back to be the mirror image of front in outline, .* share 4\d%"):
        _load(image=_ellipses(path, (60, 150), (150, 150)), views=["front", "back"])
    config = InputConfig(kind="sheet", size_px=128, foreground="plain", views=["left", "right"])
    config.image = _ellipses(path, (105, 150), (150, 150))
    assert any("share only 7" in said for said in load_observations(config).notes["warnings"])
    config.image = _ellipses(path, (142, 150), (150, 150))
    assert not any("share only" in said for said in load_observations(config).notes["warnings"])


def test_the_depth_of_a_top_view_is_that_of_the_side(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    views = ["front", "right", "top"]
    with pytest.raises(ValueError, match=r"expected one depth in right and top, .* \(5\d% apart\)"):
        _load(image=_ellipses(path, (100, 150), (120, 150), (100, 55)), views=views)
    config = InputConfig(kind="sheet", size_px=128, foreground="plain", views=views)
    config.image = _ellipses(path, (100, 150), (120, 150), (100, 100))
    assert any("depths in right and top differ by 1" in said for said in load_observations(config).notes["warnings"])
    config.image = _ellipses(path, (100, 150), (120, 150), (100, 119))
    assert not any("depths" in said for said in load_observations(config).notes["warnings"])


def test_a_side_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"input\.views: expected each side once, got front twice"):
        _load(image=_ellipses(tmp_path / "page.png", (100, 150), (100, 150)), views=["front", "front"])


@pytest.mark.parametrize(("domain", "is_solid"), [("lineart", True), ("photo", False)])
def test_paper_that_strokes_enclose_is_the_object_where_it_is_drawn(
    tmp_path: Path, domain: str, is_solid: bool
) -> None:
    page = Image.new("RGB", (600, 400), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    for x in (150, 450):
        pen.ellipse((x - 70, 60, x + 70, 340), outline=(0, 0, 0), width=3)
    page.save(tmp_path / "outlines.png")
    views = _load(image=str(tmp_path / "outlines.png"), views=["front", "back"], domain=domain)
    shares = [float((view.image[..., 3] > 0.5).float().mean()) for view in views]
    fill = 0.7  # the ellipse is 0.7 of the frame high and half as wide
    expected = np.pi / 4 * fill * fill * 141 / 281 if is_solid else 0.0
    assert shares == pytest.approx([expected, expected], rel=0.03, abs=0.04)


def test_settings_of_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"input\.views: expected none"):
        load_config(["input.views=[front]"])
    with pytest.raises(ValueError, match=r"input\.views\[0\]: expected one of front"):
        load_config(["input=sheet", "input.views=[above]"])
    with pytest.raises(ValueError, match=r"input\.azimuths_deg: expected none"):
        load_config(["input.azimuths_deg=[0,90]"])


def test_told_photographs_stand_where_they_are_told(tmp_path: Path) -> None:
    files = [str(_page(tmp_path / f"{n}.png", {n: (200, 200, 160)}, (400, 420))) for n in ("front", "right")]
    config = InputConfig(kind="photos", images=files, azimuths_deg=[0.0, -90.0], elevations_deg=[0.0, 10.0], size_px=96)
    views = load_observations(config).views
    assert [round(float(view.camera.azimuth_deg)) for view in views] == [0, -90]
    assert [round(float(view.camera.elevation_deg)) for view in views] == [0, 10]
    assert not views[0].camera.orthographic
    assert _height(views[0]) == pytest.approx(_height(views[1]), rel=0.03)
    config.azimuths_deg = [0.0]
    with pytest.raises(ValueError, match="expected angles for 2 photographs, got 1 azimuths"):
        load_observations(config)
