"""Colors and patterns of procedural parts.

A color row holds the N_COLOR numbers that `parts.scene_albedo` reads: two sRGB colors mixed by a squashed sum of plane
waves. One strong wave gives stripes, two crossed ones checks, three slow ones patches, small amplitudes a plain color.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.parts import N_WAVES


class Palette:
    """The colors of one object: a few base colors that its parts share."""

    def __init__(self, rng: Generator) -> None:
        self.rng = rng
        self.base = [self._color() for _ in range(3)]
        self.patterned = rng.random() < 0.6

    def _color(self) -> np.ndarray:
        kind = self.rng.random()
        if kind < 0.2:
            return np.full(3, self.rng.choice([0.95, 0.85, 0.6, 0.3, 0.1]) * self.rng.uniform(0.9, 1.05)).clip(0, 1)
        hue, saturation, value = self.rng.random(), self.rng.beta(2, 1.6), self.rng.beta(3, 1.3)
        return np.array(colorsys.hsv_to_rgb(hue, saturation, value))

    def row(self, first: np.ndarray, second: np.ndarray, *, patterned: bool) -> np.ndarray:
        """The color row [N_COLOR] of two sRGB colors [3]; without a pattern only the first one shows."""
        rng = self.rng
        waves = np.zeros((N_WAVES, 5))
        if patterned:
            n = rng.integers(1, N_WAVES + 1)
            speed = rng.uniform(3, 10) if n == N_WAVES else rng.uniform(5, 22)
            for j in range(n):
                direction = np.eye(3)[rng.integers(0, 3)] if rng.random() < 0.5 else rng.normal(size=3)
                waves[j, :3] = speed * rng.uniform(0.6, 1.4) * direction / np.linalg.norm(direction)
                waves[j, 3], waves[j, 4] = rng.uniform(0, 2 * np.pi), 1.0
        sharpness, offset = rng.uniform(2, 12), rng.uniform(-0.8, 0.8) if patterned else -3.0
        return np.concatenate([first, second, waves.ravel(), [sharpness, offset]])

    def main(self) -> np.ndarray:
        """The color row of the body: first base color, perhaps patterned with the second."""
        return self.row(self.base[0], self.base[1], patterned=self.patterned)

    def any(self) -> np.ndarray:
        """A color row of one of the base colors, sometimes of a new color, sometimes patterned."""
        pick = self._color() if self.rng.random() < 0.3 else self.base[self.rng.integers(0, 3)]
        return self.row(pick, self._color(), patterned=self.rng.random() < 0.25)

    def dark(self) -> np.ndarray:
        """A color row of one dark grey."""
        grey = self.rng.uniform(0.02, 0.2)
        return self.row(np.full(3, grey), np.full(3, grey), patterned=False)
