"""Overrides as people type them: paths and free text need no quoting of their own.

Hydra's grammar gives a meaning to quotes, commas, equal signs, tildes, brackets and most characters beyond ASCII. For
the settings that hold a path or free text, the value is taken as it stands: `written_out` quotes it for Hydra. A value
that is quoted already stays. In a sweep a comma separates values, unless a file of the whole name exists.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

PATHS = ("image", "output_dir", "data", "data_dir", "weights", "model", "config_dir", "controlnet", "ip_adapter")
PATHS += (
    "images",
    "cache_dir",
    "adapters",
    "meshes",
    "clip",
    "average",
    "foreground_weights",
    "foreground_model",
    "sign_key",
    "ticks",
    "held_out",
    "frames",
    "sheet",
)
WORDS = ("prompt", "negative_prompt", "class_prompt", "title", "licence", "author", "currency")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif")
_WITH_VALUE = ("--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--cfg", "-c")
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]+( [A-Za-z0-9_./:-]+)*")
_OTHER_KIND = re.compile(r"[-+]?[\d_.]+(e[-+]?\d+)?|[-+]?(nan|inf)|true|false|null", re.IGNORECASE)
"""What Hydra would read as a number, a truth value or nothing, and give back in another spelling."""
_GLOB = re.compile(r"""glob\((["']?)(.+)\1\)""")
_SWEEP = re.compile(r"(choice|range|interval|shuffle|sort|tag)\(.*\)", re.DOTALL)


def command_line(arguments: Sequence[str], *, takes_picture: bool = False) -> list[str]:
    """The arguments of a command for Hydra; with `takes_picture` a bare PICTURE stands for input.image=PICTURE, and a
    folder of pictures for a sweep over them, unless they are photographs of one object."""
    together = bool(
        {"input=photos", "input=sheet", "input=frames", "experiment=photos", "experiment=few_photos"} & set(arguments)
    )
    sweep = bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
    ready: list[str] = []
    before = ""
    for argument in arguments:
        if before in _WITH_VALUE or argument.startswith("-"):
            ready.append(argument)
        else:
            named = f"input.image={argument}" if takes_picture and _is_picture(argument) else argument
            apart = takes_picture and named.startswith("input.image=") and not together
            many = _pictures(named.partition("=")[2]) if apart else []
            if len(many) > 1 and not sweep:
                ready.insert(0, "--multirun")
            ready.append(f"input.image={','.join(map(_quoted, many))}" if many else written_out(named, sweep=sweep))
        before = argument
    return ready


def with_folder(arguments: Sequence[str]) -> list[str]:
    """The arguments with data=FOLDER for the one that is no key=value and no flag, or that is a folder of that name."""
    ready: list[str] = []
    for before, argument in zip(["", *arguments], arguments):
        plain = argument and not argument.startswith(("-", "~", "+", "data=")) and before not in _WITH_VALUE
        named = re.match(r"[\w./@:]+=", argument) is not None
        ready.append(f"data={argument}" if plain and (not named or Path(argument).is_dir()) else argument)
    return ready


def many_pictures(arguments: Sequence[str]) -> list[str] | None:
    """What stands for the pictures in a command on many of them, each a value of input.image; None in any other.

    A folder, glob(PATTERN), or several pictures, with or without input.image= in front. Flags are Hydra's affair.
    """
    other = [a for a in arguments if a.startswith("-") or (a.startswith("input=") and a != "input=picture")]
    if other or {"experiment=photos", "experiment=few_photos"} & set(arguments):
        return None
    values = [
        a.removeprefix("input.image=")
        for a in arguments
        if a.startswith("input.image=") or _is_picture(a) or _GLOB.fullmatch(a) or Path(a).is_dir()
    ]
    several = [v for v in values if _GLOB.fullmatch(v) or (v and Path(v).expanduser().is_dir())]
    return values if several or len(values) > 1 else None


def pictures_of(values: Sequence[str]) -> list[str]:
    """The pictures behind the values of `many_pictures`, each once. ValueError where a folder or pattern has none."""
    return list(dict.fromkeys(name for value in values for name in _pictures(value) or [os.path.expanduser(value)]))


def written_out(override: str, *, sweep: bool = False) -> str:
    """The override in Hydra's grammar.

    lora=[FILE, ...] is short for lora.adapters=[FILE, ...]; without brackets it names an option of the group.
    input.image=[FILE, ...] and input.frames=[FILE, ...] are short for input.images=[FILE, ...].
    """
    if override.startswith("lora=["):
        override = "lora.adapters=" + override.removeprefix("lora=")
    for short in ("input.image=[", "input.frames=["):
        given = override.removeprefix(short[:-1])
        if override.startswith(short) and override.endswith("]") and not Path(given).exists():
            override = "input.images=" + given
    key, equals, value = override.partition("=")
    name = key.lstrip("+").rpartition(".")[2]
    if not equals or not re.fullmatch(r"\+{0,2}[\w.]+", key) or name not in PATHS + WORDS or key == "lora.weights":
        return override
    write = _path if name in PATHS else _quoted
    if value.startswith("[") and value.endswith("]") and name in PATHS and not Path(value).exists():
        return f"{key}=[{','.join(_each(value[1:-1], write))}]"
    if sweep and not _SWEEP.fullmatch(value) and not Path(value).exists():
        return f"{key}={','.join(_each(value, write))}"
    return override if sweep and _SWEEP.fullmatch(value) else f"{key}={write(value)}"


def _pictures(value: str) -> list[str]:
    """The pictures in a folder, or those that glob(PATTERN) names, sorted; empty where the value is one picture.

    Raises:
        ValueError: there are none.
    """
    pattern = _GLOB.fullmatch(value)
    folder = Path(value).expanduser()
    if pattern is None and not (value and folder.is_dir()):
        return []
    names = glob.glob(os.path.expanduser(pattern[2])) if pattern else [str(path) for path in folder.iterdir()]
    found = sorted(name for name in names if Path(name).is_file() and Path(name).suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        got = f"none for {value} (looked from {Path.cwd()})" if pattern else f"the folder {value} without any"
        raise ValueError(f"input.image: expected pictures, got {got}; name one PNG, JPEG or WebP file")
    return found


def _is_picture(argument: str) -> bool:
    """An existing file of any name; else a name that ends as pictures do and does not begin as key=value."""
    if re.match(r"[+~]{0,2}[\w./@:]+=", argument):
        return Path(argument).suffix.lower() in PICTURE_SUFFIXES and Path(argument).is_file()
    return Path(argument).is_file() or Path(argument).suffix.lower() in PICTURE_SUFFIXES


def _each(values: str, write: Callable[[str], str]) -> list[str]:
    """The values between commas, each written by `write`. A comma in quotes or in an existing file's name is kept."""
    pieces = re.findall(r"""\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*(?=,|$)|[^,]+|(?<=,)(?=,|$)""", values)
    joined: list[str] = []
    for piece in pieces:
        if joined and _exists(f"{joined[-1]},{piece}") and not _exists(joined[-1]):
            joined[-1] += f",{piece}"
        else:
            joined.append(piece.strip())
    return [write(piece) for piece in joined]


def _exists(name: str) -> bool:
    try:
        return Path(name.strip()).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _path(value: str) -> str:
    """The same with the home folder for a leading ~."""
    return _quoted(os.path.expanduser(value) if value.startswith("~") and not os.path.exists(value) else value)


def _quoted(value: str) -> str:
    for quote in "\"'":
        if re.fullmatch(rf"{quote}(?:[^{quote}\\]|\\.)*{quote}", value, re.DOTALL):
            return value
    if not value or value == "null" or (_PLAIN.fullmatch(value) and not _OTHER_KIND.fullmatch(value)):
        return value
    # Inside quotes Hydra reads backslashes as an escape only in front of the quote and at the end.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    return '"' + re.sub(r"(\\+)$", lambda found: found.group(1) * 2, escaped) + '"'
