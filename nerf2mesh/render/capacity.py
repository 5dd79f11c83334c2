"""How many places a pass over rays gets on a device where counting would mean waiting."""

from __future__ import annotations

from collections import deque

from torch import Tensor

from nerf2mesh.utils.device_copy import LAG, AsyncReadback

HEADROOM = 1.25
"""Places over the largest count lately: views differ, and a field grows between two refreshes of its occupancy."""
WINDOW = 32


class Capacity:
    """Learns from the counts of earlier passes, which arrive `LAG` passes late; `lost` is what did not fit by then."""

    def __init__(self) -> None:
        self.lost = 0
        self._recent: deque[int] = deque(maxlen=WINDOW)
        self._under_way: deque[tuple[AsyncReadback, int]] = deque()

    def places(self) -> int | None:
        """None where nothing is known yet: the first pass counts, and waits."""
        while len(self._under_way) >= LAG:
            arriving, places = self._under_way.popleft()
            count = arriving.tolist()
            self._recent.append(count)
            self.lost += max(0, count - places)
        return rounded(HEADROOM * max(self._recent)) if self._recent else None

    def learn(self, count: int | Tensor, places: int | None) -> None:
        """`count` were wanted where there were `places`; None where all had room, and `count` is known."""
        if places is None:
            self._recent.append(int(count))
        else:
            self._under_way.append((AsyncReadback(count), places))


def rounded(count: float) -> int:
    """Up to one of eight sizes an octave, so that memory is asked for in few sizes; at least 1024."""
    count = max(1024, int(count) + 1)
    step = 1 << (count.bit_length() - 4)
    return -(-count // step) * step
