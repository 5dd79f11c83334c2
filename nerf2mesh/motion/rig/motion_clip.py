"""Clips: rotations of named joints over time, free of any figure's rest pose, and how they are put on a rig.

Letters
    L_b(t): rotation of joint b against its parent, in the world's axes (+Z up, front +X, left +Y), of a figure that
    stands in the reference pose: upright, arms straight out to the sides (a T). C_b(t), the product of the L along the
    chain, is b's rotation in the world. A rig whose arm points along u in its bind pose instead of along +Y or -Y first
    has to turn u there: G_b = C_b A_b with A_b the smallest such rotation, the identity for all joints but the arms'.
    The root moves in leg lengths: hips above the lowest joint.

The clips of the package are JSON: for each joint and axis an angle in degrees, mean + sum of amplitude
cos(2 pi harmonic t / duration + phase), so that they loop by construction; L = Rz Ry Rx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float

from nerf2mesh.motion.rig.rigged import Rig
from nerf2mesh.motion.rig.rotations import about, between
from nerf2mesh.motion.rig.skeleton import Skeleton

CLIPS = {"biped": ("idle", "walk", "wave"), "quadruped": ("idle", "walk"), "spine": ("idle",)}
ARM_BONES = {"Arm": "ForeArm", "ForeArm": "Hand", "Hand": "Hand_End"}
TOUCHING = ("Foot", "ToeBase", "Toe_End", "Foot_End", "Hand_End")


@dataclass(frozen=True, eq=False)
class Clip:
    """L of the named joints at T times, `rate` a second; a loop's last frame is its first."""

    name: str
    rate: float
    rotations: Mapping[str, Float[np.ndarray, "t 3 3"]]
    root: Float[np.ndarray, "t 3"]
    """In leg lengths."""
    grounded: bool = False
    """Shift the root up or down so that the lowest foot stays where it is in the bind pose."""

    @property
    def n_frames(self) -> int:
        """T."""
        return len(self.root)


@dataclass(frozen=True, eq=False)
class RigClip:
    """A clip on one rig: local rotations [T, j, 3, 3] and what the root is moved by [T, 3], world units."""

    name: str
    rate: float
    local: Float[np.ndarray, "t j 3 3"]
    moved: Float[np.ndarray, "t 3"]
    key_times_s: tuple[float, ...] = ()
    """Of the T frames where they are not `rate` a second."""

    @property
    def times_s(self) -> Float[np.ndarray, " t"]:
        """When the frames are, seconds from the first."""
        return np.array(self.key_times_s) if self.key_times_s else np.arange(len(self.moved)) / self.rate


def read_clip(name: str, kind: str, rate: float = 24.0) -> Clip:
    """One of the package's clips; kind: of skeleton.

    Raises:
        ValueError: that kind of skeleton has no such clip.
    """
    if name not in CLIPS[kind]:
        raise ValueError(f"clip: expected one of {', '.join(CLIPS[kind])} for a {kind}, got {name!r}; choose one")
    place = resources.files("nerf2mesh.motion.rig").joinpath(f"clips/{kind}_{name}.json")
    said = json.loads(place.read_text(encoding="utf-8"))
    n = round(said["duration_s"] * rate)
    phase = 2.0 * np.pi * np.arange(n + 1) / n
    turned = {joint: _turned(axes, phase) for joint, axes in said["joints"].items()}
    root = np.zeros((n + 1, 3))
    for axis, wave in said.get("root", {}).items():
        root[:, "xyz".index(axis)] = _wave(wave, phase)
    return Clip(name, n / said["duration_s"], turned, root, bool(said.get("grounded", False)))


def _turned(axes: Mapping[str, Any], phase: np.ndarray) -> np.ndarray:
    out = np.broadcast_to(np.eye(3), (len(phase), 3, 3))
    for axis in "xyz":
        if axis in axes:
            out = about(axis, _wave(axes[axis], phase)) @ out
    return out


def _wave(wave: Mapping[str, Any], phase: np.ndarray) -> np.ndarray:
    total = np.full(len(phase), float(wave.get("mean", 0.0)))
    for amplitude, harmonic, offset_deg in wave.get("waves", ()):
        total += amplitude * np.cos(harmonic * phase + np.radians(offset_deg))
    return total


def retarget(clip: Clip, rig: Rig) -> RigClip:
    """The clip on a rig, by the joints' names; joints that the clip does not name keep still against their parent."""
    skeleton, n = rig.skeleton, clip.n_frames
    aligned = alignments(skeleton)
    reference, turned = np.empty((2, n, len(skeleton.names), 3, 3))
    local = np.empty_like(turned)
    for j, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents)):
        own = clip.rotations.get(name, np.broadcast_to(np.eye(3), (n, 3, 3)))
        reference[:, j] = own if parent < 0 else reference[:, parent] @ own
        turned[:, j] = reference[:, j] @ aligned[j]
        local[:, j] = turned[:, j] if parent < 0 else np.swapaxes(turned[:, parent], 1, 2) @ turned[:, j]
    moved = clip.root * leg_length(skeleton)
    if clip.grounded:
        moved = moved + _ground_shift(rig, local, moved)
    return RigClip(clip.name, clip.rate, local, moved)


def alignments(skeleton: Skeleton) -> Float[np.ndarray, "j 3 3"]:
    """A of every joint: for a biped's arms the rotation of the bind pose into the T, else the identity."""
    out = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    if skeleton.kind != "biped":
        return out
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        for bone, end in ARM_BONES.items():
            if f"{side}{bone}" in skeleton.names and f"{side}{end}" in skeleton.names:
                along = skeleton.place(f"{side}{end}") - skeleton.place(f"{side}{bone}")
                if np.linalg.norm(along) > 1e-9:
                    turn = between(along, np.array([0.0, outward, 0.0]))
                    out[skeleton.names.index(f"{side}{bone}")] = turn
    return out


def leg_length(skeleton: Skeleton) -> float:
    """Height of the root above the lowest joint."""
    return float(skeleton.positions[0, 2] - skeleton.positions[:, 2].min())


def _ground_shift(rig: Rig, local: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Up and down [T, 3], so that the lowest of the feet is as high as in the bind pose."""
    names, rest = rig.skeleton.names, rig.skeleton.positions
    feet = [j for j, name in enumerate(names) if name.removeprefix("Left").removeprefix("Right") in TOUCHING]
    if rig.skeleton.kind == "biped":
        feet = [j for j in feet if "Hand" not in names[j]]
    shift = np.zeros_like(moved)
    for t in range(len(moved) if feet else 0):
        places = rig.joints(local[t], moved[t])[1]
        shift[t, 2] = rest[feet, 2].min() - places[feet, 2].min()
    return shift


def own_clips(rig: Rig, rate: float = 24.0) -> list[RigClip]:
    """All clips of the package for that kind of skeleton."""
    kind = rig.skeleton.kind
    return [retarget(read_clip(name, kind, rate), rig) for name in CLIPS[kind]]
