"""What would not fit into memory is refused before anything is built, by the setting that asks for most of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import nerf2mesh
from nerf2mesh import cli
from nerf2mesh.config import Config, load_config
from nerf2mesh.fields import HashGridField
from nerf2mesh.run import memory_check
from tests.test_fit_arguments import OVERRIDES, ball

HUGE = {
    "field.log2_table_size": ["field.log2_table_size=28", "field.n_levels=20", "field.n_features=8"],
    "field.hidden": ["field.hidden=8192", "field.n_hidden=64"],
    "renderer.occupancy_resolution": ["renderer.occupancy_resolution=1024"],
    "renderer.samples_per_ray": ["renderer.samples_per_ray=65536", "optimize.rays=60000"],
    "optimize.rays": ["optimize.rays=100000000"],
    "distill.n_views": ["distill.n_views=1024", "distill.render_px=512"],
    "distill.render_px": ["distill.render_px=4096", "distill.supersample=8"],
    "prior.resolution": ["prior.resolution=4096", "distill.n_views=8"],
    "mesh.texture_size": ["mesh.texture_size=16384"],
    "report.turntable_frames": ["report.turntable_frames=10000", "report.turntable_size_px=4096"],
    "mesh.bake_views": ["mesh.bake_views=256", "mesh.bake_view_size_px=2048"],
}


@pytest.fixture
def eight_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "free_bytes", lambda _: 8_000_000_000)


@pytest.mark.parametrize("setting", HUGE)
def test_the_setting_that_asks_for_most_is_named(setting: str, eight_gb: None) -> None:
    with pytest.raises(
        ValueError, match=rf"^{re.escape(setting)}: expected .* into 8\.0 GB .* got at least .*; lower it$"
    ):
        memory_check.check_memory(load_config(["preset=tiny", *HUGE[setting]]), "cpu")


@pytest.mark.parametrize("overrides", [[], ["preset=high"], ["experiment=mvdream"], ["experiment=magic123"]])
def test_usual_runs_pass(overrides: list[str], eight_gb: None) -> None:
    memory_check.check_memory(load_config(overrides), "cpu")


def test_the_fields_part_is_what_the_field_has() -> None:
    config = Config()
    field = HashGridField(config.field)
    grid = 4 * 4 * field.encoding.params.numel()
    weights = 4 * 4 * sum(p.numel() for name, p in field.network.named_parameters() if name.endswith("weight"))
    needs = {need.setting: need.n_bytes for need in memory_check.during_optimization(config)}
    assert (needs["field.log2_table_size"], needs["field.hidden"]) == (grid, weights)


def test_a_run_is_refused_before_its_folder_is_made(tmp_path: Path, eight_gb: None) -> None:
    overrides = [*OVERRIDES, *HUGE["mesh.texture_size"], "mesh.texture=true"]
    with pytest.raises(ValueError, match=r"^mesh\.texture_size: "):
        nerf2mesh.fit(observations=ball(), overrides=overrides, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fields_that_were_set_afterwards_are_checked() -> None:
    config = load_config(OVERRIDES)
    config.distill.n_views = 0
    with pytest.raises(ValueError, match=r"^distill\.n_views: expected an integer of 1 to"):
        nerf2mesh.fit(observations=ball(), config=config)


def test_many_more_threads_than_cores_are_refused() -> None:
    memory_check.check_threads(64)
    with pytest.raises(ValueError, match=r"^threads: expected at most \d+ on this machine of \d+ cores, got 5000; "):
        memory_check.check_threads(5000)


def test_limits_of_a_container(tmp_path: Path) -> None:
    assert memory_check._control_group(tmp_path) == []
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("77\n")
    assert memory_check._control_group(tmp_path) == []
    (tmp_path / "memory.max").write_text("100\n")
    assert memory_check._control_group(tmp_path) == [23]
    assert 0 < memory_check.free_bytes("cpu") < 1 << 50


def test_running_out_of_memory_is_one_line() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert cli.user_message(caught.value) == (
        "out of memory (for 1,152,921,504.6 GB); lower renderer.memory_budget_bytes or take preset=preview"
    )
    assert "out of memory" in str(cli.user_message(MemoryError()))
