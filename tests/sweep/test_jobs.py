"""What a job draws of a result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from nerf2mesh.evaluate.protocols.scoring import Prediction
from nerf2mesh.mesh.shapes import box
from nerf2mesh.sweep.jobs import TURNTABLES, VIEWS, _sheet, judge_digests
from tests.evaluate.test_results import case  # noqa: F401


def test_a_method_named_by_many_settings_has_pictures(tmp_path: Path, case) -> None:  # noqa: F811
    """Names of files end at 255 bytes; a method is named by all its settings."""
    method = "nerf2mesh " + " ".join(f"optimize.setting_{k}=value/{k}" for k in range(40))
    assert len(method) > 800
    _sheet(tmp_path, method, case, Prediction(mesh=box()))
    assert len(list((tmp_path / VIEWS).glob("*.png"))) == len(list((tmp_path / VIEWS / TURNTABLES).glob("*.jpg"))) == 1


def test_judges_are_known_by_what_their_files_hold(tmp_path: Path) -> None:
    """Scores are kept for sweeps of other folders, where the same relative path may be another file."""
    heads, clip = tmp_path / "heads.pth", tmp_path / "clip"
    clip.mkdir()
    heads.write_bytes(b"heads")
    for name in ("b.json", "a.safetensors"):
        (clip / name).write_text(name)
    wanted = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("heads", "a.safetensors", "b.json")}
    found = judge_digests(json.dumps({"lpips_alex": [str(heads)], "clip": str(clip)}))
    assert found == {"lpips_alex": [wanted["heads"]], "clip": [wanted["a.safetensors"], wanted["b.json"]]}
    assert judge_digests("{}") == {}
