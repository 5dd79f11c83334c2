"""What two files of weights make of the same pictures: the input and the mesh from four sides, a row each.

    python -m benchmarks prior_pictures OUT.jpg --weights OLD.safetensors NEW.safetensors [--preset instant]

Ten objects of the families that no prior was trained on, drawn here, and six photographs of free licence that come with
scikit-image (CC0: camera, chelsea, coffee; public domain: astronaut, clock, rocket), cut to the boxes below. Meshes
are kept beside OUT, so that the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from nerf2mesh import fit
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.procedural.exact import render_exact
from nerf2mesh.procedural.families import HELD_OUT_FAMILIES
from nerf2mesh.procedural.grammar import sample_scenes
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

FIRST_SEED = (1 << 30) + (1 << 23)
PHOTOGRAPHS = {
    "astronaut.png": (0.0, 0.0, 0.9, 1.0),
    "camera.png": (0.2, 0.1, 0.8, 1.0),
    "chelsea.png": (0.15, 0.0, 0.85, 1.0),
    "clock_motion.png": (0.0, 0.0, 1.0, 1.0),
    "coffee.png": (0.2, 0.1, 0.95, 0.95),
    "rocket.jpg": (0.35, 0.05, 0.65, 0.9),
}
"""File of scikit-image's data -> left, top, right, bottom as shares of the picture."""
TILE_PX = 88


def pictures(folder: Path) -> Iterator[Path]:
    """The sixteen inputs as files."""
    import skimage

    for k in range(10):
        family = list(HELD_OUT_FAMILIES)[k % len(HELD_OUT_FAMILIES)]
        path = folder / f"{k:02d}_{family}.png"
        if not path.exists():
            shown = render_exact(
                sample_scenes([FIRST_SEED + k], [family]), Camera.orbit(torch.tensor([30.0]), 15.0, width_px=256)
            )
            alpha = shown["alpha"][0, ..., None]
            straight = torch.cat([shown["rgb"][0] / alpha.clamp_min(1e-6), alpha], dim=-1).clamp(0, 1)
            Image.fromarray(np.round(straight.numpy() * 255).astype(np.uint8)).save(path)
        yield path
    for name, (left, top, right, bottom) in PHOTOGRAPHS.items():
        path = folder / f"photo_{Path(name).stem}.png"
        if not path.exists():
            image = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
            w, h = image.size
            image.crop((int(left * w), int(top * h), int(right * w), int(bottom * h))).save(path)
        yield path


def tile(image: Image.Image) -> Image.Image:
    """On white, square, TILE_PX a side."""
    image = image.convert("RGBA")
    image.thumbnail((TILE_PX, TILE_PX))
    square = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    square.paste(image, ((TILE_PX - image.width) // 2, (TILE_PX - image.height) // 2), image)
    return square


def sides(path: Path) -> list[Image.Image]:
    """A mesh from its front, right, back and left."""
    cameras = Camera.orbit(torch.tensor([0.0, 90.0, 180.0, 270.0]), 15.0, width_px=2 * TILE_PX)
    shown = rasterize_mesh(TriangleMesh.from_file(path, up="y", front="z"), cameras, supersample=2)
    on_white = (shown.rgba[..., :3] + 1.0 - shown.rgba[..., 3:]).clamp(0, 1)
    return [Image.fromarray(np.round(view.numpy() * 255).astype(np.uint8)) for view in on_white]


def row(picture: Path, weights: Sequence[Path], preset: str, folder: Path) -> list[Image.Image]:
    """The input and four sides for each file of weights."""
    tiles = [tile(Image.open(picture))]
    for k, file in enumerate(weights):
        out = folder / f"{picture.stem}_{k}"
        if not (out / "mesh.glb").exists():
            asked = [f"preset={preset}", f"prior.weights={file}", "input.foreground_confidence=0", "report.quiet=true"]
            fit(picture, overrides=asked, output_dir=out)
        tiles += [tile(side) for side in sides(out / "mesh.glb")]
    return tiles


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks prior_pictures", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("out", type=Path, help="the page, a JPEG or PNG file")
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--preset", default="instant")
    args = parser.parse_args(argv)
    folder = args.out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for picture in pictures(folder):
        rows.append(row(picture, args.weights, args.preset, folder))
        print(picture.stem, flush=True)
    half = (len(rows) + 1) // 2
    width, gap = len(rows[0]) * TILE_PX, 12
    page = Image.new("RGB", (2 * width + gap, half * TILE_PX), "white")
    for number, tiles in enumerate(rows):
        for column, image in enumerate(tiles):
            page.paste(image, (number // half * (width + gap) + column * TILE_PX, number % half * TILE_PX))
    draw = ImageDraw.Draw(page)
    for start in (0, width + gap):
        for k in range(len(args.weights)):
            x = start + (1 + 4 * k) * TILE_PX
            draw.line([(x, 0), (x, page.height)], fill=(150, 150, 150))
    page.save(args.out, quality=85)
    print(args.out)


if __name__ == "__main__":
    main()
