"""`input=sheet`: one page with several drawings of a figure, or one file for each, as views of orthographic cameras.

The page is cut out from its plain ground; parts of ink that lie close together are one figure, small ones (captions,
arrows) are none. Figures are read in rows from the left, and are brought to one height and ground line.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from nerf2mesh.inputs.config import DRAWINGS, InputConfig
from nerf2mesh.inputs.domain import SUPPOSED, understood
from nerf2mesh.inputs.figure_checks import check_figures
from nerf2mesh.inputs.figure_hull import bounded
from nerf2mesh.inputs.figures import LEVEL_DEG, USUAL, figure_views, side_cameras
from nerf2mesh.inputs.foreground import Foreground, find_figures
from nerf2mesh.inputs.picture import Picture, read_picture
from nerf2mesh.inputs.viewpoint.told import usual_fov
from nerf2mesh.types import Observations

NEAR = 0.008
"""Parts closer than this share of the page's longer side belong to one figure."""
SMALLEST = 0.08
"""Share of the largest figure's area below which a part is a caption, not a figure."""
UNEQUAL, IMPOSSIBLE = 0.04, 0.25
"""Difference of the figures' heights on one page from which it is warned of, and refused."""
Box = tuple[int, int, int, int]
"""top, bottom, left, right in pixels of the page, ends exclusive."""


@dataclass(frozen=True)
class Page:
    """A page and the figures that were found on it."""

    picture: Picture
    found: Foreground
    boxes: list[Box]

    def figures(self) -> list[np.ndarray]:
        """Each figure alone, RGBA [h, w, 4]."""
        labels = figure_labels(self.found.rgba[..., 3])
        cut = []
        for top, bottom, left, right in self.boxes:
            piece = self.found.rgba[top:bottom, left:right].copy()
            inside = labels[top:bottom, left:right]
            own = np.bincount(inside[inside > 0]).argmax()
            piece[(inside != own) & (inside > 0), 3] = 0.0
            cut.append(piece)
        return cut


def load_sheet(config: InputConfig) -> Observations:
    """Views of the figures in their order, named by `input.views`. Notes as of a picture, `picture` being the annotated
    page, and `sheet`: the sides, and each figure's box in pixels of the page.

    Raises:
        ValueError: in one line, another number of figures than of views, a side named twice, or figures that cannot be
            one object's.
    """
    names = config.images or [config.image]
    pictures = [read_picture(name) for name in names]
    pages, domain, kind, of_kind = _pages(pictures, config)
    boxes = [box for page in pages for box in page.boxes]
    views, warnings = _named(list(config.views), len(boxes))
    azimuths, elevations = side_cameras(views)
    if len(pages) == 1:
        warnings += _height_warnings(boxes, elevations)
    figures = [figure for page in pages for figure in page.figures()]
    told = replace(usual_fov(config), domain=domain)
    made = figure_views(figures, azimuths, elevations, told, orthographic=True)
    warnings += check_figures(made, views)
    if config.hull_margin is not None:
        made = bounded(made, config.hull_margin)
    said = dict.fromkeys(warning for page in pages for warning in page.found.warnings)
    facts = {
        "figures": len(boxes),
        "views": ", ".join(views),
        "boxes_px": [list(box) for box in boxes],
    }
    first = pages[0]
    notes: dict[str, object] = {
        "path": first.picture.path,
        "sha256": hashlib.sha256("".join(page.picture.sha256 for page in pages).encode()).hexdigest(),
        "format": first.picture.format,
        "file_size_px": first.picture.file_size_px,
        "foreground": first.found.method,
        "mask_share": first.found.share,
        "picture": annotated(first, views[: len(first.boxes)]),
        "mask": np.round(first.found.rgba[..., 3] * 255.0).astype(np.uint8),
        "sheet": facts,
        "warnings": [*said, *warnings, *of_kind],
        **kind,
    }
    return Observations(made, config.prompt, notes, config.negative_prompt)


