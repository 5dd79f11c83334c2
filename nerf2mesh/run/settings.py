"""Which settings make a run another run, and which may change when it goes on."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from nerf2mesh.config import Config, to_values
from nerf2mesh.utils.names import printable
from nerf2mesh.utils.regular_file import read_yaml

Changes = dict[str, tuple[object, object]]
"""Setting -> (before, now)."""

UNTOLD = ("output_dir", "overwrite", "threads")
"""Change nothing in the result, and are not noted."""
SHOWN = ("report.viewer", "report.viewer_instant", "report.viewer_port", "report.viewer_host")
"""How a run is looked at while it goes on: not noted either."""
AFTERWARDS = ("report", "mesh", "use")
"""Groups that are read after the optimization or beside it."""
PLACES = ("input.images", "report.sign_key")
"""Further settings that say where something lies; they are compared as they stand."""
STATED = ("input.author", "input.licence")
"""Said of the input for the record; nothing is computed from them."""
CONTENT = (
    *("input.image", "input.depth", "input.normal", "lora.adapters", "distill.source"),
    *("start_from", "refine.paint", "refine.mask", "refine.camera"),
    *(
        f"{group}.{name}"
        for group in ("prior", "second.prior")
        for name in ("weights", "model", "config_dir", "controlnet", "ip_adapter", "cache_dir", "offline")
    ),
)
"""Say where something lies; what lies there is compared by `identity`."""
GROWING = (
    *("steps", "lr_final_share", "levels_from", "levels_full_at", "entropy_from", "light_from", "ramps"),
    *("log_every", "preview_every", "preview_size_px", "checkpoint_every", "checkpoint_every_s"),
)
"""Settings `optimize.*`: how long, and what depends on the share of the run that is done."""
SCHEDULES = (
    *("guidance_end", "t_start", "t_end", "t_spread", "schedule", "t_low", "t_high", "t_ramp", "dreamtime"),
    *("milestones", "milestone_views", "milestone_px", "csd_ramp"),
)
"""Settings `distill.*` and `second.distill.*` that depend on the share of the run that is done."""


def changes(path: Path, config: Config, remedy: str) -> Changes:
    """What differs between the run's config.yaml and `config`, where the run may go on with it.

    Raises:
        ValueError: settings differ that make it another run, which are named with both values; `remedy` ends the line.
    """
    before, now = _read(path), _flat(shareable(to_values(config)))
    defaults = _flat(to_values(Config()))
    pairs = {name: (before.get(name, defaults.get(name)), now.get(name)) for name in sorted({*before, *now})}
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and _kind(name) != "untold"}
    refused = {name: pair for name, pair in differing.items() if _kind(name) == "fixed"}
    if refused:
        shown = ", ".join(
            f"{printable(name)} was {printable(str(old))}, now {new}" for name, (old, new) in refused.items()
        )
        raise ValueError(
            f"output_dir: expected a run with these settings, got {path.parent} with others ({shown}); {remedy}"
        )
    old, new = pairs["optimize.steps"][0], config.optimize.steps
    if isinstance(old, int) and new < old:
        raise ValueError(f"optimize.steps: expected {old} or more, as in the run in {path.parent}, got {new}; {remedy}")
    return differing


def settings_digest(config: Config) -> str:
    """SHA-256 of the settings without those that say where something lies, who made it or who signs."""
    every = _flat(to_values(config))
    left = {name: value for name, value in every.items() if name not in (*CONTENT, *UNTOLD, *STATED, *PLACES)}
    return hashlib.sha256(json.dumps(left, sort_keys=True).encode()).hexdigest()


def told(changed: Changes) -> list[str]:
    """One line for the warnings, or none."""
    shown = ", ".join(f"{name} from {old} to {new}" for name, (old, new) in changed.items())
    return [f"settings changed when the run went on: {shown}"] if shown else []


def _kind(name: str) -> str:
    """untold, free or fixed."""
    group, _, rest = name.partition(".")
    if group in UNTOLD or name in (*CONTENT, *SHOWN):
        return "untold"
    if group in AFTERWARDS or name in STATED or (group == "optimize" and rest.split(".")[0] in GROWING):
        return "free"
    return "free" if name.removeprefix("second.").removeprefix("distill.") in SCHEDULES else "fixed"


def _read(path: Path) -> dict[str, object]:
    """The settings in a config.yaml; ValueError where it is missing, damaged or not a file of its own."""
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        values = None
    if not isinstance(values, dict):
        raise ValueError(
            f"output_dir: expected the settings of the run in {path.parent}, got no readable {path.name}; "
            "choose another output_dir=, or set overwrite=true to start anew"
        )
    return _flat(shareable(values))


def shareable_yaml(config: Config) -> str:
    """The settings for config.yaml: absolute paths, and those that lead out of the folder, cut to the last name, since
    run folders are handed on."""
    values = shareable(to_values(config))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000)


def shareable(value: Any) -> Any:
    """Values whose texts are no absolute paths; texts of several lines and all others stay as they are."""
    if isinstance(value, dict):
        return {name: shareable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shareable(item) for item in value]
    if isinstance(value, str) and re.match(r"/\w|~|\.\./|[A-Za-z]:[\\/]|\\\\", value) and "\n" not in value:
        return PureWindowsPath(value).name or "/"
    return value


def _flat(values: dict, prefix: str = "") -> dict[str, object]:
    """group.key -> value; lists stay whole."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and value
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat
