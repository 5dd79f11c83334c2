"""What the check found as a page and as JSON: each output beside its nearest training item, from the item's cameras."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.lora.memorization.check import CHANCE, Memorization, Output
from nerf2mesh.report.sections import fact_table, picture
from nerf2mesh.report.viewer import page
from nerf2mesh.utils.atomic_write import atomic_write_text

PAGE, RECORD = "memorization.html", "memorization.json"
_STYLE = "main { max-width: 1200px; } .pair img { image-rendering: auto; } .pair { margin: 0 0 10px; }"
_HOW = (
    "Upper row: what the network with the adapter made, drawn from the cameras of the nearest training item; lower "
    "row: that item. Distance: 1 - IoU of the silhouettes, plus the mean difference of the colors where both are."
)


def write_check(folder: Path, found: Memorization, names: Sequence[str]) -> Path:
    """Writes page and record into `folder`; returns the page. names: of the training items."""
    atomic_write_text(folder / RECORD, json.dumps(record(found, names), indent=1, ensure_ascii=False) + "\n")
    facts = {"result": found.line(), "threshold": round(found.threshold, 3), "flagged at a chance of": CHANCE}
    ordered = sorted(found.outputs, key=lambda output: output.distance.total)
    rows = "".join(_row(output, names, found.threshold) for output in ordered)
    body = f'<main><h1>Memorization</h1><p class="lead">{_HOW}</p><section>{fact_table(facts)}</section>{rows}</main>'
    return atomic_write_text(folder / PAGE, page("Memorization", body, extra_style=_STYLE))


def record(found: Memorization, names: Sequence[str]) -> dict[str, object]:
    """All distances, as JSON has them."""
    return {
        "flagged": found.flagged,
        "chance": found.chance,
        "threshold": round(found.threshold, 4),
        "copies": len(found.copies),
        "outputs": [
            {
                "probe": output.probe,
                "from": "noise" if output.hidden else "picture",
                "nearest": names[output.distance.item],
                "distance": round(output.distance.total, 4),
                "silhouette": round(output.distance.silhouette, 4),
                "color": round(output.distance.color, 4),
                "without_adapter": round(output.base.total, 4),
            }
            for output in found.outputs
        ],
        "held_out_truths": [round(distance.total, 4) for distance in found.truths],
    }


def _row(output: Output, names: Sequence[str], threshold: float) -> str:
    source = "from noise alone" if output.hidden else f"from the picture of probe {output.probe}"
    near = f"{output.distance.total:.3f}{' (under the threshold)' if output.distance.total < threshold else ''}"
    title = f"{near}: {source}, nearest to {names[output.distance.item]}; without the adapter {output.base.total:.3f}"
    rows = torch.cat([_strip(output.seen), _strip(output.item)], dim=0)
    return (
        f'<section class="pair"><h3>{escape(title)}</h3>{picture(rows.numpy(), "output, item", side_px=1200)}</section>'
    )


def _strip(views: Tensor, most: int = 12) -> Tensor:
    """Views in a row over white, [s, W * s, 3] in [0, 1]."""
    white = (views[:most, :3] + 1.0 - views[:most, 3:]).clamp(0.0, 1.0)
    return torch.cat([*white], dim=-1).permute(1, 2, 0)
