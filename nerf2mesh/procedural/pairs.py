"""Pairs for style adapters: a procedural object drawn in a look, and ordinary views of the same object with cameras.

`python -m nerf2mesh.procedural.pairs OUT --look line --n 200` writes OUT/items.jsonl (the format of `lora.pairs`), one
line a pair: the drawing, `views` in the look that the prior is trained on (RGBA, straight alpha), and `cameras` as in
transforms.json (OpenGL axes, +Z up, front +X), the drawing's own camera first. Seeds start at PAIR_SEED: above every
training seed and below the held-out ones. The same arguments write the same files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh.procedural.drawing import LOOK_FUNCTIONS, draw
from nerf2mesh.procedural.exact import render_exact
from nerf2mesh.procedural.families import HELD_OUT_FAMILIES
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera
from nerf2mesh.utils.atomic_write import atomic_write, atomic_write_text

PAIR_SEED = 1 << 29
FAMILIES = {"training": None, "heldout": list(HELD_OUT_FAMILIES)}
LICENCE = "Apache-2.0"
_BATCH = 8


def write_pairs(
    folder: str | Path,
    *,
    look: str = "line",
    families: str = "training",
    n: int = 200,
    first_seed: int = PAIR_SEED,
    n_views: int = 6,
    picture_px: int = 256,
    view_px: int = 128,
) -> Path:
    """Writes n pairs into `folder` and returns the path of items.jsonl, which is written last.

    The drawing is seen as a user's picture is (azimuth 0, elevation -5 to 40 degrees), the views from anywhere.
    families: one of FAMILIES; "heldout" are kinds that no prior was trained on, for an adapter that learns a subject
    together with its style. ValueError for an unknown look or families, or a folder that holds pairs already.
    """
    folder = Path(folder)
    if look not in LOOK_FUNCTIONS:
        raise ValueError(f"look: expected {', '.join(LOOK_FUNCTIONS)}, got {look!r}; choose one of these")
    if families not in FAMILIES:
        raise ValueError(f"families: expected {' or '.join(FAMILIES)}, got {families!r}; choose one of these")
    if (folder / "items.jsonl").exists():
        raise ValueError(f"folder: expected one without pairs, got {folder}; choose another, or remove its items.jsonl")
    lines = []
    for start in range(first_seed, first_seed + n, _BATCH):
        seeds = range(start, min(start + _BATCH, first_seed + n))
        lines += _write_batch(folder, seeds, look, families, n_views, picture_px, view_px)
    path = folder / "items.jsonl"
    return atomic_write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def _write_batch(
    folder: Path, seeds: range, look: str, families: str, n_views: int, picture_px: int, view_px: int
) -> list[dict]:
    """Pictures of some seeds; the entries of items.jsonl."""
    views = ViewConfig(n_views=n_views + 1, size_px=view_px, orthographic_share=0.0)
    scenes, cameras = sample_scenes(seeds, FAMILIES[families]), sample_cameras(seeds, views)
    rgba = SceneRenderer().render(scenes, cameras[:, 1:])["rgba"]
    straight = torch.cat([rgba[..., :3] / rgba[..., 3:].clamp_min(1e-6), rgba[..., 3:]], dim=-1)
    entries = []
    for i, seed in enumerate(seeds):
        name = f"{seed - PAIR_SEED:05d}"
        buffer = render_exact(scenes[i : i + 1], cameras[i, :1].resized(picture_px, picture_px))
        write_png(folder / f"{name}.png", draw(buffer, look, seed=seed)[0])
        files = [f"{name}/{k}.png" for k in range(n_views)]
        for file, image in zip(files, straight[i], strict=True):
            write_png(folder / file, image)
        shown = {"frames": [camera_frame(cameras[i, k]) for k in range(n_views + 1)]}
        entry = {"picture": f"{name}.png", "views": files, "cameras": shown, "licence": LICENCE}
        entries.append(entry | {"source": f"procedural seed {seed}, {families} families"})
    return entries


def camera_frame(camera: Camera) -> dict:
    """One square perspective camera as a frame of transforms.json."""
    angle = 2 * torch.atan(0.5 * camera.width_px / camera.focal_px[0])
    pose = [[round(float(v), 7) for v in row] for row in camera.camera_to_world]
    return {"camera_angle_x": round(float(angle), 7), "transform_matrix": pose}


def write_png(path: Path, image: Tensor) -> None:
    """[h, w, 3 or 4] in [0, 1] as an 8-bit PNG."""
    from PIL import Image

    with atomic_write(path) as part:
        Image.fromarray((image.clamp(0, 1) * 255).round().byte().numpy()).save(part, "PNG")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m nerf2mesh.procedural.pairs", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--look", choices=list(LOOK_FUNCTIONS), default="line")
    parser.add_argument("--families", choices=list(FAMILIES), default="training")
    parser.add_argument("--n", type=int, default=200, help="how many pairs")
    parser.add_argument("--views", type=int, default=6, help="views of each object")
    args = parser.parse_args(argv)
    print(write_pairs(args.out, look=args.look, families=args.families, n=args.n, n_views=args.views))


if __name__ == "__main__":
    main()
