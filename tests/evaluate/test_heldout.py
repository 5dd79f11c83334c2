"""The set procedural-heldout: its truth against dense sampling, its cache, its bars, its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.solids import grid_axis
from nerf2mesh.evaluate.protocols.exact_cases import ExactTruth
from nerf2mesh.evaluate.protocols.heldout import HeldOut, drawn_case
from nerf2mesh.evaluate.protocols.procedural_objects import scene_in_canonical_frame, scene_mesh
from nerf2mesh.evaluate.protocols.scoring import Case, score
from nerf2mesh.evaluate.tables.margin_bars import MarginBar, margin_bars
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.sweep.bench import run_bench
from nerf2mesh.sweep.config import BenchConfig, LaunchConfig


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def case(cache: Path) -> Case:
    return HeldOut(n=1, cache=cache).case("s0000")


def test_solid_is_the_sign_of_the_distance(case: Case, cache: Path) -> None:
    scenes = HeldOut(n=1, cache=cache).scene("s0000")
    scenes = scene_in_canonical_frame(scenes, scene_mesh(scenes))
    pick = torch.randint(128, (20_000, 3), generator=torch.Generator().manual_seed(0))
    inside = scenes.distance(grid_axis(128).float()[pick][None])[0] < 0
    assert torch.equal(case.solid[tuple(pick.T)], inside)
    assert 0.02 < float(inside.float().mean()) < 0.5


def test_truth_scores_nearly_perfectly(case: Case) -> None:
    """The true mesh, unlit: what is missing is the scene's light and marching cubes' rounding."""
    scores = score(case, case.mesh)
    assert scores["volume_iou"] > 0.99 and scores["mask_iou"] > 0.99
    assert scores["psnr"] > 28 and scores["normal_error_deg"] < 2
    assert case.image.shape == (256, 256, 4) and case.truth.rgb.shape == (8, 128, 128, 3)


def test_a_case_is_made_once(case: Case, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExactTruth, "_truth", lambda *_: pytest.fail("rendered again"))
    again = HeldOut(n=5, cache=cache).case("s0000")
    assert torch.equal(again.image, case.image) and torch.equal(again.solid, case.solid)
    with pytest.raises(ValueError, match="s0004"):
        HeldOut(n=5, cache=cache).case("s0005")


def test_a_torn_cache_file_is_made_again(
    case: Case, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kept,) = (path for path in cache.glob("*.npz") if "-" not in path.stem)
    whole = kept.read_bytes()
    made = dict(np.load(kept))
    monkeypatch.setattr(ExactTruth, "_truth", lambda *_: made)
    for torn in (whole[: len(whole) // 2], b""):
        (tmp_path / kept.name).write_bytes(torn)
        again = HeldOut(n=1, cache=tmp_path).case("s0000")
        assert torch.equal(again.image, case.image)
        assert [p.name for p in tmp_path.iterdir()] == [kept.name] and np.load(tmp_path / kept.name)["faces"].size


def test_a_drawing_changes_the_picture_only(case: Case, cache: Path) -> None:
    drawn = HeldOut(n=1, look="line", cache=cache).case("s0000")
    assert torch.equal(drawn.image[..., 3], case.image[..., 3])
    assert torch.equal(drawn.truth.rgb, case.truth.rgb) and torch.equal(drawn.solid, case.solid)
    inside = drawn.image[drawn.image[..., 3] == 1]
    assert 0.5 < float((inside[:, :3] == 1).all(-1).float().mean()) < 0.98  # paper, and some ink
    ours = drawn_case(case, "line").image  # of the mesh: the same lines but for marching cubes' facets
    both = (ours[..., 3] == 1) & (drawn.image[..., 3] == 1)
    assert float((ours - drawn.image)[..., 0].abs()[both].mean()) < 0.1


def test_held_out_families_have_names_of_their_own(cache: Path) -> None:
    ours, other = HeldOut(n=2, cache=cache), HeldOut(n=2, families="heldout", cache=cache)
    assert other.names == ["h0000", "h0001"]
    assert not torch.equal(ours.scene("s0001").shapes, other.scene("h0001").shapes)
    with pytest.raises(ValueError, match="families"):
        HeldOut(families="both")


def test_margins_are_against_the_best_baseline_of_each_metric() -> None:
    def of(method: str, iou: float, psnr: float) -> list[Record]:
        return [Record(method, f"s{k}", 0, {"volume_iou": iou + 0.01 * k, "psnr": psnr}) for k in range(6)]

    records = [
        *of("ball", 0.5, 12.0),
        *of("copy", 0.3, 14.0),
        *of("mine", 0.62, 16.0),
        Record("ball", "x", 0, {"psnr": 99.0}),
    ]
    shape, picture = margin_bars(
        records, "mine", ["ball", "copy"], (MarginBar("volume_iou", 0.1), MarginBar("psnr", 2.5))
    )
    assert (shape.baseline, picture.baseline) == ("ball", "copy")
    assert shape.margin == pytest.approx(0.12) and shape.low == pytest.approx(0.12) and shape.met
    assert picture.margin == pytest.approx(2.0) and not picture.met
    assert str(shape).startswith("met ") and str(picture).startswith("MISSED") and "2.50" in str(picture)


@pytest.mark.slow
def test_two_workers_write_what_one_writes(tmp_path: Path) -> None:
    def sweep(name: str, workers: int) -> tuple[Record, ...]:
        launch = LaunchConfig(workers=workers)
        folder = str(tmp_path / name)
        run_bench(BenchConfig(protocol="procedural-heldout", n_objects=2, fit=False, output_dir=folder, launch=launch))
        return Results.load(tmp_path / name / "results.json").records

    one, two = sweep("one", 1), sweep("two", 2)
    key = {(r.method, r.object): r.metrics for r in two}
    assert len(one) == len(two) == 16
    for record in one:
        assert record.metrics == pytest.approx(key[record.method, record.object], rel=1e-5)
