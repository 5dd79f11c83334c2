"""How evenly a set covers sides, kinds and sizes: tables for the data card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch

from nerf2mesh.inputs import InputConfig
from nerf2mesh.lora.curate.items import Item
from nerf2mesh.lora.curate.pictures import PictureFacts
from nerf2mesh.lora.train.pairs import picture_frame, view_cameras

SECTORS = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
"""Of 45 degrees of azimuth, counter-clockwise seen from above: the viewer stands there."""
BANDS = ((-91.0, 0.0, "from below"), (0.0, 20.0, "0 to 20"), (20.0, 45.0, "20 to 45"), (45.0, 91.0, "over 45"))
UNSTATED = "not stated"
LOPSIDED = 0.6
"""A row with a larger share of the set is called out."""

Table = dict[str, int]


def tables(items: Sequence[Item], facts: Mapping[int, PictureFacts]) -> dict[str, Table]:
    """Name of a table -> row -> how many; of items that are on."""
    on = [item for item in items if item.on]
    seen = [angles for item in on for angles in _picture_angles(item)]
    views = [angles for item in on if "views" in item.entry for angles in _view_angles(item)]
    found = {
        "kind": Counter(item.says("kind") or UNSTATED for item in on),
        "picture's azimuth": _sorted(SECTORS, (sector(azimuth) for azimuth, _ in seen)),
        "picture's elevation": _sorted([band[2] for band in BANDS], (band_of(elevation) for _, elevation in seen)),
        "views' azimuth": _sorted(SECTORS, (sector(azimuth) for azimuth, _ in views)),
        "views a model": Counter(f"{len(item.entry['views'])}" for item in on if "views" in item.entry),
        "picture's shorter side": _sizes(min(facts[item.line].size_px) for item in on if item.line in facts),
    }
    return {name: dict(table) for name, table in found.items() if sum(table.values())}


def lopsided(found: Mapping[str, Table]) -> list[str]:
    """Rows that hold most of the set, in words."""
    said = []
    for name, table in found.items():
        total, (row, most) = sum(table.values()), max(table.items(), key=lambda entry: entry[1])
        if (
            name in ("kind", "picture's azimuth", "views' azimuth")
            and row != UNSTATED
            and most > LOPSIDED * total >= 8 * LOPSIDED
        ):
            said.append(f"{name}: {most} of {total} are {row}")
    return said


def sector(azimuth_deg: float) -> str:
    """The name of the side."""
    return SECTORS[round(azimuth_deg / 45.0) % 8]


def band_of(elevation_deg: float) -> str:
    """The name of the band of elevations."""
    return next(name for low, high, name in BANDS if low <= elevation_deg < high)


def _picture_angles(item: Item) -> list[tuple[float, float]]:
    if not item.has_model:
        return []
    frame = picture_frame(item.pair())
    if frame is None:
        usual = InputConfig()
        stated = (
            item.entry.get("azimuth_deg", usual.azimuth_deg),
            item.entry.get("elevation_deg", usual.elevation_deg),
        )
        return [(float(stated[0]), float(stated[1]))]
    return [_angles(frame["transform_matrix"])]


def _view_angles(item: Item) -> list[tuple[float, float]]:
    return [_angles(camera.camera_to_world.tolist()) for camera in view_cameras(item.pair(), 64)]


def _angles(matrix: Sequence[Sequence[float]]) -> tuple[float, float]:
    x, y, z = (torch.tensor(float(matrix[k][3])) for k in range(3))
    return float(torch.rad2deg(torch.atan2(y, x))), float(torch.rad2deg(torch.atan2(z, torch.hypot(x, y))))


def _sorted(order: Sequence[str], values: Iterable[str]) -> Table:
    counts = Counter(values)
    return {name: counts[name] for name in order} if counts else {}


def _sizes(sides: Iterable[int]) -> Table:
    limits = (64, 128, 256, 512, 1024)
    names = ["under 64", *(f"{a} to {b - 1}" for a, b in pairwise(limits)), "1024 and more"]
    return _sorted(names, (names[sum(side >= limit for limit in limits)] for side in sides))
