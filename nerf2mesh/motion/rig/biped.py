"""Fits the biped: two legs from the ground, arms as the sides' extremities, spine, neck and head between them.

Where each joint goes along its limb follows the proportions of a standing adult (Winter, Biomechanics and Motor Control
of Human Movement, 2009, segment lengths as shares of the stature: upper arm 0.186, forearm 0.146, hand 0.108; thigh
0.245, shank 0.246, ankle 0.039): the elbow at 0.42 of the arm, the wrist at 0.75, the knee half way between hip and
ankle. The limb itself, and so its length, is the shape's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nerf2mesh.motion.rig.branches import Branch, axis_at
from nerf2mesh.motion.rig.measures import (
    SYMMETRIC,
    along,
    deepest,
    made_alike,
    mirror_plane,
    mirrored,
    smoothed,
    trunk_slice,
)
from nerf2mesh.motion.rig.skeleton import BIPED_TREE, Skeleton, made_skeleton
from nerf2mesh.motion.rig.volume import Solid

ELBOW, WRIST = 0.42, 0.755
ENTERS = 1.45
"""Where the way up an arm is this much deeper than the arm, it is in the trunk."""
LEAST_ARM = 0.3
"""How far a hand reaches beyond the trunk, as a share of the trunk's half width, to be an arm."""


@dataclass
class Body:
    """What is known of a figure while it is fitted; lengths in world units."""

    solid: Solid
    ground: float
    height: float
    y0: float
    overlap: float
    crotch: float
    """z above which the trunk is one."""
    half_width: float = 0.0
    """Of the trunk without arms, along y."""
    notes: list[str] | None = None

    def slice_at(self, z: float) -> int:
        """The grid's slice at a height."""
        return int(np.clip(round((z - self.solid.origin[2]) / self.solid.cell), 0, self.solid.solid.shape[2] - 1))

    def middle_at(self, z: float) -> np.ndarray:
        """Middle [3] of the trunk at height z, on the mirror plane."""
        voxels = trunk_slice(self.solid, self.slice_at(z), self.y0)
        if not len(voxels):
            return np.array([float(self.solid.centers[:, 0].mean()), self.y0, z])
        near = np.abs(self.solid.centers[voxels, 1] - self.y0) <= max(self.half_width, 1.5 * self.solid.cell)
        point = deepest(self.solid, voxels[near] if near.any() else voxels)
        return np.array([point[0], self.y0, z])


def has_arms(solid: Solid, legs: list[Branch]) -> bool:
    """Whether both sides have an arm."""
    body, _ = _body(solid, legs)
    return all(_arm(body, side) is not None for side in ("Left", "Right"))


def fit_biped(solid: Solid, legs: list[Branch]) -> Skeleton:
    """The biped's skeleton; legs: from `find_legs`, of which the two that stand apart sideways are taken."""
    body, pair = _body(solid, legs)
    notes: list[str] = body.notes or []
    places: dict[str, np.ndarray] = {}
    for side, leg in zip(("Left", "Right"), pair or (None, None)):
        places |= _leg(body, side, leg)
    arms = {side: _arm(body, side) for side in ("Left", "Right")}
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if arms[side] is None:
            arm = arms[other]
            notes.append(f"no {side.lower()} arm was found; it is {'mirrored' if arm else 'a guess inside the trunk'}")
            arms[side] = {k: mirrored(p, body.y0) for k, p in arm.items()} if arm else _guessed_arm(body, side)
    for side in ("Left", "Right"):
        places |= {f"{side}{name}": point for name, point in (arms[side] or {}).items()}
    places |= _spine(body, 0.5 * (places["LeftArm"][2] + places["RightArm"][2]))
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        arm, chest = places[f"{side}Arm"], places["Spine2"]
        start = np.array([chest[0], body.y0 + 0.25 * sign * abs(arm[1] - body.y0), arm[2]])
        places[f"{side}Shoulder"] = start
    if body.overlap >= SYMMETRIC:
        places = made_alike(places, body.y0, 0.08 * body.height)
    inside = {name: solid.inner(places[name]) for name in BIPED_TREE}
    return made_skeleton("biped", inside, notes, _pose(inside))


