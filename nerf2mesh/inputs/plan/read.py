"""From the file of a plan to a Plan."""

from __future__ import annotations

from typing import Any

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework import Raster, read_sheet
from nerf2mesh.inputs.linework.dxf import joined
from nerf2mesh.inputs.plan.gaps import find_gaps, wall_ends
from nerf2mesh.inputs.plan.kinds import Gap, Opening, Plan, Walls
from nerf2mesh.inputs.plan.raster_walls import raster_walls
from nerf2mesh.inputs.plan.rooms import (
    check_closed,
    close,
    closed_regions,
    leaks,
    named_rooms,
    place,
    rooms_beside,
)
from nerf2mesh.inputs.plan.symbols import kind_of
from nerf2mesh.inputs.plan.vector_walls import vector_walls


def read_plan(config: InputConfig) -> Plan:
    """The plan that `input.image` names.

    Raises:
        ValueError: the file, its scale or its walls; `OpenWalls` where a room is open.
    """
    sheet = read_sheet(config)
    walls = raster_walls(sheet, config) if isinstance(sheet, Raster) else vector_walls(sheet, config)
    ends = wall_ends(walls, config)
    gaps = [(gap, strong, kind_of(gap, walls, strong=strong)) for gap, strong in find_gaps(walls, ends, config)]
    shown = [(gap, kind) for gap, _, kind in gaps if kind]
    bare = [gap for gap, strong, kind in gaps if strong and not kind]
    filled = [gap for gap, _ in shown]
    leaking = leaks(walls, filled, bare)
    bare = [gap for gap in bare if gap not in leaking]
    passages = _dividing(walls, filled, bare)
    warnings = list(sheet.sheet.warnings)
    if config.gaps == "passage":
        shown += [(gap, "passage") for gap in passages]
        filled += passages
    elif passages and not leaking:
        spots = "; ".join(f"{gap.width:.2f} m at {place(gap.middle)}" for gap in passages[:4])
        warnings.append(f"open between parts of one room: {spots}; input.gaps=passage makes rooms of the parts")
    closed = _without_specks(close(walls.region, filled), config)
    regions = closed_regions(closed)
    check_closed(walls, regions, leaking, ends, config, sheet.sheet.path)
    rooms = named_rooms(regions, walls.labels)
    openings = _named(shown, rooms, config)
    return Plan(closed, tuple(rooms), openings, sheet.sheet, tuple(warnings))


def _dividing(walls: Walls, filled: list[Gap], bare: list[Gap]) -> list[Gap]:
    """Gaps without a symbol that would divide a room if they were filled in."""
    before = len(closed_regions(close(walls.region, filled)))
    return [gap for gap in bare if len(closed_regions(close(walls.region, [*filled, gap]))) > before]


def _named(shown: list[tuple[Gap, str]], rooms: list[Any], config: InputConfig) -> tuple[Opening, ...]:
    """door_1, door_2 ..., window_1 ... in reading order."""
    counts: dict[str, int] = {}
    found = []
    for gap, kind in sorted(shown, key=lambda pair: (-round(pair[0].middle[1], 1), pair[0].middle[0])):
        counts[kind] = counts.get(kind, 0) + 1
        sill, head = (config.window_sill_m, config.window_head_m) if kind == "window" else (0.0, config.door_head_m)
        found.append(Opening(f"{kind}_{counts[kind]}", kind, gap, sill, head, rooms_beside(gap, rooms)))
    return tuple(found)


def _without_specks(walls: Any, config: InputConfig) -> Any:
    """Walls without free-standing pieces thinner than a column and shorter than a wall: bars of letters, arrows."""
    pieces = list(getattr(walls, "geoms", [walls]))
    kept = [piece for piece in pieces if not _is_speck(piece, config)]
    return joined(kept)


def _is_speck(piece: Any, config: InputConfig) -> bool:
    low_x, low_y, high_x, high_y = piece.bounds
    return max(high_x - low_x, high_y - low_y) < 0.8 and piece.buffer(-max(config.wall_min_m, 0.07)).is_empty
