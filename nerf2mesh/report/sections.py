"""The report's sections: each takes plain values and returns HTML, or nothing where there is nothing to show."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nerf2mesh.report.charts import Curve, line_chart
from nerf2mesh.report.run_files import read_picture
from nerf2mesh.report.turntable import to_uint8
from nerf2mesh.utils.regular_file import read_regular

MAX_PREVIEWS = 14
MAX_TURNTABLE_BYTES = 256 << 20
KEY_FACTS = (
    *("vertices", "faces", "watertight", "components", "genus", "boundary edges", "nonmanifold edges", "volume"),
    *("uv charts", "uv utilisation", "bake psnr", "threshold density"),
)
"""Shown first, where the mesh room measured them."""


def section(title: str, body: str, kind: str = "") -> str:
    """A <section> of CSS class `kind` under the escaped title; empty where `body` is. `body` is HTML."""
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def picture(image: Any, caption: str, *, side_px: int = 512, checker: bool = False) -> str:
    """An embedded PNG of an image array or a PIL image."""
    pil = image if isinstance(image, Image.Image) else Image.fromarray(to_uint8(image))
    pil.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    pil.save(buffer, format="PNG", optimize=True)
    style = ' class="checker"' if checker else ""
    source = data_uri(buffer.getvalue(), "image/png")
    text = escape(caption)
    return f'<figure><img{style} src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def data_uri(data: bytes, kind: str) -> str:
    """`data` as a base64 data URI; `kind` is its MIME type, such as image/png."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def input_pictures(notes: Mapping[str, Any], framed: object | None) -> str:
    """The picture as read, its mask and how it was found, and the view that the optimization sees; of photographs also
    how their cameras were found."""
    figures = []
    if "picture" in notes:
        name = Path(str(notes.get("path", ""))).name
        width, height = notes.get("file_size_px", ("?", "?"))
        said = notes.get("scale", f"{width} x {height} px")
        figures.append(picture(notes["picture"], f"Input: {name}, {said}"))
    if "understood" in notes:
        figures.append(picture(notes["understood"], f"As it was read, {notes.get('scale', '')}", side_px=1000))
    if "mask" in notes:
        share = float(notes.get("mask_share", 0.0))
        figures.append(picture(notes["mask"], f"Mask by {notes.get('foreground')}: {share:.1%} of the picture"))
    for name, caption in (
        ("depth_picture", "Depth map, scaled to what it holds"),
        ("normal_picture", "Normals, world axes"),
    ):
        if name in notes:
            figures.append(picture(notes[name], caption))
    if framed is not None:
        figures.append(picture(framed, "The view that was fitted", checker=True))
    guessed = {"viewpoint": notes["viewpoint"]} if "viewpoint" in notes else {}
    understood = {**notes.get("photos", {}), **notes.get("sheet", {}), **notes.get("maps", {}), **guessed}
    understood |= notes.get("kind", {})
    about = {name: value for name, value in understood.items() if not isinstance(value, list)}
    return (f'<div class="pictures">{"".join(figures)}</div>' if figures else "") + fact_table(about)


def room_table(rooms: Sequence[Mapping[str, Any]]) -> str:
    """Area and perimeter of each room with its openings, and their sum; as rooms.json has them."""
    head = '<tr><th>room</th><th>openings</th><th class="number">perimeter</th><th class="number">area</th></tr>'
    rows = [
        f"<tr><th>{escape(str(room['name']))}</th><td>{escape(', '.join(map(str, room['openings'])))}</td>"
        f'<td class="number">{float(room["perimeter_m"]):.2f} m</td>'
        f'<td class="number">{float(room["area_m2"]):.2f} m²</td></tr>'
        for room in rooms
    ]
    total = sum(float(room["area_m2"]) for room in rooms)
    rows.append(f'<tr><th>all rooms</th><td></td><td></td><td class="number">{total:.2f} m²</td></tr>')
    return f"<table>{head}{''.join(rows)}</table>" if rooms else ""


def moving_picture(path: Path) -> str:
    """A turntable, .mp4 or .gif, embedded."""
    data = read_regular(path, limit_bytes=MAX_TURNTABLE_BYTES)
    if path.suffix == ".mp4":
        video = f'<video autoplay muted loop playsinline src="{data_uri(data, "video/mp4")}"></video>'
        return f"<figure>{video}<figcaption>Turntable</figcaption></figure>"
    kind = "image/gif" if path.suffix == ".gif" else "image/png"
    return f'<figure><img src="{data_uri(data, kind)}" alt="Turntable"><figcaption>Turntable</figcaption></figure>'


