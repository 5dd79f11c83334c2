"""Names out of files of others, checked before they become parts of paths."""

from __future__ import annotations

import os
import re
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]{0,199}")
"""No separators, no leading dot, nothing that a shell or a terminal would read as a command."""


def checked_name(name: object, where: str) -> str:
    """`name`, where it may be the name of a file. ValueError, which begins with `where`, where not."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        shown = ascii(name)[:80]
        raise ValueError(f"{where}: expected a name of letters, digits and _.=+-, got {shown}; use a file of ours")
    return name


def printable(text: str) -> str:
    """The text with characters escaped that a terminal would obey or not show, such as those of a stranger's file."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def inside(folder: str | Path, name: object, where: str) -> Path:
    """folder / name, where `name` is a relative path that stays in the folder when links are followed.

    Raises:
        ValueError: it is none; the message begins with `where`. Whether the file is there is not looked at.
    """
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.encode()) < 1000:
        raise ValueError(f"{where}: expected the name of a file, got {ascii(name)[:80]}; correct it")
    try:
        there, room = Path(os.path.realpath(Path(folder) / name)), os.path.realpath(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{where}: expected the name of a file, got {name[:80]!r} ({error}); correct it") from error
    if any(len(part.encode()) > 255 for part in name.split("/")):
        raise ValueError(f"{where}: expected the name of a file, got one of {len(name)} letters; correct it")
    if os.path.isabs(name) or not there.is_relative_to(room):
        raise ValueError(f"{where}: expected a file inside {folder}, got {name[:200]}; put the file there")
    return Path(folder) / name
