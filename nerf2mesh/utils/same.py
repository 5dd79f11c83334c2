"""Identity as a part of a key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Same:
    """A part of a key that is equal to itself alone; kept, so that no other object takes its place."""

    what: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.what is self.what

    def __hash__(self) -> int:
        return id(self.what)
