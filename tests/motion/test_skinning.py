"""Weights, poses and clips: partition of unity, closed forms, and that retargeting to the same pose is no motion."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.rig import Clip, Rig, own_clips, read_clip, retarget, rig
from nerf2mesh.motion.rig.rotations import about, between, quaternions
from nerf2mesh.motion.rig.skeleton import made_skeleton
from nerf2mesh.motion.rig.weights import SkinWeights, strongest
from tests.motion.figures import horse, person


@cache
def rigged(drop_deg: float = 0.0) -> Rig:
    return rig(person(drop_deg).mesh(0.045 if drop_deg else 0.03))


@cache
def four_legged() -> Rig:
    return rig(horse().mesh(0.06))


def turned(made: Rig, **degrees: tuple[str, float]) -> np.ndarray:
    local = np.tile(np.eye(3), (len(made.skeleton.names), 1, 1))
    for name, (axis, angle) in degrees.items():
        local[made.skeleton.names.index(name)] = about(axis, angle)
    return local


@pytest.mark.parametrize("make", [rigged, four_legged])
def test_weights_are_at_most_four_and_sum_to_one(make):
    made = make()
    w = made.weights
    assert w.joints.shape == w.values.shape == (made.mesh.n_vertices, 4)
    assert np.abs(w.values.sum(1) - 1.0).max() < 1e-12 and w.values.min() >= 0.0
    assert not any(made.skeleton.names[j].endswith("_End") for j in np.unique(w.joints))


def test_weights_are_smooth_and_local():
    """Over an edge they change little; the head does not follow the legs, nor a hand the other one."""
    made = rigged()
    a, b = made.mesh.edges[0].T
    assert np.abs(made.dense[a] - made.dense[b]).max() < 0.4
    name = made.skeleton.names.index
    head, hand = made.mesh.vertices[:, 2] > 1.6, made.mesh.vertices[:, 1] > 0.65
    assert made.dense[head][:, name("Head")].min() > 0.9
    assert made.dense[hand][:, [name("LeftHand"), name("LeftForeArm")]].sum(1).min() > 0.95
    legs = [k for k, n in enumerate(made.skeleton.names) if "Leg" in n or "Foot" in n or "Toe" in n]
    assert made.dense[made.mesh.vertices[:, 2] > 1.2][:, legs].max() < 0.01


def test_the_four_strongest_stay():
    dense = np.array([[0.4, 0.3, 0.2, 0.06, 0.04], [1.0, 0.0, 0.0, 0.0, 0.0]])
    kept = strongest(dense)
    assert np.allclose(kept.dense(5), [[0.4 / 0.96, 0.3 / 0.96, 0.2 / 0.96, 0.06 / 0.96, 0.0], [1, 0, 0, 0, 0]])


def test_blending_is_the_closed_form():
    """Two joints; a vertex with weight w goes to (1 - w) v + w (b + R (v - b))."""
    places = {"Hips": np.zeros(3), "Spine": np.array([0.0, 0.0, 1.0])}
    skeleton = made_skeleton("spine", places, [])
    vertices = np.array([[0.0, 0.2, 0.5], [0.0, 0.2, 1.0], [0.3, 0.0, 1.8]])
    share = np.array([0.0, 0.25, 1.0])
    joints = np.tile([0, 1, 0, 0], (3, 1))
    weights = SkinWeights(joints, np.stack([1 - share, share, 0 * share, 0 * share], axis=1))
    made = Rig(TriangleMesh(vertices, np.array([[0, 1, 2]])), skeleton, weights)
    turn = Rotation.from_rotvec([0.4, -0.3, 0.9]).as_matrix()
    shift = np.array([0.1, 0.2, 0.3])
    expected = (1 - share)[:, None] * vertices
    expected += share[:, None] * (places["Spine"] + (vertices - places["Spine"]) @ turn.T)
    assert np.allclose(made.posed(np.stack([np.eye(3), turn]), shift), expected + shift)


def test_turning_the_root_turns_the_mesh():
    made = rigged()
    root = made.skeleton.positions[0]
    moved = made.posed(turned(made, Hips=("z", 90.0)))
    relative = made.mesh.vertices - root
    expected = root + np.stack([-relative[:, 1], relative[:, 0], relative[:, 2]], axis=1)
    assert np.allclose(moved, expected, atol=1e-9)


@pytest.mark.parametrize("joint", ["LeftArm", "LeftForeArm", "LeftUpLeg", "LeftLeg", "Spine1", "Neck"])
def test_a_bend_of_45_degrees_keeps_the_volume(joint):
    made = rigged()
    bent = TriangleMesh(made.posed(turned(made, **{joint: ("y", 45.0)})), made.mesh.faces)
    assert bent.volume == pytest.approx(made.mesh.volume, rel=0.05)


def test_a_clip_of_the_reference_pose_is_no_motion_on_a_t_pose():
    """The arms of the figure point exactly along y up to the voxels' step; legs and spine are left alone."""
    still = Clip("still", 24.0, {}, np.zeros((2, 3)))
    made = rigged()
    on_rig = retarget(still, made)
    moved = made.posed(on_rig.local[1], on_rig.moved[1])
    assert np.linalg.norm(moved - made.mesh.vertices, axis=1).max() < 0.05
    legs = made.mesh.vertices[:, 2] < 0.9
    assert np.allclose(moved[legs], made.mesh.vertices[legs], atol=1e-9)


