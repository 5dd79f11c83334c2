"""Buffer sizes of a pass over rays, where reading the exact count would synchronize the host with the device."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from torch import Tensor

from nerf2mesh.utils.device_copy import LAG, AsyncReadback

HEADROOM = 1.25
"""Places per sample of the largest recent count: views differ, and a field grows between refreshes of its occupancy."""
WINDOW = 32


@dataclass
class Bounds:
    """Places of one pass for marched and for lit samples, None: as many as are found, which on a GPU waits; after it,
    how many it has `needed` of each."""

    marched: int | None = None
    lit: int | None = None
    needed: list[int | Tensor] = field(default_factory=list)

    @property
    def fixed(self) -> bool:
        """Whether nothing about the pass's sizes is open."""
        return self.marched is not None and self.lit is not None

    def holds(self, other: Bounds) -> bool:
        """Whether what fits `other` fits here, without more than half as much again being unused."""
        pairs = ((self.marched, other.marched), (self.lit, other.lit))
        return all(own is not None and wish is not None and wish <= own <= 1.5 * wish for own, wish in pairs)


class Capacity:
    """A size learned from the counts of earlier passes, which arrive `LAG` passes late; `lost` counts samples that did
    not fit."""

    def __init__(self) -> None:
        self.lost = 0
        self._recent: deque[int] = deque(maxlen=WINDOW)
        self._under_way: deque[tuple[AsyncReadback, int]] = deque()

    def places(self) -> int | None:
        """Places for the next pass; None where no count has arrived yet, so that the pass counts exactly and waits."""
        while len(self._under_way) >= LAG:
            arriving, places = self._under_way.popleft()
            count = int(arriving.tolist())  # pyright: ignore[reportArgumentType]
            self._recent.append(count)
            self.lost += max(0, count - places)
        return rounded(HEADROOM * max(self._recent)) if self._recent else None

    def learn(self, count: int | Tensor, places: int | None) -> None:
        """A pass needed `count` places and had `places`; None where its buffers had the exact size.

        The count of a bounded pass is a tensor, whose copy to the host is started here without waiting for it.
        """
        if places is None:
            self._recent.append(int(count))
        else:
            assert isinstance(count, Tensor)
            self._under_way.append((AsyncReadback(count), places))


def rounded(count: float) -> int:
    """`count` rounded up to one of eight sizes per octave, at least 1024, so that the allocator sees few sizes."""
    count = max(1024, int(count) + 1)
    step = 1 << (count.bit_length() - 4)
    return -(-count // step) * step
