"""Meshes that move, in files: read back by another reader they are where they were put, at the key frames and between
them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import gltf_validator
import numpy as np
import pytest

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.rights import Record
from nerf2mesh.rights.inspect_file import read_record, verify
from tests.mesh.moving import TIMES, Read, bending


def matched(found: np.ndarray, start: np.ndarray, track: np.ndarray, mesh: TriangleMesh) -> float:
    """The largest distance of the file's vertices `found` from `track` [n, 3]; `start`: the file's at the beginning."""
    own = mesh.vertices[:, [1, 2, 0]]
    vertex = np.linalg.norm(start[:, None] - own[None], axis=2).argmin(1)
    return float(np.abs(found - track[vertex][:, [1, 2, 0]]).max())


def test_glb_moves_as_the_track(tmp_path: Path) -> None:
    """At the key frames and in the middle between two, where the vertices are in the middle, too."""
    mesh, track = bending()
    file = Read(save_mesh(mesh, tmp_path / "m.glb", track=track))
    start = file.positions(0.0)
    for t, wanted in zip(TIMES, track.positions):
        assert matched(file.positions(t), start, wanted, mesh) < 1e-6
    middle = 0.5 * (track.positions[1] + track.positions[2])
    assert matched(file.positions(0.175), start, middle, mesh) < 1e-6


def test_what_stays_is_not_written(tmp_path: Path) -> None:
    mesh, track = bending()
    file = Read(save_mesh(mesh, tmp_path / "m.glb", track=track))
    targets = file.tree["meshes"][0]["primitives"][0]["targets"]
    sparse = [file.tree["accessors"][target["POSITION"]].get("sparse") for target in targets]
    assert all(part is not None and part["count"] < 0.6 * mesh.n_vertices for part in sparse)


@pytest.mark.skipif(gltf_validator.find_package() is None, reason="node or npm's gltf-validator is not here")
def test_gltf_validator_has_nothing_to_say(tmp_path: Path) -> None:
    mesh, track = bending()
    issues = gltf_validator.validate(save_mesh(mesh, tmp_path / "m.glb", track=track))
    assert [issues[k] for k in ("numErrors", "numWarnings", "numInfos", "numHints")] == [0, 0, 0, 0], issues["messages"]


def test_usd_reads_the_time_samples(tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom

    mesh, track = bending()
    stage = usd.Stage.Open(str(save_mesh(mesh, tmp_path / "m.usdz", track=track)))
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Root/Mesh")).GetPointsAttr()
    rate = stage.GetTimeCodesPerSecond()
    assert stage.GetEndTimeCode() == pytest.approx(TIMES[-1] * rate)
    for t, wanted in zip(TIMES, track.positions):
        np.testing.assert_allclose(np.array(points.Get(round(t * rate, 6))), wanted[:, [1, 2, 0]], atol=1e-6)


def test_obj_gets_a_file_for_each_frame(tmp_path: Path) -> None:
    """Of one topology and one material."""
    mesh, track = bending()
    still = TriangleMesh.from_file(save_mesh(mesh, tmp_path / "m.obj", track=track), weld=False)
    files = sorted((tmp_path / "m_frames").glob("*.obj"))
    assert [file.name for file in files] == [f"m_{k:04d}.obj" for k in range(4)]
    rows = files[2].read_text().splitlines()
    found = np.array([row.split()[1:] for row in rows if row.startswith("v ")], float)
    np.testing.assert_allclose(found, track.positions[2][:, [1, 2, 0]], atol=1e-6)
    faces = [
        [row for row in file.read_text().splitlines() if row.startswith("f ")] for file in (*files, tmp_path / "m.obj")
    ]
    assert all(each == faces[0] for each in faces)
    read = TriangleMesh.from_file(files[2], weld=False)
    assert read.texture is not None and still.texture is not None
    np.testing.assert_array_equal(read.texture, still.texture)


def test_other_vertices_are_refused(tmp_path: Path) -> None:
    mesh, track = bending()
    other = VertexTrack(TIMES, track.positions[:, :-1])
    with pytest.raises(ValueError, match=r"^frames: expected positions .* of the same vertices, got .*; "):
        save_mesh(mesh, tmp_path / "m.glb", track=other)
    with pytest.raises(ValueError, match=r"^times_s: expected at least two rising times"):
        VertexTrack((0.0, 0.0, 1.0, 2.0), track.positions)
    with pytest.raises(ValueError, match=r"^positions: expected finite ones"):
        VertexTrack(TIMES, track.positions * np.float32("nan"))


def test_flicker_is_the_mean_second_difference() -> None:
    """0 of an even motion; of a vertex that jumps up and down by 1 in three frames 2."""
    mesh, _ = bending()
    even = np.stack([mesh.vertices + 0.1 * k for k in range(4)]).astype(np.float32)
    assert VertexTrack(TIMES, even).flicker < 1e-6
    jump = np.array([[[0, 0, 0]], [[0, 0, 1]], [[0, 0, 0]]], np.float32)
    assert VertexTrack((0.0, 1.0, 2.0), jump).flicker == pytest.approx(2.0)


BLENDER = os.environ.get("N2M_BLENDER", "")
SCRIPT = """
import bpy, json, sys, numpy as np
path, times, out = sys.argv[-3:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 100
loads = {".glb": bpy.ops.import_scene.gltf, ".usdz": bpy.ops.wm.usd_import, ".abc": bpy.ops.wm.alembic_import}
load = loads["." + path.rsplit(".", 1)[1]]
load(filepath=path)
mesh = next(o for o in bpy.context.scene.objects if o.type == "MESH")
found = []
for t in json.loads(times):
    whole = int(t)
    bpy.context.scene.frame_set(whole, subframe=t - whole)
    seen = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    rows = [list(seen.matrix_world @ v.co) for v in seen.to_mesh().vertices]
    found.append(rows)
keys = mesh.data.shape_keys
named = [] if keys is None else [k.name for k in keys.key_blocks]
action = None if keys is None or keys.animation_data is None else keys.animation_data.action.name
json.dump({"places": found, "keys": named, "action": action}, open(out, "w"))
"""


def played(path: Path, folder: Path) -> dict[str, Any]:
    """What Blender sees of a file: `places` at TIMES in the file's axes, and the names of its keys and its action.

    Blender turns the file's +Y up to its own +Z up: (x, y, z) becomes (x, -z, y).
    """
    script = folder / "play.py"
    script.write_text(SCRIPT)
    asked = [str(path), json.dumps([100.0 * t for t in TIMES]), str(folder / "out.json")]
    command = [BLENDER, "-b", "-P", str(script), "--"] if "python" not in Path(BLENDER).name else [BLENDER, str(script)]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "out.json").read_text())
    return told | {"places": [np.array(rows)[:, [0, 2, 1]] * [1, 1, -1] for rows in told["places"]]}


@pytest.mark.skipif(not BLENDER, reason="N2M_BLENDER names no Blender or Python with bpy")
@pytest.mark.parametrize("suffix", [".glb", ".abc"])
def test_blender_plays_it(tmp_path: Path, suffix: str) -> None:
    """Places at four times; Alembic is written by Blender too, and holds a sample for each."""
    mesh, track = bending()
    told = played(save_mesh(mesh, tmp_path / f"m{suffix}", track=track), tmp_path)
    assert suffix == ".abc" or (len(told["keys"]) == 4 and told["action"])
    for found, wanted in zip(told["places"], track.positions):
        assert matched(found, told["places"][0], wanted, mesh) < 1e-4


@pytest.mark.parametrize("suffix", [".glb", ".usdz", ".obj"])
def test_the_record_stays_right(tmp_path: Path, suffix: str) -> None:
    """Also in each file of an OBJ's frames; a byte of the animation that changes is noticed."""
    software = {"name": "nerf2mesh", "version": "0"}
    content = {"title": "A torus", "materials": [], "software": software, "digital_source_type": "http://x/y"}
    mesh, track = bending()
    path = save_mesh(mesh, tmp_path / f"m{suffix}", track=track, record=Record(content))
    for file in [path, *(tmp_path / "m_frames").glob("*.obj")]:
        assert verify(file).holds and read_record(file)[3].items() >= content.items()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not verify(path).holds
