"""Files that others may have made, read with care: regular ones alone, up to a size, with the name in every message.

A run folder can come from anybody. A FIFO in it would make a reader wait for ever, a link would show it (or have it
overwrite) a file outside, a huge or deeply nested one would fill the memory.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, TypeVar

import yaml

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CALM = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
LIMIT_BYTES = 64 << 20
"""Of a JSON or YAML file; the largest that a run writes has some hundred kilobytes."""
Value = TypeVar("Value")
_KINDS = {dict: "an object {...}", list: "a list [...]"}


def open_regular(path: str | Path, flags: int = os.O_RDONLY, *, follow: bool = False, alone: bool = False) -> int:
    """A descriptor of a regular file, opened with the flags of `os.open`.

    Args:
        follow: True lets the last part of `path` be a link. Files of a run folder are never links.
        alone: True refuses a file with further names (hard links), which may be a user's file elsewhere.

    Raises:
        ValueError: a link, FIFO, folder, socket or device stands there.
        OSError: what else the system refuses, a missing file included.
    """
    try:
        descriptor = os.open(path, flags | _CALM | (0 if follow else NO_FOLLOW), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EMLINK, errno.ENODEV):
            raise _refused(path, _kind_of(path)) from error
        raise
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or (alone and about.st_nlink > 1):
        os.close(descriptor)
        raise _refused(path, _kind_of(path) if not stat.S_ISREG(about.st_mode) else "one with a second name elsewhere")
    return descriptor


def is_regular(path: str | Path) -> bool:
    """Whether a regular file stands there itself; False for links."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_regular(path: str | Path, *, limit_bytes: int = LIMIT_BYTES, follow: bool = False) -> bytes:
    """The bytes of a regular file of at most `limit_bytes`; errors as in `open_regular`, and ValueError if larger."""
    with open(open_regular(path, follow=follow), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(limit_bytes + 1) if size <= limit_bytes else b""
    if size > limit_bytes or len(data) > limit_bytes:
        raise ValueError(f"{path}: expected at most {limit_bytes} bytes, got {max(size, len(data))}; remove the file")
    return data


def read_json(path: str | Path, default: Value) -> Value:
    """The value of a JSON file of the kind of `default`, which is returned where there is no file.

    Raises:
        ValueError: the file is damaged, of another kind, not regular, or too large.
    """
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return default
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "JSON", error) from error
    if not isinstance(value, type(default)):
        wanted = _KINDS.get(type(default), type(default).__name__)
        raise ValueError(f"{path}: expected {wanted} of JSON, got {type(value).__name__}; remove the file")
    return value


def read_yaml(path: str | Path) -> Any:
    """The value of a YAML file without aliases, which could unfold to any size; FileNotFoundError without a file.

    Raises:
        ValueError: the file is damaged, not regular, or too large.
    """
    try:
        return yaml.load(read_regular(path, limit_bytes=1 << 20).decode("utf-8"), Loader=_Plain)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError) as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        raise _damaged(path, "YAML", error) from error


class _Plain(yaml.SafeLoader):
    """SafeLoader without aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not allowed")
        return super().compose_node(parent, index)


def _damaged(path: str | Path, kind: str, error: Exception) -> ValueError:
    first = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:120]
    return ValueError(f"{path}: expected {kind}, got damaged text ({first}); remove the file")


def _refused(path: str | Path, got: str) -> ValueError:
    return ValueError(f"{path}: expected a regular file, got {got}; remove it")


def _kind_of(path: str | Path) -> str:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "something else"
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
