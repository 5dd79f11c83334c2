"""Pairs for style adapters from a folder of meshes: an object drawn in a look, and ordinary views of it with cameras.

`python -m nerf2mesh.objects.pairs OUT --meshes FOLDER --look line --n 300 --held-out 30` writes OUT/items.jsonl (the
format of `lora.train.pairs`), one line a pair: the drawing, views as the prior is trained on (RGBA, straight alpha) and
`cameras` as in transforms.json, the drawing's own camera first. Objects, their order and their sides follow from the
files' names alone: the same arguments write the same files. Licence, author and kind are the manifest's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nerf2mesh.objects.config import LOOKS, AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder, hashed_order
from nerf2mesh.objects.mesh import ObjectMesh
from nerf2mesh.objects.views import draw_cameras, drawn_picture, place, plain_light
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.procedural.pairs import camera_frame, write_png
from nerf2mesh.utils.atomic_write import atomic_write_text

STANCE = AugmentConfig(tumble_share=0.0, radius=(0.95, 1.0), fov_share=0.0, hue_share=0.0, pattern_share=0.0)
"""How the objects stand: upright, their front or a side favored, as large as inputs are framed."""
LEAST_COVER = 0.04
"""Drawings that show less of the object than this share of the picture are left out."""
_PAIR = 550_003


def write_object_pairs(
    folder: str | Path,
    meshes: ObjectFolder,
    *,
    look: str = "line",
    n: int = 300,
    n_held_out: int = 30,
    n_views: int = 6,
    picture_px: int = 256,
    view_px: int = 128,
) -> Path:
    """Writes n pairs of training objects and n_held_out of held-out ones; returns the path of items.jsonl.

    The drawing is seen as a user's picture is (azimuth 0, elevation -5 to 40 degrees), the views from anywhere. Fewer
    pairs are written where there are fewer objects. ValueError for an unknown look, or a folder that holds pairs
    already.
    """
    folder = Path(folder)
    if look not in LOOKS:
        raise ValueError(f"look: expected {', '.join(LOOKS)}, got {look!r}; choose one of these")
    if (folder / "items.jsonl").exists():
        raise ValueError(f"folder: expected one without pairs, got {folder}; choose another, or remove its items.jsonl")
    views = ViewConfig(n_views=n_views + 1, size_px=view_px, orthographic_share=0.0)
    lines: list[dict] = []
    for split, wanted in (("train", n), ("heldout", n_held_out)):
        found = 0
        for entry in hashed_order(meshes.split(split)):
            if found == wanted:
                break
            number = len(lines)
            line = _write_pair(folder, f"{number:05d}", meshes.read(entry), look, views, picture_px, number)
            if line is not None:
                lines.append(line | _about(entry, split))
                found += 1
    return atomic_write_text(folder / "items.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def _write_pair(
    folder: Path, name: str, mesh: ObjectMesh, look: str, views: ViewConfig, picture_px: int, seed: int
) -> dict | None:
    """One pair's pictures and its line; None where hardly anything is seen."""
    rng = np.random.default_rng([seed, _PAIR])
    placed, cameras = place(mesh, rng, STANCE), draw_cameras(rng, views, STANCE)
    picture = drawn_picture(placed, cameras[:1].resized(picture_px, picture_px), rng, look)[0]
    if picture[..., 3].mean() < LEAST_COVER:
        return None
    write_png(folder / f"{name}.png", torch.from_numpy(picture))
    rgba = plain_light(placed, cameras[1:], rng)
    straight = np.concatenate([rgba[..., :3] / rgba[..., 3:].clip(1e-6), rgba[..., 3:]], axis=-1)
    files = [f"{name}/{k}.png" for k in range(len(straight))]
    for file, image in zip(files, straight, strict=True):
        write_png(folder / file, torch.from_numpy(image))
    frames = [camera_frame(cameras[k]) for k in range(len(straight) + 1)]
    return {"picture": f"{name}.png", "views": files, "cameras": {"frames": frames}}


def _about(entry: ObjectEntry, split: str) -> dict[str, str]:
    """What the manifest says of an object, for its line."""
    known = {"licence": entry.licence, "author": entry.credit, "kind": entry.kind}
    source = " ".join(filter(None, (entry.source, entry.path.name)))
    return {"split": split, "source": source} | {key: value for key, value in known.items() if value}


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m nerf2mesh.objects.pairs", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--meshes", type=Path, required=True, help="folder of meshes, with or without manifest.jsonl")
    parser.add_argument("--look", choices=LOOKS, default="line")
    parser.add_argument("--n", type=int, default=300, help="how many pairs to learn from")
    parser.add_argument("--held-out", type=int, default=30, help="how many of held-out objects besides")
    parser.add_argument("--views", type=int, default=6, help="views of each object")
    args = parser.parse_args(argv)
    meshes = ObjectFolder(args.meshes, ObjectDataConfig(meshes=str(args.meshes)))
    n, held_out, views = args.n, args.held_out, args.views
    print(write_object_pairs(args.out, meshes, look=args.look, n=n, n_held_out=held_out, n_views=views))


if __name__ == "__main__":
    main()
