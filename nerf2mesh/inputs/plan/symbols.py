"""What is drawn in a gap: a door's arc, a window's thin lines, or nothing."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Point

from nerf2mesh.inputs.plan.kinds import Gap, Walls

ARC_SHARE = 0.75
"""Share of a quarter circle that has to be drawn."""
ARC_MARGIN = 0.4
"""It has to be drawn by so much more than a smaller circle: furniture and hatching meet both alike."""
LINE_SHARE = 0.85
"""Share of a window's width over which a thin line runs."""
ARC_DEG = np.linspace(8.0, 82.0, 19)
RADII = (1.0, 0.97, 0.94, 0.9, 1.04)
"""A leaf's radius as a share of the gap; of two leaves' as a share of half of it."""


def kind_of(gap: Gap, walls: Walls, *, strong: bool) -> str:
    """door, window, or an empty string where nothing tells."""
    if strong or gap.ends == 2:
        for kind in ("door", "window"):
            if _hinted(gap, walls, kind):
                return kind
    if _has_arc(gap, walls):
        return "door"
    return "window" if _has_line(gap, walls) else ""


def _hinted(gap: Gap, walls: Walls, kind: str) -> bool:
    """Lines of a block or layer of that name lie at both ends of the gap."""
    regions = [region for name, region in walls.hints if name == kind]
    reach = gap.thickness / 2 + 0.1
    return all(any(region.distance(Point(at)) <= reach for region in regions) for at in (gap.start, gap.stop))


def _has_arc(gap: Gap, walls: Walls) -> bool:
    """A quarter circle about a hinge at one end of the gap, or two that meet in its middle."""
    way = (gap.stop - gap.start) / gap.width
    side = np.array([-way[1], way[0]])
    tolerance = max(walls.tolerance_m, 0.03 * gap.width)
    shifts = side * gap.thickness * np.array([-0.5, 0.0, 0.5])[:, None]
    for turn in (side, -side):
        one = [_share(walls, h, way, turn, gap.width, tolerance) for h in gap.start + shifts]
        one += [_share(walls, h, -way, turn, gap.width, tolerance) for h in gap.stop + shifts]
        left = max(_share(walls, h, way, turn, gap.width / 2, tolerance) for h in gap.start + shifts)
        right = max(_share(walls, h, -way, turn, gap.width / 2, tolerance) for h in gap.stop + shifts)
        if max(*one, min(left, right)) >= ARC_SHARE:
            return True
    return False


def _share(
    walls: Walls, hinge: np.ndarray, way: np.ndarray, turn: np.ndarray, radius: float, tolerance: float
) -> float:
    """How much of the quarter circle from `way` to `turn` is drawn; 0 where a smaller one is drawn about as much."""
    angle = np.deg2rad(ARC_DEG)[:, None]
    rays = np.cos(angle) * way + np.sin(angle) * turn
    best = max(float(walls.near(hinge + r * radius * rays, tolerance).mean()) for r in RADII)
    inner = float(walls.near(hinge + 0.7 * radius * rays, tolerance).mean())
    return best if best - inner >= ARC_MARGIN else 0.0


def _has_line(gap: Gap, walls: Walls) -> bool:
    """Thin lines run from end to end within the wall's thickness, along the chord or a curved wall's own arc."""
    along = np.linspace(0.06, 0.94, 45)
    way = (gap.stop - gap.start) / gap.width
    side = np.array([-way[1], way[0]])
    reach = 0.55 * max(gap.thickness, 4 * walls.tolerance_m)
    across = np.linspace(-reach, reach, int(2 * reach / walls.tolerance_m) + 2)
    points = gap.start + along[:, None, None] * (gap.stop - gap.start) + across[:, None] * side
    hit = walls.near(points.reshape(-1, 2), walls.tolerance_m).reshape(len(along), len(across))
    return bool(hit.any(1).mean() >= LINE_SHARE)
