"""A benchmark as a queue of jobs: what jobs there are, what comes of them, and that no table is ever half there."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from nerf2mesh.config import compose_config, to_dataclass
from nerf2mesh.evaluate.protocols import objects
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.cases import load_case, object_names, ring, spiral, with_views
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.sweep import bench, jobs
from nerf2mesh.sweep.bench import collect, make_launcher, run_bench, write_tables
from nerf2mesh.sweep.commands import COMMANDS
from nerf2mesh.sweep.config import BenchConfig, LaunchConfig
from nerf2mesh.sweep.origin import check_origin
from nerf2mesh.sweep.queue import Queue
from nerf2mesh.sweep.slurm import slurm_parameters
from nerf2mesh.sweep.worker import Context, Rules
from nerf2mesh.types import Camera
from tests.sweep.standin import Here, polls_often  # noqa: F401

SMALL = Settings(supersample=1, iou_resolution=16, surface_samples=200)


def small_case() -> Case:
    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.mesh.shapes import icosphere

    ball = icosphere(2, 0.6)
    colors = 0.5 + 0.5 * ball.vertices / 0.6
    return make_case("ball", TriangleMesh(ball.vertices, ball.faces, vertex_colors=colors), size_px=32, settings=SMALL)


def config(*overrides: str) -> BenchConfig:
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="bench_schema", node=BenchConfig)
    return to_dataclass(compose_config(list(overrides), name="bench"), BenchConfig)


def scored(method: str, name: str, seed: int, psnr: float) -> dict[str, object]:
    return asdict(Record(method, name, seed, {"psnr": psnr, "volume_iou": 0.5}, "", 10.0, 2**30))


def test_jobs_are_all_combinations_and_keep_their_names() -> None:
    c = config("objects=[spot,bob]", "seeds=[0,1,2]", "+vary.distill.weight=[1,2]", "+vary.prior=builtin")
    found = bench.jobs(c)
    assert len(found) == 2 * (1 + 2 * 3)
    fits = [p for p in found.values() if p["kind"] == "fit"]
    assert {tuple(p["overrides"]) for p in fits} == {
        ("preset=standard", f"distill.weight={w}", "prior=builtin") for w in (1, 2)
    }
    again = bench.jobs(config("objects=[bob]", "seeds=[1]", "+vary.distill.weight=[2]", "+vary.prior=builtin"))
    assert set(again) < set(found), "a part of a sweep is the same jobs"
    assert set(bench.jobs(config("objects=[spot]", "track=views4"))).isdisjoint(found)
    order = [(p["object"], p["kind"], p.get("seed")) for p in found.values()]
    assert order[:5] == [("spot", "baselines", None), *[("spot", "fit", 0)] * 2, ("bob", "baselines", None), order[4]]
    seeds = [seed for _, kind, seed in order if kind == "fit"]
    assert seeds == sorted(seeds), "an early stop leaves whole seeds, and every setting on the same objects"
    assert all(p["kind"] == "baselines" for p in bench.jobs(config("objects=[spot]", "fit=false")).values())


def test_methods_are_named_without_folders() -> None:
    def names(*overrides: str) -> list[str]:
        return [name for name, _ in bench.methods(config(*overrides))]

    assert names("+vary.prior.weights=/data/new.safetensors") == ["nerf2mesh standard prior.weights=new.safetensors"]
    assert names("+vary.prior.weights=[a/x.pt,b/x.pt]")[1].endswith("prior.weights=b/x.pt"), "unless they clash"
    (_, overrides), *_ = bench.methods(config("+vary.prior.weights=/data/new.safetensors"))
    assert "prior.weights=/data/new.safetensors" in overrides


def test_settings_that_cannot_be_are_refused() -> None:
    for override, said in (
        ("protocol=gso", "protocol: expected one of"),
        ("track=video", "track: expected one of"),
        ("objects=[cow]", "names out of spot, bob, avocado"),
        ("launch.workers=0", "an integer of 1 to 10,000"),
        ("n_objects=24", "n_objects: expected 0 .all. to 23, got 24"),
        ("launch.wait=false", "wait"),
        ("protocol=triposr", "data_dir"),
        ("seeds=[]", "a list of 1 to"),
        ("split=train", "split: expected one of heldout, outside, both"),
        ("protocol=procedural-heldout yaws=8", "yaws: expected 1, or more with protocol core and objects"),
        ("protocol=objects", "data_dir: expected the folder"),
        ("weights.clip=/nowhere", r"weights\.clip: expected a file or folder"),
    ):
        with pytest.raises(ValueError, match=said):
            bench.jobs(config(*override.split()))


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


def test_slurm_is_asked_for_what_the_configuration_says() -> None:
    c = config("launch=slurm", "launch.slurm.partition=gpu", "launch.slurm.gpus_per_node=1", "launch.slurm.time_min=90")
    found = slurm_parameters(c.launch)
    assert found["slurm_partition"] == "gpu" and found["timeout_min"] == 90 and found["gpus_per_node"] == 1
    assert found["slurm_additional_parameters"]["requeue"] is True


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


def test_what_an_attempt_left_does_not_fail_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged checkpoint is no failure of the method: the fit starts anew, and what was refused is kept."""

    class Known:
        mesh, render = small_case().mesh, None

    def fit(image: Path, *, overrides: list[str], output_dir: Path) -> type[Known]:
        if (output_dir / "checkpoints/last").exists():
            raise ValueError(f"checkpoint: expected one of this run, got {output_dir} (torn); remove it")
        return Known

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/last").write_text("torn")
    case = small_case()
    method = jobs.LibraryMethod(["preset=tiny"], tmp_path / "run")
    assert method(case.image, case.camera).mesh is Known.mesh and method.error is None
    assert (tmp_path / "run.refused/checkpoints/last").read_text() == "torn"


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


