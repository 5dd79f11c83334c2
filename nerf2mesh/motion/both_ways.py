"""A clip that ends where it begins is followed from its first frame in both directions.

What goes wrong when parts hide each other stays wrong in all frames after, so that the middle of a walk is followed
better from the nearer end. The place at which both ways are joined is the one that costs least:
    sum_{k < m} (1 - IoU of the way forward at k) + sum_{k >= m} (1 - IoU of the way back) + JUMP |x_m-1 - x_m| / size.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.sight import Frame, mask_iou, silhouette_iou

CLOSED = 0.02
"""The last and the first frame's silhouettes may agree less than the least alike neighbors, by this IoU."""
JUMP = 5.0
WORSE = 0.15
"""IoU by which the way back may show its frames worse than the way forward: beyond, the clip was not closed."""
REACH = 0.67
"""Share of the frames to which each way goes."""


def is_closed(frames: list[Frame]) -> bool:
    """Whether the frame after the last could be the first."""
    masks = [frame.alpha > 0.5 for frame in frames]
    steps = [mask_iou(a, b) for a, b in pairwise(masks)]
    return len(frames) > 3 and mask_iou(masks[-1], masks[0]) >= min(steps) - CLOSED


def joined_at(
    forward: dict[int, np.ndarray], back: dict[int, np.ndarray], faces: np.ndarray, frames: list[Frame]
) -> int:
    """m: the first frame that is taken from `back`; the number of frames where none is."""
    n = len(frames)
    size = float(np.ptp(forward[0], axis=0).max())
    lost = {k: 1.0 - silhouette_iou(TriangleMesh(at, faces), frames[k]) for k, at in forward.items()}
    lost_back = {k: 1.0 - silhouette_iou(TriangleMesh(at, faces), frames[k]) for k, at in back.items()}
    costs = {}
    for m in range(1, n + 1):
        before, after = range(1, m), range(m, n)
        if any(k not in forward for k in before) or any(k not in back for k in after):
            continue
        other = back[m] if m < n else forward[0]
        jump = float(np.linalg.norm(forward[m - 1] - other, axis=1).mean()) / size
        costs[m] = sum(lost[k] for k in before) + sum(lost_back[k] for k in after) + JUMP * jump
    return min(costs, key=lambda m: costs[m])


def is_worse(
    back: dict[int, np.ndarray], forward: dict[int, np.ndarray], joined: int, faces: np.ndarray, frames: list[Frame]
) -> bool:
    """Whether the frames from `joined` on are shown worse by the way back than those before by the way forward."""
    after = [silhouette_iou(TriangleMesh(back[k], faces), frames[k]) for k in range(joined, len(frames))]
    before = [silhouette_iou(TriangleMesh(forward[k], faces), frames[k]) for k in range(joined)]
    return bool(after) and float(np.mean(after)) < float(np.mean(before)) - WORSE
