"""A skin and its animations in a glTF: joints as nodes, four weights a vertex, rotations over time.

Letters
    Joint nodes have no rotation in the bind pose, only an offset from their parent; the inverse bind matrix of a joint
    at b is the translation by -b. glTF 2.0, 3.7.3: a vertex v goes to sum_j w_j M_j B_j v, M_j the joint's matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from nerf2mesh.mesh.export.gltf import Document
from nerf2mesh.mesh.export.skin import Animation, Skin, single_precision


def add_skin(document: Document, source: Int[np.ndarray, " n"], skin: Skin, scale: float = 1.0) -> None:
    """Binds the document's one mesh, node 0, whose vertex k is the skin's vertex source[k]; scale: metres a unit."""
    tree = document.tree
    places, offsets = skin.places(scale), skin.offsets(scale)
    first = len(tree["nodes"])
    children = [[first + c for c, up in enumerate(skin.parents) if up == j] for j in range(len(skin.names))]
    for j, name in enumerate(skin.names):
        node = {"name": name, "translation": offsets[j].tolist()}
        tree["nodes"].append(node | ({"children": children[j]} if children[j] else {}))
    tree["scenes"][0]["nodes"] += [first + j for j, parent in enumerate(skin.parents) if parent < 0]
    tree["nodes"][0]["skin"] = 0
    joints, weights = single_precision(skin.joints[source], skin.weights[source])
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
    turned = animation.turned()
    samplers, channels = [], []

    def add(node: int, path: str, values: np.ndarray) -> None:
        output = document.add_array(np.ascontiguousarray(values, "<f4"), target=None)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": first + node, "path": path}})

    for j in turning:
        add(j, "rotation", turned[:, j])
    add(0, "translation", root + animation.shifted(scale))
    return {"name": animation.name, "samplers": samplers, "channels": channels}
