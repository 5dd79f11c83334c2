"""The files of a run folder as the report reads them. The folder may be a stranger's: what is damaged, of other types
or no regular file is left out of the page, which says so.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from PIL import Image

from nerf2mesh.report.directions import SPREAD, is_map
from nerf2mesh.report.metrics_log import is_number, read_metrics
from nerf2mesh.utils.regular_file import read_json, read_regular, read_yaml
from nerf2mesh.utils.without_paths import without_paths

MAX_PICTURE_BYTES = 64 << 20
MAX_PICTURE_PX = 64 << 20
Value = TypeVar("Value")


@dataclass
class RunFiles:
    """What the report reads of a run folder; all empty where there are no files. Absolute paths are cut."""

    stages: dict[str, dict[str, Any]]
    measures: dict[str, Any]
    rooms: list[dict[str, Any]]
    """Of rooms.json: a plan's rooms with name, area_m2, perimeter_m and openings."""
    provenance: dict[str, Any]
    versions: dict[str, Any]
    warnings: list[str]
    overrides: list[str]
    rows: list[dict[str, float]]
    """Of metrics.jsonl."""
    config_text: str
    cost: dict[str, Any]
    """Of cost.json: method, stages and total; see `energy`."""

    @staticmethod
    def read(folder: Path) -> RunFiles:
        """Reads the files; `warnings` names those that could not be used, one line each."""
        unusable: list[str] = []

        def or_empty(read: Callable[[Path], Value], name: str, empty: Value) -> Value:
            try:
                return read(folder / name)
            except ValueError as error:
                unusable.append(without_paths(str(error).split("; ")[0]) + "; left out")
                return empty

        found = RunFiles(
            stages=or_empty(read_stages, "timings.json", {}),
            measures=or_empty(read_measures, "metrics.json", {}),
            rooms=or_empty(read_rooms, "rooms.json", []),
            provenance=or_empty(read_provenance, "provenance.json", {}),
            versions=or_empty(read_versions, "versions.json", {}),
            warnings=or_empty(read_lines, "warnings.json", []),
            overrides=or_empty(read_overrides, "overrides.yaml", []) or or_empty(read_overrides, "overrides", []),
            rows=or_empty(read_metrics, "metrics.jsonl", []),
            config_text=or_empty(shown_yaml, "config.yaml", ""),
            cost=or_empty(read_cost, "cost.json", {}),
        )
        found.warnings = unusable + found.warnings
        return found


def read_stages(path: Path) -> dict[str, dict[str, Any]]:
    """timings.json, as `StageClock.to_dict` gives it."""
    found: dict[str, Any] = read_json(path, {})
    for name, stage in found.items():
        parts = stage.get("parts") if isinstance(stage, dict) else None
        numbers = [*parts.values()] if isinstance(parts, dict) else []
        if isinstance(stage, dict):
            numbers += [stage.get("seconds"), *(stage.get(key, 0) for key in ("peak_bytes", "peak_gpu_bytes"))]
        fits = isinstance(stage, dict) and isinstance(parts, dict | None) and all(map(is_number, numbers))
        _check(path, fits, f"seconds and bytes of stage {name[:40]!r}", stage)
    return found


def read_cost(path: Path) -> dict[str, Any]:
    """cost.json, as `energy.Ledger.to_dict` gives it."""
    found: dict[str, Any] = read_json(path, {})
    stages = found.get("stages", {})
    rows = [*stages.values(), found.get("total", {})] if isinstance(stages, dict) else [None]
    fits = all(isinstance(row, dict) and all(is_number(value) for value in row.values()) for row in rows)
    fits = fits and isinstance(found.get("method", ""), str) and isinstance(found.get("currency", ""), str)
    _check(path, fits, "seconds, energy_wh and price of each stage", found)
    return found


def read_measures(path: Path) -> dict[str, Any]:
    """metrics.json: name -> number, text or {"value", "baseline", "better", "unit"}."""
    found: dict[str, Any] = read_json(path, {})
    for name, entry in found.items():
        about = entry if isinstance(entry, dict) else {}
        fits = about.get("baseline") is None or (is_number(about["baseline"]) and is_number(about.get("value")))
        _check(path, fits, f"numbers as value and baseline of {name[:40]!r}", entry)
        _check(path, name != SPREAD or "spread" not in about or is_map(entry), f"a map as {SPREAD!r}", entry)
    return found


def read_rooms(path: Path) -> list[dict[str, Any]]:
    """The rooms in a plan's rooms.json; none where there is no file."""
    rooms = read_json(path, {}).get("rooms", [])
    _check(path, isinstance(rooms, list), "a list as 'rooms'", rooms)
    for room in rooms:
        fits = isinstance(room, dict) and all(is_number(room.get(key)) for key in ("area_m2", "perimeter_m"))
        fits = fits and isinstance(room.get("name"), str) and isinstance(room.get("openings"), list)
        _check(path, fits, "name, area_m2, perimeter_m and openings of a room", room)
    return rooms


def read_provenance(path: Path) -> dict[str, Any]:
    """provenance.json, without absolute paths."""
    found: dict[str, Any] = read_json(path, {})
    for name in ("code", "versions"):
        _check(path, isinstance(found.get(name, {}), dict), f"an object as {name!r}", found.get(name))
    commit = found.get("code", {}).get("commit", "")
    _check(path, isinstance(commit, str), "text as the commit", commit)
    return without_paths(found)


def read_lines(path: Path) -> list[str]:
    """warnings.json: a list of texts, without absolute paths."""
    found: list[Any] = read_json(path, [])
    _check(path, all(isinstance(line, str) for line in found), "a list of texts", found)
    return without_paths(found)


def read_versions(path: Path) -> dict[str, Any]:
    """versions.json: a flat object."""
    return without_paths(read_json(path, {}))


def read_overrides(path: Path) -> list[str]:
    """A YAML list or words, without absolute paths; none where there is no file."""
    try:
        found = read_yaml(path)
    except FileNotFoundError:
        return []
    words = found if isinstance(found, list) else str(found or "").split()
    return without_paths([str(word) for word in words])


def shown_yaml(path: Path) -> str:
    """The file's text for the page, without absolute paths; empty where there is no file."""
    try:
        return yaml.safe_dump(without_paths(read_yaml(path)), sort_keys=False, allow_unicode=True, width=100)
    except FileNotFoundError:
        return ""


def read_picture(path: Path) -> Image.Image:
    """A PNG of a run; ValueError where it is damaged, too large or no regular file."""
    try:
        with Image.open(io.BytesIO(read_regular(path, limit_bytes=MAX_PICTURE_BYTES)), formats=("PNG",)) as opened:
            if opened.width * opened.height > MAX_PICTURE_PX:
                raise ValueError(f"{opened.width} x {opened.height} pixels")
            return opened.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: expected a picture of the run, got a damaged one ({reason}); remove it") from error


def _check(path: Path, fits: bool, wanted: str, got: object) -> None:
    if not fits:
        raise ValueError(f"{path}: expected {wanted}, got {str(got)[:60]!r}; remove the file")