def _body(solid: Solid, legs: list[Branch]) -> tuple[Body, tuple[Branch, Branch] | None]:
    y0, overlap = mirror_plane(solid)
    z = solid.centers[:, 2]
    ground, height = float(z.min() - 0.5 * solid.cell), float(np.ptp(z) + solid.cell)
    sides = [[leg for leg in legs if sign * (axis_at(solid, leg, 0.5)[1] - y0) > 0] for sign in (1, -1)]
    pair = (sides[0][0], sides[1][0]) if sides[0] and sides[1] else None
    crotch = ground + 0.4 * height
    notes = []
    if pair:
        crotch = float(solid.origin[2] + solid.cell * max(leg.end for leg in pair))
    else:
        notes.append("no two legs were found; they are a guess inside the body")
    body = Body(solid, ground, height, y0, overlap, crotch, notes=notes)
    rows = range(body.slice_at(crotch + 0.06 * (height + ground - crotch)), body.slice_at(crotch + 0.4 * height))
    widths = [np.ptp(solid.centers[v, 1]) + solid.cell for k in rows if len(v := trunk_slice(solid, k, y0))]
    body.half_width = 0.5 * float(np.percentile(widths, 25)) if widths else 0.15 * height
    return body, pair


def _leg(body: Body, side: str, leg: Branch | None) -> dict[str, np.ndarray]:
    sign, long = (1.0 if side == "Left" else -1.0), body.crotch - body.ground
    if leg is None:
        at = [body.middle_at(body.ground + share * long) for share in (1.05, 0.55, 0.1)]
        hip, knee, ankle = (p + np.array([0.0, 0.4 * sign * body.half_width, 0.0]) for p in at)
        toe = ankle + np.array([0.15 * long, 0.0, -0.05 * long])
        return _named(side, {"UpLeg": hip, "Leg": knee, "Foot": ankle, "ToeBase": toe, "Toe_End": toe * 1.0})
    solid, top = body.solid, axis_at(body.solid, leg, 0.9)
    hip = np.array([top[0], top[1], body.crotch + min(0.09 * long, 0.04 * body.height)])
    shank, knee = axis_at(solid, leg, 0.22), axis_at(solid, leg, 0.54)
    ankle = np.array([shank[0], shank[1], body.ground + 0.1 * long])
    low = leg.voxels(0, leg.born + max(1, int(0.12 * (leg.end - leg.born))))
    front = solid.centers[low]
    tip = front[np.argmax(front[:, 0] - np.abs(front[:, 1] - ankle[1]))]
    tip = np.array([tip[0] - 0.5 * solid.cell, 0.5 * (tip[1] + ankle[1]), min(tip[2], ankle[2])])
    ball = ankle + 0.62 * (tip - ankle)
    ball[2] = 0.4 * ankle[2] + 0.6 * tip[2]
    return _named(side, {"UpLeg": hip, "Leg": knee, "Foot": ankle, "ToeBase": ball, "Toe_End": tip})


