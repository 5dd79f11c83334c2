"""Skeletons against figures of capsules: their joints are known, and so is what is inside."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.motion.rig.fit import fit_skeleton
from nerf2mesh.motion.rig.skeleton import BIPED_TREE, UNITY_NAMES, VRM_NAMES
from nerf2mesh.motion.rig.volume import solid_of
from tests.motion.figures import Figure, ball, horse, person

UNITY_BODY = """Hips Spine Chest UpperChest Neck Head LeftShoulder LeftUpperArm LeftLowerArm LeftHand RightShoulder
RightUpperArm RightLowerArm RightHand LeftUpperLeg LeftLowerLeg LeftFoot LeftToes RightUpperLeg RightLowerLeg RightFoot
RightToes"""
"""HumanBodyBones of Unity without fingers, eyes and jaw, as its documentation lists them."""


def fitted(figure: Figure, kind: str = "auto"):
    return fit_skeleton(solid_of(figure.mesh(), 20_000), kind)


def test_the_solid_is_the_inside():
    """Voxels whose center is deeper than half a cell's diagonal are solid, those farther outside are not."""
    figure = person()
    solid = solid_of(figure.mesh(), 20_000)
    grid = solid.origin + solid.cell * np.stack(np.meshgrid(*map(np.arange, solid.solid.shape), indexing="ij"), axis=-1)
    distance, slack = figure.distance(grid), 0.6 * solid.cell
    assert solid.solid[distance < -slack].mean() > 0.999 and solid.solid[distance > slack].mean() < 0.001
    shallowest = solid.depth + figure.distance(solid.centers)  # a union's distance is a lower bound inside
    assert shallowest.min() > -1.5 * solid.cell and np.median(np.abs(shallowest)) < 0.5 * solid.cell


def test_ways_inside_go_around_the_gap():
    """From hand to foot of a person: at least the polyline through shoulder and hip, unlike the straight line."""
    figure = person(60.0)
    solid = solid_of(figure.mesh(), 20_000)
    hand, foot = figure.joints["LeftHand_End"], figure.joints["LeftFoot"]
    found = solid.distances(np.array([solid.nearest(hand)]))[solid.nearest(foot)]
    turn = [hand, figure.joints["LeftArm"], figure.joints["LeftUpLeg"], foot]
    way = sum(np.linalg.norm(b - a) for a, b in pairwise(turn))
    assert 0.85 * way < found < 1.15 * way and found > 1.8 * np.linalg.norm(hand - foot)


@pytest.mark.parametrize(("drop_deg", "pose"), [(0.0, "T"), (45.0, "A")])
def test_a_person_has_its_joints(drop_deg, pose):
    figure = person(drop_deg)
    skeleton = fitted(figure)
    assert skeleton.kind == "biped" and skeleton.pose == pose and skeleton.notes == ()
    assert set(skeleton.names) == set(BIPED_TREE)
    off = {name: np.linalg.norm(skeleton.place(name) - place) for name, place in figure.joints.items()}
    assert max(off.values()) < 0.1 and np.mean(list(off.values())) < 0.055, off  # of a height of 1.8
    assert (figure.distance(skeleton.positions) < 0.0).all()


def test_left_and_right_are_mirror_images():
    skeleton = fitted(person())
    for name in (n for n in skeleton.names if n.startswith("Left")):
        left, right = skeleton.place(name), skeleton.place("Right" + name[4:])
        assert np.allclose(left * [1, -1, 1], right, atol=0.03), name
        assert left[1] > 0.02


def test_a_horse_has_its_joints():
    figure = horse()
    skeleton = fitted(figure)
    assert skeleton.kind == "quadruped" and skeleton.notes == ()
    off = {name: np.linalg.norm(skeleton.place(name) - place) for name, place in figure.joints.items()}
    assert max(off.values()) < 0.2 and np.mean(list(off.values())) < 0.1, off  # of a length of 2.75
    assert (figure.distance(skeleton.positions) < 0.0).all()


def test_a_ball_gets_a_spine_and_a_note():
    figure = ball()
    skeleton = fitted(figure)
    assert skeleton.kind == "spine" and len(skeleton.names) == 5 and "no legs were found" in skeleton.notes[0]
    assert (figure.distance(skeleton.positions) < 0.0).all()
    forced = fitted(figure, "biped")
    assert set(forced.names) == set(BIPED_TREE) and len(forced.notes) == 3
    assert (figure.distance(forced.positions) < 0.0).all()


def test_what_cannot_be_rigged_is_said_in_one_line():
    with pytest.raises(ValueError, match=r"^rig: expected two pairs of legs"):
        fitted(person(), "quadruped")
    with pytest.raises(ValueError, match=r"^rig: expected one of auto, biped, quadruped, got 'snake'"):
        fitted(person(), "snake")
    flat = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match=r"^mesh: expected a surface that encloses something"):
        solid_of(flat)


def test_humanoid_names_are_complete():
    assert set(UNITY_NAMES.values()) == set(UNITY_BODY.split())
    assert set(UNITY_NAMES) == {name for name in BIPED_TREE if not name.endswith("_End")}
    assert VRM_NAMES["LeftUpLeg"] == "leftUpperLeg" and VRM_NAMES["Spine2"] == "upperChest"


def test_pieces_that_touch_nowhere_are_one_graph():
    one, two = icosphere(2, 0.4), icosphere(2, 0.4)
    apart = TriangleMesh(
        np.concatenate([one.vertices, two.vertices + np.array([0, 0, 1.0])]),
        np.concatenate([one.faces, two.faces + 162]),
    )
    solid = solid_of(apart, 5000)
    far = solid.distances(np.array([solid.nearest(np.array([0, 0, -0.4]))]))
    assert np.isfinite(far).all() and far.max() == pytest.approx(1.8, rel=0.15)
