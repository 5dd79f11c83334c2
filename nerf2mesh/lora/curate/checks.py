"""Findings about single items: what a line states, and what its picture is like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.items import Item
from nerf2mesh.lora.curate.pictures import PictureFacts
from nerf2mesh.lora.curate.silhouettes import Fit, Overlap, overlap

STATED = ("licence", "author", "source")
CAPTION_BYTES = 100_000


def check_statements(item: Item, config: CurateConfig) -> None:
    """Whether licence, author and source are there; those of `require` refuse the item."""
    for key in STATED:
        if key in config.require and not item.says(key):
            item.add(f"no {key}", f'no "{key}" in its line')


def check_picture(item: Item, facts: PictureFacts, config: CurateConfig) -> None:
    """Size and blur, and what its metadata say of people and places."""
    width, height = facts.size_px
    if min(width, height) < config.min_side_px:
        item.add("small", f"{width} x {height} px, under min_side_px={config.min_side_px}")
    if facts.blur > config.max_blur:
        item.add("blurred", f"{facts.blur:.2f}, over max_blur={config.max_blur:g}")
    if facts.names:
        item.add("names", f"in the metadata: {', '.join(facts.names)}")
    if facts.has_place:
        item.add("place", "the metadata say where it was taken")


def check_model(item: Item, config: CurateConfig) -> Overlap | None:
    """Whether the picture shows the model. None where it cannot be told: training could not read the pair either."""
    least = Fit(config.min_silhouette, config.min_covered)
    try:
        found = overlap(item.pair(), least)
    except (ValueError, OSError) as error:
        item.add("unreadable", " ".join(str(error).split())[:300])
        return None
    azimuth, elevation = found.best_deg
    from_there = f"{found.best} from azimuth {azimuth:.0f}, elevation {elevation:.0f}"
    if not found.stated.reaches(least) and found.best.reaches(least):
        item.add("other side", f"{found.stated} from where the line says, {from_there}")
    elif not found.stated.reaches(least):
        under = f"{found.stated}; at least {f'{least.covered:.0%}' if found.stated.of_views else f'IoU {least.iou:g}'}"
        item.add("wrong model", under if found.camera_known else f"{under}; at best {from_there}")
    return found


def check_captions(items: Sequence[Item]) -> dict[int, str]:
    """Line -> caption, from the line's "caption" or the text file beside the picture; where some have one, those
    without are noted."""
    captions = {item.line: text for item in items if (text := caption_of(item))}
    for item in items:
        if captions and item.usable and item.line not in captions:
            item.add("no caption", f"{len(captions)} of {len(items)} have one")
    return captions


def caption_of(item: Item) -> str:
    """The caption; "" where there is none."""
    if item.says("caption") or not item.usable:
        return item.says("caption")
    path = Path(item.folder, item.entry["picture"]).with_suffix(".txt")
    if path.is_symlink() or not path.is_file() or path.stat().st_size > CAPTION_BYTES:
        return ""
    return " ".join(path.read_text(encoding="utf-8", errors="replace").split())
