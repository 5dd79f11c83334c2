"""How deep a closed outline goes, by the hidden lines of the views from the side.

An outline inside a view is a hole through the part, a pocket, a blind hole, or a boss. Another view that shows the
sight of the first has, for the ones that go in, a hidden line at each of the outline's two sides, from the surface (or
from the floor of the pocket that holds it: a counterbore) to the floor, and a hidden line along the floor itself. A
boss in a pocket has the same from the pocket's floor up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry import Polygon

from nerf2mesh.inputs.drawing.axes import shared_axis
from nerf2mesh.inputs.drawing.kinds import Cut, Lines, Silhouette

DASHED = (0.3, 0.92)
"""Share of a dashed line that is ink in a picture; a solid one has all."""
EXACT = (0.9, 1.1)
"""The same of lines in a file that says which are dashed."""
EDGE_POINTS = 401
PARTS, PART_LENGTH = 5, 8.0
"""A hidden line shows in each of at most so many parts, each of at least so many tolerances."""


def goes_through(face: Any, name: str, found: dict[str, Silhouette], lines: Lines, *, exact: bool) -> bool:
    """Whether another view has hidden lines at both sides of a closed outline, through all of the part there."""
    for other_name, other in found.items():
        for axis in (0, 1):
            along = shared_axis(name, other_name, axis)
            if along is not None and all(
                _hidden_along(at, along[0], other, lines, exact=exact)
                for at in _sides(face, found[name], axis, other, along)
            ):
                return True
    return False


def pockets(name: str, found: dict[str, Silhouette], lines: Lines, holes: list[Any], *, exact: bool) -> list[Cut]:
    """What the outlines inside a view take from the hull, but for the `holes` through all of it."""
    view = found[name]
    middle = (view.low + view.high) / 2
    outlines = [(Polygon(face.exterior), False) for face in view.inner if face not in holes]
    outlines += [(outline, True) for outline in view.behind]
    cuts: list[Cut] = []
    for outline, behind in sorted(outlines, key=lambda pair: -pair[0].area):
        moved = translate(outline, -middle[0], -middle[1])
        holders = [
            k
            for k, cut in enumerate(cuts)
            if cut.behind == behind and cut.region.buffer(lines.tolerance_m).contains(moved)
        ]
        around = [cuts[k].floor_m for k in holders]
        floor = _floor(outline, name, found, lines, around, exact=exact, behind=behind)
        last = cuts[holders[-1]] if holders else None
        top = None
        if last is not None and floor is None:
            top = _floor(outline, name, found, lines, [last.floor_m], exact=exact, behind=behind, raised=True)
        flush = last is not None and floor is not None and abs(floor - last.floor_m) < 6.0 * lines.tolerance_m
        if last is not None and (flush or top is not None):  # a boss in the pocket
            cuts[holders[-1]] = replace(last, region=last.region.difference(moved))
        level = floor if top is None else top
        if level is not None and not flush:
            cuts.append(Cut(name, moved, level, behind))
    return cuts


def _floor(
    outline: Any,
    name: str,
    found: dict[str, Silhouette],
    lines: Lines,
    around: list[float],
    *,
    exact: bool,
    behind: bool,
    raised: bool = False,
) -> float | None:
    """Along the view's sight from the part's middle, in metres; None where no other view shows a pocket there.

    around: the floors of the pockets that hold this one, from which it may start. raised: the top of a boss on such a
    floor instead.
    """
    for other_name, other in found.items():
        sight = shared_axis(name, other_name, 2)
        for axis in (0, 1):
            along = shared_axis(name, other_name, axis)
            if sight is None or along is None:
                continue
            sides = _sides(outline, found[name], axis, other, along)
            middle = float((other.low + other.high)[sight[0]] / 2)
            towards = sight[1] * (-1.0 if behind != raised else 1.0)
            starts = [middle + sight[1] * floor for floor in around]
            far = float((other.low if towards > 0 else other.high)[sight[0]])
            levels = _levels(sides, along[0], other, lines, exact=exact)
            levels += [far] if starts and not raised else []
            for level in levels:
                if all(
                    _sunk(at, along[0], level, towards, starts, other, lines, exact=exact, inner=raised) for at in sides
                ):
                    return sight[1] * (level - middle)
    return None


def _sides(face: Any, view: Silhouette, axis: int, other: Silhouette, along: tuple[int, float]) -> tuple[float, float]:
    """Where the two sides of an outline lie along the other view's axis, on the sheet."""
    shift = float((other.low + other.high)[along[0]] / 2)
    middle = float((view.low + view.high)[axis] / 2)
    a, b = (along[1] * (face.bounds[k] - middle) + shift for k in (axis, axis + 2))
    return min(a, b), max(a, b)


