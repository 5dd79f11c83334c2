"""The GLB of a rig read back by the letter of glTF 2.0, by Khronos' validator, by Blender and in a browser; BVH."""

from __future__ import annotations

import html
import json
import re
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerf2mesh.cli import rig as rig_command
from nerf2mesh.mesh.export.blender import blender_command
from nerf2mesh.motion.rig import Rig, own_clips, read_bvh, retarget, rig, save_rig
from nerf2mesh.motion.rig.bvh import parse_bvh
from nerf2mesh.motion.rig.rotations import about
from nerf2mesh.report import viewer_page
from nerf2mesh.rights import Record
from nerf2mesh.rights.inspect_file import verify
from tests.mesh import gltf_validator
from tests.motion.figures import person
from tests.report.test_html import BROWSER, GRAPHICS

TYPES = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
BLENDER_SCRIPT = """
import sys, json, bpy
source, target, times = sys.argv[-3:]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps = 24
if source.endswith(".glb"):
    bpy.ops.import_scene.gltf(filepath=source)
else:
    bpy.ops.wm.usd_import(filepath=source)
rig = next(o for o in bpy.data.objects if o.type == "ARMATURE")
body = next(o for o in bpy.data.objects if o.type == "MESH" and o.vertex_groups)
action = next(a for a in bpy.data.actions if a.name.startswith("walk"))
rig.animation_data_create()
for track in rig.animation_data.nla_tracks:
    track.mute = True
rig.animation_data.action = action
found = []
for time in json.loads(times):
    scene.frame_set(int(time), subframe=time - int(time))
    graph = bpy.context.evaluated_depsgraph_get()
    seen = body.evaluated_get(graph)
    found.append([list(seen.matrix_world @ v.co) for v in seen.to_mesh().vertices])
json.dump({"positions": found, "bones": [b.name for b in rig.data.bones]}, open(target, "w"))
"""


@cache
def rigged() -> Rig:
    return rig(person().mesh(0.04))


def read_glb(path: Path) -> tuple[dict, list[np.ndarray]]:
    """The tree and every accessor's rows."""
    data = path.read_bytes()
    n = struct.unpack_from("<I", data, 12)[0]
    tree, start = json.loads(data[20 : 20 + n]), 28 + n
    rows = []
    for accessor in tree["accessors"]:
        view, width = tree["bufferViews"][accessor["bufferView"]], SIZES[accessor["type"]]
        flat = np.frombuffer(
            data, TYPES[accessor["componentType"]], accessor["count"] * width, start + view["byteOffset"]
        )
        rows.append(flat.reshape(-1, width))
    return tree, rows


def skinned(path: Path, clip: str, second: float) -> np.ndarray:
    """Vertices at a time as glTF 2.0 defines skins (3.7.3) and linear rotation samplers (3.11, slerp)."""
    tree, rows = read_glb(path)
    local = {k: [np.array(n.get("translation", [0, 0, 0])), np.eye(3)] for k, n in enumerate(tree["nodes"])}
    animation = next(a for a in tree["animations"] if a["name"] == clip)
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times, values = rows[sampler["input"]][:, 0].astype(float), rows[sampler["output"]].astype(float)
        k = min(max(int(np.searchsorted(times, second, side="right")) - 1, 0), len(times) - 2)
        share = (second - times[k]) / (times[k + 1] - times[k])
        if channel["target"]["path"] == "translation":
            local[channel["target"]["node"]][0] = (1 - share) * values[k] + share * values[k + 1]
        else:
            a, b = Rotation.from_quat(values[k]), Rotation.from_quat(values[k + 1])
            local[channel["target"]["node"]][1] = (
                a * Rotation.from_rotvec(share * (a.inv() * b).as_rotvec())
            ).as_matrix()

    above = {c: k for k, n in enumerate(tree["nodes"]) for c in n.get("children", [])}

    def world(k: int) -> np.ndarray:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = local[k][1], local[k][0]
        return world(above[k]) @ matrix if k in above else matrix

    skin, attributes = tree["skins"][0], tree["meshes"][0]["primitives"][0]["attributes"]
    inverse = rows[skin["inverseBindMatrices"]].reshape(-1, 4, 4).swapaxes(1, 2)
    moves = np.stack([world(k) for k in skin["joints"]]) @ inverse
    points = np.c_[rows[attributes["POSITION"]], np.ones(len(rows[attributes["POSITION"]]))]
    blend = np.einsum("nk,nkab->nab", rows[attributes["WEIGHTS_0"]], moves[rows[attributes["JOINTS_0"]]])
    return np.einsum("nab,nb->na", blend, points)[:, :3]


def ours(made: Rig, frame: int) -> np.ndarray:
    """In file axes."""
    clip = next(c for c in own_clips(made) if c.name == "walk")
    return made.posed(clip.local[frame], clip.moved[frame])[:, [1, 2, 0]]


