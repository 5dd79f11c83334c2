"""Legs: branches of the solid that stand on the ground, found by sweeping a horizontal plane upward.

The components of the slices below the plane form the merge tree of the height (Carr, Snoeyink and Axen 2003). A leaf
that is born near the ground, and that has grown tall before it meets another one, is a leg; toes and hoofs meet at once
and are one. The plane at which two legs meet is the crotch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nerf2mesh.motion.rig.volume import Solid

BORN_BELOW = 0.16
"""Of the height: higher leaves are hands, tails, ears."""
LEAST_HEIGHT, LEAST_SHARE = 0.06, 0.002
"""A leg's least length, of the height, and least share of the volume."""


@dataclass(eq=False)
class Branch:
    """One leaf of the merge tree: voxels [n] by slice (grid index k along z)."""

    born: int
    slices: dict[int, list[np.ndarray]] = field(default_factory=dict)
    end: int = -1
    """The slice in which it meets another leg; -1 while it has met none."""
    leaf: bool = True

    @property
    def size(self) -> int:
        """Number of voxels."""
        return sum(len(part) for parts in self.slices.values() for part in parts)

    def voxels(self, low: int = 0, high: int = 1 << 30) -> np.ndarray:
        """Numbers of the voxels in slices low to high."""
        parts = [part for k, found in self.slices.items() if low <= k <= high for part in found]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def absorb(self, other: Branch) -> None:
        """Takes in a branch that was no leg."""
        self.born = min(self.born, other.born)
        for k, parts in other.slices.items():
            self.slices.setdefault(k, []).extend(parts)


def find_legs(solid: Solid) -> list[Branch]:
    """The legs, the largest first; empty where nothing stands on the ground by itself."""
    from scipy.ndimage import binary_dilation, label

    ground, top = int(solid.index[:, 2].min()), int(solid.index[:, 2].max())
    height, total = top - ground + 1, len(solid.index)
    around = np.ones((3, 3), bool)
    below: list[tuple[np.ndarray, Branch]] = []
    done: list[Branch] = []

    def tall(branch: Branch, k: int) -> bool:
        low = branch.born - ground <= BORN_BELOW * height
        return branch.leaf and low and k - branch.born >= LEAST_HEIGHT * height and branch.size >= LEAST_SHARE * total

    for k in range(ground, ground + int(0.75 * height)):
        slab = solid.solid[:, :, k]
        parts, n = label(slab, around)  # type: ignore[misc]
        groups = _met(np.asarray(parts), int(n), below, lambda mask: binary_dilation(mask, around))
        now: list[tuple[np.ndarray, Branch]] = []
        for leg in _ended(below, groups):
            if tall(leg, k):
                leg.end = k
                done.append(leg)
        for mask, met in groups:
            legs = [branch for branch in met if tall(branch, k)]
            if len(legs) >= 2 or any(not branch.leaf for branch in met):
                for leg in legs:
                    leg.end = k
                done += legs
                into = Branch(k, leaf=False)
            else:
                into = legs[0] if legs else (met[0] if met else Branch(k))
                for other in met:
                    if other is not into:
                        into.absorb(other)
            into.slices.setdefault(k, []).append(solid.number[:, :, k][mask])
            now.append((mask, into))
        below = now
    return sorted(done, key=lambda branch: -branch.size)


def _ended(below: list[tuple[np.ndarray, Branch]], groups: list) -> list[Branch]:
    """Branches that nothing in this slice goes on with: legs that are pieces of their own."""
    held = [branch for _, met in groups for branch in met]
    found: list[Branch] = []
    for _, branch in below:
        if branch not in held and branch not in found:
            found.append(branch)
    return found


def _met(parts: np.ndarray, n: int, below: list[tuple[np.ndarray, Branch]], grown) -> list:
    """(mask, branches below) of this slice's components; those over one branch are one."""
    groups: list[tuple[np.ndarray, list[Branch]]] = []
    for c in range(1, n + 1):
        mask = parts == c
        touched = grown(mask)
        met: list[Branch] = []
        for under, branch in below:
            if branch not in met and (under & touched).any():
                met.append(branch)
        shared = [group for group in groups if any(branch in group[1] for branch in met)]
        groups = [group for group in groups if not any(branch in group[1] for branch in met)]
        for other_mask, other_met in shared:
            mask = mask | other_mask
            met = other_met + [branch for branch in met if branch not in other_met]
        groups.append((mask, met))
    return groups


def axis_at(solid: Solid, leg: Branch, share: float) -> np.ndarray:
    """Middle [3] of a leg at a share of its height, 0 at the ground and 1 at the crotch."""
    k = leg.born + share * (leg.end - leg.born)
    voxels = leg.voxels(int(np.floor(k)) - 1, int(np.ceil(k)) + 1)
    voxels = voxels if len(voxels) else leg.voxels()
    weight = solid.depth[voxels]
    middle = (solid.centers[voxels] * weight[:, None]).sum(0) / weight.sum()
    return np.array([middle[0], middle[1], solid.origin[2] + solid.cell * k])
