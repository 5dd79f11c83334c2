"""A run's checkpoint on disk: the last one, and the one before it, which is taken where the last is damaged.

Each is one safetensors file with a SHA-256 of itself (`utils.tensor_file`). A new one is written aside, then the last
becomes the one before, then the new one is renamed: a run killed at any moment leaves a whole one. A file that cannot
be used is renamed, never written over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nerf2mesh.utils.atomic_write import atomic_write, create_new
from nerf2mesh.utils.regular_file import is_regular, read_regular
from nerf2mesh.utils.tensor_file import pack, unpack

LAST = "checkpoints/last.safetensors"
BEFORE = "checkpoints/before.safetensors"
EARLIER = "checkpoints/last.pt"
"""Where earlier versions wrote it, as a pickle."""
MAX_BYTES = 8 << 30


def write_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Writes `values` to `path`; a file that is there already becomes BEFORE beside it."""
    data = pack(values)
    with atomic_write(path) as part:
        with open(create_new(part), "wb") as file:
            file.write(data)
        if is_regular(path):
            _keep(path, path.with_name(Path(BEFORE).name))


def read_checkpoint(path: str | Path, *, follow: bool = False) -> dict[str, Any]:
    """The values that were written to `path`; `follow`: it may be a link.

    Raises:
        ValueError: the file is damaged, foreign, a pickle, or no regular file; OSError as the system has it.
    """
    with readable(Path(path)):
        return unpack(read_regular(path, limit_bytes=MAX_BYTES, follow=follow))


def restore_newest(path: Path, restore: Callable[[dict[str, Any]], None]) -> list[str]:
    """Hands `restore` the values of the checkpoint `path`, or of the one before it; returns warnings, one line each.

    restore: may raise what `readable` knows; the values of the checkpoint before are then tried. A file that was
    refused is renamed NAME.refused where the run can go on without it, and stays where it is otherwise.

    Raises:
        ValueError: there is a checkpoint, and none that can be used.
    """
    before = path.with_name(Path(BEFORE).name)
    try:
        if os.path.lexists(path) or not os.path.lexists(before):
            _restore(path, restore)
            return []
    except ValueError as error:
        if not is_regular(before):
            raise
        refused = error
    else:
        refused = None
    try:
        _restore(before, restore)
    except ValueError:
        raise refused or _unusable(before, "damaged, and no newer one") from None
    if refused is None:  # stopped between the two renames
        return []
    kept = _set_aside(path)
    reason = str(refused).partition("; ")[0].removeprefix("checkpoint: ")
    return [f"{reason}; the run went on from the checkpoint before it, and the file was kept as {kept.name}"]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong with a torn, foreign or unfitting checkpoint inside becomes a ValueError of one line."""
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, OverflowError, AssertionError) as error:
        if str(error).startswith("checkpoint: "):
            raise
        reason = (" ".join(str(error).split()) or "unreadable")[:200].removeprefix(f"{path}: ").replace("; ", ", ")
        raise _unusable(path, reason) from error


def _unusable(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"checkpoint: expected one of this run, got {path} ({reason}); remove {path.parent} to start this run anew, "
        "or choose another output_dir"
    )


def _restore(path: Path, restore: Callable[[dict[str, Any]], None]) -> None:
    values = read_checkpoint(path)
    with readable(path):
        restore(values)


def _keep(path: Path, before: Path) -> None:
    """The file of `path` becomes `before` too; where the file system has no hard links, instead."""
    part = before.with_name(before.name + ".part")
    with suppress(FileNotFoundError):
        part.unlink()
    try:
        os.link(path, part)
    except (OSError, NotImplementedError):
        os.replace(path, before)
    else:
        os.replace(part, before)


def _set_aside(path: Path) -> Path:
    """Renames what stands at `path` to the first NAME.refused, NAME.refused2, ... that is free."""
    number = 1
    while True:
        kept = path.with_name(f"{path.name}.refused{number if number > 1 else ''}")
        if not os.path.lexists(kept):
            os.rename(path, kept)
            return kept
        number += 1