def test_a_job_hands_the_picture_on_and_scores_what_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, asked = small_case(), []

    class Known:
        mesh, render = case.mesh, None

    def fit(image=None, *, observations=None, overrides, output_dir):
        asked.append((image, observations, overrides, output_dir))
        return Known

    monkeypatch.setattr("nerf2mesh.api.fit", fit)
    monkeypatch.setattr(jobs, "load_case", lambda *_, **__: case)
    payload = {
        "protocol": "core",
        "track": "image",
        "data_dir": None,
        "dataset": "gso",
        "weights": {},
        "kind": "fit",
        "object": case.name,
        "method": "nerf2mesh tiny",
        "seed": 4,
        "overrides": ["preset=tiny"],
    }
    context = Context(tmp_path, 1, lambda words: None)
    (record,) = jobs.run_job(payload, context)["records"]
    assert record["metrics"]["chamfer"] == pytest.approx(0.0, abs=1e-6) and record["failed"] == ""
    image, _, overrides, folder = asked[0]
    assert image.is_file() and folder == tmp_path / "run" and "seed=4" in overrides and "preset=tiny" in overrides
    assert (tmp_path / "views" / "nerf2mesh tiny.png").is_file()
    json.dumps(record)

    def broken(*_, **__):
        raise RuntimeError("exploded")

    monkeypatch.setattr("nerf2mesh.api.fit", broken)
    with pytest.raises(RuntimeError, match="exploded"):
        jobs.run_job(payload, context)


def test_tracks_give_the_views_they_promise() -> None:
    case = small_case()
    four = with_views(case, 4)
    assert len(four.views) == 4 and torch.equal(four.views[0].image, case.image)
    turns = torch.stack([view.camera.azimuth_deg for view in four.views]) - case.camera.azimuth_deg
    assert torch.allclose(turns.remainder(360), torch.tensor([0.0, 90.0, 180.0, 270.0]), atol=1e-3)
    cameras = spiral(Camera.orbit(10.0, 20.0, width_px=32), 60)
    assert cameras.batch_shape == (60,) and float(cameras.elevation_deg[1:].min()) > -30.5
    assert float(cameras.elevation_deg.max()) < 60.5
    assert torch.allclose(cameras.position.norm(dim=-1), torch.tensor(3.2), atol=1e-4)
    gaps = torch.cdist(cameras.position, cameras.position).fill_diagonal_(9.0).min(dim=-1).values
    assert float(gaps[1:].min()) > 0.4, "nowhere two in one place"
    assert torch.allclose(ring(case.camera, 4).elevation_deg, case.camera.elevation_deg.expand(4), atol=1e-4)


def test_names_of_objects_and_what_is_missing(tmp_path: Path) -> None:
    assert object_names("core")[2:4] == ["avocado", "proc-00"] and len(object_names("core")) == 23
    assert object_names("core", ["proc-03"], track="text") == ["proc-03"]
    with pytest.raises(ValueError, match="expected names out of proc-00"):
        object_names("core", ["spot"], track="text")
    for protocol, track in (("t3bench", "image"), ("triposr", "text")):
        with pytest.raises(ValueError, match="expected text with t3bench"):
            object_names(protocol, track=track, data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="data_dir: expected a folder with"):
        object_names("triposr", data_dir=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"expected .* NAME/meshes/model\.obj"):
        object_names("syncdreamer-gso", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="data_dir"):
        load_case("instantmesh", "image", "x")


def test_commands_print_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    old = Results("core", tuple(Record("ours", f"o{k}", 0, {"psnr": 10.0 + k}) for k in range(8)), {}, "then")
    new = Results("core", tuple(Record("ours", f"o{k}", 0, {"psnr": 12.0 + k}) for k in range(8)), {}, "now")
    old.save(tmp_path / "old" / "results.json")
    new.save(tmp_path / "new" / "results.json")
    COMMANDS["compare"]([str(tmp_path / "old"), str(tmp_path / "new" / "results.json")])
    said = capsys.readouterr().out
    assert "+2.00" in said and "8 of 8" in said and "0.00781" in said, "p = 2 / 2^8"
    COMMANDS["latex"]([str(tmp_path / "new")])
    assert r"\toprule" in capsys.readouterr().out
    COMMANDS["published"](["syncdreamer-gso"])
    assert "Published, not measured here" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected one with printed figures"):
        COMMANDS["published"](["core"])
    with pytest.raises(ValueError, match=r"expected a folder with jobs\.json"):
        COMMANDS["status"]([str(tmp_path)])
    (tmp_path / "new" / "results.json").write_text('{"protocol": "core", "rec')
    with pytest.raises(ValueError, match="expected a file written by the benchmark"):
        COMMANDS["compare"]([str(tmp_path / "old"), str(tmp_path / "new")])


def test_every_launcher_is_known(tmp_path: Path) -> None:
    launcher = make_launcher(LaunchConfig(workers=2), tmp_path, 2)
    assert launcher.alive() == 0 and launcher.refusal() == ""
    with pytest.raises(ValueError, match="local, slurm, ray, joblib"):
        LaunchConfig(kind="pbs")
