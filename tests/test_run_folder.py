"""The folder of a run: whose it is by content and settings, what may change in it, and what overwrite removes."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from nerf2mesh.config import Config, load_config
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.types import Camera, Observations, View


def seen(level: float, **notes: object) -> Observations:
    view = View(torch.full((8, 8, 4), level), Camera.orbit(0.0, 10.0, width_px=8))
    return Observations((view,), notes={"warnings": [], **notes})


@cache
def composed(*overrides: str) -> Config:
    return load_config(["preset=tiny", *overrides])


def asked(folder: Path, *overrides: str) -> Config:
    return replace(deepcopy(composed(*overrides)), output_dir=str(folder))


def started(config: Config, observations: Observations) -> RunFolder:
    """The folder after a first checkpoint."""
    folder = RunFolder.open(config, (), observations)
    assert folder is not None
    (folder / "checkpoints/last.safetensors").touch()
    return folder


def test_other_views_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    config = asked(tmp_path)
    started(config, seen(0.25))
    RunFolder.open(config, (), seen(0.25))
    with pytest.raises(ValueError, match=r"observations: expected those of the run .* overwrite=true"):
        RunFolder.open(config, (), seen(0.5))


def test_a_changed_picture_is_refused_by_name_and_the_same_one_by_another_path_goes_on(tmp_path: Path) -> None:
    config = asked(tmp_path, "input.image=cup.png")
    started(config, seen(0.25, sha256="a" * 64))
    elsewhere = asked(tmp_path, "input.image=./pictures/cup.png")
    assert RunFolder.open(elsewhere, (), seen(0.25, sha256="a" * 64)).changed == {}
    saved_again = seen(0.25, sha256="b" * 64)  # other bytes that show the same, as a program that strips EXIF writes
    RunFolder.open(config, (), saved_again)
    with pytest.raises(ValueError, match=r"input\.image: expected what the run in .*, got cup\.png with other content"):
        RunFolder.open(config, (), seen(0.5, sha256="c" * 64))


@pytest.mark.parametrize("setting", ["lora.adapters", "prior.controlnet", "prior.ip_adapter"])
def test_changed_files_and_folders_are_refused_by_name(setting: str, tmp_path: Path) -> None:
    """A file, or a file deep in a folder, of the same size and name; a copy elsewhere is the same."""
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here, there):
        (place / "deep").mkdir(parents=True)
        (place / "deep/adapter_model.safetensors").write_bytes(b"weights")

    def named(place: Path) -> Config:
        value = f"[{place / 'deep/adapter_model.safetensors'}]" if setting == "lora.adapters" else str(place)
        return asked(tmp_path / "run", f"{setting}={value}")

    started(named(here), seen(0.25))
    RunFolder.open(named(there), (), seen(0.25))
    (there / "deep/adapter_model.safetensors").write_bytes(b"WEIGHTS")
    with pytest.raises(
        ValueError, match=rf"^{setting}.*: expected what the run in .* with other content; .*output_dir="
    ):
        RunFolder.open(named(there), (), seen(0.25))


def test_other_weights_of_the_prior_are_refused(tmp_path: Path) -> None:
    config = asked(tmp_path, "prior.weights=mine.safetensors")
    folder = started(config, seen(0.25))
    folder.settle(config, {"prior": {"file": "mine.safetensors", "sha256": "a"}})
    folder.settle(config, {"prior": {"file": "copy.safetensors", "sha256": "a"}})
    with pytest.raises(ValueError, match=r"prior\.weights=mine\.safetensors: expected the weights with which"):
        folder.settle(config, {"prior": {"file": "mine.safetensors", "sha256": "b"}})


def test_a_first_attempt_that_made_nothing_binds_nobody(tmp_path: Path) -> None:
    RunFolder.open(asked(tmp_path, "lora.adapters=[misspelt.safetensors]"), (), seen(0.25))
    RunFolder.open(asked(tmp_path, "optimize.rays=99"), (), seen(0.5))


def test_more_steps_schedules_mesh_and_report_go_on_and_are_recorded(tmp_path: Path) -> None:
    started(asked(tmp_path, "optimize.steps=4"), seen(0.25))
    more = ("optimize.steps=8", "optimize.lr_final_share=0.5", "distill.t_end=0.3", "mesh.resolution=32")
    changed = {name: pair[1] for name, pair in RunFolder.open(asked(tmp_path, *more), (), seen(0.25)).changed.items()}
    expected = {"optimize.steps": 8, "optimize.lr_final_share": 0.5, "distill.t_end": 0.3, "mesh.resolution": 32}
    assert changed == expected
    (record,) = json.loads((tmp_path / "changes.json").read_text("utf-8"))
    assert record["settings"]["optimize.steps"] == [4, 8]
    RunFolder.open(asked(tmp_path, *more, "report.quiet=true"), (), seen(0.25))
    assert len(json.loads((tmp_path / "changes.json").read_text("utf-8"))) == 2


@pytest.mark.parametrize("override", ["optimize.rays=99", "seed=3", "field.n_levels=3", "distill.n_views=3"])
def test_settings_that_make_another_run_are_refused_with_both_values(override: str, tmp_path: Path) -> None:
    started(asked(tmp_path), seen(0.25))
    name, _, value = override.partition("=")
    with pytest.raises(ValueError, match=rf"{name} was \d+, now {value}\); .*overwrite=true") as refused:
        RunFolder.open(asked(tmp_path, override), (), seen(0.25))
    assert "\n" not in str(refused.value)


def test_fewer_steps_are_refused(tmp_path: Path) -> None:
    started(asked(tmp_path, "optimize.steps=8"), seen(0.25))
    with pytest.raises(ValueError, match=r"optimize\.steps: expected 8 or more"):
        RunFolder.open(asked(tmp_path, "optimize.steps=4"), (), seen(0.25))


def test_overwrite_removes_the_other_run_alone_and_leaves_the_same_run(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept.txt").touch()
    run = tmp_path / "run"
    folder = started(asked(run), seen(0.25))
    for name in ("mesh.glb", "metrics.jsonl", "users own.txt"):
        (folder / name).touch()
    (folder / "previews").rmdir()
    (folder / "previews").symlink_to(tmp_path / "outside")
    same = replace(asked(run), overwrite=True)
    RunFolder.open(same, (), seen(0.25))
    assert (run / "checkpoints/last.safetensors").exists()
    RunFolder.open(same, (), seen(0.5))
    assert sorted(path.name for path in run.iterdir()) == sorted(
        ["checkpoints", "previews", "config.yaml", "overrides.yaml", "versions.json", "inputs.json", "users own.txt"]
    )
    assert not any((run / "checkpoints").iterdir()) and (tmp_path / "outside/kept.txt").exists()


def test_links_for_folders_are_refused_and_overwrite_removes_them(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("checkpoints", "previews", "adapters", "tensorboard", "wandb", ".scratch"):
        run = tmp_path / f"run {name}"
        run.mkdir()
        (run / name).symlink_to(tmp_path / "mine")
        with pytest.raises(ValueError, match=r"^output_dir: expected a folder .*, got a link, .*remove it"):
            RunFolder.open(asked(run), (), seen(0.25))
        RunFolder.open(replace(asked(run), overwrite=True), (), seen(0.25))
        assert not (run / name).is_symlink()
    assert not any((tmp_path / "mine").iterdir())


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    mine, run = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("mine", encoding="utf-8")
    started(asked(run), seen(0.25))
    left = (
        "mesh.glb.part",
        "report.html.part",
        "metrics.json.123.part",
        "checkpoints/last.safetensors.part",
        "wandb_id.part",
    )
    for name in left:
        (run / name).touch()
    (run / "previews/step_000010.png.part").symlink_to(mine)
    (run / ".scratch/n2m_unwrap_x").mkdir(parents=True)
    (run / ".scratch/n2m_unwrap_x/in.npz").symlink_to(mine)
    (run / "thesis.txt.part").touch()
    (run / "turntable.mp4.part").mkdir()
    RunFolder.open(asked(run), (), seen(0.25))
    kept = sorted(str(path.relative_to(run)) for path in run.rglob("*") if ".part" in path.name or "n2m" in path.name)
    assert kept == ["thesis.txt.part", "turntable.mp4.part"]
    assert mine.read_text("utf-8") == "mine" and not (run / ".scratch").exists()


@pytest.mark.parametrize("name", ["config.yaml", "inputs.json", "changes.json"])
@pytest.mark.parametrize("kind", ["damaged", "fifo", "link", "other type"])
def test_unusable_files_of_a_run_are_one_line_with_their_name(name: str, kind: str, tmp_path: Path) -> None:
    folder = started(asked(tmp_path / "run"), seen(0.25))
    path = folder / name
    path.unlink(missing_ok=True)
    made = {
        "damaged": lambda: path.write_text("{[", encoding="utf-8"),
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("/etc/hostname"),
        "other type": lambda: path.write_text('"text"', encoding="utf-8"),
    }
    made[kind]()
    with pytest.raises(ValueError, match=rf"{name}(: expected|; choose)") as refused:
        RunFolder.open(asked(folder.path, "optimize.steps=999"), (), seen(0.25))
    assert "\n" not in str(refused.value)


def test_a_name_in_a_strangers_list_of_inputs_stays_one_line(tmp_path: Path) -> None:
    folder = started(asked(tmp_path / "run"), seen(0.25))
    recorded = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    (folder / "inputs.json").write_text(json.dumps(recorded | {"\n\x1b[2J": "0"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^\\n\\x1b\[2J: expected what the run in .* got none") as refused:
        RunFolder.open(asked(folder.path), (), seen(0.25))
    assert str(refused.value).isprintable()