def _levels(sides: tuple[float, float], axis: int, view: Silhouette, lines: Lines, *, exact: bool) -> list[float]:
    """Where hidden lines run across the view from one side to the other: the middle of each, farthest apart first."""
    other, tolerance = 1 - axis, lines.tolerance_m
    margin = min(3.0 * tolerance, 0.2 * (sides[1] - sides[0]))
    across = np.linspace(sides[0] + margin, sides[1] - margin, 9 if exact else 96)
    along = np.arange(view.low[other] + 3 * tolerance, view.high[other] - 3 * tolerance, tolerance / 8)
    points = np.empty((len(along), len(across), 2))
    points[..., axis], points[..., other] = across, along[:, None]
    low, high = EXACT if exact else DASHED
    if exact:  # all of them: what one misses need not be asked of the next
        good = np.ones(len(along), bool)
        for k in range(len(across)):
            good[good] = lines.hidden(points[good, k], tolerance)
    else:
        hit = lines.hidden(points.reshape(-1, 2), tolerance).reshape(len(along), len(across))
        share = hit.mean(1)
        parts = _parts(hit.T, sides[1] - sides[0], tolerance)
        good = (share >= low) & (share <= high) & (parts.min(0) > 0.5 * low)
    good = np.concatenate([[False], good, [False]])
    starts, ends = np.flatnonzero(good[1:] & ~good[:-1]), np.flatnonzero(good[:-1] & ~good[1:]) - 1
    return [float((along[a] + along[b]) / 2) for a, b in zip(starts, ends) if along[b] - along[a] < 4.0 * tolerance]


def _sunk(
    at: float,
    axis: int,
    level: float,
    towards: float,
    starts: list[float],
    view: Silhouette,
    lines: Lines,
    *,
    exact: bool,
    inner: bool = False,
) -> bool:
    """A hidden line at coordinate `at` runs from the material's end, or one of `starts`, to `level`, and not beyond.

    inner: from one of `starts` alone.
    """
    tolerance = lines.tolerance_m
    along, inside = _through(at, axis, view, lines)
    if not inside.any():
        return False
    ends = along[inside][[0, -1]] + np.array([-3.0, 3.0]) * tolerance
    surface, bottom = (ends[1], ends[0]) if towards > 0 else (ends[0], ends[1])
    for start in starts if inner else (surface, *starts):
        if towards * (start - level) < 6.0 * tolerance:
            continue
        if not _is_hidden(at, axis, level, start, lines, exact=exact):
            continue
        left = towards * (level - bottom)
        beyond = np.linspace(bottom + towards * 2 * tolerance, level - towards * 2 * tolerance, EDGE_POINTS)
        if left < 6.0 * tolerance or lines.hidden(_points(at, axis, beyond), tolerance).mean() < 0.2:
            return True
    return False


def _is_hidden(at: float, axis: int, a: float, b: float, lines: Lines, *, exact: bool) -> bool:
    """Whether the line at coordinate `at` is a hidden one between a and b."""
    inset = 2.0 * lines.tolerance_m * np.sign(b - a)
    hit = lines.hidden(_points(at, axis, np.linspace(a + inset, b - inset, EDGE_POINTS)), lines.tolerance_m)
    low, high = EXACT if exact else DASHED
    return bool(low <= hit.mean() <= high and _parts(hit, abs(b - a), lines.tolerance_m).min() > 0.5 * low)


def _parts(hit: np.ndarray, length: float, tolerance: float) -> np.ndarray:
    """The shares of points [n, ...] that are hit in each part [k, ...] of a line: 2 to PARTS of them, by its length."""
    count = int(np.clip(length / (PART_LENGTH * tolerance), 2, PARTS))
    return np.stack([part.mean(0) for part in np.array_split(hit, count)])


def _hidden_along(at: float, axis: int, view: Silhouette, lines: Lines, *, exact: bool) -> bool:
    """A hidden line at coordinate `at` of an axis runs through all of the view's material there."""
    along, inside = _through(at, axis, view, lines)
    if inside.sum() < EDGE_POINTS // 20:
        return False
    hit = lines.hidden(_points(at, axis, along), lines.tolerance_m)[inside]
    share, fifths = float(hit.mean()), [float(part.mean()) for part in np.array_split(hit, 5)]
    low, high = EXACT if exact else DASHED
    return low <= share <= high and min(fifths) > 0.5 * low


def _through(at: float, axis: int, view: Silhouette, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [n] across a view at coordinate `at` of an axis, and whether each is well inside its material."""
    along = np.linspace(view.low[1 - axis], view.high[1 - axis], EDGE_POINTS)
    points = _points(at, axis, along)
    return along, shapely.contains_xy(view.region.buffer(-3 * lines.tolerance_m), points[:, 0], points[:, 1])


def _points(at: float, axis: int, along: np.ndarray) -> np.ndarray:
    points = np.empty((len(along), 2))
    points[:, axis], points[:, 1 - axis] = at, along
    return points
