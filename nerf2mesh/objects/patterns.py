"""Solid patterns: colors that are functions of a point of the object, so that every view shows the same surface.

Spots in jittered cells (after Worley, "A cellular texture basis function", 1996), warped stripes, blotches from a sum
of sines, and gradients. Points are [N, 3] in world units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("spots", "stripes", "blotches", "gradient")
_N_WAVES = 5
_TABLE = 256
_PRIMES = np.array([73856093, 19349663, 83492791])
"""Of the spatial hash of Teschner et al. 2003."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """One pattern: `frequency` per world unit, `waves` [5, 3] and `phases` [5], a `table` [256, 4] of cell values.

    `strength` is how much of the color shows; `cover` the share of the surface that is painted, roughly.
    """

    kind: str
    color: np.ndarray
    strength: float
    frequency: float
    cover: float
    waves: np.ndarray
    phases: np.ndarray
    table: np.ndarray

    @staticmethod
    def draw(rng: np.random.Generator) -> Pattern:
        """A pattern at random; always takes the same number of values from `rng`."""
        kind = KINDS[rng.integers(len(KINDS))]
        color, strength, frequency, cover = rng.random(3), rng.uniform(0.4, 1.0), rng.uniform(2.0, 9.0), rng.random()
        waves, phases, table = rng.normal(size=(_N_WAVES, 3)), rng.uniform(0, 6.3, _N_WAVES), rng.random((_TABLE, 4))
        color, waves, phases, table = (array.astype(np.float32) for array in (color, waves, phases, table))
        return Pattern(kind, color, strength, frequency, cover, waves, phases, table)

    def laid_over(self, colors: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The colors [N, 3] with the pattern on them."""
        share = np.float32(self.strength) * self.share(points.astype(np.float32))[:, None]
        return colors + share * (self.color - colors)

    def share(self, points: np.ndarray) -> np.ndarray:
        """How much the pattern covers each point, 0 to 1, before `strength`; [N]."""
        if self.kind == "spots":
            return self._spots(points * np.float32(self.frequency))
        if self.kind == "gradient":
            direction = self.waves[0] / np.linalg.norm(self.waves[0])
            return np.clip(0.5 + np.float32(0.5 + self.cover) * (points @ direction), 0.0, 1.0)
        if self.kind == "stripes":
            direction = self.waves[0] / np.linalg.norm(self.waves[0])
            bend = np.float32(1.5 * self.cover) * np.sin(points @ (2.0 * self.waves[1]) + self.phases[1])
            wave = np.sin(2.0 * self.frequency * (points @ direction) + bend + self.phases[0])
            return (wave > 0.0).astype(np.float32)
        waves = np.sin((self.frequency * points) @ self.waves.T + self.phases)
        return (waves.sum(-1) > 1.5 * self.cover).astype(np.float32)

    def _spots(self, q: np.ndarray) -> np.ndarray:
        """Balls about jittered centers of unit cells; some cells are empty. A ball stays inside its cell."""
        cell = np.floor(q)
        index = np.bitwise_xor.reduce(cell.astype(np.int64) * _PRIMES, axis=-1) % _TABLE
        jitter = self.table[index]
        radius = np.float32(0.25 + 0.2 * self.cover)
        center = radius + (1.0 - 2.0 * radius) * jitter[:, :3]
        inside = ((q - cell - center) ** 2).sum(-1) < radius**2
        return (inside & (jitter[:, 3] < 0.7)).astype(np.float32)


def painted_parts(parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colors [V, 3] for an uncolored object of connected `parts` [V]; parts of equal size (wheels, legs) are alike."""
    _, label, size = np.unique(parts, return_inverse=True, return_counts=True)
    sizes, group = np.unique(size, return_inverse=True)
    palette = rng.random((4, 3)) * rng.uniform(0.3, 1.0)
    choice = rng.choice(4, size=len(sizes), p=[0.5, 0.25, 0.15, 0.1])
    return palette[choice[group.reshape(-1)]][label.reshape(-1)].astype(np.float32)
