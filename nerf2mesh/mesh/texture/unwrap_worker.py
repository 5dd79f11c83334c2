"""Runs xatlas in a process of its own, so that a time limit can stop it.

Its text is given to `python -c`, so that no module beside it can hide one of the standard library. Imports nothing of
the package. Reads a .npz from the standard input: vertices, faces, size, padding. Writes one to the standard output: uv
[F, 3, 2], charts.
"""

from __future__ import annotations

import io
import os
import sys

import numpy as np


def main() -> None:
    """Unwraps the mesh on the standard input onto the standard output."""
    import xatlas

    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints does not get between the bytes of the result
    given = np.load(io.BytesIO(sys.stdin.buffer.read()))
    atlas = xatlas.Atlas()
    atlas.add_mesh(given["vertices"].astype(np.float32), given["faces"].astype(np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution, pack.padding = int(given["size"]), int(given["padding"])
    atlas.generate(pack_options=pack)
    _, index, uv = atlas[0]
    # xatlas divides by its own width and height, which differ a little: texels must stay square.
    scale = np.array([atlas.width, atlas.height], np.float32) / max(atlas.width, atlas.height)
    result = io.BytesIO()
    np.savez(result, uv=(uv * scale)[index.astype(np.int64)], charts=atlas.chart_count)
    with open(out, "wb") as stream:
        stream.write(result.getvalue())


if __name__ == "__main__":
    main()
