"""Occlusion against closed forms, and what a reader of the GLB finds of roughness and metallic."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import gltf_validator
import numpy as np
import pytest
from PIL import Image

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import icosphere, torus
from nerf2mesh.mesh.texture.occlusion import bake_orm, visible_share


def painted() -> TriangleMesh:
    ring = torus(n_around=32, n_tube=16)
    texture = np.full((64, 64, 3), 128, np.uint8)
    return TriangleMesh(ring.vertices, ring.faces, ring.vertex_normals, uv=ring.uv, texture=texture)


def glb(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    length = int(np.frombuffer(data[12:16], "<u4")[0])
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def picture(tree: dict, buffer: bytes, texture: int) -> np.ndarray:
    view = tree["bufferViews"][tree["images"][tree["textures"][texture]["source"]]["bufferView"]]
    start = view["byteOffset"]
    return np.asarray(Image.open(BytesIO(buffer[start : start + view["byteLength"]])))


def test_a_ball_sees_everything() -> None:
    ball = icosphere(3, 0.7)
    assert visible_share(ball, ball.vertices, ball.normals).min() > 0.97


def test_a_wall_beside_a_floor_hides_its_view_factor() -> None:
    """Of a small area and a rectangle at a right angle to it, in closed form (Howell's catalog, configuration B-4)."""
    floor = np.array([[-0.9, -0.9, 0], [0.9, -0.9, 0], [0.9, 0.9, 0], [-0.9, 0.9, 0]], float)
    wall = np.array([[0, -0.9, 0], [0, 0.9, 0], [0, 0.9, 0.9], [0, -0.9, 0.9]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    both = TriangleMesh(np.concatenate([floor, wall]), np.concatenate([faces, faces + 4, faces[:, ::-1] + 4]))
    away, high, wide = 0.15, 0.9, 0.9
    slant = np.hypot(high, away)
    hidden = 2.0 * (np.arctan(wide / away) - away / slant * np.arctan(wide / slant)) / (2.0 * np.pi)
    points = np.array([[away, 0.0, 0.0], [-away, 0.0, 0.0]])
    share = visible_share(both, points, np.tile([0.0, 0.0, 1.0], (2, 1)))
    assert share == pytest.approx([1.0 - hidden, 1.0 - hidden], abs=0.03)


def test_inside_of_a_torus_hole_is_darker_than_its_outside() -> None:
    mesh = painted()
    share = visible_share(mesh, mesh.vertices, mesh.normals)
    radius = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1])
    inner, outer = radius < np.quantile(radius, 0.1), radius > np.quantile(radius, 0.9)
    assert share[outer].min() > 0.97 > 0.85 > share[inner].mean()


def test_a_reader_finds_the_packed_texture_twice_and_factors_of_one(tmp_path: Path) -> None:
    mesh = replace(painted(), roughness=0.4, metallic=0.8)
    mesh = replace(mesh, orm=bake_orm(mesh, 64))
    tree, buffer = glb(save_mesh(mesh, tmp_path / "m.glb"))
    (material,) = tree["materials"]
    surface = material["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == surface["roughnessFactor"] == 1.0
    assert material["occlusionTexture"]["index"] == surface["metallicRoughnessTexture"]["index"]
    packed = picture(tree, buffer, surface["metallicRoughnessTexture"]["index"])
    assert (packed[..., 1] == 102).all() and (packed[..., 2] == 204).all() and packed[..., 0].min() < 255


def test_without_the_texture_the_factors_say_it(tmp_path: Path) -> None:
    tree, _ = glb(save_mesh(replace(painted(), roughness=0.4, metallic=0.8), tmp_path / "m.glb"))
    surface = tree["materials"][0]["pbrMetallicRoughness"]
    assert (surface["roughnessFactor"], surface["metallicFactor"]) == (0.4, 0.8)
    assert "occlusionTexture" not in tree["materials"][0] and "metallicRoughnessTexture" not in surface


def test_a_texture_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^orm: expected uint8 \[h, w, 3\]"):
        replace(painted(), orm=np.zeros((4, 4, 4), np.uint8))


@pytest.mark.skipif(gltf_validator.find_package() is None, reason="node or npm's gltf-validator is not here")
def test_the_validator_has_nothing_to_say(tmp_path: Path) -> None:
    mesh = painted()
    mesh = replace(mesh, orm=bake_orm(mesh, 64), normal_map=np.tile(np.uint8([128, 128, 255]), (8, 8, 1)))
    issues = gltf_validator.validate(save_mesh(mesh, tmp_path / "m.glb"))
    assert [issues[k] for k in ("numErrors", "numWarnings", "numInfos", "numHints")] == [0, 0, 0, 0], issues["messages"]
