"""Measures of a solid that both templates use: its mirror plane, cross-sections, extremities, points along a path."""

from __future__ import annotations

import numpy as np

from nerf2mesh.motion.rig.volume import Solid

SYMMETRIC = 0.7
"""Overlap (IoU) with the mirror image above which left and right are made alike."""


def mirror_plane(solid: Solid) -> tuple[float, float]:
    """(y, overlap): the plane of constant y whose mirror image covers the solid best, and that IoU."""
    y = solid.index[:, 1]
    best = (float(solid.centers[:, 1].mean()), 0.0)
    middle, reach = int(y.min() + y.max()), max(2, int(0.12 * (y.max() - y.min())))
    for twice in range(middle - reach, middle + reach + 1):  # the plane in half voxels
        mirrored = solid.index.copy()
        mirrored[:, 1] = twice - y
        held = (mirrored[:, 1] >= 0) & (mirrored[:, 1] < solid.solid.shape[1])
        both = int(solid.solid[tuple(mirrored[held].T)].sum())
        overlap = both / (2 * len(y) - both)
        if overlap > best[1]:
            best = (float(solid.origin[1] + 0.5 * twice * solid.cell), overlap)
    return best


def trunk_slice(solid: Solid, k: int, y0: float) -> np.ndarray:
    """Voxels of the component of the horizontal slice k that is nearest to the mirror plane, the largest of those."""
    from scipy.ndimage import label

    parts, n = label(solid.solid[:, :, k], np.ones((3, 3), bool))  # type: ignore[misc]
    numbers, best, best_score = solid.number[:, :, k], np.zeros(0, np.int64), np.inf
    for c in range(1, int(n) + 1):
        voxels = numbers[parts == c]
        away = float(np.abs(solid.centers[voxels, 1] - y0).min())
        score = round(away / solid.cell) - 1e-6 * len(voxels)
        if score < best_score:
            best, best_score = voxels, score
    return best


def deepest(solid: Solid, voxels: np.ndarray) -> np.ndarray:
    """Mean position [3] of voxels, weighted by the square of their depth."""
    weight = solid.depth[voxels] ** 2
    return (solid.centers[voxels] * weight[:, None]).sum(0) / weight.sum()


def along(points: np.ndarray, share: float) -> np.ndarray:
    """The point [3] at a share of the length of a polyline [p, 3], which is smoothed a little."""
    points = smoothed(points)
    steps = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    where = share * steps[-1]
    return np.array([np.interp(where, steps, points[:, axis]) for axis in range(3)])


def smoothed(points: np.ndarray, rounds: int = 4) -> np.ndarray:
    """A polyline [p, 3] with the steps of the grid taken off; its ends stay."""
    points = np.array(points, np.float64)
    for _ in range(rounds if len(points) > 2 else 0):
        points[1:-1] = 0.25 * points[:-2] + 0.5 * points[1:-1] + 0.25 * points[2:]
    return points


def mirrored(point: np.ndarray, y0: float) -> np.ndarray:
    """The point's mirror image in the plane of that y."""
    return np.array([point[0], 2.0 * y0 - point[1], point[2]])


def made_alike(places: dict[str, np.ndarray], y0: float, limit: float) -> dict[str, np.ndarray]:
    """Left and right joints as mirror images where they nearly are (within `limit` world units); others stay."""
    out = dict(places)
    pairs = [name for name in places if name.startswith("Left") and "Right" + name[4:] in places]
    gaps = {name: np.linalg.norm(places[name] - mirrored(places["Right" + name[4:]], y0)) for name in pairs}
    for limb in ({"UpLeg", "Leg", "Foot", "ToeBase", "Toe_End", "Foot_End"}, {"Shoulder", "Arm", "ForeArm", "Hand"}):
        own = [name for name in pairs if (name[4:] in limb) or ("Hand_End" in name and "Hand" in limb)]
        if own and max(gaps[name] for name in own) <= limit:
            for name in own:
                middle = 0.5 * (places[name] + mirrored(places["Right" + name[4:]], y0))
                out[name], out["Right" + name[4:]] = middle, mirrored(middle, y0)
    return out
