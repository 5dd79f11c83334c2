"""Regions against closed forms: a cap of a sphere, a cone of sight, marked vertices of three file formats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from nerf2mesh.refine.camera_file import Placement, read_camera, write_camera
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.refine.groups import group_points
from nerf2mesh.refine.nearest import NearestPoints
from nerf2mesh.refine.region import Painted, RegionGrid, make_region
from nerf2mesh.refine.source import load_source
from nerf2mesh.types import Camera
from tests.refine.shapes import ball, saved


def _region(path: Path, **settings: object):
    source = load_source(path)
    return source, make_region(
        RefineConfig(**settings), source, NearestPoints(source.mesh, 5000), None, None, shape=True
    )


def test_box_and_sphere_are_in_the_units_of_the_file(tmp_path: Path) -> None:
    mesh = ball()
    big = replace(mesh, vertices=mesh.vertices * 100.0 + [5.0, 0.0, 0.0])
    source, region = _region(saved(big, tmp_path / "big.glb"), sphere=[65.0, 0.0, 0.0, 20.0])
    own = source.placement.out_of_box(source.mesh.vertices)
    assert np.abs(np.linalg.norm(own - [5.0, 0.0, 0.0], axis=1) - 60.0).max() < 1e-4
    assert np.array_equal(region(source.mesh.vertices), np.linalg.norm(own - [65.0, 0.0, 0.0], axis=1) <= 20.0)
    source, region = _region(tmp_path / "big.glb", box=[-100, -100, 30, 100, 100, 100])
    assert np.array_equal(region(source.mesh.vertices), source.placement.out_of_box(source.mesh.vertices)[:, 2] >= 30)


def test_mesh_in_the_box_stays_where_it_is(tmp_path: Path) -> None:
    source = load_source(saved(ball(), tmp_path / "ball.glb"))
    assert source.placement == Placement()
    assert np.abs(np.linalg.norm(source.mesh.vertices, axis=1) - 0.6).max() < 1e-6


def test_scaled_camera_sees_the_same_pixels() -> None:
    points = torch.from_numpy(np.random.default_rng(0).uniform(-40, 40, (50, 3))).float()
    place = Placement((3.0, -2.0, 7.0), 0.02)
    inside = torch.from_numpy(place.into_box(points.numpy())).float()
    for orthographic in (False, True):
        camera = Camera.orbit(30.0, 20.0, width_px=64, distance=200.0, orthographic=orthographic)
        wanted, _ = camera.project(points)
        found, _ = place.camera(camera).project(inside)
        assert torch.allclose(found, wanted, atol=1e-2)
        back, _ = place.back(place.camera(camera)).project(points)
        assert torch.allclose(back, wanted, atol=1e-2)


def test_camera_file_keeps_the_camera(tmp_path: Path) -> None:
    camera = Camera.orbit(33.0, -12.0, width_px=40, height_px=30)
    again = read_camera(write_camera(tmp_path / "camera.json", camera))
    assert torch.equal(again.camera_to_world, camera.camera_to_world) and torch.equal(again.focal_px, camera.focal_px)
    assert (again.width_px, again.height_px, again.orthographic) == (40, 30, False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"camera_to_world": 1}', "nan"])
def test_what_is_no_camera_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"refine\.camera: expected a camera") as error:
        read_camera(path)
    assert "\n" not in str(error.value)


def test_painted_mask_takes_the_front_and_not_the_back() -> None:
    mesh, camera = ball(), Camera.orbit(0.0, 0.0, width_px=96)
    mask = np.zeros((96, 96), bool)
    mask[:, :48] = True  # the left half of the picture: y < 0, seen from +X
    region = Painted(mesh, mask, camera, 0.0)
    normals = mesh.vertices / 0.6
    facing = ((camera.position.numpy() - mesh.vertices) * normals).sum(1)
    clear = np.abs(mesh.vertices[:, 1]) > 0.03
    inside = region(mesh.vertices)
    assert inside[(facing > 0.3) & clear & (mesh.vertices[:, 1] < 0)].all()
    assert not inside[(facing < -0.6) | (clear & (mesh.vertices[:, 1] > 0))].any()


def test_painted_mask_reaches_beyond_the_outline() -> None:
    mesh, camera = ball(), Camera.orbit(0.0, 0.0, width_px=96)
    region = Painted(mesh, np.ones((96, 96), bool), camera, 0.2)
    above = np.array([[0.1, 0.0, 0.75], [-0.9, 0.0, 0.75]])
    assert region(above).tolist() == [True, False]


def test_grid_agrees_with_the_region_away_from_its_border() -> None:
    points = np.random.default_rng(1).uniform(-1, 1, (2000, 3))
    distance = np.linalg.norm(points, axis=1)
    grid = RegionGrid.of(lambda p: np.linalg.norm(p, axis=1) < 0.5)
    clear = np.abs(distance - 0.5) > 0.03
    found = grid(torch.from_numpy(points)).numpy()
    assert np.array_equal(found[clear], distance[clear] < 0.5)
    assert not grid(torch.tensor([[1.5, 0.0, 0.0]])).any()


def test_vertex_groups_of_glb_ply_and_obj(tmp_path: Path) -> None:
    plain = trimesh.creation.icosphere(subdivisions=2, radius=0.6)  # files are +Y up: the group is what is above
    weight = (plain.vertices[:, 1] > 0.1).astype(np.float32)
    marked = trimesh.Trimesh(plain.vertices, plain.faces, process=False, vertex_attributes={"_hat": weight})
    marked.export(tmp_path / "marked.glb")
    marked = trimesh.Trimesh(plain.vertices, plain.faces, process=False, vertex_attributes={"hat": weight})
    marked.export(tmp_path / "marked.ply", vertex_normal=False)
    marked.export(tmp_path / "text.ply", vertex_normal=False, encoding="ascii")
    lines = [f"v {x} {y} {z}" for x, y, z in plain.vertices]
    above = weight[plain.faces].all(1)
    lines += ["g rest", *(f"f {a} {b} {c}" for a, b, c in plain.faces[~above] + 1)]
    lines += ["g hat", *(f"f {a} {b} {c}" for a, b, c in plain.faces[above] + 1)]
    (tmp_path / "marked.obj").write_text("\n".join(lines))
    for name in ("marked.glb", "marked.ply", "text.ply", "marked.obj"):
        source, region = _region(tmp_path / name, vertex_group="hat")
        middle = source.mesh.corners.mean(1)
        clear = np.abs(middle[:, 2] - 0.1) > 0.15
        assert np.array_equal(region(middle)[clear], middle[clear][:, 2] > 0.1), name
    points, inside = group_points(tmp_path / "marked.obj", "hat")
    assert (points[inside][:, 2] > 0.1 - 1e-6).all()


def test_vertex_color_marks_a_region(tmp_path: Path) -> None:
    mesh = ball()
    colors = np.where(mesh.vertices[:, 2:] > 0.0, [1.0, 0.0, 0.0], [0.2, 0.2, 0.2]).astype(np.float32)
    plain = replace(mesh, uv=None, texture=None, vertex_colors=colors)
    source, region = _region(saved(plain, tmp_path / "colored.ply"), vertex_color=[1.0, 0.0, 0.0])
    middle = source.mesh.corners.mean(1)
    clear = np.abs(middle[:, 2]) > 0.06
    assert np.array_equal(region(middle)[clear], middle[clear][:, 2] > 0.0)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"box": [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]}, r"refine\.box: expected a region that holds some of the surface"),
        ({"sphere": [0.0, 0.0, 0.0, 0.1]}, r"refine\.sphere: expected a region that holds some"),
        ({"vertex_group": "hat"}, r"refine\.vertex_group: expected a group of ball\.glb \(it has none\), got 'hat'"),
        ({"vertex_color": [1.0, 0.0, 0.0]}, r"refine\.vertex_color: expected a mesh with vertex colors"),
    ],
)
def test_region_that_holds_nothing_is_refused(tmp_path: Path, settings: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        _region(saved(ball(), tmp_path / "ball.glb"), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"box": [0, 0, 0, 1, 1]},
        {"box": [0, 0, 0, 0, 1, 1]},
        {"sphere": [0, 0, 0, 0]},
        {"vertex_color": [0.5]},
        {"sphere": [0, 0, 0, 1], "vertex_group": "hat"},
    ],
)
def test_settings_that_name_no_region(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"^refine"):
        RefineConfig(**settings)
