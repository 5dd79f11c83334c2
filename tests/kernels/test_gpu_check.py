"""gpu-check without a GPU: its plan, its refusal, its comparisons on the torch twins, its timings at toy sizes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import step_time
from benchmarks.gpu import check, loop, parity, speed
from benchmarks.gpu.items import ITEMS, Item, NotRun
from nerf2mesh.kernels import reference

from .compare import needs_native, small_layout


def test_plan_names_every_item(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--plan"]) == 0
    shown = capsys.readouterr().out
    assert all(item.name in shown and item.what in shown for item in ITEMS)
    assert check.main(["--plan", "--only", "step,clock"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    with pytest.raises(SystemExit):
        check.main(["--only", "nonsense"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_says_in_one_line_that_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 2
    shown = capsys.readouterr().out.strip()
    assert "\n" not in shown and "no CUDA device" in shown and shown.endswith("clock")


def test_one_bad_item_neither_hides_nor_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict:
        raise NotRun("the package tinycudann is not installed")

    items = [
        Item("good", "", 0, lambda: {"ratio": 2.5}),
        Item("absent", "", 0, missing),
        Item("broken", "", 0, lambda: 1 / 0),
        Item("wrong", "", 0, lambda: {"ratio": 0.1, "failed": "beyond its bound"}),
    ]
    monkeypatch.setattr(check, "machine", lambda: {"device": "A GPU", "torch": "2"})
    assert check.run_all(items[:2], tmp_path / "a.json") == 0
    assert check.run_all(items, tmp_path / "b.json") == 1
    results = json.loads((tmp_path / "b.json").read_text())["items"]
    assert [r["status"] for r in results.values()] == ["ok", "not run", "failed", "failed"]
    assert "tinycudann" in results["absent"]["why"] and "ZeroDivisionError" in results["broken"]["why"]


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
def test_encoding_rows_see_a_difference(interpolation: str) -> None:
    layout = small_layout(interpolation=interpolation)
    same = parity.encoding_rows(layout, lambda x, p: reference.hash_grid_encode(x, p, layout), "cpu", 500)
    assert set(same) == {f"{n} {k}" for n in ("values", "to parameters", "to points") for k in ("99 %", "mean")}
    assert max(same.values()) < 1e-4
    other = parity.encoding_rows(layout, lambda x, p: reference.hash_grid_encode(x + 1e-2, p, layout), "cpu", 500)
    assert min(other[f"{name} 99 %"] for name in ("values", "to parameters", "to points")) > max(parity.BOUNDS.values())


def test_compositing_rows() -> None:
    found = parity.compositing_rows(reference.composite, "cpu")
    assert {"weights 99 %", "to colors mean", "distortion mean"} <= set(found) and max(found.values()) < 1e-4


def test_marching_rows_see_a_difference() -> None:
    assert parity.marching_rows(reference.march_rays, "cpu", 50)["march: known to one alone [share]"] < 1e-3
    other = partial(reference.march_rays, near=0.1)
    assert parity.marching_rows(other, "cpu", 50)["march: known to one alone [share]"] > 0.01


@needs_native
def test_speed_at_toy_sizes() -> None:
    found = speed.march_and_composite("cpu", rival="torch", n_rays=16, repeats=1)
    assert found["torch over ours"] > 0 and found["samples"] > 0
    assert "not run" in speed.march_and_composite("cpu", n_rays=16, repeats=1)["rival"]
    found = speed.whole_step("cpu", n_rays=16, repeats=1, log2_table_size=10, rival="torch")
    assert found["step [ms]"] > 0 and found["host synchronizations"] == 0 and "failed" not in found
    assert found["torch over ours"] > 0
    assert speed.mlp("cpu", sizes=(8,), repeats=1)["mlp n=2^8: over a fused kernel's floor"] > 0
    assert speed.encoding("cpu", sizes=(8,), tables=(10,), repeats=1)["encode 16x2 T=2^10 n=2^8: over floor"] > 0


def test_the_step_learns() -> None:
    torch.manual_seed(0)
    step = speed.Step("cpu", n_rays=64, log2_table_size=12)
    losses = [float(step()) for _ in range(12)]
    assert sum(losses[-3:]) < 0.98 * sum(losses[:3])
    torch.manual_seed(0)
    rival = speed.rival_step("cpu", "torch", 64, 12)
    assert [float(rival()) for _ in range(2)] == pytest.approx(losses[:2], rel=1e-3), "the same step"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(step_time.ARCHITECTURES))
def test_step_time_of_tiny_networks(name: str) -> None:
    found = step_time.measure(name, "cpu", [4], tiny=True, repeats=1)
    assert found[f"{name} 4x4: step [ms]"] == pytest.approx(
        sum(v for k, v in found.items() if k.endswith("[ms]") and "step" not in k)
    )
    assert 0 < found[f"{name}: network peak predicted [MiB]"] < 100


@pytest.mark.slow
def test_peaks_of_the_real_network_are_predicted() -> None:
    """Stable Diffusion 1.5's network has 860 million parameters, its VAE 84 million; both are there, in bfloat16."""
    found = step_time.predicted_peaks("sd15", tiny=False)
    weights = 2 * (860e6 + 84e6) / 2**20
    assert 1.01 * weights < found["network"] < 1.3 * weights
    assert found["vae"] > found["network"], "the encoder's graph at 512 px"


@pytest.mark.slow
def test_loop_is_measured() -> None:
    found = loop.measure("cpu", preset="preview", warm_up=1, steps=1)
    assert found["step [ms]"] > 0 and found["host synchronizations"] == 0