def figure_labels(alpha: np.ndarray) -> np.ndarray:
    """The number of each pixel's part [h, w], from 1; 0 outside. Parts closer than NEAR are one."""
    import cv2
    from scipy import ndimage

    solid = alpha > 0.5
    reach = max(1, round(NEAR * max(alpha.shape)))
    grown = cv2.dilate(solid.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    labels = np.zeros(grown.shape, np.int32)
    ndimage.label(grown, np.ones((3, 3)), output=labels)
    return np.where(solid, labels, 0)


def figure_boxes(alpha: np.ndarray) -> list[Box]:
    """The figures of a page in reading order: rows from above, in each from the left."""
    from scipy import ndimage

    labels = figure_labels(alpha)
    area = np.bincount(labels.ravel())
    area[0] = 0
    found = ndimage.find_objects(labels)
    boxes = [
        (rows.start, rows.stop, columns.start, columns.stop)
        for i, place in enumerate(found, start=1)
        if place is not None and area[i] >= SMALLEST * area.max()
        for rows, columns in [place]
    ]
    return _in_rows(boxes)


def _in_rows(boxes: list[Box]) -> list[Box]:
    """Boxes whose middles lie within the first one's rows make a row."""
    left_over, ordered = sorted(boxes), []
    while left_over:
        top, bottom, *_ = left_over[0]
        row = [box for box in left_over if top <= (box[0] + box[1]) / 2 <= bottom]
        ordered += sorted(row, key=lambda box: box[2] + box[3])
        left_over = [box for box in left_over if box not in row]
    return ordered


def _pages(pictures: list[Picture], config: InputConfig) -> tuple[list[Page], str, dict[str, object], list[str]]:
    """The pages, the kind of their pictures (asked of the first figure), its note for the report and its warnings."""
    asked = replace(config, domain=SUPPOSED) if config.domain == "auto" else config
    single = len(pictures) > 1
    pages = [_page(picture, asked, single=single) for picture in pictures]
    figures = pages[0].figures()
    if asked is config or not figures:
        return pages, asked.domain, {}, []
    domain, kind, said = understood(config.domain, figures[0])
    if domain not in DRAWINGS:
        pages = [_page(picture, replace(config, domain=domain), single=single) for picture in pictures]
    return pages, domain, kind, said


def _page(picture: Picture, config: InputConfig, *, single: bool) -> Page:
    found = find_figures(picture, config)
    boxes = figure_boxes(found.rgba[..., 3])
    if single and len(boxes) != 1:
        raise ValueError(
            f"input.image: expected one figure in each of several files, got {len(boxes)} in {picture.path}; "
            "give one page alone, or one file for each figure"
        )
    return Page(picture, found, boxes)


def _named(views: list[str], count: int) -> tuple[list[str], list[str]]:
    """The sides of so many figures, and what was assumed."""
    if not views and count in USUAL:
        taken = list(USUAL[count])
        return taken, [f"the {count} figures were taken for {', '.join(taken)}; input.views=[...] says otherwise"]
    if len(views) != count:
        expected = f"{len(views)} figures for input.views" if views else f"at most {max(USUAL)} figures"
        raise ValueError(
            f"input.image: expected {expected}, got {count} on the page; name the sides in reading order, such as "
            "input.views=[front,right,back], or part figures that touch"
        )
    return views, []


def _height_warnings(boxes: list[Box], elevations_deg: list[float]) -> list[str]:
    heights = [bottom - top for (top, bottom, *_), e in zip(boxes, elevations_deg) if abs(e) <= LEVEL_DEG]
    if len(heights) < 2:
        return []
    differ = 1.0 - min(heights) / max(heights)
    if differ > IMPOSSIBLE:
        raise ValueError(
            f"input.image: expected figures of one height on the page, got {min(heights)} to {max(heights)} px; "
            "these cannot be level views of one object: crop the page, or give one file for each figure"
        )
    return [f"the figures' heights differ by {differ:.0%} and were made one"] if differ > UNEQUAL else []


def annotated(page: Page, views: list[str]) -> np.ndarray:
    """uint8 [h, w, 3]: the page over white with each figure's box and side."""
    rgba = page.picture.rgba.astype(np.float32)
    opacity = rgba[..., 3:] / 255.0
    sheet = Image.fromarray(np.round(rgba[..., :3] * opacity + 255.0 * (1.0 - opacity)).astype(np.uint8))
    pen, width = ImageDraw.Draw(sheet), max(1, round(max(sheet.size) / 400))
    for number, ((top, bottom, left, right), name) in enumerate(zip(page.boxes, views), start=1):
        pen.rectangle((left, top, right - 1, bottom - 1), outline=(210, 40, 40), width=width)
        pen.text((left + 2 * width, top + 2 * width), f"{number} {name}", fill=(210, 40, 40))
    return np.asarray(sheet)
