"""A sheet by its file's kind: PNG, JPEG, WebP and PDF as pictures, SVG and DXF as lines."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.linework.kinds import Linework, Raster, Sheet
from nerf2mesh.inputs.picture import read_picture

PDF_DPI = 300
MAX_PDF_SIDE_PX = 8192
MM_PER_INCH = 25.4
NOTE_SIDE_PX = 900
EMPTY_INK = 1e-4
"""A page with a smaller share of ink is empty."""


def read_sheet(config: InputConfig) -> Raster | Linework:
    """The sheet that `input.image` names, in metres.

    Raises:
        ValueError: no such file, another kind of file, damaged, empty, or without the scale that it needs.
    """
    path = Path(config.image or "").expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".pdf", ".svg", ".dxf"):
        return _read_raster(config)
    if not path.is_file():
        raise ValueError(f"input.image: expected a file, got no file {path} (looked from {Path.cwd()}); check the path")
    data = path.read_bytes()
    if suffix == ".pdf":
        return _read_pdf(config, path, data)
    if suffix == ".svg":
        from nerf2mesh.inputs.linework.svg import read_svg

        return read_svg(config, path, data)
    from nerf2mesh.inputs.linework.dxf import read_dxf

    return read_dxf(config, path, data)


def _read_raster(config: InputConfig) -> Raster:
    picture = read_picture(config.image, working_side_px=MAX_PDF_SIDE_PX)
    rgba = picture.rgba.astype(np.float32) / 255.0
    grey = rgba[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    grey = grey * rgba[..., 3] + (1.0 - rgba[..., 3])
    shrunk = picture.file_size_px[0] / rgba.shape[1]
    pixel_mm, scale = _picture_scale(config, picture.path)
    sheet = Sheet(picture.path, picture.format, picture.sha256, scale, shown(grey))
    return Raster(ink_of(grey, picture.path), pixel_mm * shrunk / 1000.0, sheet)


def _picture_scale(config: InputConfig, path: str) -> tuple[float, str]:
    """Millimetres that a pixel of the file covers, and how that is known."""
    if config.mm_per_px:
        return config.mm_per_px, f"{config.mm_per_px:g} mm a pixel (input.mm_per_px)"
    with Image.open(Path(path).expanduser()) as image:
        dpi = float(next(iter(image.info.get("dpi", (0.0,)))))
    if config.scale and dpi > 1.0:
        return MM_PER_INCH / dpi * config.scale, f"1:{config.scale:g} at {dpi:.0f} dpi (input.scale)"
    also = "" if config.scale else ", or input.scale=100 for a scan of 1:100 that knows its dpi"
    raise ValueError(
        f"input.mm_per_px: expected the scale of the picture {path}, got none; "
        f"add input.mm_per_px=20 (millimetres that a pixel covers; there is no default){also}"
    )


def _read_pdf(config: InputConfig, path: Path, data: bytes) -> Raster:
    """One page, rendered: clips, forms and fonts are then the PDF library's care."""
    try:
        import pypdfium2
    except ImportError as error:
        raise ValueError(
            "input.image: expected the package pypdfium2 for a PDF, got none; pip install 'nerf2mesh[plans]'"
        ) from error
    if not config.scale:
        raise ValueError(
            f"input.scale: expected the scale of the sheet {path}, got none; "
            "add input.scale=100 for 1:100 (there is no default)"
        )
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise ValueError(f"input.image: expected a PDF, got {path} ({error}); export it again") from error
    if not 1 <= config.page <= len(document):
        raise ValueError(f"input.page: expected 1 to {len(document)} in {path}, got {config.page}; choose a page of it")
    page = document[config.page - 1]
    zoom = min(PDF_DPI / 72.0, MAX_PDF_SIDE_PX / max(page.get_size()))
    shot = page.render(scale=zoom, grayscale=True)  # pyright: ignore[reportArgumentType]  (typed as int by its default)
    grey = np.asarray(shot.to_pil(), np.float32) / 255.0
    pixel_m = MM_PER_INCH / (72.0 * zoom) * config.scale / 1000.0
    said = f"1:{config.scale:g} (input.scale), page {config.page}"
    sheet = Sheet(str(path), "PDF", hashlib.sha256(data).hexdigest(), said, shown(grey))
    return Raster(ink_of(grey, str(path)), pixel_m, sheet)


def ink_of(grey: np.ndarray, path: str) -> np.ndarray:
    """Ink in [0, 1] [h, w]: 0 is the paper (the commonest light grey), 1 the darkest ink of the sheet.

    Raises:
        ValueError: nothing is drawn.
    """
    counts, edges = np.histogram(grey, bins=64, range=(0.0, 1.0))
    paper = float(edges[int(counts.argmax()) + 1])
    darkest = float(np.quantile(grey, 0.0005))
    ink = np.clip((paper - grey) / max(paper - darkest, 1e-6), 0.0, 1.0)
    if paper - darkest < 0.25 or float((ink > 0.5).mean()) < EMPTY_INK:
        raise ValueError(
            f"input.image: expected a sheet with dark lines on light paper, got an empty page in {path}; "
            "choose another page or file, or raise its contrast"
        )
    return ink.astype(np.float32)


def shown(grey: np.ndarray) -> np.ndarray:
    """The sheet at the report's size, uint8 [h, w, 3]."""
    picture = Image.fromarray(np.uint8(np.clip(grey, 0.0, 1.0) * 255.0 + 0.5))
    picture.thumbnail((NOTE_SIDE_PX, NOTE_SIDE_PX), Image.Resampling.BOX)
    return np.asarray(picture.convert("RGB"))


def bytes_of(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
