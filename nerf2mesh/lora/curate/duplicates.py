"""Which pictures are the same or nearly the same, and what leaks from the held-out pairs into those that are learnt.

Two pictures are near duplicates where their perceptual hashes (of the object's box; also mirrored, since training
mirrors) differ in few bits and their features in the built-in prior point the same way. Both are asked: hashes of
thin lines meet by chance, features of one kind of object lie close together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.lora.curate.pictures import PictureFacts
from nerf2mesh.priors.builtin.features import picture_features
from nerf2mesh.priors.builtin.network import MultiViewDenoiser

SAME_SHAPE = 0.95
"""Mean intersection over union of twelve silhouettes from which on two models count as one."""
_ROWS = 512


@dataclass(frozen=True)
class Looks:
    """Of n pictures: hashes [n, 2, 256] and features [n, d], each also of the mirror image."""

    hashes: np.ndarray
    features: Tensor
    mirrored: Tensor

    @staticmethod
    def of(facts: Sequence[PictureFacts], network: MultiViewDenoiser) -> Looks:
        """Hashes and features of pictures; of at least one."""
        small = torch.stack([fact.small for fact in facts])
        hashes = np.stack([fact.hashes for fact in facts])
        return Looks(hashes, picture_features(network, small), picture_features(network, small.flip(-1)))


@dataclass(frozen=True)
class Likeness:
    """How near two pictures, the i-th of one set and the j-th of the other, are."""

    i: int
    j: int
    bits: int
    cosine: float


def near_pairs(a: Looks, b: Looks, bits: int, cosine: float) -> Iterator[Likeness]:
    """Pictures of `a` and `b` that are near, as they are or mirrored: at least this cosine, and at most `bits` other
    bits, or up to half more in proportion as the cosine comes nearer to 1."""
    for start in range(0, len(a.hashes), _ROWS):
        rows = slice(start, start + _ROWS)
        for k, features in enumerate((b.features, b.mirrored)):
            apart = (256.0 - a.hashes[rows, 0] @ b.hashes[:, k].T) / 2.0
            for i, j in zip(*np.nonzero(apart <= 1.5 * bits), strict=True):
                alike = float(a.features[start + i] @ features[j])
                surer = (alike - cosine) / max(1.0 - cosine, 1e-6)
                if alike >= cosine and apart[i, j] <= bits * (1.0 + 0.5 * surer):
                    yield Likeness(start + int(i), int(j), int(apart[i, j]), alike)


def same_shapes(a: Tensor, b: Tensor) -> Iterator[tuple[int, int, float]]:
    """(i, j, IoU) of models whose twelve silhouettes, bool [n, 12, s, s], agree."""
    flat_b, size_b = b.flatten(1).float(), b.flatten(1).sum(1).float()
    for i, masks in enumerate(a):
        mine = masks.flatten().float()
        both = flat_b @ mine
        found = both / (size_b + mine.sum() - both).clamp_min(1.0)
        for j in (found >= SAME_SHAPE).nonzero()[:, 0].tolist():
            yield i, j, float(found[j])


class Groups:
    """Union-find over n things."""

    def __init__(self, n: int) -> None:
        self.parent = list(range(n))

    def root(self, i: int) -> int:
        """The group's representative, its lowest member."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Puts two things into one group."""
        low, high = sorted((self.root(i), self.root(j)))
        self.parent[high] = low

    def members(self) -> list[list[int]]:
        """The groups, in the order of their first members."""
        found: dict[int, list[int]] = {}
        for i in range(len(self.parent)):
            found.setdefault(self.root(i), []).append(i)
        return list(found.values())
