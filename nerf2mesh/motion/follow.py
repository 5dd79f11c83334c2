"""Carries a mesh through a clip: frame by frame, as rigid as the outlines and the flow allow.

Letters
    x: the places sought in one frame, in the camera's axes; the first two are seen, the third is not. With goals g
    (places in the picture, at the depth that the vertex has) of weights c, and places y to stay near with weight m:
        min_x  s E(x) + sum_i c_i |x_i - g_i|^2 (first two axes) + m |x - y|^2 + h |x - X|^2 (third axis),
    E and X from `body`. s falls from round to round. Nothing tells how deep a part lies: h keeps it where it was at
    rest as far as lengths allow. First each frame starts from the one before it; then each is solved again with y the
    mean of its neighbors in time (momentum; the last one's y is itself), and the flow from both of them. Where the clip
    ends as it begins (`both_ways`), the first frame is also the last one's neighbor.
    d: what still parts the outline from the frame's, which a body of that stiffness does not allow (a wrong width, a
    web between two legs). Parallel to the picture alone, as smooth as can be:
        min_d  s d^T L d + sum_i c_i |x_i + d_i - g_i|^2 + m |x + d - y|^2 + a little |d|^2, L from `body`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import diags, identity
from scipy.sparse.linalg import splu

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.body import Body
from nerf2mesh.motion.both_ways import REACH, is_closed, is_worse, joined_at
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.sight import Flow, Frame, Goals, flow_between, flow_goals, outline_goals, seen
from nerf2mesh.types import Camera

FIRST = (30.0, 10.0, 4.0, 1.5, 0.6, 0.25, 0.1)
"""Stiffness of the first frame: the mesh is nearly there."""
NEXT = (20.0, 8.0, 3.0, 1.0, 0.4, 0.15)
FLOW_ALONE = 2.0
"""Of a round before them, in which the flow alone counts: then outlines are near those that they belong to."""
AGAIN = (0.5, 0.2)
OUTLINE = (4.0, 2.0, 1.0, 0.5)
"""Stiffness s of the last rounds, in which the outline alone counts."""
OUTLINE_MOMENTUM, OUTLINE_STAYS = 0.3, 0.01
"""Of these rounds: the share of the momentum, and the weight of a vertex that stays."""
NEAR = 1e-3
"""m of the first pass: what no goal and no neighbor holds stays where it was."""
AT_REST = 0.1
"""h of the first frame."""
Told = Callable[[float], None]


def followed(body: Body, frames: list[Frame], config: MotionConfig, told: Told) -> np.ndarray:
    """The places of the vertices in every frame, [f, n, 3]. The first frame's become the rest: see `at_rest`.

    told: called with the share that is done.
    """
    n = len(frames)
    flows = [flow_between(a, b) for a, b in pairwise([*frames, frames[0]])]
    closed = config.closed == "yes" or (config.closed == "auto" and is_closed(frames))

    def flowing(places: np.ndarray, k: int, to: int) -> Goals:
        ahead = to == (k + 1) % n
        flow = flows[k] if ahead else Flow(flows[to].back, flows[to].there)
        return flow_goals(TriangleMesh(places, body.faces), frames[k], frames[to], flow)

    def way(passed: dict[int, np.ndarray], order: list[int], begin: float, end: float) -> dict[int, np.ndarray]:
        """The frames that were passed, and those after them in this order."""
        found = dict(passed)
        for step, (k, to) in enumerate(pairwise([list(passed)[-1], *order])):
            start = _extrapolated(list(found.values()))
            flow = [flowing(found[k], k, to)]
            found[to] = solved(body, start, frames[to], NEXT, NEAR, start, config.depth, flow, config.flow, True)
            told(begin + (end - begin) * (step + 1) / len(order))
        return found

    first, reach = {0: body.rest}, round(REACH * n) if closed else n - 1
    forward = way(first, list(range(1, reach + 1)), 0.0, 0.25 if closed else 0.6)
    joined = n
    if closed:
        back = way(first, [n - step for step in range(1, reach + 1)], 0.25, 0.5)
        joined = joined_at(forward, back, body.faces, frames)
        if config.closed == "auto" and is_worse(back, forward, joined, body.faces, frames):
            forward, joined = way(forward, list(range(reach + 1, n)), 0.5, 0.6), n
        else:
            forward = {k: forward[k] if k < joined else back[k] for k in range(n)}
    places = list(forward.values())
    last = n if joined < n else n - 1
    for number in range(config.sweeps):
        for k in range(1, n):
            near, beside = _between(places, k, last), [k - 1, (k + 1) % n] if k < last else [k - 1]
            flow = [flowing(places[other], other, k) for other in beside]
            weight = config.flow / len(flow)
            places[k] = solved(body, places[k], frames[k], AGAIN, config.momentum, near, config.depth, flow, weight)
            told(0.6 + 0.3 * (number + k / n) / config.sweeps)
    for number, stiffness in enumerate(OUTLINE):
        for k in range(1, n):
            stays = OUTLINE_MOMENTUM * config.momentum
            places[k] = outlined(body, places[k], frames[k], stiffness, stays, _between(places, k, last))
            told(0.9 + 0.1 * (number + k / n) / len(OUTLINE))
    return np.stack(places)


def _between(places: list[np.ndarray], k: int, last: int) -> np.ndarray:
    """The middle of a frame's neighbors in time; that of the frame `last`, which has one alone, is itself. The neighbor
    after the end is the first frame."""
    return places[k] if k == last else 0.5 * (places[k - 1] + places[(k + 1) % len(places)])


def outlined(
    body: Body, moved: np.ndarray, frame: Frame, stiffness: float, stays: float, near: np.ndarray
) -> np.ndarray:
    """The places [n, 3] with the outline nearer to the frame's, by the d of `Letters`; stays: the m."""
    pose = frame.camera.camera_to_world.double().numpy()
    turn, origin = pose[:3, :3], pose[:3, 3]
    goals = outline_goals(TriangleMesh(moved, body.faces), frame)
    weight, wanted = _said([(goals, 1.0)], moved, frame.camera)
    shift = wanted - weight[:, None] * ((moved - origin) @ turn)[:, :2] + stays * ((near - moved) @ turn)[:, :2]
    held = stiffness * body.laplacian + (stays + OUTLINE_STAYS) * identity(len(moved)) + diags(weight)
    return moved + splu(held.tocsc()).solve(shift) @ turn[:, :2].T


