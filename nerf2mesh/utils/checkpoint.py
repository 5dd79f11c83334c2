"""Checkpoints on disk: the last one, and the one before it, which is taken where the last is damaged.

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

MAX_BYTES = 8 << 30


def write_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Writes `values` to `path`; a file that is there already becomes `before(path)`."""
    data = pack(values)
    with atomic_write(path) as part:
        with open(create_new(part), "wb") as file:
            file.write(data)
        if is_regular(path):
            _keep(path)


def before(path: Path) -> Path:
    """Where the checkpoint before the one at `path` lies: last.before.safetensors beside last.safetensors."""
    return path.with_name(f"{path.stem}.before{path.suffix}")


def has_checkpoint(path: Path, earlier: Path) -> bool:
    """Whether there is one at `path`, or one before it.

    Raises:
        ValueError: there is only the file `earlier`, a pickle, as earlier versions wrote it.
    """
    if os.path.lexists(path) or os.path.lexists(before(path)):
        return True
    if os.path.lexists(earlier):
        raise ValueError(
            f"checkpoint: expected {path}, got {earlier.name} of an earlier version, a pickle, which is not opened; "
            "remove it to start this run anew, or choose another output_dir"
        )
    return False


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
    other = before(path)
    try:
        if os.path.lexists(path) or not os.path.lexists(other):
            _restore(path, restore)
            return []
    except ValueError as error:
        if not is_regular(other):
            raise
        refused = error
    else:
        refused = None
    try:
        _restore(other, restore)
    except ValueError:
        raise refused or _unusable(other, "damaged, and no newer one") from None
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
        if str(error).startswith(("checkpoint: ", "output_dir: ")):
            raise
        reason = (" ".join(str(error).split()) or "unreadable")[:200].removeprefix(f"{path}: ").replace("; ", ", ")
        raise _unusable(path, reason) from error


def _unusable(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"checkpoint: expected one of this run, got {path} ({reason}); remove it and {before(path).name} to start this "
        "run anew, or choose another output_dir"
    )


def _restore(path: Path, restore: Callable[[dict[str, Any]], None]) -> None:
    values = read_checkpoint(path)
    with readable(path):
        restore(values)


def _keep(path: Path) -> None:
    """The file of `path` becomes `before(path)` too; where the file system has no hard links, instead."""
    other = before(path)
    part = other.with_name(other.name + ".part")
    with suppress(FileNotFoundError):
        part.unlink()
    try:
        os.link(path, part)
    except (OSError, NotImplementedError):
        os.replace(path, other)
    else:
        os.replace(part, other)


def _set_aside(path: Path) -> Path:
    """Renames what stands at `path` to the first NAME.refused, NAME.refused2, ... that is free."""
    number = 1
    while True:
        kept = path.with_name(f"{path.name}.refused{number if number > 1 else ''}")
        if not os.path.lexists(kept):
            os.rename(path, kept)
            return kept
        number += 1
