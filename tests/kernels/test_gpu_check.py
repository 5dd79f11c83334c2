"""What the parts for a GPU measure, without one: comparisons on the torch twins, timings at toy sizes."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks import step_time
from benchmarks.gpu import loop, parity, speed
from nerf2mesh.kernels import reference

from .compare import needs_native, small_layout


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
    found = speed.adam("cpu", log2_table_size=10, repeats=1)
    assert found["adam field: torch fused over ours"] > 0 and found["adam grid 16x2 T=2^10: ours over floor"] > 0
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
