"""How well masks fit: `python -m benchmarks foreground --meshes FOLDER`.

Median IoU by kind of picture, of the plain-background-or-GrabCut rule ("before") and of the default ("after"), on
held-out objects before grounds that the segmentation network was not trained on (`foreground_pictures`). Of pictures
for which the default asks instead of going on, the share is given, and the best of the candidates that it then shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.foreground_pictures import KINDS, draw
from nerf2mesh.inputs import InputConfig, grabcut
from nerf2mesh.inputs.hypotheses import PLAIN_BORDER, WORKING_PX, study
from nerf2mesh.inputs.mask_quality import overlap
from nerf2mesh.inputs.plain import background_plane, plain_mask
from nerf2mesh.objects.folder import ObjectFolder

COLUMNS = ("picture", "before", "after", "asks", "where it goes on", "best candidate where it asks")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    began, records = time.monotonic(), []
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    try:
        folder = ObjectFolder(args.meshes)
        for kind in args.kinds:
            of_kind = measure(kind, folder, args)
            records += of_kind
            print("| " + " | ".join(row(kind, of_kind)) + " |", flush=True)
    except ValueError as error:
        print(f"foreground: {error}", file=sys.stderr)
        return 2
    print(f"\n{args.n} pictures of each kind, {time.monotonic() - began:.0f} s")
    if args.out:
        args.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks foreground", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--meshes", type=Path, required=True, help="a folder of objects with held-out ones")
    parser.add_argument("--n", type=int, default=24, help="pictures of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), metavar="KIND")
    parser.add_argument("--weights", help="of nerf2mesh-train-foreground, instead of the packaged ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=Path, help="a folder for the pictures beside the masks found")
    parser.add_argument("--out", type=Path, help="a JSON file for the result of every picture")
    return parser.parse_args(argv)


def measure(kind: str, folder: ObjectFolder, args: argparse.Namespace) -> list[dict[str, Any]]:
    """One record a picture; each is drawn from a generator of its own."""
    config = InputConfig(foreground_weights=args.weights)
    records = []
    for number in range(args.n):
        stem = int.from_bytes(hashlib.sha256(kind.encode()).digest()[:4], "big")
        picture, mask = draw(kind, folder, np.random.default_rng([args.seed, number, stem]))
        answers = study(picture, config, (picture.shape[1], picture.shape[0]), kind)
        candidates = [overlap(h.mask, mask) for h in answers.ranked]
        records.append(
            {
                "kind": kind,
                "number": number,
                "before": overlap(rule(picture), mask),
                "after": candidates[0] if candidates else 0.0,
                "best": max(candidates, default=0.0),
                "confidence": answers.confidence,
                "asks": answers.confidence < config.foreground_confidence,
                "method": answers.ranked[0].method if answers.ranked else "",
                "answers": {h.method: [h.edge, h.agreement, overlap(h.mask, mask)] for h in answers.ranked},
            }
        )
        if args.show:
            _show(
                args.show / f"{kind}-{number}.png", picture, mask, answers.ranked[0].mask if answers.ranked else ~mask
            )
    return records


def rule(picture: np.ndarray) -> np.ndarray:
    """What was the default before: a plain background where the border fits one, else GrabCut from the middle."""
    import cv2

    distance, fitting = background_plane(picture.astype(np.float32) / 255.0)
    if fitting > PLAIN_BORDER:
        return plain_mask(distance, InputConfig().plain_tolerance)
    height, width = picture.shape[:2]
    scale = min(1.0, WORKING_PX / max(height, width))
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    found = grabcut.centered(small).astype(np.float32)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def row(kind: str, records: list[dict[str, Any]]) -> list[str]:
    """A line of the table."""
    going = [r["after"] for r in records if not r["asks"]]
    asked = [r["best"] for r in records if r["asks"]]
    return [
        kind,
        f"{np.median([r['before'] for r in records]):.3f}",
        f"{np.median([r['after'] for r in records]):.3f}",
        f"{len(asked)} of {len(records)}",
        f"{np.median(going):.3f}" if going else "-",
        f"{np.median(asked):.3f}" if asked else "-",
    ]


def _show(path: Path, picture: np.ndarray, mask: np.ndarray, found: np.ndarray) -> None:
    from PIL import Image

    from nerf2mesh.inputs.candidates import shown

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate([picture, shown(picture, mask), shown(picture, found)], axis=1)).save(path)
