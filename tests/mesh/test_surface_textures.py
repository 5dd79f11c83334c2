"""Roughness and metallic of a field on meshes: what bakes, what files of each format say of them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.mesh import save_mesh
from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.build import build_mesh
from nerf2mesh.mesh.config import MeshConfig
from nerf2mesh.mesh.shapes import torus
from nerf2mesh.mesh.texture.occlusion import bake_orm

QUICK = {"resolution": 32, "texture_size": 64, "target_faces": 400, "threshold": 20.0, "smooth_radius": 0.0}


def ball_of_two() -> FieldAccess:
    """A ball whose upper half is smooth metal and whose lower half is rough plastic."""

    def surface(points: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        upper = points[:, 2:] > 0.0
        return torch.where(upper, points.new_tensor([0.2, 1.0, 0.0]), points.new_tensor([0.8, 0.0, 0.0]))

    return FieldAccess(
        logit=lambda points: 3.0 + 40.0 * (0.6 - points.norm(dim=-1)),
        color=lambda points, _: torch.full_like(points, 0.5),
        surface=surface,
    )


def test_the_field_s_roughness_and_metallic_are_baked() -> None:
    mesh, _ = build_mesh(ball_of_two(), MeshConfig(**QUICK))
    assert mesh.orm is not None and mesh.uv is not None
    shown = mesh.orm[tuple(np.moveaxis(_texels(mesh.uv, 64), -1, 0))] / 255.0
    height = mesh.corners.mean(1)[:, 2]
    assert np.abs(shown[height > 0.15] - [1.0, 0.2, 1.0]).max() < 0.02
    assert np.abs(shown[height < -0.15] - [1.0, 0.8, 0.0]).max() < 0.02


def _texels(uv: np.ndarray, size: int) -> np.ndarray:
    """Row and column of each face's middle."""
    middle = uv.mean(1)
    return np.stack([(1.0 - middle[:, 1]) * size, middle[:, 0] * size], axis=-1).astype(int)


def test_a_mesh_without_a_texture_has_the_mean() -> None:
    mesh, _ = build_mesh(ball_of_two(), MeshConfig(**QUICK, texture=False))
    assert mesh.orm is None
    assert (mesh.roughness, mesh.metallic) == pytest.approx((0.5, 0.5), abs=0.1)


def test_usdz_and_obj_name_the_textures(tmp_path: Path) -> None:
    ring = replace(torus(n_around=16, n_tube=8), texture=np.full((8, 8, 3), 90, np.uint8))
    ring = replace(ring, orm=bake_orm(replace(ring, roughness=0.4, metallic=0.8), 8, occlusion=False))
    assert ring.orm is not None and (ring.orm == [255, 102, 204]).all()
    with zipfile.ZipFile(save_mesh(ring, tmp_path / "m.usdz")) as archive:
        layer = archive.read("mesh.usda").decode()
        packed = np.asarray(Image.open(BytesIO(archive.read("textures/occlusion_roughness_metallic.png"))))
    assert (packed == ring.orm).all()
    for name, channel in (("occlusion", "r"), ("roughness", "g"), ("metallic", "b")):
        assert f"float inputs:{name}.connect = </Root/Material/PackedTexture.outputs:{channel}>" in layer
    save_mesh(ring, tmp_path / "m.obj")
    lines = (tmp_path / "m.mtl").read_text().splitlines()
    assert {"map_Pr m_roughness.png", "map_Pm m_metallic.png"} <= set(lines)
    assert (np.asarray(Image.open(tmp_path / "m_roughness.png")) == 102).all()
    save_mesh(replace(ring, orm=None, roughness=0.3), tmp_path / "n.obj")
    assert {"Pr 0.3", "Pm 0"} <= set((tmp_path / "n.mtl").read_text().splitlines())