def at_rest(body: Body, frame: Frame) -> np.ndarray:
    """The mesh's places [n, 3] with its outline brought to the first frame's."""
    moved = solved(body, body.rest, frame, FIRST, NEAR, body.rest, AT_REST)
    for stiffness in OUTLINE:
        moved = outlined(body, moved, frame, stiffness, 0.0, moved)
    return moved


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
    flow: Sequence[Goals] = (),
    flow_weight: float = 0.0,
    flow_first: bool = False,
) -> np.ndarray:
    """The places [n, 3] in one frame; flow: goals that count `flow_weight` each, in a round of their own at first where
    `flow_first`."""
    pose = frame.camera.camera_to_world.double().numpy()
    turn, origin = pose[:3, :3], pose[:3, 3]
    moved = start
    flowing = [(some, flow_weight) for some in flow if flow_weight > 0]
    rounds = [(stiffness, 2, [1.0]) for stiffness in stiff]
    if flowing and flow_first:
        rounds.insert(0, (FLOW_ALONE, 8, []))
    for stiffness, times, outline in rounds:
        goals = [(outline_goals(TriangleMesh(moved, body.faces), frame), weight) for weight in outline]
        told = goals + flowing if goals else [(some, 1.0) for some, _ in flowing]
        weight, wanted = _said(told, moved, frame.camera)
        held = (stiffness * body.laplacian + stays * identity(len(start))).tocsr()
        across = splu((held + diags(weight)).tocsc())
        deep = body.factored(stiffness, stays + depth)
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
