"""The folder of a run whose views were handed over in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.config import load_config
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.types import Camera, Observations, View


def seen(level: float) -> Observations:
    return Observations((View(torch.full((8, 8, 4), level), Camera.orbit(0.0, 10.0, width_px=8)),))


def test_other_views_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    config = load_config(["preset=tiny", f"output_dir={tmp_path}"])
    RunFolder.open(config, (), seen(0.25))
    RunFolder.open(config, (), seen(0.25))
    with pytest.raises(ValueError, match="observations: expected those of the run"):
        RunFolder.open(config, (), seen(0.5))
