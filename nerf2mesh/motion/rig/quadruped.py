"""Fits the quadruped: four legs from the ground, the spine above them, neck and head, a tail where there is one.

The front legs carry the names of arms and the hind legs those of legs, as homologous bones do, so that names stay those
of the biped where the bone is the same.
"""

from __future__ import annotations

import numpy as np

from nerf2mesh.motion.rig.branches import Branch, axis_at
from nerf2mesh.motion.rig.measures import SYMMETRIC, along, deepest, made_alike, mirror_plane, smoothed
from nerf2mesh.motion.rig.skeleton import QUADRUPED_TREE, Skeleton, made_skeleton
from nerf2mesh.motion.rig.volume import Solid

FRONT = ("Arm", "ForeArm", "Hand", "Hand_End")
HIND = ("UpLeg", "Leg", "Foot", "Foot_End")
LEAST_TAIL = 0.12
"""Of the body's length."""


def four_legs(solid: Solid, legs: list[Branch]) -> dict[str, Branch] | None:
    """The legs as {"LeftFront": ...}, or None where there are not two pairs apart along x.

    A pair that was not split sideways is one branch under both names.
    """
    if len(legs) < 2:
        return None
    y0, _ = mirror_plane(solid)
    middles = np.array([axis_at(solid, leg, 0.5) for leg in legs])
    length, width = np.ptp(solid.centers[:, 0]), np.ptp(solid.centers[:, 1])
    x = middles[:, 0]
    split = 0.5 * (x.min() + x.max())
    if np.ptp(x) < 0.22 * length or length < 0.6 * width:
        return None
    found = {}
    for end, chosen in (("Front", x > split), ("Hind", x <= split)):
        group = [leg for leg, own in zip(legs, chosen) if own]
        ys = [axis_at(solid, leg, 0.5)[1] - y0 for leg in group]
        left = [leg for leg, y in zip(group, ys) if y > 0.0]
        right = [leg for leg, y in zip(group, ys) if y <= 0.0]
        apart = bool(left and right)
        if not apart and abs(ys[0]) > 0.25 * width:
            return None
        found |= {f"Left{end}": (left or group)[0], f"Right{end}": (right or group)[0]}
    return found


def fit_quadruped(solid: Solid, legs: list[Branch]) -> Skeleton | None:
    """The quadruped's skeleton; None where the legs are not two pairs."""
    four = four_legs(solid, legs)
    if four is None:
        return None
    y0, overlap = mirror_plane(solid)
    crotch = float(solid.origin[2] + solid.cell * max(leg.end for leg in four.values()))
    places: dict[str, np.ndarray] = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        for end, names in (("Front", FRONT), ("Hind", HIND)):
            shared = four[f"Left{end}"] is four[f"Right{end}"]
            places |= _leg(solid, four[f"{side}{end}"], [f"{side}{name}" for name in names], sign if shared else 0.0)
    hips = _trunk_point(solid, 0.5 * (places["LeftUpLeg"][0] + places["RightUpLeg"][0]), y0, crotch)
    chest = _trunk_point(solid, 0.5 * (places["LeftArm"][0] + places["RightArm"][0]), y0, crotch)
    for name in ("Arm", "UpLeg"):
        trunk = chest if name == "Arm" else hips
        for side in ("Left", "Right"):
            places[side + name][2] += 0.5 * max(trunk[2] - places[side + name][2], 0.0)
    places |= {"Hips": hips, "Spine2": chest}
    places |= {
        name: _trunk_point(solid, hips[0] + share * (chest[0] - hips[0]), y0, crotch)
        for name, share in (("Spine", 1 / 3), ("Spine1", 2 / 3))
    }
    legs_mask = np.zeros(len(solid.index), bool)
    for leg in four.values():
        legs_mask[leg.voxels()] = True
    places |= _head(solid, chest, ~legs_mask)
    tail = _tail(solid, hips, chest, ~legs_mask)
    notes = [] if tail else ["no tail was found"]
    places |= tail
    if overlap >= SYMMETRIC:
        places = made_alike(places, y0, 0.1 * float(np.ptp(solid.centers[:, 0])))
    inside = {name: solid.inner(places[name]) for name in QUADRUPED_TREE if name in places}
    return made_skeleton("quadruped", inside, notes, "standing")


