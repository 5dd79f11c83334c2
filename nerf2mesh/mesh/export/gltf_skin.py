"""A skin and its animations in a glTF: joints as nodes, four weights a vertex, rotations over time.

Letters
    File axes are +Y up, +Z front: world (x, y, z) is file (y, z, x), an even permutation, so that a rotation's
    quaternion (x, y, z, w) becomes (y, z, x, w).
    Joint nodes have no rotation in the bind pose, only an offset from their parent; the inverse bind matrix of a joint
    at b is the translation by -b. glTF 2.0, 3.7.3: a vertex v goes to sum_j w_j M_j B_j v, M_j the joint's matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from nerf2mesh.mesh.export.gltf import Document

TO_FILE = [1, 2, 0]


@dataclass(frozen=True, eq=False)
class Animation:
    """Local rotations of all joints and the root's shift at T times, world axes."""

    name: str
    times_s: Float[np.ndarray, " t"]
    quaternions: Float[np.ndarray, "t j 4"]
    """x, y, z, w."""
    root: Float[np.ndarray, "t 3"]
    """World units, added to the root's place."""


@dataclass(frozen=True, eq=False)
class Skin:
    """Joints, parents first, and what they move; world axes and units."""

    names: Sequence[str]
    parents: Sequence[int]
    positions: Float[np.ndarray, "j 3"]
    joints: Int[np.ndarray, "v 4"]
    weights: Float[np.ndarray, "v 4"]
    animations: Sequence[Animation] = field(default=())


def add_skin(document: Document, source: Int[np.ndarray, " n"], skin: Skin, scale: float = 1.0) -> None:
    """Binds the document's one mesh, node 0, whose vertex k is the skin's vertex source[k]; scale: metres a unit."""
    tree = document.tree
    places = np.asarray(skin.positions)[:, TO_FILE] * scale
    first = len(tree["nodes"])
    children = [[first + c for c, up in enumerate(skin.parents) if up == j] for j in range(len(skin.names))]
    for j, (name, parent) in enumerate(zip(skin.names, skin.parents)):
        offset = places[j] if parent < 0 else places[j] - places[parent]
        node = {"name": name, "translation": offset.tolist()}
        tree["nodes"].append(node | ({"children": children[j]} if children[j] else {}))
    tree["scenes"][0]["nodes"] += [first + j for j, parent in enumerate(skin.parents) if parent < 0]
    tree["nodes"][0]["skin"] = 0
    joints, weights = _single_precision(skin.joints[source], skin.weights[source])
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = document.add_array(joints)
    attributes["WEIGHTS_0"] = document.add_array(weights)
    tree["skins"] = [
        {
            "name": "skeleton",
            "joints": [first + j for j in range(len(skin.names))],
            "skeleton": first,
            "inverseBindMatrices": _inverse_bind(document, places),
        }
    ]
    turning = [j for j in range(len(places)) if any(_turns(clip, j) for clip in skin.animations)]
    for animation in skin.animations:
        made = _animation(document, animation, turning, places[0], first, scale)
        tree.setdefault("animations", []).append(made)


def _turns(animation: Animation, joint: int) -> bool:
    return joint == 0 or float(np.abs(animation.quaternions[:, joint, :3]).max()) > 1e-7


def _single_precision(joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint16 and float32 whose rows sum to 1 as float32 sums go; joints without weight are 0, as the validator asks."""
    single = weights.astype(np.float32)
    single /= single.sum(1, keepdims=True, dtype=np.float32)
    return np.where(single > 0, joints, 0).astype("<u2"), single.astype("<f4")


def _inverse_bind(document: Document, places: np.ndarray) -> int:
    matrices = np.tile(np.eye(4, dtype="<f4"), (len(places), 1, 1))
    matrices[:, :3, 3] = -places
    columns = np.swapaxes(matrices, 1, 2).reshape(-1, 16)  # column-major
    index = document.add_array(np.ascontiguousarray(columns), target=None)
    document.tree["accessors"][index]["type"] = "MAT4"
    return index


def _animation(
    document: Document, animation: Animation, turning: Sequence[int], root: np.ndarray, first: int, scale: float
) -> dict:
    """Linear keys of the root's place and of every joint that any of the clips turns: where one has no keys, Blender
    leaves it as the clip before did."""
    times = document.add_array(np.asarray(animation.times_s, "<f4"), bounds=True, target=None)
    turned = np.asarray(animation.quaternions)[..., [*TO_FILE, 3]]
    samplers, channels = [], []

    def add(node: int, path: str, values: np.ndarray) -> None:
        output = document.add_array(np.ascontiguousarray(values, "<f4"), target=None)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": first + node, "path": path}})

    for j in turning:
        add(j, "rotation", _unit(turned[:, j]))
    add(0, "translation", root + np.asarray(animation.root)[:, TO_FILE] * scale)
    return {"name": animation.name, "samplers": samplers, "channels": channels}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
