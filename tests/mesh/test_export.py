from __future__ import annotations

import errno
import json
import os
import struct
import sys
import zipfile
from types import SimpleNamespace

import gltf_validator
import numpy as np
import pytest
import torch

from nerf2mesh.mesh import MeshConfig, TriangleMesh
from nerf2mesh.mesh.export import blender
from nerf2mesh.mesh.export import files as export
from nerf2mesh.mesh.export.files import save_mesh, scale_to, written
from nerf2mesh.mesh.shapes import box, icosphere, torus
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.run.result import Result
from nerf2mesh.types import Camera, Observations

CAMERA = Camera.orbit(torch.tensor([30.0, 210.0]), 25.0, width_px=48)


def painted_torus() -> TriangleMesh:
    ring = torus(n_around=32, n_tube=16)
    y, x = np.mgrid[:64, :64]
    texture = np.stack([4 * x, 4 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    return TriangleMesh(
        ring.vertices, ring.faces, ring.vertex_normals, uv=ring.uv, texture=texture, metadata={"seed": 7}
    )


def colored_sphere() -> TriangleMesh:
    ball = icosphere(2, 0.7)
    return TriangleMesh(ball.vertices, ball.faces, ball.vertex_normals, vertex_colors=0.5 + 0.5 * ball.vertex_normals)


def glb_tree(path) -> dict:
    data = path.read_bytes()
    magic, version, length, n_json, kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    return json.loads(data[20 : 20 + n_json])


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
@pytest.mark.parametrize("make", [painted_torus, colored_sphere])
def test_a_file_read_back_is_the_same_mesh_and_looks_the_same(tmp_path, suffix, make):
    mesh = make()
    again = TriangleMesh.from_file(save_mesh(mesh, tmp_path / f"m{suffix}"))
    assert again.n_vertices == mesh.n_vertices and again.n_faces == mesh.n_faces and again.is_watertight
    assert np.allclose(again.bounds, mesh.bounds, atol=1e-6)
    assert again.volume == pytest.approx(mesh.volume, rel=1e-5)
    if suffix == ".stl":
        return
    before, after = rasterize_mesh(mesh, CAMERA), rasterize_mesh(again, CAMERA)
    assert torch.allclose(before.normal, after.normal, atol=0.02)
    coarse = (suffix, make) == (".ply", painted_torus)  # a PLY has colors at vertices only
    assert (before.rgb - after.rgb).abs().mean() < (0.06 if coarse else 0.004)


def test_files_are_y_up_and_z_front(tmp_path):
    import trimesh

    mesh = box((3.0, 1.0, 2.0))
    mesh = TriangleMesh(mesh.vertices + np.array([10.0, 20.0, 30.0]), mesh.faces)
    for suffix in (".glb", ".obj", ".ply", ".stl"):
        scene = trimesh.load(save_mesh(mesh, tmp_path / f"b{suffix}", scale=0.5), process=False)
        assert np.allclose(scene.bounds, [[9.5, 14.0, 3.5], [10.5, 16.0, 6.5]]), suffix


def test_glb_material_is_right_everywhere(tmp_path):
    tree = glb_tree(save_mesh(painted_torus(), tmp_path / "m.glb"))
    material = tree["materials"][0]
    surface = material["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0.0 and surface["roughnessFactor"] == 1.0
    assert surface["baseColorFactor"] == [1.0] * 4 and material["doubleSided"] is False
    assert tree["asset"]["extras"] == {"seed": 7}
    open_mesh = painted_torus().select_faces(np.arange(100))
    assert glb_tree(save_mesh(open_mesh, tmp_path / "open.glb"))["materials"][0]["doubleSided"] is True


def test_vertex_colors_are_linear_in_glb(tmp_path):
    mesh = box()
    mesh = TriangleMesh(mesh.vertices, mesh.faces, vertex_colors=np.full((8, 3), 0.5))
    path = save_mesh(mesh, tmp_path / "m.glb")
    tree, data = glb_tree(path), path.read_bytes()
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = data.index(b"BIN\0") + 4 + tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
    assert np.frombuffer(data, "<f4", 3, start) == pytest.approx(0.21404, abs=1e-4)


@pytest.mark.skipif(gltf_validator.find_package() is None, reason="node or npm's gltf-validator is not here")
@pytest.mark.parametrize("kind", ["textured", "colored", "bare", "animated", "alpha", "degenerate"])
def test_gltf_validator_has_nothing_to_say(tmp_path, kind):
    mesh, frames = painted_torus(), None
    if kind == "colored":
        mesh = colored_sphere()
    elif kind == "bare":
        mesh = box()
    elif kind == "animated":
        frames = [mesh.vertices * (1.0 + 0.1 * k) for k in range(1, 4)]
    elif kind == "alpha":
        mesh.texture = np.concatenate([mesh.texture, np.full((64, 64, 1), 100, np.uint8)], axis=2)
    elif kind == "degenerate":
        faces = np.concatenate([box().faces, [[0, 0, 1]]])
        mesh = TriangleMesh(np.concatenate([box().vertices, [[5.0, 5.0, 5.0]]]), faces)
    issues = gltf_validator.validate(save_mesh(mesh, tmp_path / "m.glb", frames=frames))
    assert [issues[k] for k in ("numErrors", "numWarnings", "numInfos", "numHints")] == [0, 0, 0, 0], issues["messages"]


def test_frames_become_morph_targets(tmp_path):
    mesh = painted_torus()
    path = save_mesh(mesh, tmp_path / "m.glb", frames=[mesh.vertices * 1.5, mesh.vertices * 2.0], frames_per_second=4.0)
    tree = glb_tree(path)
    assert len(tree["meshes"][0]["primitives"][0]["targets"]) == 2
    times = tree["accessors"][tree["animations"][0]["samplers"][0]["input"]]
    assert times["count"] == 3 and times["max"] == [0.5]
    with pytest.raises(ValueError, match="frames\\[0\\]"):
        save_mesh(mesh, tmp_path / "bad.glb", frames=[mesh.vertices[:-1]])
    with pytest.raises(ValueError, match=r"frames: expected \.glb, \.usdz, \.obj, \.abc for an animation, got \.stl"):
        save_mesh(mesh, tmp_path / "bad.stl", frames=[mesh.vertices])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.glb"]


def test_obj_material_has_d_1_and_relative_names(tmp_path):
    save_mesh(painted_torus(), tmp_path / "my cow.obj")
    material = (tmp_path / "my_cow.mtl").read_text().splitlines()
    assert "d 1" in material and "map_Kd my_cow.png" in material
    assert not any(line.startswith("Tr") for line in material)
    assert "mtllib my_cow.mtl" in (tmp_path / "my cow.obj").read_text()


def test_usdz_entries_are_stored_and_aligned(tmp_path):
    path = save_mesh(painted_torus(), tmp_path / "m.usdz")
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["mesh.usda", "textures/base_color.png"] and archive.testzip() is None
        for info in archive.infolist():
            n_name, n_extra = struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30])
            assert info.compress_type == zipfile.ZIP_STORED
            assert (info.header_offset + 30 + n_name + n_extra) % 64 == 0


def test_usd_reads_the_usdz(tmp_path):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom, UsdValidation

    for mesh in (painted_torus(), colored_sphere()):
        stage = usd.Stage.Open(str(save_mesh(mesh, tmp_path / f"{mesh.n_faces}.usdz")))
        points = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/Root/Mesh")).GetPointsAttr().Get())
        assert np.allclose(points, mesh.vertices[:, [1, 2, 0]], atol=1e-6)
        assert UsdGeom.GetStageUpAxis(stage) == "Y"
        validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
        errors = UsdValidation.ValidationContext(validators).Validate(stage)
        assert not errors, [error.GetMessage() for error in errors]


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ValueError, match="rename the file"):
        save_mesh(box(), tmp_path / "m.dae")
    with pytest.raises(ValueError, match="at least one face"):
        save_mesh(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3))), tmp_path / "m.glb")
    with pytest.raises(ValueError, match="finite"):
        save_mesh(TriangleMesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])), tmp_path / "m.glb")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="choose another folder"):
        save_mesh(box(), tmp_path / "file" / "m.glb")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_said(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(ValueError, match=r"expected a place to write to.*Permission"):
        save_mesh(box(), folder / "m.glb")


def test_a_folder_that_refuses_is_said(tmp_path, monkeypatch):
    """As above, also for root."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(export, "atomic_write", refuse)
    for suffix in (".glb", ".obj", ".ply", ".stl", ".usdz"):
        with pytest.raises(ValueError, match=r"expected a place to write to.*Read-only"):
            save_mesh(painted_torus(), tmp_path / f"m{suffix}")
    assert not list(tmp_path.iterdir())


def test_fbx_says_what_it_wants(tmp_path, monkeypatch):
    monkeypatch.setattr(blender, "blender_command", lambda: None)
    with pytest.raises(ValueError, match=r"expected Blender.*N2M_BLENDER"):
        save_mesh(painted_torus(), tmp_path / "m.fbx")
    monkeypatch.setattr(blender, "blender_command", lambda: [sys.executable, "-c", "raise SystemExit('no bpy')"])
    with pytest.raises(ValueError, match=r"write mesh.fbx, got .no bpy"):
        save_mesh(painted_torus(), tmp_path / "m.fbx")
    assert not list(tmp_path.iterdir())


def test_the_longest_side_in_metres(tmp_path):
    mesh = box((0.5, 0.25, 0.1))
    again = TriangleMesh.from_file(save_mesh(mesh, tmp_path / "m.glb", scale=scale_to(mesh, 0.3)))
    assert np.ptp(again.bounds, axis=0) == pytest.approx([0.3, 0.15, 0.06]) and scale_to(mesh, 0.0) == 1.0


def test_coarser_meshes_are_saved_beside_the_first_at_one_scale(tmp_path):
    config = SimpleNamespace(mesh=MeshConfig(real_size_m=0.5))
    result = Result(box(), None, None, Observations(), config, lods=[box((0.4, 0.1, 0.1))])
    paths = result.save(tmp_path, ("glb", "stl"))
    assert [p.name for p in paths] == ["mesh.glb", "mesh.stl", "mesh_lod1.glb", "mesh_lod1.stl"]
    sizes = [np.ptp(TriangleMesh.from_file(p).bounds, axis=0).max() for p in paths]
    assert sizes == pytest.approx([0.5, 500.0, 0.4, 400.0])  # metres, and millimetres in STL


def test_a_full_disk_leaves_the_old_file_alone(tmp_path):
    path = save_mesh(box(), tmp_path / "m.glb")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="No space"), written(path) as stream:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["m.glb"]
