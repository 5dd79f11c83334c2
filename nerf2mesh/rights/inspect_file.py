"""What a file says of itself, what of that holds, and what nobody can tell from it: `show` and `verify`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerf2mesh.rights.containers import Carried, find
from nerf2mesh.rights.seal import BLANK, is_signed, is_whole
from nerf2mesh.utils.names import inside, printable
from nerf2mesh.utils.regular_file import read_regular

MOST_BYTES = 4 << 30
MOST_LINES = 400
"""Of a record that is shown; a stranger's may be huge."""
STATED = (
    "who made the input and under which licence: that is as the maker of the file stated it",
    "that exactly these inputs, weights and adapters were used: the record says so, the mesh does not show it",
    "when it was made: no time in it is certified",
)


@dataclass(frozen=True)
class Inspection:
    """holds: whether all that can be checked is as the record says. lines: for people."""

    holds: bool
    lines: list[str]


def read_record(path: Path) -> tuple[bytes, str, Carried, dict[str, Any]]:
    """A file's bytes, its kind, what it carries, and the record.

    Raises:
        ValueError: there is no such file, it is damaged, or it carries no record.
    """
    try:
        data = read_regular(path, limit_bytes=MOST_BYTES, follow=True)
    except OSError as error:
        raise ValueError(f"file: expected a file, got {path} ({error.strerror}); check the path") from error
    suffix = path.suffix.lower()
    carried = find(data, suffix)
    if carried is None:
        raise ValueError(f"file: expected a record of nerf2mesh in {path.name}, got none; nothing is known of it")
    try:
        content = json.loads(carried.text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"file: expected a readable record in {path.name}, got a damaged one") from error
    if not isinstance(content, dict):
        raise ValueError(f"file: expected an object as the record in {path.name}, got another; it is none of ours")
    return data, suffix, carried, content


def show(path: Path) -> list[str]:
    """The record, a value a line; at most MOST_LINES."""
    _, _, carried, content = read_record(path)
    lines = [f"{name}: {printable(str(value))[:400]}" for name, value in _leaves(content)]
    more = [f"... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more, _seal_line(carried, content)]


def verify(path: Path, key: str = "", materials: Sequence[Path] = ()) -> Inspection:
    """Checks the seal, the signature, files beside it, and that `materials` are what the record names.

    key: the public key that is expected; "" compares with none.
    """
    data, suffix, carried, content = read_record(path)
    whole = is_whole(data, suffix, carried)
    lines, holds = [_content_line(carried, whole)], whole
    signer = str(content.get("signed_by") or "")
    valid = bool(signer) and bool(carried.seal) and is_signed(carried, signer)
    if signer:
        holds &= valid
        of_what = "" if whole else " for the record and its digest, which this file no longer has"
        lines.append(f"signature: {f'valid{of_what}' if valid else 'INVALID'}, key {printable(signer[:64])}")
    else:
        holds &= carried.seal[65:] in ("", BLANK[65:])
        lines.append("signature: none")
    if key:
        same = valid and signer == key.lower()
        holds &= same
        lines.append(f"key: {'the one that you named' if same else 'NOT the one that you named'}")
    for line, right in [*_beside(path, content), *_compared(content, materials)]:
        lines.append(line)
        holds &= right
    lines += [f"cannot be proven: {line}" for line in _unproven(valid, bool(key), carried)]
    return Inspection(bool(holds), lines)


def _content_line(carried: Carried, whole: bool) -> str:
    if whole:
        return "content: every byte is as it was when the file was sealed"
    if carried.is_copy:
        return "content: CHANGED, another program has written the file anew; the record is a copy that it kept"
    return f"content: CHANGED since the file was sealed{'' if carried.seal else ', or its seal is damaged'}"


def _beside(path: Path, content: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Files that belong to this one, such as an OBJ's material and texture."""
    files = content.get("files")
    for name, digest in list(files.items())[:20] if isinstance(files, dict) else []:
        try:
            there = inside(path.parent, name, "file")
            found = hashlib.sha256(read_regular(there, limit_bytes=MOST_BYTES)).hexdigest()
        except (OSError, ValueError):
            yield f"{printable(str(name)[:80])}: not beside it, not checked", True
            continue
        said = "as recorded" if found == digest else "CHANGED"
        yield f"{printable(str(name)[:80])}: {said}", found == digest


def _compared(content: dict[str, Any], materials: Sequence[Path]) -> Iterator[tuple[str, bool]]:
    known = {value for _, value in _leaves(content) if isinstance(value, str) and len(value) == 64}
    for file in materials:
        digest = hashlib.sha256(read_regular(file, limit_bytes=MOST_BYTES, follow=True)).hexdigest()
        said = "named in the record by its SHA-256" if digest in known else "NOT named in the record"
        yield f"{printable(file.name)}: {said}", digest in known


def _unproven(signed: bool, compared: bool, carried: Carried) -> list[str]:
    if not signed:
        return ["who wrote the record: without a valid signature anybody can write a record and its seal", *STATED]
    known = [] if compared else ["whose key it is: compare it with one that its owner gave you (--key)"]
    return [*known, *STATED]


def _seal_line(carried: Carried, content: dict[str, Any]) -> str:
    if not carried.seal:
        return "seal: none"
    return f"seal: {carried.seal[:16]}..., {'signed' if content.get('signed_by') else 'not signed'}; see verify"


def _leaves(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(path, value) of every leaf, in the record's order; what lies deeper than 12 levels is cut."""
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = [(printable(str(key))[:100], item) for key, item in value.items()]
    elif isinstance(value, list):
        children = [(str(i), item) for i, item in enumerate(value)]
    if not children or depth > 12:
        yield name, "..." if children else value
        return
    for key, item in children:
        yield from _leaves(item, f"{name}.{key}" if name else key, depth + 1)