def test_the_file_moves_as_the_rig_does(tmp_path):
    made = rigged()
    path, about_it = save_rig(made, tmp_path / "rigged.glb", own_clips(made), scale=1.0)
    tree, rows = read_glb(path)
    names = [tree["nodes"][k]["name"] for k in tree["skins"][0]["joints"]]
    assert names == ["mixamorig:" + name for name in made.skeleton.names]
    assert about_it.name == "rigged.rig.json"
    assert [a["name"] for a in tree["animations"]] == ["idle", "walk", "wave"]
    weights = rows[tree["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"]]
    assert np.abs(weights.astype(np.float64).sum(1) - 1.0).max() < 1e-6
    rate = next(c for c in own_clips(made) if c.name == "walk").rate
    for frame in (0, 5, 20):
        assert np.abs(skinned(path, "walk", frame / rate) - ours(made, frame)).max() < 1e-5
    assert np.abs(ours(made, 5) - ours(made, 20)).max() > 0.2


@pytest.mark.skipif(gltf_validator.find_package() is None, reason="node or npm's gltf-validator is not here")
def test_gltf_validator_has_no_error_and_the_seal_holds(tmp_path):
    made = rigged()
    record = Record({"format": "nerf2mesh provenance 1", "materials": []})
    path = save_rig(made, tmp_path / "rigged.glb", own_clips(made), record=record)[0]
    issues = gltf_validator.validate(path)
    assert issues["numErrors"] == 0 and issues["numWarnings"] == 0, issues["messages"]
    assert verify(path).holds
    data = path.read_bytes()
    path.write_bytes(data[:-40] + b"\0\0\0\1" + data[-36:])
    assert not verify(path).holds


