"""Which view is which: the front view shares its width with the one above or below it, its height with the one beside.

Third angle: the top view lies above, the right view to the right. First angle: the top view lies below, the view from
the left to the right (ISO 5456-2).
"""

from __future__ import annotations

import numpy as np

from nerf2mesh.inputs.drawing.kinds import Lines, Silhouette

AGREE = 0.01
"""Two views' shared extents may differ by this share."""
NAMES = {"third": {"above": "top", "below": "bottom", "right": "right", "left": "left"}}
NAMES["first"] = {"above": "bottom", "below": "top", "right": "left", "left": "right"}


def arranged(lines: Lines, angle: str, path: str) -> tuple[dict[str, Silhouette], str]:
    """The views by their names, the front view among them, and the angle.

    Raises:
        ValueError: no front view with another in line; the other angle than `angle`; extents that differ.
    """
    options = [(view, _neighbors(view, lines)) for view in lines.views]
    against = {"third": "below", "first": "above"}.get(angle, "")
    front, beside = max(
        options,
        key=lambda option: (len(option[1]), against not in option[1], option[0].region.area),
        default=(None, {}),
    )
    if front is None or not beside:
        raise ValueError(
            f"input.image: expected a front view with another above, below or beside it, got {len(lines.views)} views "
            f"that are not in line in {path}; line the views up"
        )
    upright = "third" if "above" in beside else "first" if "below" in beside else angle
    wanted = angle if angle != "auto" else "third" if upright == "auto" else upright
    if wanted != upright and upright != "auto":
        place = "above" if upright == "third" else "below"
        raise ValueError(
            f"input.angle: expected {upright} (the view from the top lies {place} the front view in {path}), got "
            f"{wanted}: the projections seem swapped; set input.angle={upright}"
        )
    found = {"front": front} | {NAMES[wanted][side]: view for side, view in beside.items()}
    _check_extents(found, lines.tolerance_m, path)
    return found, wanted


def _neighbors(front: Silhouette, lines: Lines) -> dict[str, Silhouette]:
    """The nearest view on each side whose middle is in line with this one's."""
    found: dict[str, Silhouette] = {}
    middle = (front.low + front.high) / 2
    for view in lines.views:
        if view is front:
            continue
        step = (view.low + view.high) / 2 - middle
        reach = 0.12 * np.maximum(front.size, view.size) + lines.tolerance_m
        side = "above" if step[1] > 0 else "below"
        if abs(step[0]) <= reach[0] and (view.low[1] > front.high[1] or view.high[1] < front.low[1]):
            found.setdefault(side, view)
        side = "right" if step[0] > 0 else "left"
        if abs(step[1]) <= reach[1] and (view.low[0] > front.high[0] or view.high[0] < front.low[0]):
            found.setdefault(side, view)
    return found


def _check_extents(found: dict[str, Silhouette], tolerance: float, path: str) -> None:
    """ValueError where two views show another width, height or depth of the part, with the amount."""
    extents: dict[str, list[tuple[str, float]]] = {"width": [], "height": [], "depth": []}
    for name, view in found.items():
        across, up = {"front": ("width", "height"), "top": ("width", "depth"), "bottom": ("width", "depth")}.get(
            name, ("depth", "height")
        )
        extents[across].append((name, float(view.size[0])))
        extents[up].append((name, float(view.size[1])))
    for axis, sizes in extents.items():
        if not sizes:
            continue
        (low, small), (high, large) = min(sizes, key=lambda s: s[1]), max(sizes, key=lambda s: s[1])
        if large - small > AGREE * large + 2 * tolerance:
            raise ValueError(
                f"input.image: expected views of one part, got a {axis} of {1000 * small:.4g} mm in the {low} view and "
                f"of {1000 * large:.4g} mm in the {high} view of {path} ({large / small - 1:.1%} more); draw them "
                "to one scale"
            )
