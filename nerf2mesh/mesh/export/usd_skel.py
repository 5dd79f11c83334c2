"""A skin and its animations in a USD layer, by the schema UsdSkel.

Letters
    The prim around the mesh is a SkelRoot; the mesh names its Skeleton and carries four joints and weights a vertex
    (primvars:skel:jointIndices, primvars:skel:jointWeights). UsdSkel, "Skinning a point (linear blend skinning)": a
    point v goes to sum_j w_j v G B_j^-1 M_j, in rows: G the geomBindTransform, here the identity; B_j the joint's
    bindTransform, here the translation to its place b_j; M_j its transform in the pose, from local translations and
    rotations along the chain. Joints are named by their path from the root.
    Every animation is a SkelAnimation under the skeleton; the skeleton's skel:animationSource is the first.
    Time codes count the first animation's frames; the others have the same clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nerf2mesh.mesh.export.skin import Animation, Skin, single_precision
from nerf2mesh.mesh.export.usd_text import numbers, samples, time_codes
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

SKELETON = "/Root/Skeleton"
IDENTITY = "( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1) )"


def clock_of(skin: Skin) -> tuple[float, float] | None:
    """Frames a second, by the median step, and the last time code, of the first animation; None without one."""
    if not skin.animations:
        return None
    times = np.asarray(skin.animations[0].times_s, np.float64)
    rate = float(1.0 / np.median(np.diff(times))) if len(times) > 1 else 24.0
    return rate, time_codes(times.tolist(), rate)[-1]


def binding_lines(skin: Skin) -> list[str]:
    """Attributes of the mesh whose vertices are the skin's."""
    joints, weights = single_precision(skin.joints, skin.weights)
    four = '(elementSize = 4; interpolation = "vertex")'
    return [
        f"        matrix4d primvars:skel:geomBindTransform = {IDENTITY}",
        f"        int[] primvars:skel:jointIndices = [{', '.join(map(str, joints.reshape(-1).tolist()))}] {four}",
        f"        float[] primvars:skel:jointWeights = [{numbers(weights.reshape(-1).tolist())}] {four}",
        f"        rel skel:skeleton = <{SKELETON}>",
    ]


def skeleton_lines(skin: Skin, scale: float) -> list[str]:
    """The prim of the skeleton, its animations in it; scale: metres a world unit."""
    clock, names = clock_of(skin), prim_names([animation.name for animation in skin.animations])
    source = [f"        rel skel:animationSource = <{SKELETON}/{names[0]}>"] if names else []
    lines = [
        '    def Skeleton "Skeleton" (prepend apiSchemas = ["SkelBindingAPI"])',
        "    {",
        f"        uniform token[] joints = [{_quoted(joint_paths(skin))}]",
        f"        uniform token[] jointNames = [{_quoted(skin.names)}]",
        f"        uniform matrix4d[] bindTransforms = [{_translations(skin.places(scale))}]",
        f"        uniform matrix4d[] restTransforms = [{_translations(skin.offsets(scale))}]",
        *source,
    ]
    for name, animation in zip(names, skin.animations):
        assert clock is not None
        lines += ["", *_animation_lines(name, animation, skin, scale, clock[0])]
    return [*lines, "    }"]


def _animation_lines(name: str, animation: Animation, skin: Skin, scale: float, rate: float) -> list[str]:
    codes = time_codes(np.asarray(animation.times_s).tolist(), rate)
    offsets = np.tile(skin.offsets(scale), (len(codes), 1, 1))
    offsets[:, 0] += animation.shifted(scale)
    real_first = animation.turned()[..., [3, 0, 1, 2]]
    return [
        f'        def SkelAnimation "{name}"',
        "        {",
        f"            uniform token[] joints = [{_quoted(joint_paths(skin))}]",
        f"            half3[] scales = [{', '.join(['(1, 1, 1)'] * len(skin.names))}]",
        *samples("float3[] translations", codes, offsets, 12),
        *samples("quatf[] rotations", codes, real_first, 12),
        "        }",
    ]


def joint_paths(skin: Skin) -> list[str]:
    """Of every joint the names from the root to it; a colon, which paths cannot hold, becomes an underscore."""
    own, paths = prim_names(skin.names), list[str]()
    for name, parent in zip(own, skin.parents):
        paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
    return paths


def prim_names(names: Sequence[str]) -> list[str]:
    """Identifiers: letters, digits and underscores, no digit first, each once."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        count = sum(re.fullmatch(re.escape(plain) + r"(_\d+)?", other) is not None for other in found)
        made = plain
        while made in found:
            made, count = f"{plain}_{count}", count + 1
        found.append(made)
    return found


def extent_of(mesh: TriangleMesh, skin: Skin, scale: float) -> np.ndarray:
    """The box [2, 3] around a mesh in file axes and all key frames of the first animation, by the equation above."""
    boxes = [mesh.bounds]
    for turned, shift in _poses(skin, scale) if skin.animations else ():
        moved = np.zeros_like(mesh.vertices, dtype=np.float64)
        for k in range(skin.joints.shape[1]):
            own = skin.joints[:, k]
            moved += skin.weights[:, k, None] * (np.einsum("vab,vb->va", turned[own], mesh.vertices) + shift[own])
        boxes.append(np.stack([moved.min(0), moved.max(0)]))
    return np.stack([np.min(boxes, axis=0)[0], np.max(boxes, axis=0)[1]])


def _poses(skin: Skin, scale: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each key frame of the first animation the rotations [j, 3, 3] and translations [j, 3] of the bind pose."""
    from scipy.spatial.transform import Rotation

    animation, places, offsets = skin.animations[0], skin.places(scale), skin.offsets(scale)
    found = []
    for quaternions, root in zip(animation.turned(), animation.shifted(scale)):
        turned, at = Rotation.from_quat(quaternions).as_matrix(), offsets.copy()
        at[0] += root
        for j, parent in enumerate(skin.parents):
            if parent >= 0:
                at[j] = at[parent] + turned[parent] @ offsets[j]
                turned[j] = turned[parent] @ turned[j]
        found.append((turned, at - np.einsum("jab,jb->ja", turned, places)))
    return found


def _translations(places: np.ndarray) -> str:
    """Matrices that move by each of the places; USD multiplies rows from the left."""
    return ", ".join(IDENTITY.replace("(0, 0, 0, 1)", f"({numbers(place)}, 1)") for place in places.tolist())


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
