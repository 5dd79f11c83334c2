"""Models whose motion is known: skinned GLB files with linear key frames, and two figures of moving parts.

Letters
    A vertex x of the bind pose is at sum_k w_k M_j(k)(t) B_j(k) x, B_j the inverse bind matrix of joint j and M_j its
    place in the world at time t (glTF 2.0, section 3.7.3.3). Quaternions are interpolated on the sphere.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.color_space import linear_to_srgb

KINDS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Moving:
    """positions(t): the vertices [v, 3] at t in seconds, world axes (+Z up, front +X); the motion repeats after
    `seconds`."""

    name: str
    faces: np.ndarray
    colors: np.ndarray
    seconds: float
    positions: Callable[[float], np.ndarray]

    def mesh(self, t: float) -> TriangleMesh:
        """As it is at t."""
        return TriangleMesh(self.positions(t), self.faces, vertex_colors=self.colors)


def read_rigged(path: Path, clip: str) -> Moving:
    """A GLB with one skinned mesh; clip: the end of an animation's name.

    Raises:
        ValueError: there is no such animation.
    """
    file = _Glb(path.read_bytes())
    tree = file.tree
    found = [a for a in tree["animations"] if a["name"].split("|")[-1] == clip]
    if not found:
        names = ", ".join(a["name"].split("|")[-1] for a in tree["animations"])
        raise ValueError(f"clip: expected one of {names}, got {clip} for {path.name}; choose one")
    node = next(node for node in tree["nodes"] if "skin" in node)
    parts = [_part(file, primitive) for primitive in tree["meshes"][node["mesh"]]["primitives"]]
    starts = np.cumsum([0, *(len(part["at"]) for part in parts)])
    at, joints, weights = (np.concatenate([part[key] for part in parts]) for key in ("at", "joints", "weights"))
    faces = np.concatenate([part["faces"] + start for part, start in zip(parts, starts)])
    colors = np.concatenate([np.tile(part["color"], (len(part["at"]), 1)) for part in parts])
    skin = tree["skins"][node["skin"]]
    inverse = file.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    channels = [_channel(file, found[0], channel) for channel in found[0]["channels"]]
    rest = np.concatenate([at, np.ones((len(at), 1))], axis=1)

    def positions(t: float) -> np.ndarray:
        world = _world(tree["nodes"], channels, t)
        move = np.stack([world[j] for j in skin["joints"]]) @ inverse
        blended = np.einsum("vk,vkij->vij", weights, move[joints])
        return np.einsum("vij,vj->vi", blended, rest)[:, [2, 0, 1]]

    return Moving(path.stem, faces, colors, max(float(times[-1]) for _, _, times, _ in channels), positions)


class _Glb:
    """A GLB's tree and its arrays."""

    def __init__(self, data: bytes) -> None:
        length = struct.unpack("<I", data[12:16])[0]
        self.tree: dict[str, Any] = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]

    def array(self, index: int) -> np.ndarray:
        accessor = self.tree["accessors"][index]
        view = self.tree["bufferViews"][accessor["bufferView"]]
        width, kind = WIDTHS[accessor["type"]], np.dtype(KINDS[accessor["componentType"]])
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        step = view.get("byteStride", width * kind.itemsize)
        rows = np.ndarray((accessor["count"], width), kind, self.binary, start, (step, kind.itemsize))
        return rows.astype(np.float64 if kind.kind == "f" else np.int64)


def _part(file: _Glb, primitive: dict[str, Any]) -> dict[str, np.ndarray]:
    names = primitive["attributes"]
    factor = file.tree["materials"][primitive["material"]]["pbrMetallicRoughness"].get("baseColorFactor", [1.0] * 4)
    weights = file.array(names["WEIGHTS_0"])
    return {
        "at": file.array(names["POSITION"]),
        "joints": file.array(names["JOINTS_0"]),
        "weights": weights / weights.sum(1, keepdims=True),
        "faces": file.array(primitive["indices"]).reshape(-1, 3),
        "color": linear_to_srgb(np.array(factor[:3])),
    }


def _channel(file: _Glb, animation: dict[str, Any], channel: dict[str, Any]) -> tuple[int, str, np.ndarray, np.ndarray]:
    sampler = animation["samplers"][channel["sampler"]]
    assert sampler.get("interpolation", "LINEAR") == "LINEAR"
    target = channel["target"]
    return target["node"], target["path"], file.array(sampler["input"])[:, 0], file.array(sampler["output"])


def _world(nodes: Sequence[dict[str, Any]], channels: Sequence[tuple], t: float) -> list[np.ndarray]:
    """The matrix of every node in the world at t."""
    said: dict[int, dict[str, np.ndarray]] = {}
    for node, path, times, values in channels:
        said.setdefault(node, {})[path] = _between(times, values, t, on_sphere=path == "rotation")
    world: list[np.ndarray] = [np.eye(4)] * len(nodes)
    children = {child for node in nodes for child in node.get("children", ())}
    stack = [(k, np.eye(4)) for k in range(len(nodes)) if k not in children]
    while stack:
        k, above = stack.pop()
        world[k] = above @ _local(nodes[k], said.get(k, {}))
        stack += [(child, world[k]) for child in nodes[k].get("children", ())]
    return world


