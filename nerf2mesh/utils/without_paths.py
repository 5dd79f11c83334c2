"""Reports are passed on: of absolute paths only the file's name is shown, since the rest tells whose machine it was."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

_FOLDERS = re.compile(r"(?<![\w/\\.~:-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\",;:\[\]{}()=<>]+[/\\])+")


def without_paths(value: Any) -> Any:
    """The value with every absolute path in its texts, keys included, cut to the last name; lists and dicts are walked.

    A text that is a path as a whole may hold blanks; of one inside a sentence only the home folder may.
    """
    if isinstance(value, dict):
        return {without_paths(key): without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, Path):
        return value.name
    if not isinstance(value, str):
        return value
    name, equals, rest = value.partition("=")
    if equals and re.fullmatch(r"[+~]*[\w.@/]+", name) and not name.startswith("/"):
        return f"{name}={without_paths(rest)}"
    if "\n" not in value and not re.search(r"[:;,\]]", value[3:]) and _is_absolute(value):
        return PureWindowsPath(value).name if "\\" in value else PurePosixPath(value).name
    return _FOLDERS.sub("", _without_home(value))


def _is_absolute(text: str) -> bool:
    return text.startswith(("/", "~/")) or (PureWindowsPath(text).is_absolute() and "\\" in text)


def _without_home(text: str) -> str:
    home = str(Path.home())
    return re.sub(re.escape(home) + r"(?=[/\\]|\W|$)", "~", text) if len(home) > 1 else text
