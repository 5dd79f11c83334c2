"""Results as one HTML page that needs no network: tables that sort, and pictures of the worst and the best objects."""

from __future__ import annotations

import base64
import html
import importlib.resources
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nerf2mesh.evaluate.protocols.names import split_yaw
from nerf2mesh.evaluate.tables.pictures import TURN_FRAMES
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.statistics import per_object
from nerf2mesh.evaluate.tables.tables import (
    INTERVALS,
    LEGEND,
    failures,
    line_rows,
    margin_rows,
    mean_rows,
    object_rows,
    parts_of,
    seed_rows,
)

MOST = 10
"""So many of the worst and of the best objects have pictures of their own; of twice as many or fewer, all."""
_HERE = importlib.resources.files("nerf2mesh.evaluate.tables")
_ANGLE = (
    '<p class="angle"><label>Angle <input type="range" id="angle" min="0" max="{last}" value="0"></label>'
    '<span id="degrees">0\u00b0</span><label><input type="checkbox" id="turning"> turn</label></p>'
)


@dataclass(frozen=True)
class Pictures:
    """What there is to show, as files by (method, object); ("truth", object) is the true object."""

    sheets: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """The compared views."""
    turntables: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    """Strips of frames (`pictures.write_turntable`)."""
    given: Mapping[str, Path] = field(default_factory=dict)
    """The picture that a method was given, by object."""


def write_page(
    path: Path | str,
    results: Results,
    pictures: Pictures,
    *,
    method: str | None = None,
    baselines: Sequence[str] = (),
    figure: str = "",
) -> None:
    """The page at `path`: means, all objects in one table that sorts, the worst and the best with their pictures.

    method: the one that objects are ranked by and whose margins over `baselines` are shown. figure: an SVG of our own.
    """
    records = results.records
    machine = ", ".join(f"{k} {v}" for k, v in results.machine.items() if v is not None)
    about = f"{results.created}; {machine}. {LEGEND} {INTERVALS}"
    body = [f"<h1>{_text(results.protocol)}</h1><p>{_text(about)}</p>", figure]
    for heading, some in parts_of(results):
        body += [f"<h2>{_text(heading)}</h2>", _table(*mean_rows(some))]
    if seed_rows(records)[1]:
        body += ["<h2>What seeds move</h2>", _table(*seed_rows(records))]
    body += ["<h2>All objects</h2>", _table(*_all_rows(results))]
    if method is not None:
        folded = _table(*margin_rows(records, method, baselines))
        body.append(f"<details><summary>Margins of {_text(method)}, object by object</summary>{folded}</details>")
    if pictures.turntables:
        body.append(_ANGLE.format(last=TURN_FRAMES - 1))
    for heading, names in _told(records, method):
        body.append(f"<h2>{_text(heading)}</h2>")
        body += [_object(name, records, pictures) for name in names]
    body.append("<pre>" + _text(failures(records)) + "</pre>")
    Path(path).write_text(_whole(results.protocol, "".join(body)), encoding="utf-8")


def _whole(title: str, body: str) -> str:
    style, script = (_HERE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{_text(title)}</title><style>{style}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}<script>{script}</script></body></html>\n'


def _all_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """A row for each object and method that is no trivial baseline, with the object's kind where it is known."""
    kinds = {split_yaw(name)[0]: str(known.get("kind", "-")) for name, known in results.about.items()}
    heading, rows = ["object"], []
    for method in results.methods() or results.blind_baselines():
        heading, lines = line_rows(results.records, method)
        rows += [[line[0], kinds.get(line[0], "-"), method, *line[1:]] for line in lines]
    return [heading[0], "kind", "method", *heading[1:]], rows


def _told(records: Sequence[Record], method: str | None) -> list[tuple[str, list[str]]]:
    """The objects that have a section: all, or the worst and the best by volume IoU, or by PSNR without a shape."""
    names = list(dict.fromkeys(r.thing for r in records))
    found = next((f for key in ("volume_iou", "psnr") if (f := per_object(records, method or "", key))), {})
    ranked = sorted(found, key=lambda name: found[name] if math.isfinite(found[name]) else -math.inf)
    if len(ranked) <= 2 * MOST:
        return [("Every object", names)] if len(names) <= 2 * MOST else []
    return [(f"The worst {MOST}", ranked[:MOST]), (f"The best {MOST}", ranked[: -MOST - 1 : -1])]


def _object(name: str, records: Sequence[Record], pictures: Pictures) -> str:
    """Turntables side by side, the figures, and the compared views folded away (open where there is no turntable)."""
    owners = ["truth", *dict.fromkeys(r.method for r in records if r.thing == name)]
    there = [owner for owner in owners if (owner, name) in pictures.turntables]
    row = [_image("given", pictures.given[name], "")] if name in pictures.given and there else []
    row += [_turn(owner, pictures.turntables[owner, name]) for owner in there]
    sheets = [_image(owner, pictures.sheets[owner, name]) for owner in owners if (owner, name) in pictures.sheets]
    folded = f"<details{'' if row else ' open'}><summary>Compared views</summary>{''.join(sheets)}</details>"
    turns = f'<div class="row">{"".join(row)}</div>' if row else ""
    return f"<h3>{_text(name)}</h3>{turns}{_table(*object_rows(records, name))}{folded if sheets else ''}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in heading)
    lines = ["<tr>" + "".join(f"<td{_mark(c)}>{_text(c)}</td>" for c in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _mark(cell: str) -> str:
    return next((f' class="{word}"' for word in ("won", "lost") if cell.endswith(f" {word}")), "")


def _image(owner: str, picture: Path, what: str = "compared views, ") -> str:
    alt = _text(f"{what}{owner}")
    return f'<figure><img alt="{alt}" src="{_data(picture, "png")}"><figcaption>{_text(owner)}</figcaption></figure>'


def _turn(owner: str, strip: Path) -> str:
    style = f"background-image:url({_data(strip, 'jpeg')})"
    box = f'<div class="turn" role="img" aria-label="{_text(f"turntable, {owner}")}" style="{style}"></div>'
    return f"<figure>{box}<figcaption>{_text(owner)}</figcaption></figure>"


def _data(picture: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _text(value: object) -> str:
    return html.escape(str(value))
