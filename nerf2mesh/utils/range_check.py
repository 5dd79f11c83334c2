"""Holds config dataclasses to the ranges in the annotations of their fields (`ranges`).

A number, text, list or mapping without a range is a mistake of ours and fails an assertion when the first instance of
its class is made.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from nerf2mesh.utils.ranges import Length, OneOf, Text, Within, WordOr, shown


@dataclass(frozen=True)
class Form:
    """An annotation taken apart: the plain kind, what its entries are, and the range of itself."""

    kind: Any
    entries: tuple[Any, ...] = ()
    note: Any = None
    optional: bool = False

    @property
    def is_fixed(self) -> bool:
        """A tuple of so many entries."""
        return self.kind is tuple and self.note is None

    def said(self) -> str:
        """What is expected, with an article."""
        if isinstance(self.note, WordOr):
            text = self.note.said()
        elif self.kind in (int, float):
            text = self.note.said(self.kind)
        elif self.kind is str:
            text = self.note.said()
        elif self.kind is bool:
            text = "true or false"
        elif self.kind in (tuple, list):
            n = str(len(self.entries)) if self.is_fixed else self.note.said()
            text = f"a list of {n}, each {form_of(self.entries[0]).said()}"
        elif self.kind is dict:
            entry = form_of(self.entries[1])
            text = f"a mapping of {self.note.said()} names" + ("" if entry.kind is Any else f" to {entry.said()}")
        else:
            text = "anything" if self.kind is Any else f"a group of settings ({self.kind.__name__})"
        return f"{text}, or null" if self.optional else text


@cache
def form_of(hint: Any) -> Form:
    """The form of an annotation; AssertionError where it lacks its range."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [part for part in get_args(hint) if part is not type(None)]
        assert len(inner) == 1, f"{hint}: one kind, and null"
        return dataclasses.replace(form_of(inner[0]), optional=True)
    note = None
    if get_origin(hint) is Annotated:
        hint, note, *_ = get_args(hint)
    kind, entries = get_origin(hint) or hint, get_args(hint)
    wanted = {int: Within, float: Within, str: (OneOf, Text), list: Length, dict: Length}.get(kind)
    if kind is tuple and entries[-1] is Ellipsis:
        wanted, entries = Length, entries[:1]
    assert wanted is None or isinstance(note, wanted), f"{hint}: no range"
    for entry in entries if kind in (tuple, list) else entries[1:]:
        form_of(entry)
    return Form(kind, entries if kind is not dict else (str, entries[1]), note)


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass's fields, ranges included."""
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(kind)}


def check_ranges(config: Any, prefix: str = "") -> None:
    """Holds every field of a config dataclass to its type and its range; numbers and lists become the plain kinds.

    prefix: of the fields' names in messages, such as "mesh.".

    Raises:
        ValueError: in one line, the first field that is not within, what was expected, and the default.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(config)}
    for name, hint in hints_of(type(config)).items():
        default = defaults[name]
        remedy = "correct it" if default is dataclasses.MISSING else f"leave it out for {shown(default)}"
        object.__setattr__(config, name, checked(prefix + name, hint, getattr(config, name), remedy))


def check_again(config: Any) -> None:
    """The checks of a configuration's classes once more, for one whose fields were set after it was made."""
    for name in hints_of(type(config)):
        if dataclasses.is_dataclass(getattr(config, name)):
            check_again(getattr(config, name))
    config.__post_init__()


def checked(path: str, hint: Any, value: Any, remedy: str = "correct it") -> Any:
    """The value as its annotation has it; ValueError in one line, which begins with `path`, where it is not within."""
    form = form_of(hint)
    if isinstance(form.note, WordOr):
        if not form.note.holds(value):
            raise ValueError(f"{path}: expected {form.said()}, got {shown(value)}; {remedy}")
        return value if isinstance(value, str) else float(value)
    if (value is None and form.optional) or form.kind is Any:
        return value
    converted = _converted(form, value)
    if converted is None:
        raise ValueError(f"{path}: expected {form.said()}, got {shown(value)}; {remedy}")
    if form.kind in (tuple, list):
        kinds = form.entries if form.is_fixed else form.entries * len(converted)
        entries = zip(kinds, converted)
        return form.kind(checked(f"{path}[{i}]", kind, entry, remedy) for i, (kind, entry) in enumerate(entries))
    if form.kind is dict:
        return {name: checked(f"{path}.{name}", form.entries[1], entry, remedy) for name, entry in converted.items()}
    return converted


def _converted(form: Form, value: Any) -> Any:
    """The value itself as the plain kind, its entries as they are; None where it is not within."""
    kind, note = form.kind, form.note
    if kind in (int, float):
        is_number = isinstance(value, numbers.Integral if kind is int else numbers.Real) and not isinstance(value, bool)
        number: Any = value
        return kind(number) if is_number and _is_finite(number) and note.holds(number) else None
    if kind in (tuple, list):
        fits = isinstance(value, list | tuple)
        fits = fits and (len(value) == len(form.entries) if form.is_fixed else note.low <= len(value) <= note.high)
        return list(value) if fits else None
    if kind is dict:
        fits = isinstance(value, Mapping) and note.low <= len(value) <= note.high
        return dict(value) if fits and all(isinstance(name, str) for name in value) else None
    fits = isinstance(value, kind) and (note is None or note.holds(value))
    return value if fits else None


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond all floats
        return True