def _local(node: dict[str, Any], said: dict[str, np.ndarray]) -> np.ndarray:
    if "matrix" in node and not said:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    usual = {"translation": [0.0, 0.0, 0.0], "rotation": [0.0, 0.0, 0.0, 1.0], "scale": [1.0, 1.0, 1.0]}
    move, turn, size = (np.asarray(said.get(name, node.get(name, usual[name])), np.float64) for name in usual)
    local = np.eye(4)
    local[:3, :3] = _rotation(turn) * size
    local[:3, 3] = move
    return local


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _between(times: np.ndarray, values: np.ndarray, t: float, *, on_sphere: bool) -> np.ndarray:
    k = int(np.clip(np.searchsorted(times, t, side="right") - 1, 0, max(len(times) - 2, 0)))
    if len(times) == 1:
        return values[0]
    share = float(np.clip((t - times[k]) / (times[k + 1] - times[k]), 0.0, 1.0))
    a, b = values[k], values[k + 1]
    if not on_sphere:
        return a + share * (b - a)
    dot = float(a @ b)
    b, dot = (b, dot) if dot >= 0.0 else (-b, -dot)
    if dot > 0.9999:
        return a + share * (b - a)
    angle = np.arccos(dot)
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)


def eel() -> Moving:
    """A tapering tube whose axis is a wave that travels to its tail."""
    rings, around = 60, 24
    s = np.linspace(0.0, 1.0, rings)
    radius = 0.16 * np.sqrt(np.clip(s * 8.0, 0.0, 1.0)) * (1.0 - 0.75 * s) + 1e-3
    angle = 2.0 * np.pi * np.arange(around) / around
    faces = _tube(rings, around)
    stripes = np.repeat(np.where((s * 12).astype(int) % 2, 0.75, 0.35), around)[:, None]
    colors = np.clip(stripes * np.array([[0.5, 0.9, 0.6]]), 0.0, 1.0)

    def positions(t: float) -> np.ndarray:
        swing = 0.22 * (0.25 + s) * np.sin(2.0 * np.pi * (1.1 * s - t))
        axis = np.stack([0.9 - 1.8 * s, 0.0 * s, swing], axis=1)
        along = np.gradient(axis, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        side = np.tile([0.0, 1.0, 0.0], (rings, 1))
        up = np.cross(along, side)
        ring = side[:, None] * np.cos(angle)[:, None] + up[:, None] * np.sin(angle)[:, None]
        return (axis[:, None] + radius[:, None, None] * ring).reshape(-1, 3)

    return Moving("eel", faces, colors, 1.0, positions)


def walker() -> Moving:
    """A figure of capsules that walks on the spot: arms and legs swing, knees bend."""
    limbs = [_capsule(0.17, 0.5), _capsule(0.17, 0.02), *[_capsule(0.075, 0.34)] * 4, *[_capsule(0.06, 0.3)] * 4]
    tones = [(0.8, 0.3, 0.25), (0.95, 0.8, 0.65), *[(0.25, 0.35, 0.7)] * 2, *[(0.8, 0.45, 0.3)] * 2]
    tones += [(0.2, 0.25, 0.45)] * 2 + [(0.95, 0.8, 0.65)] * 2
    starts = np.cumsum([0, *(len(at) for at, _ in limbs)])
    faces = np.concatenate([tube + start for (_, tube), start in zip(limbs, starts)])
    colors = np.concatenate([np.tile(tone, (len(at), 1)) for tone, (at, _) in zip(tones, limbs)])

    def positions(t: float) -> np.ndarray:
        phase = 2.0 * np.pi * t
        lift = 0.03 * np.cos(2.0 * phase)
        found = [limbs[0][0] + [0.0, 0.0, lift], limbs[1][0] + [0.0, 0.0, 0.48 + lift]]
        upper, lower = [], []
        for height, width, swing, bend, kind in ((-0.3, 0.11, 0.55, 0.7, 1), (0.2, 0.26, -0.5, -0.5, -1)):
            for side in (1.0, -1.0):
                angle = swing * np.sin(phase) * side
                knee = angle - bend * (0.5 - 0.5 * np.cos(phase + (0.0 if side > 0 else np.pi)))
                root = np.array([0.0, side * width, height + lift])
                joint = root + _swung([0.0, 0.0, -0.34], angle)
                upper.append(root + _swung(limbs[2][0] - [0.0, 0.0, 0.17], angle))
                lower.append(joint + _swung(limbs[6][0] - [0.0, 0.0, 0.15], knee if kind > 0 else angle - bend * 0.5))
        return np.concatenate([*found, *upper, *lower])

    return Moving("walker", faces, colors, 1.0, positions)


def _swung(points: Sequence[float] | np.ndarray, angle: float) -> np.ndarray:
    """Turned around the y axis."""
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _tube(rings: int, around: int) -> np.ndarray:
    """Faces of a tube of rings, open at its ends where these are points."""
    i, j = np.mgrid[: rings - 1, :around]
    a, b = i * around + j, i * around + (j + 1) % around
    return np.stack([a, b, b + around, a, b + around, a + around], axis=-1).reshape(-1, 3)


def _capsule(radius: float, length: float, rings: int = 14, around: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a capsule along z around the origin; length: of the straight part."""
    polar = np.linspace(0.0, np.pi, rings)
    z = -radius * np.cos(polar) + np.where(polar < np.pi / 2, -length / 2, length / 2)
    angle = 2.0 * np.pi * np.arange(around) / around
    r = np.maximum(radius * np.sin(polar), 1e-4)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    at = np.concatenate([r[:, None, None] * ring, np.broadcast_to(z[:, None, None], (rings, around, 1))], axis=2)
    return at.reshape(-1, 3), _tube(rings, around)
