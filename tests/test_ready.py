"""What would fail at the end of a run is refused before its first step."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import nerf2mesh
from nerf2mesh.config import load_config
from nerf2mesh.fields import HashGridField
from nerf2mesh.run import ready
from tests.test_fit_arguments import OVERRIDES, ball

Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_and_a_missing_package_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(["preset=tiny"])
    field = HashGridField(config.field, torch.Generator().manual_seed(0))
    ready.check_ready(config, field, None)
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: Usage(1, 1, 1 << 40))
    ready.check_ready(config, field, tmp_path)
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: Usage(1, 1, 1 << 20))
    with pytest.raises(ValueError, match=r"^output_dir: expected \d+ MB of free disk .* got 1 MB; free some space"):
        ready.check_ready(config, field, tmp_path)
    monkeypatch.setattr(ready, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"^mesh\.remesh: expected the package pyinstantmeshes"):
        ready.check_ready(load_config(["preset=tiny", "mesh.remesh=quad"]), field, None)


def test_provenance_is_made_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def about() -> dict[str, object]:
        raise TypeError("an entry of model_index.json is no list")

    prior = SimpleNamespace(about=about)
    guidance = SimpleNamespace(prior=prior, priors={"prior": prior})
    monkeypatch.setattr("nerf2mesh.run.fit.load_guidance", lambda *_: guidance)
    with pytest.raises(TypeError, match="model_index"):
        nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, output_dir=tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()
