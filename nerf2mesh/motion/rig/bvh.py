"""Reads motion capture in BVH (Biovision hierarchy): joints with offsets and channels, then a row of numbers a frame.

Letters
    H_b(t): rotation of joint b in the world of the file, the product of its channels' rotations in their order along
    the chain; the rest pose has all of them 0. B the change of axes: file +Y up, +Z front to +Z up, +X front.
    C_b = B H_b B^T A_b^T (see `motion_clip`), A_b from the file's rest pose, so that the rest pose need be no T.
    L_b = C_parent^T C_b between joints that have a name of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nerf2mesh.motion.rig.motion_clip import ARM_BONES, Clip
from nerf2mesh.motion.rig.rotations import about, between
from nerf2mesh.motion.rig.skeleton import BIPED_TREE, QUADRUPED_TREE, SIDES, UNITY_NAMES
from nerf2mesh.utils.regular_file import read_regular

MOST_BYTES, MOST_JOINTS, MOST_FRAMES = 2**27, 1000, 100_000
TO_WORLD = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""B above."""
OLD_NAMES = {"Hip": "UpLeg", "Knee": "Leg", "Ankle": "Foot", "Toe": "ToeBase", "Collar": "Shoulder"}
OLD_NAMES |= {"Elbow": "ForeArm", "Wrist": "Hand", "Shoulder": "Arm"}
"""Of files that name joints instead of bones; told by an elbow."""


@dataclass
class BvhJoint:
    """One joint of a file: its parent's number (-1 for the root), offset [3], channels such as "Zrotation"."""

    name: str
    parent: int
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bvh:
    """A file's joints, parents first, and the values [frames, channels] of all channels in the file's order."""

    joints: list[BvhJoint]
    values: np.ndarray
    frame_s: float

    def turned(self) -> tuple[np.ndarray, np.ndarray]:
        """H [frames, joints, 3, 3], and the root's position [frames, 3] in the file's units."""
        n, column = len(self.values), 0
        out, root = np.empty((n, len(self.joints), 3, 3)), np.tile(self.joints[0].offset, (n, 1))
        for j, joint in enumerate(self.joints):
            own = np.tile(np.eye(3), (n, 1, 1))
            for channel in joint.channels:
                axis, what = channel[0].lower(), channel[1:]
                if what == "rotation":
                    own = own @ about(axis, self.values[:, column])
                elif j == 0:
                    root[:, "xyz".index(axis)] = self.values[:, column]
                column += 1
            out[:, j] = own if joint.parent < 0 else out[:, joint.parent] @ own
        return out, root

    def rest(self) -> np.ndarray:
        """Places [joints, 3] in the rest pose, the root at 0."""
        places = np.zeros((len(self.joints), 3))
        for j, joint in enumerate(self.joints):
            if joint.parent >= 0:
                places[j] = places[joint.parent] + joint.offset
        return places


def parse_bvh(text: str, name: str = "bvh") -> Bvh:
    """The joints and values of a file's text. ValueError in one line where it is none, or a damaged one."""
    words = text.split()
    try:
        start = words.index("MOTION") if "MOTION" in words else 0
        if not start:
            raise ValueError("no MOTION")
        if not words or words[0].upper() != "HIERARCHY":
            raise ValueError("no HIERARCHY")
        joints = _hierarchy(words[1:start])
        if [word.lower() for word in (words[start + 1], words[start + 3], words[start + 4])] != [
            *("frames:", "frame", "time:")
        ]:
            raise ValueError("no Frames and Frame Time behind MOTION")
        n_frames, frame_s = int(words[start + 2]), float(words[start + 5])
        n_channels = sum(len(joint.channels) for joint in joints)
        if not 0 < n_frames <= MOST_FRAMES or not 1e-4 <= frame_s <= 10.0 or not n_channels:
            raise ValueError(f"{n_frames} frames of {frame_s:g} s with {n_channels} channels")
        numbers = words[start + 6 :]
        if len(numbers) != n_frames * n_channels:
            raise ValueError(f"{len(numbers)} numbers where {n_frames} frames of {n_channels} channels need others")
        values = np.array(numbers, np.float64).reshape(n_frames, n_channels)
        if not np.isfinite(values).all():
            raise ValueError("numbers that are not finite")
    except (ValueError, IndexError) as error:
        said = " ".join(str(error).split())[:120] or "a damaged one"
        raise ValueError(f"{name}: expected a BVH file, got one with an error ({said}); export it anew") from error
    return Bvh(joints, values, frame_s)


