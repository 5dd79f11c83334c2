"""The interactive mesh viewer as HTML, on three.js: for the report, for notebooks, or as a page. No network.

three.js (MIT) lies in the package as one file, see three/; a page holds it compressed, once.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path

CONTENT_POLICY = (
    "default-src 'none'; img-src data: blob:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
"""The page may load nothing from anywhere: what it shows is in it."""

BUTTONS = "".join(
    f'<button data-mode="{mode}" aria-pressed="{str(mode == "shaded").lower()}">{mode.capitalize()}</button>'
    for mode in ("shaded", "albedo", "normals", "wireframe")
)


def viewer_figure(glb: bytes, caption: str = "Drag to turn, wheel to zoom, double click to reset") -> str:
    """The figure that `viewer_script` brings to life."""
    data = base64.b64encode(glb).decode("ascii")
    return (
        '<figure class="viewer"><canvas tabindex="0" aria-label="Interactive view of the mesh"></canvas>'
        f'<div class="bar">{BUTTONS}<span class="hint">{escape(caption)}</span></div>'
        f'<script type="text/plain">{data}</script></figure>'
    )


def viewer_page(mesh: str | Path | bytes, title: str = "mesh", *, height_px: int = 440, below: str = "") -> str:
    """A whole HTML page that shows a GLB, given as a path or as its bytes, with the HTML `below` under it."""
    glb = mesh if isinstance(mesh, bytes) else Path(mesh).read_bytes()
    style = (
        f"body {{ background: transparent; }} .viewer {{ padding: 4px; }} .viewer canvas {{ height: {height_px}px; }}"
    )
    return page(title, viewer_figure(glb) + below, extra_style=style)


def viewer_iframe(
    mesh: str | Path | bytes, *, height_px: int = 440, numbers: Mapping[str, object] | None = None
) -> str:
    """The viewer for a notebook cell: give it to IPython.display.HTML or return it from `_repr_html_`.

    `numbers` (name -> value) stand in a small table below the picture.
    """
    from nerf2mesh.report.sections import fact_table

    table = fact_table(numbers or {})
    source = escape(viewer_page(mesh, height_px=height_px, below=table), quote=True)
    total_px = height_px + 60 + 34 * table.count("<tr>")
    return (
        f'<iframe srcdoc="{source}" style="width: 100%; height: {total_px}px; border: 0" '
        'sandbox="allow-scripts" title="mesh"></iframe>'
    )


def page(title: str, body: str, *, extra_style: str = "") -> str:
    """An HTML document with the report's style, and with the viewer's scripts where `body` has a figure of it."""
    style = _read("page.css").decode("utf-8")
    scripts = ""
    if '<figure class="viewer">' in body:
        library = f'<script type="text/plain" id="three">{_three()}</script>'
        own = "".join(f"<script>{_read(name).decode('utf-8')}</script>" for name in ("player.js", "viewer.js"))
        scripts = library + own
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}{extra_style}</style></head>\n"
        f"<body>{body}\n{scripts}</body></html>\n"
    )


@cache
def _three() -> str:
    """three.js as gzip and base64; the same bytes at every call."""
    return base64.b64encode(gzip.compress(_read("three/three.min.js"), mtime=0)).decode("ascii")


def _read(name: str) -> bytes:
    return resources.files("nerf2mesh.report").joinpath(name).read_bytes()