@pytest.mark.slow
@pytest.mark.skipif(blender_command() is None, reason="needs Blender")
@pytest.mark.parametrize(("suffix", "colon"), [(".glb", ":"), (".usdz", "_")])
def test_blender_plays_the_walk(tmp_path, suffix, colon):
    """The walk comes first: it is the one that USD binds to the skeleton. Blender's frames are seconds of a GLB by its
    own rate, set to 24, and time codes of a USD."""
    made = rigged()
    clips = sorted(own_clips(made), key=lambda clip: clip.name != "walk")
    path = save_rig(made, tmp_path / f"rigged{suffix}", clips)[0]
    rate = clips[0].rate if suffix == ".glb" else 24.0
    frames, script, out = (0, 7, 19), tmp_path / "script.py", tmp_path / "seen.json"
    script.write_text(BLENDER_SCRIPT, encoding="utf-8")
    times = json.dumps([24.0 * frame / rate for frame in frames])
    command = [*(blender_command() or []), str(script), "--", str(path), str(out), times]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    seen = json.loads(out.read_text())
    assert set(seen["bones"]) == {f"mixamorig{colon}{name}" for name in made.skeleton.names}
    to_file = np.array(seen["positions"])[..., [0, 2, 1]] * [1, 1, -1]  # Blender turns +Y up to +Z up
    for positions, frame in zip(to_file, frames):
        assert np.abs(positions - ours(made, frame)).max() < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_viewer_plays_and_scrubs(tmp_path):
    made = rigged()
    path = save_rig(made, tmp_path / "rigged.glb", own_clips(made))[0]
    rate = next(c for c in own_clips(made) if c.name == "walk").rate
    script = """<script>
      const figure = document.querySelector(".viewer");
      figure.ready.then((viewer) => {
        const player = viewer.player, clips = figure.querySelector("select");
        player.play(false); player.choose(1); player.seek(SECOND); viewer.root.updateMatrixWorld(true);
        const mesh = viewer.meshes[0], point = mesh.position.clone(), points = [];
        mesh.skeleton.update();
        for (let k = 0; k < mesh.geometry.attributes.position.count; k++) {
          mesh.getVertexPosition(k, point); points.push(point.x, point.y, point.z);
        }
        const still = viewer.canvas.toDataURL();
        player.seek(SECOND + 0.4);
        document.body.dataset.seen = JSON.stringify({
          points, clips: [...clips.options].map((o) => o.text), moved: still !== viewer.canvas.toDataURL(),
          button: figure.querySelector(".player button").textContent,
        });
      });
    </script></body>""".replace("SECOND", repr(7 / rate))
    page = tmp_path / "page.html"
    page.write_text(viewer_page(path).replace("</body>", script), encoding="utf-8")
    flags = [*GRAPHICS, "--virtual-time-budget=4000", "--window-size=500,560", "--force-prefers-reduced-motion"]
    done = subprocess.run([BROWSER, *flags, "--dump-dom", page.as_uri()], capture_output=True, check=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', done.stdout.decode())
    assert found is not None
    seen = json.loads(html.unescape(found[1]))
    assert seen["clips"] == ["idle", "walk", "wave"] and seen["moved"] and seen["button"] == "Play"
    assert np.abs(np.reshape(seen["points"], (-1, 3)) - ours(made, 7)).max() < 1e-4


def test_the_command_rigs_a_file(tmp_path, monkeypatch, capsys):
    from nerf2mesh.mesh import save_mesh

    source, out = save_mesh(person().mesh(0.04), tmp_path / "person.glb"), tmp_path / "out" / "rigged.glb"
    monkeypatch.setattr("sys.argv", ["nerf2mesh-rig", str(source), "--clip", "walk", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        rig_command()
    assert stop.value.code == 0 and "biped" in capsys.readouterr().out
    assert [a["name"] for a in read_glb(out)[0]["animations"]] == ["walk"] and (
        out.parent / "rigged.rig.json"
    ).is_file()
    monkeypatch.setattr("sys.argv", ["nerf2mesh-rig", str(source), "--kind", "quadruped", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        rig_command()
    assert stop.value.code == 2 and capsys.readouterr().err.startswith("error: rig: expected two pairs of legs")


def test_files_that_are_not_there_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    from nerf2mesh.mesh import save_mesh

    source, out = save_mesh(person().mesh(0.06), tmp_path / "person.glb"), tmp_path / "rigged.glb"
    within = tmp_path / "person.glb" / "rigged.glb"
    wrong = {
        "error: mesh: expected a mesh file": [str(tmp_path / "none.glb"), "--out", str(out)],
        "error: --clip: expected a BVH file": [str(source), "--clip", str(tmp_path / "none.bvh"), "--out", str(out)],
        "error: --out: expected a place where": [str(source), "--clip", "walk", "--out", str(within)],
    }
    for told, arguments in wrong.items():
        monkeypatch.setattr("sys.argv", ["nerf2mesh-rig", *arguments])
        with pytest.raises(SystemExit) as stop:
            rig_command()
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.startswith(told) and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["person.glb"]


BVH = """HIERARCHY
ROOT Hips
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
 JOINT LeftUpLeg
 {
  OFFSET 10 0 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  JOINT LeftLeg
  {
   OFFSET 0 -40 0
   CHANNELS 3 Zrotation Xrotation Yrotation
   End Site
   {
    OFFSET 0 -40 0
   }
  }
 }
 JOINT mixamorig:LeftArm
 {
  OFFSET 15 50 0
  CHANNELS 3 Zrotation Xrotation Yrotation
  End Site
  {
   OFFSET 0 -60 0
  }
 }
}
MOTION
Frames: 2
Frame Time: 0.05
0 80 0 0 0 0 0 0 0 0 0 0 0 0 0
8 84 0 0 0 90 0 -30 0 0 60 0 90 0 0
"""
"""The rest pose has the arm hanging. Frame 1: the root turned left by 90 degrees about the vertical, the leg forward
by 30, the knee back by 60, the arm raised sideways by 90."""


def test_bvh_against_truth_by_hand(tmp_path):
    path = tmp_path / "step.bvh"
    path.write_text(BVH)
    clip = read_bvh(path)
    assert (
        clip.rate == pytest.approx(20.0)
        and clip.n_frames == 2
        and set(clip.rotations) == {*("Hips", "LeftUpLeg", "LeftLeg", "LeftArm")}
    )
    assert np.allclose(clip.rotations["Hips"][1], about("z", 90.0))
    assert np.allclose(clip.rotations["LeftUpLeg"][1] @ [0, 0, -1.0], [0.5, 0, -np.sqrt(0.75)])
    assert np.allclose(clip.rotations["LeftLeg"][1], about("y", 60.0))
    assert np.allclose(clip.rotations["LeftArm"][0] @ [0, 1.0, 0], [0, 0, -1])  # of a T, the arm hangs
    assert np.allclose(clip.rotations["LeftArm"][1] @ [0, 1.0, 0], [0, 1.0, 0])  # and is straight out when raised
    assert np.allclose(clip.root, [[0, 0, 0], [0, 0.1, 0.05]])
    on_rig = retarget(clip, rigged())
    assert on_rig.local.shape == (2, len(rigged().skeleton.names), 3, 3) and np.isfinite(on_rig.local).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HIERARCHY", "NONSENSE"),
        ("Frames: 2", "Frames: 3"),
        ("Frame Time: 0.05", "Frame Time: 0"),
        ("8 84 0", "8 nan 0"),
        ("OFFSET 10 0 0", "OFFSET 10 0"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation"),
        ("MOTION", "}\nMOTION"),
        ("ROOT Hips\n{", "ROOT Hips\n"),
        ("MOTION", ""),
    ],
)
def test_a_broken_bvh_is_refused_in_one_line(old, new):
    with pytest.raises(ValueError, match=r"^step: expected a BVH file, got one with an error \(.*\); export it anew$"):
        parse_bvh(BVH.replace(old, new, 1), "step")


def test_bvh_with_foreign_names_is_refused(tmp_path):
    path = tmp_path / "step.bvh"
    path.write_text(BVH.replace("LeftUpLeg", "bone1").replace("LeftLeg", "bone2"))
    with pytest.raises(ValueError, match="expected joints with names of Mixamo, Unity or VRM"):
        read_bvh(path)