def _named(side: str, places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{side}{name}": point for name, point in places.items()}


def _arm(body: Body, side: str) -> dict[str, np.ndarray] | None:
    """Joints of an arm; None without. Its tip lies far out and far from the chest by ways inside."""
    solid, sign = body.solid, 1.0 if side == "Left" else -1.0
    outward = sign * (solid.centers[:, 1] - body.y0)
    top = body.ground + body.height
    chest = body.middle_at(body.crotch + 0.45 * (top - body.crotch))
    beside = (outward > 1.15 * body.half_width) & (solid.centers[:, 2] > body.crotch - 0.3 * (top - body.crotch))
    legs = (solid.centers[:, 2] < body.crotch) & (outward < 1.6 * body.half_width)
    beside &= ~legs
    if not beside.any() or outward[beside].max() < (1.0 + LEAST_ARM) * body.half_width:
        return None
    far = solid.distances(np.array([solid.nearest(chest)]))
    tip = int(np.argmax(np.where(beside, outward + 0.35 * far, -1.0)))
    first = solid.middle_path(tip, solid.nearest(chest))
    enters = first[np.argmax(outward[first] <= body.half_width)] if (outward[first] <= body.half_width).any() else tip
    root = body.middle_at(float(solid.centers[enters, 2]))
    path = solid.middle_path(tip, solid.nearest(root))
    n = _shoulder_index(body, path, outward)
    line = smoothed(solid.centers[path[: n + 1]])
    if len(line) < 5:
        return None
    return {"Arm": line[-1], "ForeArm": along(line[::-1], ELBOW), "Hand": along(line[::-1], WRIST), "Hand_End": line[0]}


def _shoulder_index(body: Body, path: np.ndarray, outward: np.ndarray) -> int:
    """Where on the way from the hand to the middle the arm ends: it grows deep, or reaches the trunk's width."""
    depth = body.solid.depth[path]
    n = len(path)
    thick = float(np.percentile(depth[int(0.1 * n) : max(int(0.55 * n), int(0.1 * n) + 1)], 70))
    deep = (depth > ENTERS * thick) & (np.arange(n) > 0.45 * n)
    within = outward[path] <= 0.9 * body.half_width
    found = np.flatnonzero(deep | within)
    return int(found[0]) if len(found) else n - 1


def _guessed_arm(body: Body, side: str) -> dict[str, np.ndarray]:
    sign, long = (1.0 if side == "Left" else -1.0), body.ground + body.height - body.crotch
    shoulder = body.middle_at(body.crotch + 0.55 * long) + np.array([0.0, 0.75 * sign * body.half_width, 0.0])
    down = np.array([0.0, 0.12 * sign * body.half_width, -0.45 * long])
    shares = {"Arm": 0.0, "ForeArm": ELBOW, "Hand": WRIST, "Hand_End": 1.0}
    return {name: shoulder + share * down for name, share in shares.items()}


def _spine(body: Body, shoulder_z: float) -> dict[str, np.ndarray]:
    """Joints on the mirror plane, from the hips to the top of the head."""
    top = body.ground + body.height
    hips_z = body.crotch + 0.1 * (shoulder_z - body.crotch) + 0.02 * body.height
    narrow = _neck(body, shoulder_z, top)
    neck_z = 0.5 * (max(shoulder_z, hips_z) + narrow)
    names = ("Hips", "Spine", "Spine1", "Spine2", "Neck")
    chest_z = hips_z + 0.82 * (neck_z - hips_z)
    heights = [*np.linspace(hips_z, chest_z, 4), neck_z]
    places = {name: body.middle_at(z) for name, z in zip(names, heights)}
    straight = np.polyval(np.polyfit(heights, [places[name][0] for name in names], 1), heights)
    for name, x in zip(names, straight):  # what stands out in front or behind, such as a bag, pulls less
        places[name][0] = 0.5 * (places[name][0] + x)
    head = body.middle_at(narrow + 0.12 * (top - narrow))
    return places | {"Head": head, "HeadTop_End": body.middle_at(top - 1.5 * body.solid.cell)}


def _neck(body: Body, shoulder_z: float, top: float) -> float:
    """z of the strongest constriction above the shoulders; a share of the way up where there is none."""
    low = min(shoulder_z, top - 0.2 * body.height * 0.5)
    rows = np.arange(body.slice_at(low), body.slice_at(top - 0.04 * body.height) + 1)
    areas = np.array([_central_area(body, int(k)) for k in rows], np.float64)
    if len(areas) < 4:
        return low + 0.25 * (top - low)
    under, over = np.maximum.accumulate(areas), np.maximum.accumulate(areas[::-1])[::-1]
    strength = np.minimum(under, over) / np.maximum(areas, 1.0)
    best = int(np.argmax(strength))
    if strength[best] < 1.1:
        return low + 0.25 * (top - low)
    return float(body.solid.origin[2] + body.solid.cell * rows[best])


def _central_area(body: Body, k: int) -> int:
    voxels = trunk_slice(body.solid, k, body.y0)
    return int((np.abs(body.solid.centers[voxels, 1] - body.y0) <= 1.3 * body.half_width).sum())


def _pose(places: dict[str, np.ndarray]) -> str:
    """By the angle of the upper arms below the horizon: T under 25 degrees, A up to 70."""
    drops = []
    for side in ("Left", "Right"):
        bone = places[f"{side}Hand"] - places[f"{side}Arm"]
        drops.append(np.degrees(np.arctan2(-bone[2], np.hypot(bone[0], bone[1]))))
    if max(abs(drop) for drop in drops) < 25.0:
        return "T"
    return "A" if all(20.0 <= drop <= 75.0 for drop in drops) else "as modeled"
