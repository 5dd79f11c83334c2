"""Planted faults in a set of pairs, and what nerf2mesh-curate finds of them.

    python -m benchmarks curation OUT [--pairs FOLDER] [--n 200] [--seed 0]

n lines: drawings of procedural objects (made here, or taken from a FOLDER of nerf2mesh.procedural.pairs), among them
n / 10 duplicates, n / 20 near duplicates, n / 20 without a licence, n / 40 with another object's views, and n / 40
held-out lines that show what is learnt from. Counts what was found, and what was refused without having been planted.
Ends with 1 where a planted fault was missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.curate import Curation, curate
from nerf2mesh.procedural.pairs import write_pairs

SHARES = {"duplicate": 10, "near duplicate": 20, "no licence": 20, "wrong model": 40, "leak": 40}
"""One in so many lines."""


def plant(folder: Path, entries: list[dict], n: int, seed: int) -> tuple[list[dict], dict[int, str]]:
    """n lines with faults, the files beside them, and line -> the fault that was planted there."""
    rng = np.random.default_rng(seed)
    counts = {kind: n // share for kind, share in SHARES.items()}
    added = counts["duplicate"] + counts["near duplicate"] + counts["leak"]
    lines = [dict(entry) for entry in entries[: n - added]]
    victims = iter(rng.permutation(len(lines)).tolist())
    planted: dict[int, str] = {}
    for _ in range(counts["no licence"]):
        k = next(victims)
        lines[k].pop("licence")
        planted[k + 1] = "no licence"
    for _ in range(counts["wrong model"]):
        k, other = next(victims), next(victims)
        own = lines[k]["cameras"]["frames"][0]
        lines[k]["views"] = entries[other]["views"]
        lines[k]["cameras"] = {"frames": [own, *entries[other]["cameras"]["frames"][1:]]}
        planted[k + 1] = "wrong model"
    for kind in ("duplicate", "near duplicate", "leak"):
        for i in range(counts[kind]):
            lines.append(_again(folder, lines[next(victims)], kind, i, rng))
            planted[len(lines)] = kind
    return lines, planted


def _again(folder: Path, entry: dict, kind: str, i: int, rng: np.random.Generator) -> dict:
    """A further line with the same picture or the same model."""
    source, name = folder / entry["picture"], f"{kind.split()[0]}-{i:03d}"
    if kind == "duplicate":
        picture = f"{name}{source.suffix}"
        shutil.copy(source, folder / picture)
        return entry | {"picture": picture}
    if kind == "near duplicate":
        return entry | {"picture": _changed(source, folder / name, i, rng).name}
    if i % 2:  # the model again, its files written anew, drawn in gray from a camera of one of its views
        views = []
        for k, view in enumerate(entry["views"]):
            views.append(f"{name}-{k}.png")
            Image.open(folder / view).convert("RGBA").save(folder / views[-1], optimize=True)
        frames = entry["cameras"]["frames"]
        Image.open(folder / entry["views"][0]).convert("LA").save(folder / f"{name}.png")
        cameras = {"frames": [frames[1], *frames[1:]]}
        return entry | {"picture": f"{name}.png", "views": views, "cameras": cameras, "split": "heldout"}
    return entry | {"picture": _changed(source, folder / name, i // 2, rng).name, "split": "heldout"}


def _changed(source: Path, target: Path, i: int, rng: np.random.Generator) -> Path:
    """The picture as it comes back from elsewhere: scaled, a JPEG, darker, cut at the border, or turned a bit."""
    image = Image.open(source).convert("RGBA")
    width, height = image.size
    if i % 5 == 0:
        image = image.resize((int(0.6 * width), int(0.6 * height)), Image.Resampling.LANCZOS)
    if i % 5 == 1:
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        paper.save(target.with_suffix(".jpg"), quality=70)
        return target.with_suffix(".jpg")
    if i % 5 == 2:
        image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.8, 0.95)))
    if i % 5 == 3:
        image = image.crop((2, 1, width - 3, height - 1))
    if i % 5 == 4:
        image = image.rotate(float(rng.uniform(0.5, 1.5)), Image.Resampling.BICUBIC)
    image.save(target.with_suffix(".png"))
    return target.with_suffix(".png")


def score(found: Curation, planted: dict[int, str]) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Kind -> (found, planted); and the false alarms: refused lines without a planted fault or a part in one."""
    items = {item.line: item for item in found.items}
    partners = {f.other for line in planted for f in items[line].findings if f.other}
    hits: dict[str, tuple[int, int]] = {}
    for line, kind in planted.items():
        # Of two that are alike the better one stays: the finding may stand on either line.
        mine = {finding.kind for finding in items[line].findings}
        others = {f.kind for item in items.values() for f in item.findings if f.other == line}
        hit = kind in mine or (kind in ("duplicate", "near duplicate", "leak") and kind in others)
        got, of = hits.get(kind, (0, 0))
        hits[kind] = (got + hit, of + 1)
    alarms = [
        f"line {item.line}, {item.name}: {f.kind} ({f.why})"
        for item in found.items
        for f in item.findings
        if f.refuses and item.line not in planted and item.line not in partners and f.other not in planted
    ]
    return hits, alarms


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--pairs", type=Path, help="pairs with views, instead of making them")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.pairs:
        shutil.copytree(args.pairs, args.out, ignore=shutil.ignore_patterns("curat*"))
    else:
        write_pairs(args.out, n=args.n, picture_px=128, view_px=64)
    items = args.out / "items.jsonl"
    entries = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
    lines, planted = plant(args.out, entries, args.n, args.seed)
    items.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = curate(CurateConfig(data=str(args.out)))
    hits, alarms = score(found, planted)
    print(f"{len(lines)} lines, {len(planted)} planted faults, {len(found.kept)} kept")
    for kind, (got, of) in hits.items():
        print(f"  {kind}: {got} of {of} found")
    print(f"false alarms: {len(alarms)} of {len(lines) - len(planted)} lines")
    print("".join(f"  {alarm}\n" for alarm in alarms), end="")
    sys.exit(any(got < of for got, of in hits.values()))


if __name__ == "__main__":
    main()
