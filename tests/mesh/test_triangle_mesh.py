from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.read_file import axis_turn
from nerf2mesh.mesh.shapes import box, icosphere, torus


def test_shapes_have_the_measures_of_their_formulas():
    cube, ball, ring = box((0.5, 0.25, 1.0)), icosphere(4, 0.7), torus(0.6, 0.25, 192, 96)
    assert cube.is_watertight and ball.is_watertight and ring.is_watertight
    assert cube.volume == pytest.approx(1.0) and cube.area == pytest.approx(7.0)
    assert ball.volume == pytest.approx(4 / 3 * math.pi * 0.7**3, rel=5e-3)
    assert ring.volume == pytest.approx(2 * math.pi**2 * 0.6 * 0.25**2, rel=5e-3)
    assert len(ring.edges[0]) == ring.n_vertices + ring.n_faces  # Euler: genus 1


def test_volume_is_negative_when_faces_wind_inward():
    cube = box()
    assert TriangleMesh(cube.vertices, cube.faces[:, ::-1]).volume == pytest.approx(-1.0)


def test_computed_normals_match_the_sphere():
    ball = icosphere(3)
    bare = TriangleMesh(ball.vertices, ball.faces)
    assert np.abs(bare.normals - ball.vertices).max() < 0.01
    assert (bare.face_normals * bare.corners.mean(1)).sum(1).min() > 0.9


def test_angle_weighted_normals_of_a_cube_point_along_the_diagonals():
    cube = box()
    assert np.allclose(cube.normals, cube.vertices / np.sqrt(0.75), atol=1e-12)


def test_welding_closes_a_soup_and_keeps_order_and_uv():
    ring = torus()
    soup = TriangleMesh(ring.corners.reshape(-1, 3), np.arange(3 * ring.n_faces).reshape(-1, 3), uv=ring.uv)
    assert not soup.is_watertight
    whole = soup.welded()
    assert whole.is_watertight and whole.n_vertices == ring.n_vertices
    assert np.allclose(whole.corners, ring.corners) and np.array_equal(whole.uv, ring.uv)


def test_select_faces_drops_unused_vertices():
    cube = box()
    side = cube.select_faces(np.arange(12) < 2)
    assert side.n_vertices == 4 and side.n_faces == 2 and np.allclose(side.corners, cube.corners[:2])


@pytest.mark.parametrize(("up", "front"), [("y", "z"), ("z", "x"), ("y", "-z"), ("-x", "y")])
def test_axis_turn_is_a_rotation_that_brings_up_and_front_home(up, front):
    turn = axis_turn(up, front)
    axes = {s + n: v * np.eye(3)[k] for k, n in enumerate("xyz") for s, v in (("", 1), ("-", -1))}
    assert np.allclose(turn @ axes[up], [0, 0, 1]) and np.allclose(turn @ axes[front], [1, 0, 0])
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_from_file_turns_y_up_into_house_axes(tmp_path):
    path = tmp_path / "tall.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 3\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    mesh = TriangleMesh.from_file(path)
    assert np.allclose(mesh.bounds, [[0, 0, 0], [3, 1, 2]])
    assert mesh.volume == pytest.approx(1.0) and mesh.is_watertight
    assert np.allclose(TriangleMesh.from_file(path, up="z", front="x").bounds[1], [1, 2, 3])


def test_material_colors_and_textures_of_two_parts_are_kept(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "two.mtl").write_text("newmtl a\nmap_Kd red.png\nnewmtl b\nKd 0 0 1\n")
    text = "mtllib two.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\n"
    (tmp_path / "two.obj").write_text(text + "usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1/1 2/2 4/3\n")
    mesh = TriangleMesh.from_file(tmp_path / "two.obj")
    from nerf2mesh.render.rasterizer_reference import sample_texture

    colors = sample_texture(mesh.texture, mesh.uv.mean(1))
    order = np.argsort(colors[:, 0])
    assert np.allclose(colors[order], [[0, 0, 1], [1, 0, 0]], atol=0.01)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("gone.obj", None, FileNotFoundError, "does not exist"),
        ("notes.txt", "hello", ValueError, "convert"),
        ("fake.glb", "no binary", ValueError, "expected a valid .glb file"),
        ("points.obj", "v 0 0 0\nv 1 0 0\n", ValueError, "expected triangles, got none"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, name, content, error, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        TriangleMesh.from_file(tmp_path / name)


def test_bad_arrays_are_named():
    with pytest.raises(ValueError, match="faces: expected indices"):
        TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 3]]))
    with pytest.raises(ValueError, match="uv: expected shape"):
        TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), uv=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="texture"):
        TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]]), texture=np.zeros((4, 4, 3)))


@pytest.mark.parametrize("factor", [(0.5, 0.25, 1.0), (1.0, 1.0, 1.0), (0.0, 1 / 255, 0.0)])
def test_a_gltfs_color_factor_multiplies_in_linear_light(tmp_path: Path, factor: tuple[float, ...]) -> None:
    """glTF 2.0, section 3.9.2: the base color texture is sRGB, its factor linear."""
    import trimesh
    from PIL import Image

    shown = (200, 100, 50)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.new("RGB", (4, 4), shown), baseColorFactor=[*factor, 1.0]
    )
    box = trimesh.creation.box()
    box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(box.vertices), 2)), material=material)
    box.export(tmp_path / "box.glb")
    loaded = TriangleMesh.from_file(tmp_path / "box.glb")
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 * f for c, f in zip(shown, factor)]
    wanted = [255 * (12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055) for x in linear]
    np.testing.assert_allclose(loaded.texture[0, 0], wanted, atol=1.5)  # the factor itself is kept in 8 bits
