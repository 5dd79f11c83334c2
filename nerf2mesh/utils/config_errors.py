"""Hydra's and OmegaConf's errors of many lines as one line, in the words of the registered schemas."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from nerf2mesh.utils.range_check import Form, form_of, hints_of


def describe(error: BaseException, schema: type | None = None) -> str:
    """Hydra's and OmegaConf's many lines as one, with the nearest known keys for a misspelt one.

    schema: the dataclass that the configuration has; None: whichever is registered, the last one first.
    """
    schemas = [schema] if schema is not None else _schemas()
    of_kind = _wrong_kind(error, schemas)
    if of_kind is not None:
        return of_kind
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.strip() for line in str(error.__cause__ or "").splitlines() if line.strip()]
    lines = [line for line in lines + causes if not line.startswith(("full_key:", "object_type=", "reference_type="))]
    text = "; ".join(dict.fromkeys(line.rstrip(":") for line in lines)).replace("'; ", "' ")
    there = re.search(r"An item is already at '([^']+)'", text)
    if there:
        return _present(there.group(1), schemas)
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing:
        key = missing.group(1)
        hint_here = _hint_at(key, schemas)
        if hint_here is not None and not form_of(hint_here).entries:
            return f"{key}: expected a new entry with a plus before its name, got none; write +{key}=VALUE"
        if hint_here is not None:
            return f"{key}: expected its entries one by one, got a mapping; write +{key}.NAME=VALUE"
        near = difflib.get_close_matches(key, _known_keys(schemas), n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "see nerf2mesh --cfg job for all keys"
        return f"{key}: no such setting; {hint}"
    option = re.search(
        r"Could not find '([\w/]+)/([^/']+)'\s*Available options in '[^']*':?(.*?)Config search path", str(error), re.S
    )
    if option:
        group, wanted, known = option.groups()
        return f"{group}: expected one of {', '.join(known.split())}, got {wanted}; choose one"
    if "override_grammar" in text:
        text = text.split(" See http")[0].rstrip("; ") + """; quote special characters: 'key="value"'"""
    return text.replace("\t", " ") or type(error).__name__


def _present(key: str, schemas: list[type]) -> str:
    """The line for a plus before a setting that there is."""
    hint = _hint_at(key, schemas)
    if hint is not None and not dataclasses.is_dataclass(form_of(hint).kind) and form_of(hint).entries:
        return f"{key}: expected its entries one by one, got one value; write +{key}.NAME=VALUE"
    return f"{key}: expected no plus before a setting that there is, got +{key}; write {key}=VALUE"


def _wrong_kind(error: BaseException, schemas: list[type]) -> str | None:
    """The line for a value that OmegaConf cannot convert; None for other errors."""
    cause = error if isinstance(error, ValidationError) else error.__cause__
    path = getattr(cause, "full_key", None)
    hint = _hint_at(path, schemas) if isinstance(cause, ValidationError) and path else None
    if hint is None:
        return None
    value = re.search(r"(?:Value|convert) '(.*)' (?:of type|is not|to string)", str(cause), re.S)
    other = re.search(r"Invalid value assigned: (\w+) is not", str(cause))
    got = repr(value[1][:80]) if value else other[1] if other else "null"
    return f"{path}: expected {form_of(hint).said()}, got {got}; correct it"


def _hint_at(path: str, schemas: list[type]) -> Any:
    """The annotation of a setting by its path, in the first schema that has it; None for other paths."""
    for schema in schemas:
        hint: Any = schema
        for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
            hint = _inside(form_of(hint), name, index) if hint is not None else None
        if hint is not None:
            return hint
    return None


def _inside(form: Form, name: str, index: str) -> Any:
    """The annotation of a group's setting, of a list's entry or of a mapping's value; None where there is none."""
    if dataclasses.is_dataclass(form.kind):
        return hints_of(form.kind).get(name)
    if not form.entries:
        return None
    return form.entries[int(index)] if form.is_fixed and index else form.entries[-1]


def _schemas() -> list[type]:
    """The root dataclasses in Hydra's ConfigStore, the last registered first."""
    nodes = [node.node for name, node in ConfigStore.instance().repo.items() if str(name).endswith("schema.yaml")]
    return [kind for kind in map(OmegaConf.get_type, reversed(nodes)) if dataclasses.is_dataclass(kind)]


def _known_keys(schemas: list[type]) -> list[str]:
    def walk(kind: type, prefix: str) -> Iterator[str]:
        for name, hint in hints_of(kind).items():
            yield prefix + name
            form = form_of(hint)
            if dataclasses.is_dataclass(form.kind) and not form.optional:
                yield from walk(cast(type, form.kind), f"{prefix}{name}.")

    return [key for kind in schemas for key in walk(kind, "")]
