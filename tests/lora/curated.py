"""Small sets of pictures and models to curate, and what is found in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.lora.curate import checks
from nerf2mesh.lora.curate.config import CurateConfig
from nerf2mesh.lora.curate.curate import Curation, curate
from nerf2mesh.lora.curate.silhouettes import Fit, Overlap, overlap
from nerf2mesh.lora.train.pairs import Pair
from nerf2mesh.priors import PriorConfig
from nerf2mesh.types import Camera

FRONT = 25.0
COMPARED: dict[str, Overlap] = {}


@pytest.fixture(autouse=True)
def compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests have the same pairs, and each comparison with a model takes half a second: equal files, one result."""

    def remembered(pair: Pair, least: Fit) -> Overlap:
        told = {key: value for key, value in pair.entry.items() if key in ("cameras", "azimuth_deg", "elevation_deg")}
        files = [path.read_bytes() for path in (pair.picture, *pair.targets) if path.is_file()]
        name = hashlib.sha256(b"|".join([repr((told, len(files), least)).encode(), *files])).hexdigest()
        if name not in COMPARED:
            COMPARED[name] = overlap(pair, least)
        return COMPARED[name]

    monkeypatch.setattr(checks, "overlap", remembered)


def drawing(path: Path, seed: int, size: int = 96) -> Path:
    """A drawing of its own: colored blobs inside a disc, transparent around."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    rgb = np.full((size, size, 3), 230.0)
    for _ in range(9):
        cx, cy, r = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75), rng.uniform(0.04, 0.16)
        rgb[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(0, 255, 3)
    alpha = 255.0 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.4**2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8)).save(path)
    return path


def ball(path: Path, radius: float = 0.35) -> None:
    """A view of a ball in the middle."""
    y, x = (np.mgrid[:64, :64] + 0.5) / 64
    alpha = 255 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < radius**2)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([np.full((64, 64, 3), 90), alpha]).astype(np.uint8)).save(path)


def line(folder: Path, i: int, **more: object) -> dict:
    """A drawing of a ball, and the ball's views from six sides; its radius differs from line to line."""
    drawing(folder / f"{i}.png", i)
    shade = np.asarray(Image.open(folder / f"{i}.png")).copy()
    y, x = (np.mgrid[:96, :96] + 0.5) / 96
    radius = 0.2 + 0.02 * i
    shade[..., 3] = 255 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < radius**2)
    Image.fromarray(shade).save(folder / f"{i}.png")
    sides = [(10.0, 0.0), (10.0, 60.0), (10.0, 120.0), (60.0, 20.0), (-10.0, 90.0), (45.0, 200.0)]
    for k in range(6):
        ball(folder / f"{i}/{k}.png", radius)
    frames = [{"transform_matrix": Camera.orbit(a, e).camera_to_world.tolist()} for e, a in [(10.0, FRONT), *sides]]
    entry = {"picture": f"{i}.png", "views": [f"{i}/{k}.png" for k in range(6)]}
    entry |= {
        "cameras": {"camera_angle_x": 0.7, "frames": frames},
        "licence": "CC0-1.0",
        "source": "made for this test",
    }
    return entry | {"author": "the test"} | more


def written(folder: Path, lines: list[dict]) -> Path:
    (folder / "items.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8")
    return folder


def run(folder: Path, weights: Path, **more: object) -> Curation:
    prior = PriorConfig(weights=str(weights))
    return curate(CurateConfig(data=str(folder), prior=prior, quiet=True, min_side_px=32, **more))


def kinds(found: Curation) -> dict[int, set[str]]:
    """Line -> kinds that were found, of lines where anything was."""
    return {item.line: {f.kind for f in item.findings} for item in found.items if item.findings}


@pytest.fixture
def clean(tmp_path: Path) -> list[dict]:
    """Six lines without a fault; their files lie in tmp_path."""
    return [line(tmp_path, i) for i in range(6)]
