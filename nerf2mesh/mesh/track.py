"""How the vertices of a mesh move in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, eq=False)
class VertexTrack:
    """times_s: f rising times in seconds; positions float32 [f, n, 3]: of the same vertices, the first frame's being
    the mesh's own, in its frame."""

    times_s: tuple[float, ...]
    positions: Float32[np.ndarray, "f n 3"]

    def __post_init__(self) -> None:
        shape = np.shape(self.positions)
        if len(shape) != 3 or shape[0] != len(self.times_s) or shape[2] != 3 or not np.isfinite(self.positions).all():
            raise ValueError(
                f"positions: expected finite ones of shape [{len(self.times_s)}, n, 3], got {list(shape)}; give one "
                "for each time and vertex"
            )
        if len(self.times_s) < 2 or not (np.diff(self.times_s) > 0).all():
            raise ValueError(f"times_s: expected at least two rising times, got {list(self.times_s)}; sort them")

    @property
    def flicker(self) -> float:
        """Mean length of the second difference over frames, in world units a frame squared; 0 for two frames."""
        if len(self.times_s) < 3:
            return 0.0
        second = np.diff(self.positions.astype(np.float64), 2, axis=0)
        return float(np.linalg.norm(second, axis=-1).mean())

    @property
    def rate(self) -> float:
        """Frames a second, by the median step."""
        return float(1.0 / np.median(np.diff(self.times_s)))
