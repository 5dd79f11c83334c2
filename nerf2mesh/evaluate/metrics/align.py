"""Alignment of point clouds before measuring: papers' normalizing frames, rotation search, iterative closest points.

The library's own protocols align nothing. These functions exist to reproduce published conventions, and to show beside
an unaligned figure how much alignment flatters it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from nerf2mesh.evaluate.metrics.geometry import nearest_point_distance

Cloud = Float[Tensor, "n 3"]


def box_frame(reference: Float[Tensor, "v 3"], side: float) -> tuple[Tensor, float]:
    """Center and scale that make the reference's bounding box centered, with a longest side of `side`."""
    low, high = reference.amin(0), reference.amax(0)
    return 0.5 * (low + high), side / float((high - low).amax().clamp_min(1e-30))


def mean_frame(cloud: Cloud) -> Cloud:
    """The cloud about its own mean, with the larger of its x and y extents at 1 (ZeroShape)."""
    centered = cloud - cloud.mean(0)
    extent = (centered[:, :2].amax(0) - centered[:, :2].amin(0)).amax()
    return centered / (extent + 1e-7)


def iterative_closest_points(cloud: Cloud, target: Cloud, *, iterations: int = 50) -> Cloud:
    """The cloud moved rigidly onto the target: nearest points, then the best rotation and shift (Kabsch), repeated."""
    tree, cloud = KDTree(target.cpu().numpy(), balanced_tree=False), cloud.double()
    for _ in range(iterations):
        match = target.double()[torch.from_numpy(tree.query(cloud.cpu().numpy())[1])]
        rotation = kabsch(cloud, match)
        moved = (cloud - cloud.mean(0)) @ rotation.T + match.mean(0)
        if torch.allclose(moved, cloud, rtol=0, atol=1e-9):
            return moved
        cloud = moved
    return cloud


def kabsch(cloud: Cloud, match: Cloud) -> Float[Tensor, "3 3"]:
    """The rotation that best turns the cloud onto points that correspond to it one by one, both about their means."""
    u, _, vt = torch.linalg.svd((cloud - cloud.mean(0)).T @ (match - match.mean(0)))
    flip = torch.ones(3, dtype=u.dtype, device=u.device)
    flip[2] = torch.linalg.det(vt.T @ u.T).sign()
    return vt.T @ torch.diag(flip) @ u.T


def rotation_grid(n_azimuth: int = 24, n_elevation: int = 24, n_roll: int = 12) -> Float[Tensor, "r 3 3"]:
    """Rotations about y, then x, then z, each over the full circle; the default is ZeroShape's grid of 6,912."""
    y, x, z = (_about(axis, n) for axis, n in ((1, n_azimuth), (0, n_elevation), (2, n_roll)))
    return (y[:, None, None] @ x[None, :, None] @ z[None, None, :]).reshape(-1, 3, 3)


def best_rotation(
    cloud: Cloud,
    target: Cloud,
    rotations: Float[Tensor, "r 3 3"],
    *,
    search_points: int = 256,
    finalists: int = 24,
    normalize: bool = False,
) -> Cloud:
    """The cloud turned by the rotation with the smallest two-way mean distance to the target.

    All rotations are tried on a subset of both clouds, the best `finalists` of them on all points. With `normalize`
    every turned cloud is put into `mean_frame` first.
    """
    frame = mean_frame if normalize else (lambda points: points)
    cloud, target = cloud.double(), target.double()
    few, few_target = (_thinned(points, search_points) for points in (cloud, target))
    rough = torch.stack([_two_way(frame(few @ r.T), few_target) for r in rotations])
    best, best_distance = None, float("inf")
    for index in rough.argsort()[:finalists].tolist():
        turned = frame(cloud @ rotations[index].T)
        distance = _two_way_trees(turned, target)
        if distance < best_distance:
            best, best_distance = turned, distance
    assert best is not None
    return best


def _two_way(a: Cloud, b: Cloud) -> Tensor:
    pairs = torch.cdist(a, b)
    return pairs.amin(0).mean() + pairs.amin(1).mean()


def _two_way_trees(a: Cloud, b: Cloud) -> float:
    return float(nearest_point_distance(a, b).mean() + nearest_point_distance(b, a).mean())


def _thinned(points: Cloud, count: int) -> Float[Tensor, "m 3"]:
    return points[torch.linspace(0, len(points) - 1, min(count, len(points))).long()]


def _about(axis: int, count: int) -> Float[Tensor, "n 3 3"]:
    angle = torch.arange(count, dtype=torch.float64) * (2 * torch.pi / count)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    turn[:, i, i] = turn[:, j, j] = angle.cos()
    turn[:, j, i] = angle.sin()
    turn[:, i, j] = -angle.sin()
    return turn
