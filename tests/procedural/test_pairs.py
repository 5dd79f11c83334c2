"""Pairs on disk: read back by the trainer's reader, seeds apart from training and validation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.exact import render_exact
from nerf2mesh.procedural.grammar import sample_scenes
from nerf2mesh.procedural.pairs import FAMILIES, PAIR_SEED, main, write_pairs
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera


@pytest.fixture(scope="module", params=[pytest.param("training", marks=pytest.mark.slow), "heldout"])
def families(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(families: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs")
    write_pairs(path, families=families, n=2, n_views=2, picture_px=64, view_px=64)
    return path


def test_the_trainer_reads_them_with_their_cameras(folder: Path, families: str) -> None:
    """What the reader makes of files and cameras is what the renderer shows from those cameras."""
    pairs, notes = read_pairs(folder)
    assert len(pairs) == 2 and not notes
    frames = load_pairs(pairs, 32, 2, seed=0)
    assert frames.images.shape == (2, 3, 4, 32, 32)
    entry = json.loads((folder / "items.jsonl").read_text().splitlines()[0])
    assert entry["licence"] == "Apache-2.0"
    assert entry["source"] == f"procedural seed {PAIR_SEED}, {families} families"
    scenes = sample_scenes([PAIR_SEED], FAMILIES[families])
    focal = (64 * frames.geometry.focal[:1])[..., None].expand(-1, -1, 2)
    cameras = Camera(frames.geometry.pose[:1], focal, torch.full_like(focal, 32.0), 64, 64)
    views = SceneRenderer().render(scenes, cameras[:, 1:])["rgba"][0, ..., 3]
    alpha = torch.cat([render_exact(scenes, cameras[0, :1])["alpha"], views])
    alpha = torch.nn.functional.avg_pool2d(alpha[:, None], 2)[:, 0]
    read = frames.images[0, :, 3].float() / 255
    error, aside = ((a - read).abs().mean((1, 2)) for a in (alpha, alpha.roll(1, -1)))
    assert float(error.max()) < 0.01
    assert bool((aside > 3 * error).all())  # one pixel aside is told apart


def test_seeds_are_apart(folder: Path) -> None:
    assert PAIR_SEED > 1 << 28 and PAIR_SEED + (1 << 28) < VALIDATION_SEED


def test_a_folder_of_pairs_is_not_written_over(folder: Path) -> None:
    with pytest.raises(ValueError, match="pairs"):
        main([str(folder)])
    with pytest.raises(ValueError, match="look"):
        write_pairs(folder / "new", look="oil")
