"""The sheet: one HTML page with every item, what was found, and a box to tick it on or off. It needs no network.

The page saves its ticks as a file, which `nerf2mesh-curate FOLDER ticks=FILE` reads back.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

import numpy as np
from PIL import Image
from torch import Tensor

from nerf2mesh.lora.curate.items import HARD, NOTES, SOFT, Item
from nerf2mesh.lora.curate.pictures import PictureFacts
from nerf2mesh.lora.curate.silhouettes import Overlap
from nerf2mesh.report.sections import data_uri
from nerf2mesh.report.viewer import page

LEGEND = "Beside a picture: its silhouette and its model's. Gray: both, red: the picture alone, blue: the model alone."
HOW = (
    "Tick what is to be learnt from and save the ticks; then give the same command again with "
    "<code>ticks=ticks.json</code> (the file that was saved). What has no box to tick cannot be used: it is broken, or "
    "its rights are missing."
)


def sheet(
    title: str,
    items: Sequence[Item],
    facts: Mapping[int, PictureFacts],
    overlaps: Mapping[int, Overlap],
    digest: str,
) -> str:
    """The page; `digest` stands for the set in the file of ticks."""
    counts = Counter(kind for item in items for kind in {finding.kind for finding in item.findings})
    cards = "".join(_card(item, facts.get(item.line), overlaps.get(item.line)) for item in items)
    body = (
        f'<main data-set="{escape(digest)}"><h1>{escape(title)}</h1><p class="lead">{HOW} {LEGEND}</p>'
        f'{_tools(counts)}<div class="grid">{cards}</div></main><script>{_asset("sheet.js")}</script>'
    )
    return page(f"{title} - curation", body, extra_style=_asset("sheet.css"))


def _tools(counts: Mapping[str, int]) -> str:
    order = [kind for kind in (*HARD, *SOFT, *NOTES) if counts.get(kind)]
    shows = [("all", "All"), ("on", "On"), ("off", "Off"), *((kind, f"{kind} {counts[kind]}") for kind in order)]
    buttons = "".join(
        f'<button data-show="{escape(kind)}" aria-pressed="{str(kind == "all").lower()}">{escape(text)}</button>'
        for kind, text in shows
    )
    return (
        f'<div class="tools">{buttons}<input type="search" placeholder="Search" aria-label="Search">'
        '<span class="count"></span><button class="shown-on">Shown on</button><button class="shown-off">Shown off'
        '</button><button class="save">Save ticks</button></div>'
    )


def _card(item: Item, facts: PictureFacts | None, overlap: Overlap | None) -> str:
    kinds = "|".join(dict.fromkeys(finding.kind for finding in item.findings))
    state = ("" if item.on else " off") + (" locked" if item.locked else "")
    box = f'<input type="checkbox"{" checked" * item.on}{" disabled" * item.locked} aria-label="line {item.line}">'
    findings = "".join(
        f"<li{' class=refuses' * finding.refuses}><b>{escape(finding.kind)}</b> {escape(finding.why)}</li>"
        for finding in item.findings
    )
    return (
        f'<label class="item{state}" data-line="{item.line}" data-kinds="{escape(kinds)}">'
        f'<div class="shots">{_shots(item, facts, overlap)}</div>'
        f'<div class="head">{box}<b>{escape(item.name)}</b><span>line {item.line}</span></div>'
        f'<div class="about">{escape(_about(item, facts, overlap))}</div><ul>{findings}</ul></label>'
    )


def _shots(item: Item, facts: PictureFacts | None, overlap: Overlap | None) -> str:
    shots = ""
    if facts is not None:
        shots += f'<img src="{data_uri(facts.thumb, "image/webp")}" alt="{escape(item.name)}">'
    if overlap is not None:
        png = mask_picture(overlap.picture, overlap.model)
        shots += f'<img class="mask" src="{data_uri(png, "image/png")}" alt="silhouettes">'
    return shots


def _about(item: Item, facts: PictureFacts | None, overlap: Overlap | None) -> str:
    parts = [f"{facts.size_px[0]} x {facts.size_px[1]} px"] if facts else []
    parts += [item.says(key)[:80] for key in ("licence", "author", "kind") if item.says(key)]
    parts += ["held out"] * item.held_out
    return ", ".join(parts + ([str(overlap.stated)] if overlap else []))


def mask_picture(picture: Tensor, model: Tensor) -> bytes:
    """PNG of two masks of one size: white neither, gray both, red the picture's alone, blue the model's alone."""
    index = (picture.numpy().astype(np.uint8) + 2 * model.numpy().astype(np.uint8)).astype(np.uint8)
    image = Image.fromarray(index)
    image.putpalette([255, 255, 255, 200, 60, 50, 40, 100, 200, 150, 155, 165])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _asset(name: str) -> str:
    return resources.files("nerf2mesh.lora.curate").joinpath(name).read_text(encoding="utf-8")
