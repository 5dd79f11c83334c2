"""Elevations of a plan: each point of the surface shows the picture's own point, read back by another library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

pytest.importorskip("shapely", reason="needs the plans extra")

from tests.inputs import drawn_plans as draw
from tests.test_bad_input import _command, _refused

HEIGHT_M = 2.5
KITCHEN = (1.3, 4.94, 1.3, 6.0)
"""x from, x to, y from, y to of the clear room."""
OUTSIDE = (1.0, 9.3, 1.0, 6.3)


def _gradient(path: Path, width_m: float, height_m: float) -> Path:
    """Red grows to the right from 0 to 255, green to the top; blue is 40."""
    w, h = round(width_m * 40), round(height_m * 40)
    x, y = np.meshgrid((np.arange(w) + 0.5) / w, 1 - (np.arange(h) + 0.5) / h)
    Image.fromarray(np.round(np.stack([255 * x, 255 * y, 0 * x + 40], -1)).astype(np.uint8)).save(path)
    return path


def _run(folder: Path, **pictures: Path) -> trimesh.Scene:
    sheet = draw.write_dxf(draw.two_rooms(), folder / "flat.dxf")
    words = [f"+input.elevations.{name}={path}" for name, path in pictures.items()]
    quiet = ("report.html=false", "report.turntable_frames=0", "report.quiet=true", f"output_dir={folder / 'run'}")
    done = _command("input=plan", f"input.image={sheet}", *words, *quiet)
    assert done.code == 0, done.stderr
    return trimesh.load(folder / "run" / "mesh.glb", force="scene", process=False)


def _shown(scene: trimesh.Scene, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surface with that picture, on the sheet and above the floor (x, y, z), and their colors."""
    (shape,) = [g for g in scene.geometry.values() if g.visual.material.name == name]
    rng = np.random.default_rng(0)
    corners = shape.vertices[shape.faces]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(area), 2000, p=area / area.sum())
    share = rng.dirichlet((1, 1, 1), 2000)[..., None]
    at = (share * corners[face]).sum(1)
    uv = (share * shape.visual.uv[shape.faces][face]).sum(1)
    image = np.asarray(shape.visual.material.baseColorTexture.convert("RGB")).astype(int)
    row = np.clip(((1 - uv[:, 1]) * image.shape[0]).astype(int), 0, image.shape[0] - 1)
    column = np.clip((uv[:, 0] * image.shape[1]).astype(int), 0, image.shape[1] - 1)
    return np.stack([at[:, 0], -at[:, 2], at[:, 1]], 1), image[row, column]


def test_each_point_shows_the_pictures_own(tmp_path: Path) -> None:
    """From without, south runs from west to east and north back; from within, the north wall from west to east."""
    x0, x1, y0, y1 = OUTSIDE
    k0, k1, l0, l1 = KITCHEN
    files = {
        "south": _gradient(tmp_path / "s.png", x1 - x0, HEIGHT_M),
        "north": _gradient(tmp_path / "n.png", x1 - x0, HEIGHT_M),
        "east": _gradient(tmp_path / "e.png", y1 - y0, HEIGHT_M),
        "kitchen_north": _gradient(tmp_path / "kn.png", k1 - k0, HEIGHT_M),
        "kitchen_floor": _gradient(tmp_path / "kf.png", k1 - k0, l1 - l0),
    }
    scene = _run(tmp_path, **files)
    truth = {
        "south": lambda p: (p[:, 1], y0, (p[:, 0] - x0) / (x1 - x0), p[:, 2] / HEIGHT_M),
        "north": lambda p: (p[:, 1], y1, (x1 - p[:, 0]) / (x1 - x0), p[:, 2] / HEIGHT_M),
        "east": lambda p: (p[:, 0], x1, (p[:, 1] - y0) / (y1 - y0), p[:, 2] / HEIGHT_M),
        "kitchen_north": lambda p: (p[:, 1], l1, (p[:, 0] - k0) / (k1 - k0), p[:, 2] / HEIGHT_M),
        "kitchen_floor": lambda p: (p[:, 2], 0.0, (p[:, 0] - k0) / (k1 - k0), (p[:, 1] - l0) / (l1 - l0)),
    }
    for name, expected in truth.items():
        points, colors = _shown(scene, name)
        plane, place, right, up = expected(points)
        np.testing.assert_allclose(plane, place, atol=0.002)
        np.testing.assert_allclose(colors[:, 0], 255 * np.clip(right, 0, 1), atol=2.5)
        np.testing.assert_allclose(colors[:, 1], 255 * np.clip(up, 0, 1), atol=4.0)
        assert np.ptp(right) > 0.97 and np.ptp(up) > 0.97


def test_the_walls_stay_one_closed_node_with_the_rest_in_their_color(tmp_path: Path) -> None:
    x0, x1, *_ = OUTSIDE
    scene = _run(tmp_path, south=_gradient(tmp_path / "s.png", x1 - x0, HEIGHT_M))
    walls = [g for n, g in scene.geometry.items() if n.startswith("walls")]
    assert sorted(g.visual.material.name for g in walls) == ["south", "walls"]
    whole = trimesh.util.concatenate([trimesh.Trimesh(g.vertices, g.faces) for g in walls])
    whole.merge_vertices()
    assert whole.is_watertight and whole.volume > 0
    plain = next(g for g in walls if g.visual.material.name == "walls")
    south = (plain.face_normals[:, 2] > 0.9) & (np.abs(plain.triangles_center[:, 2] + 1.0) < 0.01)
    assert not south.any()


@pytest.mark.parametrize(
    "name, size, said",
    [
        ("garden", (8.3, 2.5), "expected north, east, south, west for the outside, or ROOM_north"),
        ("attic_floor", (8.3, 2.5), "with a room of kitchen, bed_room, got attic_floor"),
        ("south", (2.5, 2.5), "expected a picture of 8.30 x 2.50 m, got 100 x 100 px (232% another aspect)"),
    ],
)
def test_what_cannot_be_is_refused(name: str, size: tuple[float, float], said: str, tmp_path: Path) -> None:
    sheet, picture = draw.write_dxf(draw.two_rooms(), tmp_path / "flat.dxf"), _gradient(tmp_path / "p.png", *size)
    run = tmp_path / "run"
    words = ("input=plan", f"input.image={sheet}", f"+input.elevations.{name}={picture}", f"output_dir={run}")
    _refused(_command(*words), said)
    assert not run.exists() or not list(run.iterdir())
    _refused(_command("input=plan", f"input.image={sheet}", "+input.elevations.south=none.png"), "elevations.south")
    _refused(_command(f"input.image={picture}", f"+input.elevations.south={picture}"), "say input=plan")
