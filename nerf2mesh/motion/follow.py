"""Carries a mesh through a clip: frame by frame, as rigid as the outlines and the flow allow.

Letters
    x: the places sought in one frame, in the camera's axes; the first two are seen, the third is not. With goals g
    (places in the picture, at the depth that the vertex has) of weights c, and places y to stay near with weight m:
        min_x  s E(x) + sum_i c_i |x_i - g_i|^2 (first two axes) + m |x - y|^2 + h |x - X|^2 (third axis),
    E and X from `body`. s falls from round to round. Nothing tells how deep a part lies: h keeps it where it was at
    rest as far as lengths allow. First each frame starts from the one before it; then each is solved again with y the
    mean of its neighbors in time (momentum; the last one's y is itself), and the outline alone for goals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import diags, identity
from scipy.sparse.linalg import splu

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.body import Body
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.sight import Frame, Goals, flow_goals, outline_goals, seen
from nerf2mesh.types import Camera

FIRST = (30.0, 10.0, 4.0, 1.5, 0.6, 0.25, 0.1)
"""Stiffness of the first frame: the mesh is nearly there."""
NEXT = (20.0, 8.0, 3.0, 1.0, 0.4, 0.15)
FLOW_ALONE = 2.0
"""Of a round before them, in which the flow alone counts: then outlines are near those that they belong to."""
AGAIN = (0.5, 0.2)
NEAR = 1e-3
"""m of the first pass: what no goal and no neighbor holds stays where it was."""
AT_REST = 0.1
"""h of the first frame."""
Told = Callable[[float], None]


def followed(body: Body, frames: list[Frame], config: MotionConfig, told: Told) -> np.ndarray:
    """The places of the vertices in every frame, [f, n, 3]. The first frame's become the rest: see `at_rest`.

    told: called with the share that is done.
    """
    places = [body.rest]
    for k in range(1, len(frames)):
        flow = flow_goals(TriangleMesh(places[-1], body.faces), frames[k - 1], frames[k])
        start = _extrapolated(places)
        places.append(solved(body, start, frames[k], NEXT, NEAR, start, config.depth, flow, config.flow))
        told(0.6 * k / len(frames))
    for number in range(config.sweeps):
        for k in range(1, len(frames)):
            near = 0.5 * (places[k - 1] + places[k + 1]) if k + 1 < len(places) else places[k]
            places[k] = solved(body, places[k], frames[k], AGAIN, config.momentum, near, config.depth)
            told(0.6 + 0.4 * (number + k / len(frames)) / config.sweeps)
    return np.stack(places)


def at_rest(body: Body, frame: Frame) -> np.ndarray:
    """The mesh's places [n, 3] with its outline brought to the first frame's."""
    return solved(body, body.rest, frame, FIRST, NEAR, body.rest, AT_REST)


def _extrapolated(places: list[np.ndarray]) -> np.ndarray:
    return places[-1] if len(places) < 2 else places[-1] + 0.5 * (places[-1] - places[-2])


def solved(
    body: Body,
    start: np.ndarray,
    frame: Frame,
    stiff: tuple[float, ...],
    stays: float,
    near: np.ndarray,
    depth: float,
    flow: Goals | None = None,
    flow_weight: float = 0.0,
) -> np.ndarray:
    """The places [n, 3] in one frame; flow: goals that count `flow_weight` each."""
    pose = frame.camera.camera_to_world.double().numpy()
    turn, origin = pose[:3, :3], pose[:3, 3]
    moved = start
    flowing = [] if flow is None or flow_weight <= 0 else [(flow, flow_weight)]
    rounds = [(stiffness, 2, [1.0]) for stiffness in stiff]
    if flowing:
        rounds.insert(0, (FLOW_ALONE, 8, []))
    for stiffness, times, outline in rounds:
        goals = [(outline_goals(TriangleMesh(moved, body.faces), frame), weight) for weight in outline]
        told = goals + flowing if goals else [(some, 1.0) for some, _ in flowing]
        weight, wanted = _said(told, moved, frame.camera)
        held = (stiffness * body.laplacian + stays * identity(len(start))).tocsr()
        across = splu((held + diags(weight)).tocsc())
        deep = splu((held + depth * identity(len(start))).tocsc())
        beside = stays * (near - origin) @ turn
        beside[:, 2] += depth * ((body.rest - origin) @ turn[:, 2])
        for _ in range(times):
            pull = stiffness * body.pull(body.rotations(moved)) @ turn + beside
            local = np.column_stack([across.solve(pull[:, :2] + wanted), deep.solve(pull[:, 2])])
            moved = local @ turn.T + origin
    return moved


def _said(told: list[tuple[Goals, float]], moved: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Of every vertex the sum of its goals' weights [n], and of these times the goals [n, 2]."""
    weight, wanted = np.zeros(len(moved)), np.zeros((len(moved), 2))
    for some, scale in told:
        flat = in_camera(some.at, seen(moved[some.rows], camera)[1], camera)
        np.add.at(weight, some.rows, scale * some.weight)
        np.add.at(wanted, some.rows, (scale * some.weight)[:, None] * flat)
    return weight, wanted


def in_camera(pixels: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
    """The first two coordinates [n, 2] in the camera's axes of pixels [n, 2] at depths [n]."""
    focal, middle = camera.focal_px.double().numpy(), camera.principal_px.double().numpy()
    scale = 1.0 if camera.orthographic else depth[:, None]
    return (pixels - middle) / focal * np.array([1.0, -1.0]) * scale
