"""Records, statistics, tables, the gate and the command: closed forms, failures, and files that are not results."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.protocols.baselines import background, extruded_silhouette, named
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.names import NEW_FAMILIES, PROCEDURAL, groups
from nerf2mesh.evaluate.protocols.published import PUBLISHED, published_markdown
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.evaluate.tables import formats, tables
from nerf2mesh.evaluate.tables.comparison import report as compare_results
from nerf2mesh.evaluate.tables.gate import check, check_bars
from nerf2mesh.evaluate.tables.results import Record, Results, run_case
from nerf2mesh.evaluate.tables.statistics import bootstrap_interval, compare, estimate, sign_flip_p
from nerf2mesh.sweep import bench, commands, jobs
from nerf2mesh.sweep.config import BenchConfig
from tests.evaluate.shapes import animal
from tests.sweep.standin import Here, polls_often  # noqa: F401

QUICK = Settings(supersample=1, iou_resolution=32, surface_samples=500)


@pytest.fixture(scope="module")
def case() -> Case:
    """A creature under the name of a real object, which the bars are about."""
    return make_case("avocado", animal(), size_px=64, settings=QUICK)


def records(method: str, values: dict[str, float], key: str = "psnr", seed: int = 0) -> tuple[Record, ...]:
    return tuple(Record(method, name, seed, {key: value}) for name, value in values.items())


def test_failures_are_counted_with_the_background_score(case: Case) -> None:
    def broken(image: torch.Tensor, camera: object) -> object:
        raise RuntimeError("out of memory")

    failed = run_case("broken", broken, case)
    empty = run_case("empty", lambda image, camera: background(case).mesh, case)
    nothing = run_case("background", background, case, is_baseline=True)
    assert failed.failed == "RuntimeError: out of memory" and empty.failed == "empty mesh" and not nothing.failed
    assert failed.metrics == empty.metrics == nothing.metrics
    text = tables.report(Results("core", (failed, empty, nothing)), "broken", ["background"])
    assert "1 of 1" in text and "broken, avocado, seed 0: RuntimeError: out of memory" in text


def test_a_method_is_a_function_of_picture_and_camera(case: Case) -> None:
    seen = []

    def method(image: torch.Tensor, camera: object) -> object:
        seen.append((image.shape, float(camera.elevation_deg)))
        return extruded_silhouette(case).mesh

    record = run_case("mine", method, case)
    assert seen == [((64, 64, 4), pytest.approx(20))]
    assert not record.failed and record.seconds >= 0 and record.peak_memory_bytes > 0
    assert record.metrics == run_case("extruded", extruded_silhouette, case, is_baseline=True).metrics


def test_files_round_trip_and_refuse_others(tmp_path: Path) -> None:
    results = Results("core", records("a", {"x": 1.0}), {"cores": 2}, "2026-01-01")
    results.save(tmp_path / "deep" / "r.json")
    assert Results.load(tmp_path / "deep" / "r.json") == results
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["r.json"]
    (tmp_path / "half.json").write_text('{"protocol": "core", "records": [{"met')
    for name in ("half.json", "missing.json"):
        with pytest.raises(ValueError, match="results"):
            Results.load(tmp_path / name)


def test_merging_replaces_the_same_run() -> None:
    old = Results("core", records("a", {"x": 1.0, "y": 2.0}))
    new = old.merged(Results("core", records("a", {"x": 5.0})))
    assert sorted(r.metrics["psnr"] for r in new.records) == [2.0, 5.0]


def test_seeds_are_averaged_before_objects() -> None:
    runs = (*records("a", {"x": 1.0, "y": 5.0}), *records("a", {"x": 3.0}, seed=1))
    assert estimate(runs, "a", "psnr").mean == pytest.approx((2.0 + 5.0) / 2)
    assert math.isnan(estimate(runs, "a", "psnr").low)


def test_bootstrap_interval_covers_like_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    low, high = bootstrap_interval(values)
    error = 1.96 * values.std() / math.sqrt(400)
    assert [low, high] == pytest.approx([values.mean() - error, values.mean() + error], abs=0.01)


def test_seeds_widen_the_interval_as_theory_says() -> None:
    """Two-level resampling: variance of the mean = (between + (s - 1) / s within / s) / n, s seeds of n objects."""
    rng, n, seeds = np.random.default_rng(1), 300, 4
    clusters = list(rng.normal(0.0, 1.0, (n, 1)) + rng.normal(0.0, 2.0, (n, seeds)))
    between = np.var([c.mean() for c in clusters])
    within = np.mean([c.var() for c in clusters])
    low, high = bootstrap_interval(clusters)
    assert (high - low) / (2 * 1.96) == pytest.approx(math.sqrt((between + within / seeds) / n), rel=0.05)
    once = bootstrap_interval([c.mean() for c in clusters])
    assert high - low > once[1] - once[0]
    uneven = [*clusters[:20], np.array([1.0])]
    assert all(math.isfinite(v) for v in bootstrap_interval(uneven))
    twins = bootstrap_interval(clusters, [c + 1.0 for c in clusters])
    assert twins[0] < -1.0 < twins[1], "a paired difference"


def test_what_seeds_move_is_pooled_within_objects() -> None:
    runs = tuple(Record("a", name, k, {"psnr": v}) for name, vs in {"x": (1.0, 3.0), "y": (10.0, 10.0)}.items()
                 for k, v in enumerate(vs))  # fmt: skip
    assert estimate(runs, "a", "psnr").seed_sd == pytest.approx(math.sqrt((2.0 + 0.0) / 2))
    assert math.isnan(estimate(runs[:1], "a", "psnr").seed_sd)
    assert tables.seed_rows(runs)[1] == [["a", "1.00"]] and tables.seed_rows(runs[::2])[1] == []


def test_means_are_given_for_each_kind_of_object() -> None:
    names = ["spot", "bob", *PROCEDURAL]
    runs = records("mine", {n: 10.0 if n in PROCEDURAL else 20.0 for n in names})
    results = Results("core", runs)
    means = {row["part"]: row["mean"] for row in tables.summary_rows(results)}
    assert means["Mean over real (2)"] == 20.0 and means["Mean over procedural (20)"] == 10.0
    assert means["Mean over objects (22)"] == pytest.approx((2 * 20 + 20 * 10) / 22)
    assert len(groups("core", names)["procedural, new families"]) == len(NEW_FAMILIES)
    assert groups("core", ["spot", "bob"]) == groups("triposr", names) == {}
    text = tables.report(results, "mine", [])
    assert "## Mean over real (2)" in text and "bootstrap over objects and over the seeds" in text
    assert "| proc-19 " in text and "## proc-19" not in text, "many objects: a line each"
    lines = list(csv.DictReader(formats.rows_csv(tables.summary_rows(results)).splitlines()))
    assert float(lines[0]["mean"]) == pytest.approx(240 / 22) and lines[0]["seed_sd"] == ""
    assert tables.latex_means(results).count("Mean over") == 4 and "% Means are over" in tables.latex_means(results)


def test_sign_flips_equal_the_exact_count() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)
    assert sign_flip_p(np.ones(10)) == pytest.approx(2 / 1024)
    assert sign_flip_p(np.array([1.0, -1.0])) == 1.0
    assert sign_flip_p(np.full(30, 0.5)) < 1e-3


def test_comparison_knows_the_direction() -> None:
    runs = (*records("a", {"x": 0.1, "y": 0.4}, "chamfer"), *records("b", {"x": 0.2, "y": 0.3}, "chamfer"))
    found = compare(runs, "a", "b", "chamfer")
    assert found.n_won == 1 and found.margin == pytest.approx(0.0)


def test_tables_print_every_margin() -> None:
    runs = (*records("mine", {"x": 12.0, "y": 9.0}), *records("background", {"x": 10.0, "y": 10.0}))
    heading, rows = tables.margin_rows(runs, "mine", ["background"])
    assert heading == ["object", "against", "PSNR [+]"]
    assert rows == [["x", "background", "+2.00 won"], ["y", "background", "-1.00 lost"]]
    margins = json.loads(formats.margins_json(runs, "mine", ["background"]))
    assert [(m["margin"], m["won"]) for m in margins] == [(2.0, True), (-1.0, False)]
    lines = list(csv.DictReader(formats.csv_text(runs).splitlines()))
    assert len(lines) == 4 and float(lines[0]["psnr"]) == 12.0
    assert r"\toprule" in formats.latex(heading, ("", rows)) and "F@0.05\\_x" in formats.latex(["F@0.05_x"])


def test_a_published_convention_shows_its_thresholds_and_its_floor() -> None:
    scores = {"chamfer": 0.1, "chamfer_floor": 0.004, "f_score_0.1": 0.3, "f_score_0.5": 0.9}
    heading, rows = tables.mean_rows([Record("mine", "x", 0, scores)])
    assert heading[1:5] == ["Chamfer [-]", "Chamfer floor [-]", "F@0.1 [+]", "F@0.5 [+]"] and rows[0][2] == "0.0040"


def test_gate_minds_direction_and_tolerance() -> None:
    committed = Results("core", (*records("m", {"x": 15.0}), *records("m", {"x": 0.2}, "chamfer", 1)))
    good = Results("core", (*records("m", {"x": 14.6}), *records("m", {"x": 0.1}, "chamfer", 1)))
    bad = Results("core", (*records("m", {"x": 14.4}), *records("m", {"x": 0.22}, "chamfer", 1)))
    assert all(v.passed for v in check(good, committed, baselines=[]))
    assert not any(v.passed for v in check(bad, committed, baselines=[]))
    assert not all(v.passed for v in check(good, committed, baselines=["m"]))
    missing = Results("core", records("m", {"x": 15.0}))
    assert [v.metric for v in check(missing, committed, baselines=[]) if not v.passed] == ["chamfer"]
    with pytest.raises(ValueError, match="none"):
        check(Results("core", records("other", {"x": 1.0})), committed, baselines=[])


def test_committed_baselines_are_there() -> None:
    committed = Results.load(Path(__file__).parents[2] / "benchmarks" / "results" / "core.json")
    names = {(r.method, r.object) for r in committed.records}
    for baseline in ("background", "copied input", "sphere", "extruded silhouette"):
        assert {(baseline, o) for o in ("spot", "bob", "avocado")} <= names


def test_command_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, capsys: pytest.CaptureFixture
) -> None:
    """A sweep of one object whose fit is a stand-in, then its figures kept, and the gate passed and failed."""

    class Fitted:
        mesh, render = extruded_silhouette(case).mesh, None

    monkeypatch.setattr(jobs, "load_case", lambda *_, **__: case)
    monkeypatch.setattr(bench, "make_launcher", Here)
    monkeypatch.setattr(bench, "require_meshes", lambda *_: None)
    monkeypatch.setattr("nerf2mesh.api.fit", lambda *_, **__: Fitted)
    committed = tmp_path / "committed" / "core.json"

    def sweep(name: str, *seeds: int, baselines: bool = True) -> str:
        folder = str(tmp_path / name)
        bench.run_bench(BenchConfig(objects=("avocado",), seeds=seeds, baselines=baselines, output_dir=folder))
        return folder

    commands.merge([sweep("out", 0), str(committed)])
    commands.merge([sweep("out", 0, 1), str(committed)])
    commands.gate([str(tmp_path / "out"), str(committed)])
    printed = capsys.readouterr().out
    assert "Margins of nerf2mesh standard" in printed and "gate: " in printed
    assert "nerf2mesh standard: MISSED PSNR above copied input on 3 real objects" in printed
    assert len(Results.load(committed).records) == 8 + 2
    assert "What seeds move" in committed.with_suffix(".md").read_text()
    monkeypatch.setattr(Fitted, "mesh", background(case).mesh)
    with pytest.raises(SystemExit) as left:
        commands.gate([sweep("worse", 0, baselines=False), str(committed)])
    assert left.value.code == 1
    assert "FAIL nerf2mesh standard, avocado, volume_iou" in capsys.readouterr().out
    for name in ("results.json", "results.csv", "means.csv", "means.json", "margins.json", "table.md", "table.tex"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    page = (tmp_path / "out" / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 1 + 8 + 1 + 1 and "http" not in page
    assert '<td class="won">' in page and "<h3>avocado</h3>" in page and "What seeds move" in page


def test_a_sweep_of_real_objects_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder with spot/spot\.obj, got none; run nerf2mesh-bench"):
        bench.run_bench(BenchConfig(objects=("proc-00", "spot"), output_dir=str(tmp_path / "sweep")))
    assert not (tmp_path / "sweep").exists()


def test_names_are_words() -> None:
    assert list(named([extruded_silhouette])) == ["extruded silhouette"]


def test_comparison_of_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    names = [f"o{k}" for k in range(8)]
    old = Results("core", records("m", {n: 10.0 + k for k, n in enumerate(names)}), created="before")
    new = Results("core", records("m", {n: 11.0 + k for k, n in enumerate(names)}), created="after")
    old.save(tmp_path / "old" / "results.json")
    new.save(tmp_path / "new.json")
    commands.compare([str(tmp_path / "old"), str(tmp_path / "new.json")])
    printed = capsys.readouterr().out
    assert "+1.00" in printed and "0.00781" in printed and "8 of 8" in printed
    with pytest.raises(ValueError, match=r"gone\.json"):
        commands.compare([str(tmp_path / "old"), str(tmp_path / "gone.json")])
    with pytest.raises(ValueError, match="one protocol"):
        compare_results(old, Results("triposr", new.records))


def test_published_figures_are_marked() -> None:
    text = published_markdown("syncdreamer-gso")
    assert text.count("Published, not measured here") == 2 and "| 0.0261 " in text
    assert published_markdown("core") == ""
    assert all(len(values) == len(t.columns) for t in PUBLISHED for _, values in t.rows)


def test_bars_say_what_a_result_is_good_for() -> None:
    base = (
        *records("background", {"spot": 10.0, "bob": 10.0, "avocado": 10.0, "proc-00": 10.0}),
        *records("copied input", {"spot": 11.0, "bob": 11.0, "avocado": 11.0, "proc-00": 11.0}),
    )
    results = Results("core", (*base, *records("mine", {"spot": 12.0, "bob": 10.5, "avocado": 12.0, "proc-00": 12.0})))
    lines = check_bars(results, "mine")
    assert [met for met, _ in lines] == [True, False, False]
    assert "MISSED PSNR above copied input on 3 real objects: 2 of 3" in lines[1][1]
    assert check_bars(Results("triposr", base), "mine") == []
