"""The USDZ of a rig read back by Pixar's library: what UsdSkel skins is where the rig puts it; its own validators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nerf2mesh.cli import rig as rig_command
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.motion.rig import Rig, RigClip, own_clips, save_rig
from nerf2mesh.motion.rig.skeleton import made_skeleton
from nerf2mesh.motion.rig.weights import SkinWeights
from nerf2mesh.rights import Record
from nerf2mesh.rights.inspect_file import read_record, verify
from tests.motion.test_rig_files import rigged


def in_file(points: np.ndarray) -> np.ndarray:
    return points[:, [1, 2, 0]]


def skinned(path: Path, seconds: float, animation: str | None = None) -> np.ndarray:
    """Points at a time as UsdSkel computes them; animation: another one than the file binds."""
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdSkel, Vt

    stage = usd.Stage.Open(str(path))
    if animation is not None:
        source = UsdSkel.BindingAPI(stage.GetPrimAtPath("/Root/Skeleton")).GetAnimationSourceRel()
        source.SetTargets([f"/Root/Skeleton/{animation}"])
    cache, root = UsdSkel.Cache(), UsdSkel.Root(stage.GetPrimAtPath("/Root"))
    assert cache.Populate(root, usd.TraverseInstanceProxies())
    skeleton = UsdSkel.Skeleton(stage.GetPrimAtPath("/Root/Skeleton"))
    moves = cache.GetSkelQuery(skeleton).ComputeSkinningTransforms(seconds * stage.GetTimeCodesPerSecond())
    mesh = stage.GetPrimAtPath("/Root/Mesh")
    query = cache.GetSkinningQuery(mesh)
    assert query.HasJointInfluences() and query.GetNumInfluencesPerComponent() == 4
    points = Vt.Vec3fArray(mesh.GetAttribute("points").Get())
    assert query.ComputeSkinnedPoints(moves, points, seconds)
    return np.array(points)


@pytest.mark.parametrize("name", ["walk", "wave"])
def test_usd_skins_as_the_rig_does(tmp_path, name):
    """At three times, of the animation that is bound and of one that is not; and half way between two keys."""
    made = rigged()
    clips = sorted(own_clips(made), key=lambda clip: clip.name != "walk")
    path, _ = save_rig(made, tmp_path / "rigged.usdz", clips, scale=2.5)
    clip = next(clip for clip in clips if clip.name == name)
    for frame in (0, 5, 20):
        wanted = 2.5 * in_file(made.posed(clip.local[frame], clip.moved[frame]))
        assert np.abs(skinned(path, frame / clip.rate, name) - wanted).max() < 1e-4
    found = skinned(path, 5.5 / clip.rate, name)
    around = [made.posed(clip.local[frame], clip.moved[frame]) for frame in (5, 6)]
    assert np.abs(found - 2.5 * in_file(0.5 * (around[0] + around[1]))).max() < 5e-3


def test_a_bend_by_90_degrees_read_by_usd(tmp_path):
    """Two joints, by hand: the second, at height 1, is turned by 90 degrees about +x of the world."""
    skeleton = made_skeleton("spine", {"Hips": np.zeros(3), "Spine": np.array([0.0, 0.0, 1.0])}, [])
    vertices = np.array([[0.0, 0.2, 0.5], [0.0, 0.2, 1.5], [0.3, 0.0, 1.8]])
    weights = SkinWeights(
        np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]), np.array([[1.0, 0, 0, 0]] * 2 + [[0.5, 0.5, 0, 0]])
    )
    made = Rig(TriangleMesh(vertices, np.array([[0, 1, 2]])), skeleton, weights)
    turned = np.array([np.eye(3), [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    clip = RigClip(
        "a bend", 10.0, np.stack([np.tile(np.eye(3), (2, 1, 1)), turned]), np.array([[0, 0, 0], [0.1, 0, 0]])
    )
    path, _ = save_rig(made, tmp_path / "bend.usdz", [clip])
    expected = np.array([[0.1, 0.2, 0.5], [0.1, -0.5, 1.2], [0.4, -0.4, 1.4]])
    np.testing.assert_allclose(skinned(path, 0.1), in_file(expected), atol=1e-6)


def test_usd_has_no_error_and_every_clip(tmp_path):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom, UsdSkel, UsdValidation

    made = rigged()
    clips = own_clips(made)
    path, about_it = save_rig(made, tmp_path / "rigged.usdz", clips)
    stage = usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert not errors, [error.GetMessage() for error in errors]
    skeleton = UsdSkel.Skeleton(stage.GetPrimAtPath("/Root/Skeleton"))
    assert list(skeleton.GetJointNamesAttr().Get()) == ["mixamorig:" + name for name in made.skeleton.names]
    topology = UsdSkel.Topology(skeleton.GetJointsAttr().Get())
    assert topology.Validate()[0]
    assert [topology.GetParent(j) for j in range(len(made.skeleton.names))] == list(made.skeleton.parents)
    assert [prim.GetName() for prim in skeleton.GetPrim().GetChildren()] == ["idle", "walk", "wave"]
    assert stage.GetEndTimeCode() == len(clips[0].moved) - 1 and stage.GetTimeCodesPerSecond() == clips[0].rate
    weights = UsdSkel.BindingAPI(stage.GetPrimAtPath("/Root/Mesh")).GetJointWeightsAttr().Get()
    assert np.abs(np.array(weights, np.float64).reshape(-1, 4).sum(1) - 1.0).max() < 1e-6
    box = np.array(UsdGeom.Boundable(stage.GetPrimAtPath("/Root")).GetExtentAttr().Get())
    posed = np.stack([in_file(made.posed(a, b)) for a, b in zip(clips[0].local, clips[0].moved)])
    assert (box[0] <= posed.min((0, 1)) + 1e-5).all() and (box[1] >= posed.max((0, 1)) - 1e-5).all()
    assert about_it.name == "rigged.rig.json"


def test_the_record_of_a_rigged_usdz_holds(tmp_path):
    made = rigged()
    content = {"format": "nerf2mesh provenance 1", "materials": []}
    path = save_rig(made, tmp_path / "rigged.usdz", own_clips(made)[:1], record=Record(content))[0]
    assert verify(path).holds and read_record(path)[3].items() >= content.items()
    data = bytearray(path.read_bytes())
    data[data.index(b"quatf[] rotations") + 60] ^= 1
    path.write_bytes(data)
    assert not verify(path).holds


def test_the_command_writes_usdz(tmp_path, monkeypatch, capsys):
    source, out = save_mesh(rigged().mesh, tmp_path / "person.glb"), tmp_path / "rigged.usdz"
    monkeypatch.setattr("nerf2mesh.motion.rig.command.rig", lambda *_: rigged())
    monkeypatch.setattr("sys.argv", ["nerf2mesh-rig", str(source), "--clip", "walk", "idle", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        rig_command()
    assert stop.value.code == 0 and out.is_file() and "clips walk, idle" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["nerf2mesh-rig", str(source), "--out", str(tmp_path / "rigged.obj")])
    with pytest.raises(SystemExit) as stop:
        rig_command()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: --out: expected a name ending in .glb or .usdz")
