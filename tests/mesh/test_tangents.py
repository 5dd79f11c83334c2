from __future__ import annotations

from dataclasses import replace

import gltf_validator
import numpy as np
import pytest

from nerf2mesh.mesh import save_mesh
from nerf2mesh.mesh.shapes import torus
from nerf2mesh.mesh.texture.bake import texel_points
from nerf2mesh.mesh.texture.tangents import bake_normal_map, corner_tangents
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

COARSE = (14, 8)


def ring_normals(points: np.ndarray) -> np.ndarray:
    """Of the torus of `shapes.torus`, whose level sets are tori."""
    center = np.stack([points[:, 0], points[:, 1], 0 * points[:, 2]], 1)
    return unit(points - 0.6 * unit(center))


@pytest.mark.parametrize("mirrored", [False, True])
def test_tangents_follow_u_and_the_bitangent_v(mirrored):
    ring = torus(0.6, 0.25, 60, 30)
    uv = ring.uv * ([-1, 1] if mirrored else [1, 1]) + ([1, 0] if mirrored else [0, 0])
    tangents = corner_tangents(replace(ring, uv=uv))
    corners, normals = ring.corners.reshape(-1, 3), ring.normals[ring.faces].reshape(-1, 3)
    around = unit(np.stack([-corners[:, 1], corners[:, 0], 0 * corners[:, 0]], 1)) * (-1 if mirrored else 1)
    flat = tangents.reshape(-1, 4)
    assert (flat[:, :3] * around).sum(1).min() > 0.998 and np.abs((flat[:, :3] * normals).sum(1)).max() < 1e-6
    assert (flat[:, 3] == (-1 if mirrored else 1)).all()
    upward = flat[:, 3:] * np.cross(normals, flat[:, :3])  # along growing v: the tube's angle
    angle = 2 * np.pi * ring.uv.reshape(-1, 2)
    a, b = angle.T
    along_v = np.stack([-np.cos(a) * np.sin(b), -np.sin(a) * np.sin(b), np.cos(b)], 1)
    assert (upward * along_v).sum(1).min() > 0.998


def test_a_coarse_mesh_with_its_map_has_the_true_normals():
    ring = torus(0.6, 0.25, *COARSE)
    ring = replace(ring, vertex_normals=TriangleMesh(ring.vertices, ring.faces).normals)
    size = 128
    image = bake_normal_map(ring, ring_normals, size)
    where = texel_points(ring, size)
    tangents = corner_tangents(ring)[where.face]
    tangent = unit((tangents[..., :3] * where.weights[..., None]).sum(1))
    bitangent = tangents[:, 0, 3:] * np.cross(where.normals, tangent)
    x, y, z = (image[where.covered] / 127.5 - 1.0).T[..., None]
    shown = unit(x * tangent + y * bitangent + z * where.normals)
    wanted = ring_normals(where.points)
    off, before = (np.degrees(np.arccos(np.clip((n * wanted).sum(1), -1, 1))) for n in (shown, where.normals))
    assert off.max() < 1.0 and off.mean() < 0.4 and before.mean() > 1.0
    assert (image[..., 2] > 128).all()  # normals point out, empty texels included


@pytest.mark.skipif(gltf_validator.find_package() is None, reason="node or npm's gltf-validator is not here")
def test_the_validator_accepts_map_and_tangents(tmp_path):
    ring = torus(0.6, 0.25, *COARSE)
    ring = replace(
        ring, texture=np.full((32, 32, 3), 200, np.uint8), normal_map=bake_normal_map(ring, ring_normals, 32)
    )
    issues = gltf_validator.validate(save_mesh(ring, tmp_path / "m.glb"))
    assert [issues[k] for k in ("numErrors", "numWarnings", "numInfos", "numHints")] == [0, 0, 0, 0], issues["messages"]
    save_mesh(ring, tmp_path / "m.obj")
    assert "norm m_normal.png" in (tmp_path / "m.mtl").read_text() and (tmp_path / "m_normal.png").exists()


def test_a_wrong_map_is_refused():
    with pytest.raises(ValueError, match="normal_map"):
        replace(torus(), normal_map=np.zeros((4, 4), np.uint8))