def test_a_clip_looks_alike_from_either_bind_pose():
    """Walking, the hands of the T figure and of the A figure are at the same places against the shoulders."""
    walk = read_clip("walk", "biped")
    found = []
    for drop_deg in (0.0, 45.0):
        made = rigged(drop_deg)
        on_rig = retarget(walk, made)
        frames = [made.joints(on_rig.local[t], on_rig.moved[t])[1] for t in (0, 7, 13)]
        name = made.skeleton.names.index
        arms = np.array([places[name("LeftHand")] - places[name("LeftArm")] for places in frames])
        found.append(arms / np.linalg.norm(arms, axis=1, keepdims=True))
    assert (np.degrees(np.arccos(np.clip((found[0] * found[1]).sum(1), -1, 1))) < 6.0).all()
    assert (found[0][:, 2] < -0.8).all()  # they hang


def test_walking_swings_arms_against_legs_with_a_foot_on_the_ground():
    made = rigged()
    clip = retarget(read_clip("walk", "biped"), made)
    name = made.skeleton.names.index
    places = np.array([made.joints(local, moved)[1] for local, moved in zip(clip.local, clip.moved)])
    foot = places[:, name("LeftFoot"), 0] - places[:, name("LeftUpLeg"), 0]
    hand = places[:, name("LeftHand"), 0] - places[:, name("LeftArm"), 0]
    assert np.ptp(foot) > 0.3 and np.corrcoef(foot, hand)[0, 1] < -0.8
    feet = [k for k, n in enumerate(made.skeleton.names) if "Foot" in n or "Toe" in n]
    assert np.allclose(places[:, feet, 2].min(1), made.skeleton.positions[feet, 2].min(), atol=1e-9)
    knee = [np.degrees(Rotation.from_matrix(m).as_rotvec()[1]) for m in clip.local[:, name("LeftLeg")]]
    assert min(knee) > 0.0 and 45.0 < max(knee) < 75.0  # knees bend backward only


def test_clips_loop():
    for made in (rigged(), four_legged()):
        for clip in own_clips(made):
            assert np.allclose(clip.local[0], clip.local[-1], atol=1e-9) and np.allclose(clip.moved[0], clip.moved[-1])
    with pytest.raises(ValueError, match=r"^clip: expected one of idle, walk for a quadruped, got 'wave'"):
        read_clip("wave", "quadruped")


def test_rotations():
    for axis in "xyz":
        expected = Rotation.from_euler(axis, 37.0, degrees=True)
        assert np.allclose(about(axis, 37.0), expected.as_matrix())
    u, v = np.array([0.2, -0.5, 0.8]), np.array([-0.7, 0.1, 0.4])
    assert np.allclose(between(u, v) @ u / np.linalg.norm(u), v / np.linalg.norm(v))
    assert np.allclose(between(u, -u) @ u, -u) and np.linalg.det(between(u, -u)) == pytest.approx(1.0)
    spin = quaternions(about("z", np.arange(0, 720, 30.0)))
    assert ((spin[1:] * spin[:-1]).sum(1) > 0.9).all()


def test_rig_json_says_bones_and_names(tmp_path):
    made = rigged()
    said = json.loads(made.write_json(tmp_path / "rig.json").read_text())
    bones = {bone["name"]: bone for bone in said["bones"]}
    assert said["kind"] == "biped" and said["bind_pose"] == "T" and len(bones) == len(made.skeleton.names)
    assert bones["LeftForeArm"]["parent"] == "LeftArm" and bones["LeftForeArm"]["unity"] == "LeftLowerArm"
    assert bones["LeftForeArm"]["vrm"] == "leftLowerArm" and "unity" not in bones["LeftHand_End"]
    assert np.allclose(bones["Head"]["bind_position"], made.skeleton.place("Head"))
