"""How the surface's density was chosen: the calibration's curve, drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nerf2mesh.report.charts import line_chart


def threshold_charts(facts: Mapping[str, Any]) -> str:
    """Silhouette IoU and depth error over the density that was tried, and a line that names the choice.

    facts: with "threshold" as `build_mesh` reports it; nothing is drawn where no threshold was searched for.
    """
    found = facts.get("threshold")
    rows = found.get("curve", []) if isinstance(found, Mapping) else []
    if not isinstance(found, Mapping) or len(rows) < 2:
        return ""
    panels = []
    for key, title in (("iou", "silhouette IoU"), ("depth_error", "depth error, world units")):
        seen = [row for row in rows if math.isfinite(row[key])]
        if len(seen) > 1:
            curve = [math.log10(row["density"]) for row in seen], [row[key] for row in seen]
            panels.append(line_chart(f"{title}, over log10 of the density", {title: curve}))
    chosen = float(found["density"])
    best = max(row["iou"] for row in rows)
    text = (
        f"<p>The surface lies at density {chosen:.4g} per world unit (log10 {math.log10(chosen):.2f}), out of "
        f"{len(rows)} that were tried: there the mesh has the silhouettes that the field shows (best IoU {best:.4f}); "
        "ties go to the smaller depth error.</p>"
    )
    return f'<div class="charts">{"".join(panels)}</div>{text}'
