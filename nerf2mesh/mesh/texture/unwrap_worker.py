"""Runs xatlas in a process of its own, so that a time limit can stop it.

Its text is given to `python -c`, with two arguments IN.npz and OUT.npz, so that no module beside it can hide one of the
standard library. Imports nothing of the package. In: vertices, faces, size, padding. Out: uv [F, 3,
2], charts.
"""

from __future__ import annotations

import sys

import numpy as np


def main(source: str, target: str) -> None:
    """Unwraps the mesh of IN.npz into OUT.npz."""
    import xatlas

    given = np.load(source)
    atlas = xatlas.Atlas()
    atlas.add_mesh(given["vertices"].astype(np.float32), given["faces"].astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding = int(given["size"]), int(given["padding"])
    atlas.generate(pack_options=pack)
    _, index, uv = atlas[0]
    # xatlas divides by its own width and height, which differ a little: texels must stay square.
    scale = np.array([atlas.width, atlas.height], np.float32) / max(atlas.width, atlas.height)
    np.savez(target, uv=(uv * scale)[index.astype(np.int64)], charts=atlas.chart_count)


if __name__ == "__main__":
    main(*sys.argv[1:])
