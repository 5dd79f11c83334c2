"""What a rigged mesh is made of, for the writers of glTF and USD.

Letters
    File axes are +Y up, +Z front: world (x, y, z) is file (y, z, x), an even permutation, so that a rotation's
    quaternion (x, y, z, w) becomes (y, z, x, w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

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

    def turned(self) -> Float[np.ndarray, "t j 4"]:
        """Unit quaternions (x, y, z, w) in file axes."""
        rows = np.asarray(self.quaternions)[..., [*TO_FILE, 3]]
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    def shifted(self, scale: float) -> Float[np.ndarray, "t 3"]:
        """The root's shift in file axes and metres; scale: metres a world unit."""
        return np.asarray(self.root)[:, TO_FILE] * scale


@dataclass(frozen=True, eq=False)
class Skin:
    """Joints, parents first, and what they move; world axes and units."""

    names: Sequence[str]
    parents: Sequence[int]
    positions: Float[np.ndarray, "j 3"]
    joints: Int[np.ndarray, "v 4"]
    weights: Float[np.ndarray, "v 4"]
    animations: Sequence[Animation] = field(default=())
    """A player that shows but one shows the first."""

    def places(self, scale: float) -> Float[np.ndarray, "j 3"]:
        """Joints of the bind pose in file axes and metres."""
        return np.asarray(self.positions)[:, TO_FILE] * scale

    def offsets(self, scale: float) -> Float[np.ndarray, "j 3"]:
        """The same against each joint's parent; the root's is its place."""
        places = self.places(scale)
        above = np.array([places[p] if p >= 0 else np.zeros(3) for p in self.parents])
        return places - above


def single_precision(joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint16 and float32 whose rows sum to 1 as float32 sums go; joints without weight are 0."""
    single = weights.astype(np.float32)
    single /= single.sum(1, keepdims=True, dtype=np.float32)
    return np.where(single > 0, joints, 0).astype("<u2"), single.astype("<f4")
