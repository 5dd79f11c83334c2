"""A benchmark as a queue of jobs: what comes of them, and that no table is ever half there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nerf2mesh.evaluate.protocols import objects
from nerf2mesh.evaluate.tables.results import Results
from nerf2mesh.sweep import bench, jobs
from nerf2mesh.sweep.bench import collect, run_bench, write_tables
from nerf2mesh.sweep.origin import check_origin
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.worker import Context, Rules
from tests.sweep.small_bench import config, scored, small_case
from tests.sweep.standin import Here, polls_often  # noqa: F401


def test_two_settings_meet_on_the_same_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Balls as objects, balls of two sizes as fits: IoU is the cube of the radii's ratio, and says so beside before."""
    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.mesh.shapes import icosphere
    from tests.objects.files import pack, two_colored_ball, write_manifest

    names = [f"{split}{k}.npz" for split in ("heldout", "outside") for k in range(2)]
    for name in names:
        pack(tmp_path / name, two_colored_ball(2))
    write_manifest(tmp_path, [{"file": name, "split": name[:7], "kind": "ball"} for name in names])

    def fit(image, *, overrides, output_dir):
        ball = icosphere(3, 0.9 * float(next(s for s in overrides if "weight=" in s).partition("=")[2]))

        class Result:
            mesh, render = TriangleMesh(ball.vertices, ball.faces), None

        return Result

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    monkeypatch.setattr(bench, "make_launcher", Here)
    monkeypatch.setattr(objects, "SETTINGS", replace(objects.SETTINGS, surface_samples=200, iou_resolution=48))
    c = config(
        *("protocol=objects", f"data_dir={tmp_path}", "per_split=2", "baselines=false", "seeds=[0]"),
        *("+vary.distill.weight=[0.5,0.8]", f"output_dir={tmp_path / 'out'}"),
    )
    run_bench(replace(c, only_tables=True))
    assert "0 of 4 cases are done" in capsys.readouterr().out, "nothing was started"
    run_bench(c)
    said = capsys.readouterr().out
    assert "4 of 4 cases are done" in said and "Outside, of other sources: 2 objects" in said
    after = said.split("distill.weight=0.8 against")[1]
    row = next(line for line in after.splitlines() if line.startswith("| volume IoU"))
    first, other = (float(cell) for cell in row.split("|")[2:4])
    assert first == pytest.approx(0.5**3, abs=0.02) and other == pytest.approx(0.8**3, abs=0.04)
    assert "2 of 2" in row
    assert len(list((tmp_path / "out" / "truth").glob("objects-*.npz"))) == 1, "equal meshes share their truth"
    assert (tmp_path / "out" / "page.html").read_text().count('class="turn"') == 8, "four objects, two settings"


def test_results_become_tables_and_failures_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job done twice over, one given up: its record has the background's scores and says why."""
    case = small_case()
    monkeypatch.setattr(bench, "object_names", lambda *_, **__: [case.name])
    monkeypatch.setattr(jobs, "load_case", lambda *_, **__: case)
    c = config("seeds=[0,1]", "baselines=false", f"output_dir={tmp_path}", "price_per_hour=36")
    queue = Queue.create(tmp_path, bench.jobs(c), retries=0)
    claims = [queue.claim("w"), queue.claim("w")]
    queue.finish(claims[0], "w", {"records": [scored("nerf2mesh standard", case.name, 0, 20.0)]})
    queue.fail(claims[1], "w", "ValueError: no surface")
    results = collect(queue, c)
    assert [bool(r.failed) for r in results.records] == [False, True]
    assert "no surface" in results.records[1].failed and results.records[1].metrics["volume_iou"] == 0.0
    text = write_tables(tmp_path, queue, c)
    assert "1 of 2" in text and "0.0500" in text.split("## Price")[1], "5 s on average at 36 an hour"
    for name in ("results.json", "table.md", "table.tex", "results.csv", "means.csv", "margins.json", "page.html"):
        assert (tmp_path / name).stat().st_size > 0
    assert Results.load(tmp_path / "results.json").records == results.records
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "no part files are left"


def test_a_finished_sweep_starts_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = small_case()
    monkeypatch.setattr(bench, "object_names", lambda *_, **__: [case.name])
    c = config("seeds=[0]", "baselines=false", f"output_dir={tmp_path}")
    check_origin(tmp_path, [settings for _, settings in bench.methods(c)])
    queue = Queue.create(tmp_path, bench.jobs(c))
    queue.finish(queue.claim("w"), "w", {"records": [scored("nerf2mesh standard", case.name, 0, 20.0)]})
    monkeypatch.setattr(bench, "make_launcher", lambda *_: pytest.fail("a launcher was made"))
    assert run_bench(c) == tmp_path
    assert Rules.load(tmp_path).retries == c.launch.retries


def damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    at = data.index(b"20.0")
    kinds = {"cut": data[: len(data) // 2], "empty": b"", "one digit": data[:at] + b"30.0" + data[at + 4 :]}
    path.unlink() if kind == "gone" else path.write_bytes(kinds[kind])


@pytest.mark.parametrize("kind", ["cut", "empty", "one digit", "gone"])
def test_a_damaged_result_is_made_again(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job runs once more, the tables have all records, and the summary says what happened."""
    case, made = small_case(), []

    def run_job(payload: dict, context: Context) -> dict:
        made.append(payload["seed"])
        return {"records": [scored("nerf2mesh standard", case.name, payload["seed"], 20.0)]}

    monkeypatch.setattr(bench, "object_names", lambda *_, **__: [case.name])
    monkeypatch.setattr(bench, "make_launcher", Here)
    monkeypatch.setattr(jobs, "run_job", run_job)
    c = config("seeds=[0,1]", "baselines=false", f"output_dir={tmp_path}")
    run_bench(c)
    table = (tmp_path / "results.csv").read_text()
    damage(sorted((tmp_path / "results").iterdir())[0], kind)
    run_bench(c)
    assert len(made) == 3 and (tmp_path / "results.csv").read_text() == table
    assert "its result was damaged or missing, and is made again" in (tmp_path / "summary.md").read_text()
    damage(sorted((tmp_path / "results").glob("*.json"))[0], kind)
    with pytest.raises(ValueError, match=r"results/.*\.json: expected the result of a job that is done"):
        write_tables(tmp_path, Queue(tmp_path), c)
    assert (tmp_path / "results.csv").read_text() == table, "no table is written over by a part of it"