def timeline(previews: Sequence[Path]) -> str:
    """Renders along the run, at most MAX_PREVIEWS, evenly picked, the last one included. Damaged ones are named."""
    ordered = sorted(previews, key=_step_of)
    if not ordered:
        return ""
    picks = sorted({round(i) for i in np.linspace(0, len(ordered) - 1, min(MAX_PREVIEWS, len(ordered)))})
    figures, damaged = "", []
    for path in (ordered[i] for i in picks):
        try:
            figures += picture(read_picture(path), f"step {_step_of(path)}", side_px=640)
        except ValueError:
            damaged.append(path.name)
    said = f"<p>Not readable: {escape(', '.join(damaged))}</p>" if damaged else ""
    return f'<div class="strip" tabindex="0">{figures}</div>{said}'


def curve_panels(curves: Mapping[str, Curve]) -> str:
    """Panels of curves of one group ("group/name") and of like size; a name without a group has its own panel."""
    groups: dict[str, list[dict[str, Curve]]] = {}
    for name, curve in curves.items():
        group, _, rest = name.partition("/")
        panels = groups.setdefault(group, [])
        home = next((panel for panel in panels if _alike(curve, next(iter(panel.values())))), None)
        if home is None:
            panels.append(home := {})
        home[rest or group] = curve
    titled = [
        (group if len(members) == 1 else f"{group}: {', '.join(panel)}", panel)
        for group, members in groups.items()
        for panel in members
    ]
    panels = "".join(line_chart(title, panel) for title, panel in titled)
    return f'<div class="charts">{panels}</div>' if panels else ""


def mesh_facts(facts: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """The facts that matter and the files' sizes; everything else that was measured is folded below."""
    every = dict(flat({name: value for name, value in facts.items() if name != "mesh"}))
    mesh = facts.get("mesh")
    every |= dict(flat(mesh)) if isinstance(mesh, Mapping) else {}
    shown = {name: every.pop(name) for name in KEY_FACTS if name in every}
    rest = {name: value for name, value in every.items() if not (isinstance(value, list) and len(value) > 6)}
    more = f"<details><summary>All that was measured</summary>{fact_table(rest)}</details>" if rest else ""
    return fact_table({**shown, **files}) + more


def fact_table(facts: Mapping[str, Any]) -> str:
    """Two columns; nested mappings are flattened to "outer inner"."""
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="value">{escape(show(value))}</td></tr>' for name, value in flat(facts)
    )
    return f"<table>{rows}</table>" if rows else ""


def metric_table(metrics: Mapping[str, Any]) -> str:
    """Each metric is a number or {"value", "baseline", "better": "higher" | "lower", "unit"}."""
    rows = []
    with_baseline = any(isinstance(entry, Mapping) and "baseline" in entry for entry in metrics.values())
    for name, entry in metrics.items():
        if isinstance(entry, Mapping) and "value" not in entry:
            rows += [_metric_row(f"{name} {key}", {"value": value}, with_baseline) for key, value in flat(entry)]
        else:
            rows.append(_metric_row(name, entry if isinstance(entry, Mapping) else {"value": entry}, with_baseline))
    head = '<tr><th>metric</th><th class="number">value</th>'
    head += '<th class="number">baseline</th><th class="number">margin</th></tr>' if with_baseline else "</tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def stage_table(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Time and peak memory split by stage, with the parts of a stage below it."""
    total = sum(float(stage.get("seconds", 0.0)) for stage in stages.values()) or 1.0
    has_gpu = any(stage.get("peak_gpu_bytes") for stage in stages.values())
    head = '<tr><th>stage</th><th></th><th class="number">time</th><th class="number">peak memory</th>'
    rows = [head + ('<th class="number">peak GPU</th></tr>' if has_gpu else "</tr>")]
    for name, stage in stages.items():
        gpu = show_bytes(stage.get("peak_gpu_bytes", 0)) if has_gpu else None
        rows.append(_stage_row(name, float(stage["seconds"]), total, show_bytes(stage.get("peak_bytes", 0)), gpu))
        for part, seconds in dict(stage.get("parts") or {}).items():
            rows.append(_stage_row(f"\u00a0\u00a0{part}", float(seconds), total, "", "" if has_gpu else None))
    return f"<table>{''.join(rows)}</table>" if stages else ""