def _hierarchy(words: list[str]) -> list[BvhJoint]:
    joints: list[BvhJoint] = []
    open_joints: list[int] = []
    k = 0
    while k < len(words):
        word = words[k].upper()
        if word in ("ROOT", "JOINT") or (word == "END" and words[k + 1].upper() == "SITE"):
            if len(joints) >= MOST_JOINTS or words[k + 2] != "{" or (word == "ROOT") != (not joints):
                raise ValueError(f"{words[k]} {words[k + 1]} in a wrong place")
            parent = open_joints[-1] if open_joints else -1
            if not open_joints and word != "ROOT":
                raise ValueError(f"{words[k]} outside of the root")
            joints.append(BvhJoint("" if word == "END" else words[k + 1], parent))
            open_joints.append(len(joints) - 1)
            k += 3
        elif word == "OFFSET":
            joints[open_joints[-1]].offset = np.array(words[k + 1 : k + 4], np.float64).reshape(3)
            k += 4
        elif word == "CHANNELS":
            n = int(words[k + 1])
            names = tuple(words[k + 2 : k + 2 + n])
            if not 0 <= n <= 6 or any(c[:1] not in "XYZ" or c[1:] not in ("rotation", "position") for c in names):
                raise ValueError(f"channels {' '.join(names)[:60]}")
            joints[open_joints[-1]].channels = names
            k += 2 + n
        elif word == "}":
            open_joints.pop()
            k += 1
        else:
            raise ValueError(f"{words[k][:20]!r} in the hierarchy")
    if open_joints or not joints:
        raise ValueError("a hierarchy that does not end")
    return joints


def read_bvh(path: str | Path) -> Clip:
    """The clip of a BVH file, +Y up and +Z front.

    Raises:
        ValueError: in one line, the file is no BVH, is damaged, or none of its joints has a known name.
        OSError: the file cannot be read.
    """
    path = Path(path)
    text = read_regular(path, limit_bytes=MOST_BYTES, follow=True).decode("utf-8", errors="replace")
    return clip_of(parse_bvh(text, path.name), path.stem)


def clip_of(bvh: Bvh, name: str) -> Clip:
    """The joints that have a name of ours, free of the file's rest pose."""
    ours = known_names([joint.name for joint in bvh.joints])
    if "Hips" not in ours.values() or len(ours) < 4:
        shown = ", ".join(joint.name for joint in bvh.joints[:5])
        raise ValueError(f"{name}: expected joints with names of Mixamo, Unity or VRM, got {shown} ...; rename them")
    turned, root = bvh.turned()
    rest = bvh.rest() @ TO_WORLD.T
    world = TO_WORLD @ turned @ TO_WORLD.T
    places = {name: rest[j] for j, name in ours.items()}
    for j, own in ours.items():
        world[:, j] = world[:, j] @ _alignment(own, places, rest, bvh, j).T
    rotations = {}
    for j, own in ours.items():
        above = bvh.joints[j].parent
        while above >= 0 and above not in ours:
            above = bvh.joints[above].parent
        rotations[own] = world[:, j] if above < 0 else np.swapaxes(world[:, above], 1, 2) @ world[:, j]
    leg = max(float(-rest[:, 2].min()), 1e-6)
    moved = (root @ TO_WORLD.T) / leg
    moved[:, :2] -= moved[0, :2]
    moved[:, 2] -= 1.0
    return Clip(name, 1.0 / bvh.frame_s, rotations, moved)


def _alignment(own: str, places: dict[str, np.ndarray], rest: np.ndarray, bvh: Bvh, j: int) -> np.ndarray:
    side = next((s for s in SIDES if own.startswith(s)), "")
    bone = own.removeprefix(side)
    if not side or bone not in ARM_BONES:
        return np.eye(3)
    below = [rest[k] for k, joint in enumerate(bvh.joints) if joint.parent == j]
    end = places.get(f"{side}{ARM_BONES[bone]}", below[0] if below else rest[j])
    along = end - rest[j]
    if np.linalg.norm(along) < 1e-9:
        return np.eye(3)
    return between(along, np.array([0.0, 1.0 if side == "Left" else -1.0, 0.0]))


def known_names(names: list[str]) -> dict[int, str]:
    """Number of a file's joint to the name of ours, each at most once."""
    known = {name.lower(): name for name in (*BIPED_TREE, *QUADRUPED_TREE) if not name.endswith("_End")}
    known |= {other.lower(): name for name, other in UNITY_NAMES.items()} | {"pelvis": "Hips"}
    plain = [name.rsplit(":", 1)[-1].replace("_", "").lower() for name in names]
    if "leftelbow" in plain:
        known |= {f"{s}{old}".lower(): f"{s}{new}" for s in SIDES for old, new in OLD_NAMES.items()}
    found: dict[int, str] = {}
    for j, name in enumerate(plain):
        if name in known and known[name] not in found.values():
            found[j] = known[name]
    return found
