"""The files behind a sweep's results: figures of old weights never pass for new ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nerf2mesh.sweep.origin import check_origin


def test_results_of_other_weights_are_not_taken_over(tmp_path: Path) -> None:
    folder, weights = tmp_path / "sweep", tmp_path / "w.safetensors"
    weights.write_text("old")
    settings = ["preset=tiny", f"prior.weights={weights}"]
    check_origin(folder, [settings])
    check_origin(folder, [settings, ["preset=tiny"]])
    assert set(json.loads((folder / "origin.json").read_text())) == {settings[1], "the packaged prior"}
    weights.write_text("newer")
    check_origin(folder, [settings])  # nothing has been made with the old ones
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("{}")
    check_origin(folder, [settings], manifest)
    (folder / "results").mkdir()
    (folder / "results" / "job.json").write_text("{}")
    manifest.write_text("{} ")
    with pytest.raises(ValueError, match=r"present the manifest of data_dir"):
        check_origin(folder, [settings], manifest)
    weights.write_text("new")
    with pytest.raises(ValueError, match=r"present prior\.weights="):
        check_origin(folder, [settings])
    (folder / "origin.json").write_text("{")
    with pytest.raises(ValueError, match=r"origin\.json"):
        check_origin(folder, [settings])
    (folder / "origin.json").unlink()
    with pytest.raises(ValueError, match="not noted"):
        check_origin(folder, [settings])
