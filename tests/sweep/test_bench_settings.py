"""Settings of a benchmark: which jobs, which methods, which launcher; what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nerf2mesh.sweep import bench
from nerf2mesh.sweep.bench import make_launcher
from nerf2mesh.sweep.config import LaunchConfig
from nerf2mesh.sweep.slurm import slurm_parameters
from tests.sweep.small_bench import config


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


def test_slurm_is_asked_for_what_the_configuration_says() -> None:
    c = config("launch=slurm", "launch.slurm.partition=gpu", "launch.slurm.gpus_per_node=1", "launch.slurm.time_min=90")
    found = slurm_parameters(c.launch)
    assert found["slurm_partition"] == "gpu" and found["timeout_min"] == 90 and found["gpus_per_node"] == 1
    assert found["slurm_additional_parameters"]["requeue"] is True


def test_every_launcher_is_known(tmp_path: Path) -> None:
    launcher = make_launcher(LaunchConfig(workers=2), tmp_path, 2)
    assert launcher.alive() == 0 and launcher.refusal() == ""
    with pytest.raises(ValueError, match="local, slurm, ray, joblib"):
        LaunchConfig(kind="pbs")
