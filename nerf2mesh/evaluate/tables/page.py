"""Results as one HTML page that needs no network: a row of pictures and figures per object and method."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.text_metrics import TextCase
from nerf2mesh.evaluate.protocols.scoring import Case, Prediction, as_prediction, render_views
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.statistics import per_object
from nerf2mesh.evaluate.tables.tables import (
    INTERVALS,
    LEGEND,
    failures,
    margin_rows,
    mean_rows,
    object_rows,
    parts_of,
    seed_rows,
)
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.utils.atomic_write import atomic_write

SHEET_VIEWS = 32
MOST = 24
"""Objects with pictures of their own on a page."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; color: #1c2024;
  background: #fff; }
h1, h2 { font-weight: 600; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #dde1e6; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.lost { color: #a3361f; } .won { color: #1d6b3a; }
figure { margin: .6rem 0; } figure img { max-width: 100%; border: 1px solid #dde1e6; background: #fff; }
figcaption { color: #5a6470; } .wide { overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { background: #15181b; color: #e3e6e9; } th, td { border-color: #343a41; }
  .lost { color: #ef8d75; } .won { color: #7fcf9b; } figcaption { color: #98a2ad; }
  figure img { border-color: #343a41; } }
"""


def write_page(
    path: Path | str,
    results: Results,
    sheets: Mapping[tuple[str, str], Path],
    *,
    method: str | None = None,
    baselines: Sequence[str] = (),
) -> None:
    """The page at `path`. `sheets` names a picture per (method, object); ("truth", object) is shown first."""
    records = results.records
    machine = ", ".join(f"{k} {v}" for k, v in results.machine.items() if v is not None)
    about = f"{results.created}; {machine}. {LEGEND} {INTERVALS}"
    body = [f"<h1>{_text(results.protocol)}</h1><p>{_text(about)}</p>"]
    for heading, some in parts_of(results):
        body += [f"<h2>{_text(heading)}</h2>", _table(*mean_rows(some))]
    if seed_rows(records)[1]:
        body += ["<h2>What seeds move</h2>", _table(*seed_rows(records))]
    if method is not None:
        body += [f"<h2>Margins of {_text(method)}</h2>", _table(*margin_rows(records, method, baselines))]
    for name in _told(records, method):
        body += [f"<h2>{_text(name)}</h2>", _table(*object_rows(records, name))]
        owners = ["truth", *dict.fromkeys(r.method for r in records if r.thing == name)]
        body += [_figure(owner, sheets[owner, name]) for owner in owners if (owner, name) in sheets]
    body.append("<pre>" + _text(failures(records)) + "</pre>")
    title = f"<title>{_text(results.protocol)}</title><style>{_STYLE}</style>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}'
    Path(path).write_text(
        f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n', encoding="utf-8"
    )


def _told(records: Sequence[Record], method: str | None) -> list[str]:
    """The objects that have a section: all, or of more than MOST the worst and the best by the method's volume IoU."""
    names = list(dict.fromkeys(r.thing for r in records))
    found = per_object(records, method or "", "volume_iou")
    if len(names) <= MOST:
        return names
    ranked = sorted(found, key=lambda name: found[name]) or names
    return ranked[: MOST // 2] + ranked[MOST // 2 :][-(MOST // 2) :]


def write_png(path: Path, image: Float[Tensor, "h w c"]) -> None:
    """An image in [0, 1] with 3 or 4 channels as an 8-bit PNG."""
    from PIL import Image

    with atomic_write(path) as part:
        Image.fromarray((image.clamp(0, 1) * 255).round().byte().cpu().numpy()).save(part, "PNG")


def write_sheet(path: Path, case: Case | TextCase, prediction: Prediction | TriangleMesh) -> None:
    """A Prediction or a mesh in the protocol's novel views (of many, evenly some), eight in a row, each 128 px wide."""
    prediction, cameras = as_prediction(prediction), case.novel_cameras
    if len(cameras.camera_to_world) > SHEET_VIEWS:
        cameras = cameras[:: -(-len(cameras.camera_to_world) // SHEET_VIEWS)]
    if prediction.mesh is None:
        views = prediction.rendered(cameras)
    else:
        views = render_views(prediction.mesh, cameras, case.settings)
    images = views.over(case.settings.background).cpu().movedim(-1, 1)
    small = torch.nn.functional.interpolate(images, size=(128, 128), mode="area").movedim(1, -1)
    blank = torch.ones(-len(small) % 8, 128, 128, 3)
    rows = torch.cat([small, blank]).split(8)
    write_png(path, torch.cat([torch.cat(list(row), dim=1) for row in rows]))


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in heading)
    lines = ["<tr>" + "".join(f"<td{_mark(c)}>{_text(c)}</td>" for c in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _mark(cell: str) -> str:
    return next((f' class="{word}"' for word in ("won", "lost") if cell.endswith(f" {word}")), "")


def _figure(owner: str, sheet: Path) -> str:
    data = base64.b64encode(sheet.read_bytes()).decode()
    alt = _text(f"novel views, {owner}")
    return (
        f'<figure><figcaption>{_text(owner)}</figcaption><img alt="{alt}" src="data:image/png;base64,{data}"></figure>'
    )


def _text(value: object) -> str:
    return html.escape(str(value))
