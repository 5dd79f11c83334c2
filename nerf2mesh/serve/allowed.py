"""The settings that a request may name, each held to the range of its own dataclass and to the server's ceiling.

Nothing here names a file, a network to load, a device or code. Adapters are named by the files of one folder that the
server's owner chose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerf2mesh.config import Config
from nerf2mesh.utils.range_check import checked, form_of, hints_of
from nerf2mesh.utils.ranges import OneOf, Within

PRESETS = ("instant", "preview", "standard", "high", "tiny")
ALLOWED = (
    "seed",
    "use",
    "input.prompt",
    "input.negative_prompt",
    "input.author",
    "input.licence",
    "input.domain",
    "input.foreground",
    "input.foreground_confidence",
    "input.recenter",
    "input.fill",
    "input.elevation_deg",
    "input.azimuth_deg",
    "input.fov_deg",
    "optimize.steps",
    "distill.weight",
    "mesh.resolution",
    "mesh.target_faces",
    "mesh.texture",
    "mesh.texture_size",
    "mesh.normal_map",
    "mesh.real_size_m",
    "report.turntable_frames",
)
NARROWER: dict[str, Within | OneOf] = {
    "input.foreground": OneOf("auto", "alpha", "plain", "network", "grabcut", "none"),
    "input.foreground_confidence": Within(0.0, 0.6),
    "optimize.steps": Within(1, 5000),
    "mesh.resolution": Within(16, 384),
    "mesh.target_faces": Within(20, 500_000),
    "mesh.texture_size": Within(64, 4096),
    "report.turntable_frames": Within(0, 120),
}
"""Where a stranger may ask for less than the command line."""
MAX_ADAPTERS = 4


def overrides_of(settings: Mapping[str, Any], presets: tuple[str, ...], adapters: Path | None) -> list[str]:
    """The overrides for `load_config` that a request's settings stand for.

    Raises:
        ValueError: in one line, a setting that is not on the list, or a value that is out of its range.
    """
    settings = dict(settings)
    preset = settings.pop("preset", "standard" if "standard" in presets else presets[0])
    if preset not in presets:
        raise ValueError(f"preset: expected one of {', '.join(presets)}, got {_shown(preset)}; choose one of them")
    found = [f"preset={preset}"]
    if "adapters" in settings:
        found.append(_adapters(settings.pop("adapters"), adapters))
    for name, value in settings.items():
        if name not in ALLOWED:
            raise ValueError(f"settings: expected names of the list at /v1/settings, got {_shown(name)}; leave it out")
        found.append(_written(name, value))
    return found


def described(presets: tuple[str, ...], adapters: Path | None) -> dict[str, str]:
    """Name of a setting -> what it may be, in words."""
    found = {"preset": f"one of {', '.join(presets)}"}
    found["adapters"] = f"a list of at most {MAX_ADAPTERS} of: {', '.join(adapter_names(adapters)) or 'none is here'}"
    for name in ALLOWED:
        form, note = form_of(_hint(name)), NARROWER.get(name)
        found[name] = form.said() if note is None else _said(note, form.kind)
    return found


def adapter_names(folder: Path | None) -> list[str]:
    """The adapters that the server's owner offers, by name."""
    return sorted(path.stem for path in folder.glob("*.safetensors")) if folder else []


def known_presets(names: str) -> tuple[str, ...]:
    """The presets of a list with commas. ValueError for one that is not there."""
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    for name in chosen:
        if name not in PRESETS:
            raise ValueError(f"--presets: expected some of {', '.join(PRESETS)}, got {name}; correct it")
    if not chosen:
        raise ValueError("--presets: expected at least one, got none; leave it out for all")
    return chosen


def _adapters(value: Any, folder: Path | None) -> str:
    names = adapter_names(folder)
    if not isinstance(value, list) or len(value) > MAX_ADAPTERS or any(item not in names for item in value):
        offered = ", ".join(names) or "none here"
        raise ValueError(
            f"adapters: expected a list of at most {MAX_ADAPTERS} of {offered}, got {_shown(value)}; correct it"
        )
    assert folder is not None or not value
    files = ",".join(json.dumps(str(folder / f"{item}.safetensors"), ensure_ascii=False) for item in value if folder)
    return f"lora.adapters=[{files}]"


def _written(name: str, value: Any) -> str:
    """The override of one setting in Hydra's grammar."""
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(f"{name}: expected a text, a number or true or false, got {_shown(value)}; correct it")
    hint, note = _hint(name), NARROWER.get(name)
    kind = form_of(hint).kind
    if kind is bool and not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {_shown(value)}; correct it")
    value = checked(name, hint, value, "correct it")
    if note is not None and not note.holds(value):
        raise ValueError(f"{name}: expected {_said(note, kind)} on this server, got {_shown(value)}; correct it")
    if isinstance(value, str):
        _check_words(name, value)
        quoted = value.replace('"', '\\"')  # there are no backslashes: the words are the sender's to the letter
        return f'{name}="{quoted}"'
    return f"{name}={'null' if value is None else json.dumps(value)}"


def _check_words(name: str, value: str) -> None:
    """Words reach a YAML file and a report: no line breaks, no reference to other settings."""
    if len(value) > 1000 or not value.isprintable() or "\\" in value or "${" in value:
        raise ValueError(
            f"{name}: expected at most 1000 printable characters without backslashes and '${{', got {_shown(value)}; "
            "correct it"
        )


def _said(note: Within | OneOf, kind: type) -> str:
    return note.said(kind) if isinstance(note, Within) else note.said()


def _hint(name: str) -> Any:
    kind: Any = Config
    for part in name.split("."):
        kind = hints_of(kind)[part]
    return kind


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