def rights_table(provenance: Mapping[str, Any]) -> str:
    """What the mesh was made of, by whom and under which licences, as the record in provenance.json has it."""
    record = provenance.get("record")
    materials = record.get("materials") if isinstance(record, Mapping) else None
    rows = [row for row in materials if isinstance(row, Mapping)] if isinstance(materials, list) else []
    if not rows or not isinstance(record, Mapping):
        return ""
    cells = "".join(
        "<tr>"
        + "".join(f"<td>{escape(str(row.get(key, '')))}</td>" for key in ("what", "name", "credit"))
        + f"<td>{escape(str(row.get('license', 'not stated')))}</td></tr>"
        for row in rows
    )
    head = "<tr><th>what</th><th>name</th><th>author or source</th><th>licence as stated</th></tr>"
    use = escape(str(record.get("use", "not stated")))
    kind = escape(str(record.get("digital_source_type", "")).rpartition("/")[2])
    about = f"<p>Stated use: {use}. Digital source type: {kind}. Duties: ATTRIBUTION.md.</p>"
    return f"{about}<details><summary>{len(rows)} materials</summary><table>{head}{cells}</table></details>"


def cost_table(cost: Mapping[str, Any]) -> str:
    """Energy and price by stage with their sum, and how the energy was found; as cost.json has them."""
    if not cost.get("stages"):
        return ""
    total, priced = cost.get("total", {}), "price" in cost.get("total", {})
    price = f'<th class="number">price ({escape(str(cost.get("currency", "")))})</th>' if priced else ""
    rows = [f'<tr><th>stage</th><th class="number">time</th><th class="number">energy</th>{price}</tr>']
    for name, row in [*cost["stages"].items(), ("all", total)]:
        cells = f'<td class="number">{show_seconds(float(row.get("seconds", 0.0)))}</td>'
        cells += f'<td class="number">{float(row.get("energy_wh", 0.0)):.4g} Wh</td>'
        cells += f'<td class="number">{float(row.get("price", 0.0)):.4g}</td>' if priced else ""
        rows.append(f"<tr><th>{escape(str(name))}</th>{cells}</tr>")
    return f"<table>{''.join(rows)}</table><p>Energy {escape(str(cost.get('method', '')))}.</p>"


def folded(title: str, text: str) -> str:
    """Plain text, escaped, behind a title that opens on a click; empty where the text is blank."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if text.strip() else ""


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(label, value) for each leaf of a nested mapping; a label is its names with spaces between all words."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        label = f"{prefix}{name}".replace("_", " ")
        found += flat(value, f"{label} ") if isinstance(value, Mapping) else [(label, value)]
    return found


def show(value: Any) -> str:
    """A value as plain text: 4 significant digits of a float, grouped digits of an int, yes or no, lists with commas.

    None is "not known"; a NumPy value of one element is shown as its number.
    """
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(show(item) for item in value)
    return "not known" if value is None else str(value)


def show_bytes(n_bytes: Any) -> str:
    """A size in decimal units (B, kB, MB, GB); None counts as 0."""
    size = float(n_bytes or 0)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def show_seconds(seconds: float) -> str:
    """A time in seconds below two minutes, in minutes and seconds below two hours, then in hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes / 60:.1f} h"


def _alike(a: Curve, b: Curve) -> bool:
    """Whether two curves can share an axis: their largest absolute values differ by less than a factor of 100."""
    low, high = sorted(max(map(abs, values), default=0.0) for _, values in (a, b))
    return high == low or (low > 0 and high / low < 100.0)


def _metric_row(name: str, entry: Mapping[str, Any], with_baseline: bool) -> str:
    value, baseline = entry["value"], entry.get("baseline")
    better = entry.get("better")
    arrow = {"higher": " \u2191", "lower": " \u2193"}.get(str(better), "")
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    cells = f'<th>{escape(name)}{arrow}</th><td class="number">{escape(show(value) + unit)}</td>'
    if with_baseline and baseline is not None:
        margin = float(value) - float(baseline)
        won = margin > 0 if better == "higher" else margin < 0
        kind = "" if better is None or margin == 0 else " won" if won else " lost"
        cells += f'<td class="number">{escape(show(baseline))}</td><td class="number{kind}">{margin:+.3g}</td>'
    elif with_baseline:
        cells += "<td></td><td></td>"
    return f"<tr>{cells}</tr>"


def _stage_row(name: str, seconds: float, total: float, memory: str, gpu: str | None) -> str:
    bar = f'<td class="wide"><div class="share" style="width: {100 * seconds / total:.1f}%"></div></td>'
    cells = f'<td class="number">{show_seconds(seconds)}</td><td class="number">{memory}</td>'
    return f"<tr><th>{escape(name)}</th>{bar}{cells}" + (
        f'<td class="number">{gpu}</td></tr>' if gpu is not None else "</tr>"
    )


def _step_of(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else 0
