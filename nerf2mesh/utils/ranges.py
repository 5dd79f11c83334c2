"""Ranges of settings, stated once: in the annotation of a config dataclass's field, for the checks and for the docs.

    steps: Annotated[int, Within(1, 10_000_000)] = 240

Numbers have `Within`, numbers or a word `WordOr`, texts `OneOf` or `Text`, lists and mappings of any length `Length`,
in this order of wrapping:
`Annotated[tuple[Share, ...], Length(0, 64)]`, `Annotated[int, Within(1, 8)] | None`. nan and infinity
are within no range. `range_check` holds values to them.
"""

from __future__ import annotations

import numbers
import re
from dataclasses import dataclass
from typing import Annotated, Any

_LARGEST = 1e300


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`; without `low` where `above`, without `high` where `below`; and those of `also`.
    multiple: whole numbers only that are multiples of it."""

    low: float
    high: float
    above: bool = False
    below: bool = False
    also: tuple[float, ...] = ()
    multiple: int = 1

    def holds(self, value: float) -> bool:
        """Whether the number is within."""
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return bool(over and under and (self.multiple == 1 or value % self.multiple == 0)) or value in self.also

    def said(self, kind: type) -> str:
        """Such as "an integer of 1 to 32"."""
        low, high = shown(self.low), shown(self.high)
        if kind is int:
            text = f"an integer of {low} to {high}" + (f", a multiple of {self.multiple}" if self.multiple > 1 else "")
        elif self.above:
            text = f"a number above {low} and {'below' if self.below else 'up to'} {high}"
        else:
            text = f"a number from {low} to {'below ' if self.below else ''}{high}"
        return ", or ".join([text, *map(shown, self.also)])


@dataclass(frozen=True, init=False)
class OneOf:
    """A word out of a few."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", options)

    def holds(self, value: str) -> bool:
        """Whether it is one of them."""
        return value in self.options

    def said(self) -> str:
        """Such as "one of linear, smoothstep"."""
        return f"one of {', '.join(self.options)}"


@dataclass(frozen=True)
class WordOr:
    """A word, or a number: `Annotated[Any, WordOr("auto", Within(-90.0, 90.0))]`."""

    word: str
    number: Within

    def holds(self, value: Any) -> bool:
        """Whether it is the word, or a number that is within."""
        if isinstance(value, str):
            return value == self.word
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        number: Any = value
        return is_number and abs(number) <= _LARGEST and self.number.holds(float(number))

    def said(self) -> str:
        """Such as "a number from -90 to 90, or auto"."""
        return f"{self.number.said(float)}, or {self.word}"


@dataclass(frozen=True)
class Text:
    """Up to `most` characters, none of them NUL; a `pattern` has to match the whole, as `what` says."""

    most: int = 10_000
    pattern: str = ""
    what: str = ""

    def holds(self, value: str) -> bool:
        """Whether the text is short enough and matches."""
        fits = len(value) <= self.most and "\0" not in value
        return fits and (not self.pattern or re.fullmatch(self.pattern, value) is not None)

    def said(self) -> str:
        """`what`, or how long it may be."""
        return self.what or f"text of at most {self.most:,} characters"


@dataclass(frozen=True)
class Length:
    """Number of entries of a list or a mapping."""

    low: int
    high: int

    def said(self) -> str:
        """Such as "1 to 16"."""
        return f"{self.low:,} to {self.high:,}" if self.low else f"at most {self.high:,}"


Share = Annotated[float, Within(0.0, 1.0)]
Weight = Annotated[float, Within(0.0, 1e9)]
Rate = Annotated[float, Within(0.0, 10.0, above=True)]
Elevation = Annotated[float, Within(-90.0, 90.0)]
AutoElevation = Annotated[Any, WordOr("auto", Within(-90.0, 90.0))]
AutoFov = Annotated[Any, WordOr("auto", Within(1.0, 150.0))]
Positive = Annotated[float, Within(0.0, 1e9, above=True)]
Count = Annotated[int, Within(1, 10_000_000)]
Seed = Annotated[int, Within(0, 2**40)]
"""The streams of a run have up to a million times the seed, which still fits torch's 63 bits."""
FilePath = Annotated[str, Text(4096, what="a path of at most 4,096 characters")]
Name = Annotated[str, Text(200, what="a name of at most 200 characters")]
Words = Annotated[str, Text(10_000)]
Device = Annotated[str, Text(pattern=r"auto|cpu|cuda(:\d{1,3})?", what="auto, cpu, cuda or cuda:N")]


def shown(value: Any) -> str:
    """A value as YAML would have it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 1 << 62 else f"{float(value):.3g}" if abs(value) < 1 << 900 else "more"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 and value == int(value) else f"{value:g}"
    text = str([*value]) if isinstance(value, list | tuple) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}..."