def _leg(solid: Solid, leg: Branch, names: list[str], sideways: float) -> dict[str, np.ndarray]:
    """Four joints down a leg; sideways: 1 or -1 where one branch serves left and right."""
    top, middle, low = (axis_at(solid, leg, share) for share in (0.97, 0.55, 0.2))
    foot = axis_at(solid, leg, 0.0)
    foot[2] += 0.5 * solid.cell
    points = [top, middle, low, foot]
    width = np.ptp(solid.centers[leg.voxels(), 1])
    return {name: point + np.array([0.0, 0.25 * sideways * width, 0.0]) for name, point in zip(names, points)}


def _trunk_point(solid: Solid, x: float, y0: float, crotch: float) -> np.ndarray:
    """Middle of the trunk's cross-section at x, on the mirror plane."""
    near = (np.abs(solid.centers[:, 0] - x) <= 1.5 * solid.cell) & (solid.centers[:, 2] >= crotch - solid.cell)
    voxels = np.flatnonzero(near)
    if not len(voxels):
        voxels = np.array([solid.nearest(np.array([x, y0, crotch]))])
    deep = voxels[solid.depth[voxels] >= 0.7 * solid.depth[voxels].max()]
    point = deepest(solid, deep)
    return np.array([x, y0, point[2]])


def _head(solid: Solid, chest: np.ndarray, trunk: np.ndarray) -> dict[str, np.ndarray]:
    """Neck and head on the way from the foremost point to the chest; the head ends where that way is thinnest."""
    front = solid.centers[:, 0] + 0.25 * solid.centers[:, 2]
    nose = int(np.argmax(np.where(trunk, front, -np.inf)))
    path = solid.middle_path(nose, solid.nearest(chest))
    line, depth = smoothed(solid.centers[path]), solid.depth[path]
    n = len(path)
    low, high = int(0.3 * n), max(int(0.65 * n), int(0.3 * n) + 1)
    thin = low + int(np.argmin(depth[low:high]))
    share = float(np.clip(thin / max(n - 1, 1), 0.35, 0.6))
    back = line[::-1]
    return {
        "Neck": along(back, 0.2),
        "Neck1": along(back, 0.5 * (0.2 + 1.0 - share)),
        "Head": along(back, 1.0 - share),
        "HeadTop_End": along(back, 0.97),
    }


def _tail(solid: Solid, hips: np.ndarray, chest: np.ndarray, trunk: np.ndarray) -> dict[str, np.ndarray]:
    """Joints of the tail, the rear's extremity by ways inside; {} where nothing thin stands out."""
    behind = trunk & (solid.centers[:, 0] < hips[0] - 0.5 * solid.depth.max())
    if not behind.any():
        return {}
    far = solid.distances(np.array([solid.nearest(chest)]))
    tip = int(np.argmax(np.where(behind, far, -1.0)))
    path = solid.middle_path(tip, solid.nearest(hips))
    trunk_depth = float(solid.depth[path].max())
    thick = np.flatnonzero(solid.depth[path] > 0.5 * trunk_depth)
    line = smoothed(solid.centers[path[: int(thick[0]) + 1]]) if len(thick) else smoothed(solid.centers[path])
    length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) if len(line) > 1 else 0.0
    if length < LEAST_TAIL * float(np.ptp(solid.centers[:, 0])) or len(line) < 5:
        return {}
    back = line[::-1]
    names = {"Tail": 0.0, "Tail1": 0.33, "Tail2": 0.66, "Tail_End": 0.98}
    return {name: along(back, share) for name, share in names.items()}
