"""A skeleton: joints with names, parents and places, and what other programs call them.

Names are Mixamo's, which importers of Unity, Unreal and Blender know; in files they stand behind the prefix
`mixamorig:`. `_End` joints are tips: they only say where the bone above ends and move nothing. In the bind pose every
joint's axes are the world's (+Z up, front +X, left +Y).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

PREFIX = "mixamorig:"
SIDES = ("Left", "Right")
BIPED_TREE: dict[str, str | None] = {
    "Hips": None,
    "Spine": "Hips",
    "Spine1": "Spine",
    "Spine2": "Spine1",
    "Neck": "Spine2",
    "Head": "Neck",
    "HeadTop_End": "Head",
    **{f"{s}Shoulder": "Spine2" for s in SIDES},
    **{f"{s}Arm": f"{s}Shoulder" for s in SIDES},
    **{f"{s}ForeArm": f"{s}Arm" for s in SIDES},
    **{f"{s}Hand": f"{s}ForeArm" for s in SIDES},
    **{f"{s}Hand_End": f"{s}Hand" for s in SIDES},
    **{f"{s}UpLeg": "Hips" for s in SIDES},
    **{f"{s}Leg": f"{s}UpLeg" for s in SIDES},
    **{f"{s}Foot": f"{s}Leg" for s in SIDES},
    **{f"{s}ToeBase": f"{s}Foot" for s in SIDES},
    **{f"{s}Toe_End": f"{s}ToeBase" for s in SIDES},
}
QUADRUPED_TREE: dict[str, str | None] = {
    "Hips": None,
    "Spine": "Hips",
    "Spine1": "Spine",
    "Spine2": "Spine1",
    "Neck": "Spine2",
    "Neck1": "Neck",
    "Head": "Neck1",
    "HeadTop_End": "Head",
    "Tail": "Hips",
    "Tail1": "Tail",
    "Tail2": "Tail1",
    "Tail_End": "Tail2",
    **{f"{s}Arm": "Spine2" for s in SIDES},
    **{f"{s}ForeArm": f"{s}Arm" for s in SIDES},
    **{f"{s}Hand": f"{s}ForeArm" for s in SIDES},
    **{f"{s}Hand_End": f"{s}Hand" for s in SIDES},
    **{f"{s}UpLeg": "Hips" for s in SIDES},
    **{f"{s}Leg": f"{s}UpLeg" for s in SIDES},
    **{f"{s}Foot": f"{s}Leg" for s in SIDES},
    **{f"{s}Foot_End": f"{s}Foot" for s in SIDES},
}
SPINE_TREE: dict[str, str | None] = {
    "Hips": None,
    "Spine": "Hips",
    "Spine1": "Spine",
    "Head": "Spine1",
    "HeadTop_End": "Head",
}
TREES = {"biped": BIPED_TREE, "quadruped": QUADRUPED_TREE, "spine": SPINE_TREE}

_UNITY = {"Hips": "Hips", "Spine": "Spine", "Spine1": "Chest", "Spine2": "UpperChest", "Neck": "Neck", "Head": "Head"}
_UNITY_SIDE = {
    "Shoulder": "Shoulder",
    "Arm": "UpperArm",
    "ForeArm": "LowerArm",
    "Hand": "Hand",
    "UpLeg": "UpperLeg",
    "Leg": "LowerLeg",
    "Foot": "Foot",
    "ToeBase": "Toes",
}
UNITY_NAMES = _UNITY | {f"{s}{bone}": f"{s}{name}" for s in SIDES for bone, name in _UNITY_SIDE.items()}
"""Mixamo's name to that of Unity's humanoid avatar (HumanBodyBones), without fingers, eyes and jaw."""
VRM_NAMES = {bone: name[0].lower() + name[1:] for bone, name in UNITY_NAMES.items()}
"""Mixamo's name to that of VRM 1.0's humanoid."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints in an order in which parents come first."""

    kind: str
    """biped, quadruped or spine."""
    names: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the root, which is joint 0."""
    positions: Float[np.ndarray, "j 3"]
    """In the bind pose, world units."""
    pose: str = "as modeled"
    """What the bind pose is: "T", "A", or "as modeled"."""
    notes: tuple[str, ...] = field(default=())
    """What was not found in the shape, one line each."""

    def place(self, name: str) -> np.ndarray:
        """Position [3] of the joint of that name."""
        return self.positions[self.names.index(name)]

    def moving(self) -> list[int]:
        """Joints that move vertices: all but the tips."""
        return [k for k, name in enumerate(self.names) if not name.endswith("_End")]

    def segments(self) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
        """Of each joint that moves vertices: the bones, as pairs of ends, that it turns.

        The hips and the chest turn the bone up the spine and short stubs towards the limbs, no limb itself.
        """
        found = {}
        for k in self.moving():
            children = [c for c, parent in enumerate(self.parents) if parent == k]
            start = self.positions[k]
            if len(children) <= 1:
                ends = [self.positions[c] for c in children] or [start]
            else:
                straight = [c for c in children if not self.names[c].startswith(("Left", "Right", "Tail"))]
                ends = [self.positions[c] if c in straight else 0.7 * self.positions[c] + 0.3 * start for c in children]
            found[k] = [(start, end) for end in ends]
        return found

    def to_json(self) -> dict[str, object]:
        """For rig.json: bones, parents, places and the names of other programs."""
        known = UNITY_NAMES if self.kind == "biped" else {}
        return {
            "format": "nerf2mesh rig 1",
            "kind": self.kind,
            "axes": "right-handed, +Z up, front +X, left +Y; in GLB and USDZ +Y up, +Z front",
            "bind_pose": self.pose,
            "prefix_in_file": {"glb": PREFIX, "usdz": PREFIX.replace(":", "_")},
            "notes": list(self.notes),
            "bones": [
                {
                    "name": name,
                    "parent": None if parent < 0 else self.names[parent],
                    "bind_position": [float(x) for x in place],
                    **({"unity": known[name], "vrm": VRM_NAMES[name]} if name in known else {}),
                }
                for name, parent, place in zip(self.names, self.parents, self.positions)
            ],
        }


def made_skeleton(kind: str, places: dict[str, np.ndarray], notes: list[str], pose: str = "as modeled") -> Skeleton:
    """The template's tree of those joints that have a place; a joint's parent is its nearest ancestor with one."""
    tree = TREES[kind]
    names = tuple(name for name in tree if name in places)

    def parent(name: str) -> int:
        above = tree[name]
        while above is not None and above not in places:
            above = tree[above]
        return -1 if above is None else names.index(above)

    positions = np.array([places[name] for name in names], np.float64)
    return Skeleton(kind, names, tuple(parent(name) for name in names), positions, pose, tuple(notes))
