"""Every recipe composes, and runs three steps on tiny models: the prior named, its model replaced by a tiny folder.

The models have random weights and are made from configurations: this proves that the parts fit, nothing about quality.
"""

import json
from pathlib import Path

import pytest
import torch

import nerf2mesh
from nerf2mesh.config import load_config
from nerf2mesh.report import write_json
from nerf2mesh.utils.checkpoint import read_checkpoint
from tests.priors import tiny

RECIPES = {
    "dreamfusion_sd": "sd",
    "prolificdreamer": "sd",
    "stable_zero123": "zero123",
    "magic123": "sd",
    "mvdream": "mvdream",
    "sdi": "sd",
    "rfds_sd3": "sd3",
    "rfds_rev_sd3": "sd3",
    "mv_sdi": "sd",
    "csd_if": "if",
    "nfsd_sd": "sd",
    "ism_sd": "sd",
    "asd_sd": "sd",
    "sjc_sd": "sd",
    "hifa_sd": "sd",
    "bsd_sd": "sd",
    "dds_sd": "sd",
}
"""Recipe to the tiny model that stands in."""
FAST = ("dreamfusion_sd", "prolificdreamer", "magic123", "rfds_sd3")
SMALL = [
    *("optimize.steps=3", "optimize.rays=64", "optimize.regularizer_samples=32", "optimize.log_every=1"),
    *("optimize.preview_every=3", "optimize.preview_size_px=16", "optimize.checkpoint_every=3"),
    *(
        "field.n_levels=2",
        "field.start_levels=2",
        "field.log2_table_size=8",
        "field.hidden=16",
        "field.color_hidden=16",
    ),
    *("renderer.samples_per_ray=24", "renderer.occupancy_resolution=16", "distill.supersample=1"),
    *("prior.resolution=16", "prior.network_resolution=null", "prior.precision=float32", "prior.checkpointing=false"),
    "distill.milestone_px=[]",
    *("input.size_px=32", "report.quiet=true", "report.html=false", "threads=1"),
]
WITH_PICTURE = ("stable_zero123", "bsd_sd", "magic123")
CONSTANTS = {
    "dreamfusion_sd": {"distill.guidance_scale": 101.0, "optimize.steps": 10000, "distill.weighting": "sds"},
    "prolificdreamer": {"distill.guidance_scale": 7.5, "optimize.steps": 25000, "distill.loss": "vsd"},
    "stable_zero123": {"distill.guidance_scale": 3.0, "optimize.steps": 600, "input.fov_deg": 20.0},
    "magic123": {"distill.guidance_scale": 100.0, "distill.t_high": (0.6, 0.6), "distill.weighting": "one_minus_alpha"},
    "mvdream": {"distill.guidance_scale": 50.0, "distill.n_views": 4, "distill.guidance_rescale": 0.5},
    "sdi": {"distill.guidance_scale": 7.5, "distill.inversion_scale": -7.5, "distill.weight": 1.0},
    "rfds_sd3": {"distill.guidance_scale": 100.0, "optimize.steps": 15000, "distill.t_high": (0.7, 0.7)},
    "rfds_rev_sd3": {"distill.guidance_scale": 100.0, "distill.loss": "rfds_rev", "optimize.steps": 15000},
    "mv_sdi": {"distill.n_views": 2, "distill.antithetic": True, "distill.perp_neg": True, "optimize.steps": 5000},
    "nfsd_sd": {"distill.guidance_scale": 7.5, "distill.loss": "nfsd", "prior.name": "sd21-base"},
    "ism_sd": {"distill.guidance_scale": 7.5, "distill.loss": "ism", "optimize.steps": 5000},
    "csd_if": {"distill.loss": "csd", "prior.name": "deepfloyd-if-xl", "distill.n_views": 4},
}
"""What a recipe must still say after inheritance: guidance in uncond + s (cond - uncond)."""


def test_every_recipe_is_listed() -> None:
    folder = Path(__file__).resolve().parents[1] / "configs" / "experiment"
    own = {"demo", "photos", "few_photos", "refine", "drawing", "frames"}
    assert {path.stem for path in folder.glob("*.yaml")} == {*RECIPES, *own}


@pytest.mark.parametrize("recipe", [r if r in CONSTANTS else pytest.param(r, marks=pytest.mark.slow) for r in RECIPES])
def test_recipe_composes_with_its_constants(recipe: str) -> None:
    config = load_config([f"experiment={recipe}"])
    assert config.lora.subject is False and config.prior.name != "builtin"
    for key, wanted in CONSTANTS.get(recipe, {}).items():
        room, name = key.split(".")
        assert getattr(getattr(config, room), name) == wanted, key


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def run(recipe: str, models: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[dict]:
    """Three steps of the whole way but the mesh; the lines of metrics.jsonl."""
    kind = RECIPES[recipe]
    model = models / kind if (models / kind).exists() else tiny.write(kind, models / kind)

    def finish(result, prior, origin, folder, clock, refining=None) -> None:
        write_json(folder / "priors.json", origin["weights"])

    monkeypatch.setattr("nerf2mesh.run.fit.finish", finish)
    monkeypatch.setenv("NERF2MESH_CACHE", str(models / "cache"))
    prompt = [] if recipe == "stable_zero123" else ["input.prompt=a red cat"]
    overrides = [f"experiment={recipe}", *SMALL, f"prior.model={model}", f"prior.cache_dir={models / 'cache'}", *more]
    image = nerf2mesh.inputs.demo_picture() if recipe in WITH_PICTURE else None
    if recipe == "magic123":
        other = tiny.write("zero123", models / "second") if not (models / "second").exists() else models / "second"
        overrides += [f"second.prior.{key.removeprefix('prior.')}" for key in SMALL if key.startswith("prior.")]
        overrides += [f"second.prior.model={other}", f"second.prior.cache_dir={models / 'cache'}"]
    nerf2mesh.fit(image, overrides=[*overrides, *prompt], output_dir=folder)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("recipe", [r if r in FAST else pytest.param(r, marks=pytest.mark.slow) for r in RECIPES])
def test_recipe_runs_three_steps(recipe: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = []
    if recipe == "dds_sd":
        run("dreamfusion_sd", models, tmp_path / "source", monkeypatch)
        more = [f"distill.source={tmp_path / 'source/checkpoints/last.safetensors'}", "input.negative_prompt=a cat"]
    lines = run(recipe, models, tmp_path / "run", monkeypatch, *more)
    assert [line["step"] for line in lines] == [1, 2, 3]
    numbers = torch.tensor([[line["distill/gradient"], line["health/gradient"]] for line in lines])
    assert numbers.isfinite().all() and (numbers > 0).all()
    made_of = json.loads((tmp_path / "run/priors.json").read_text())
    if recipe == "magic123":
        assert [about["family"] for about in made_of.values()] == ["sd", "zero123"]
        assert all(line["second/distill/gradient"] > 0 for line in lines)
    last = read_checkpoint(tmp_path / "run/checkpoints/last.safetensors")
    assert all(value.isfinite().all() for value in last["field"].values() if value.is_floating_point())


@pytest.mark.slow
def test_style_subject_and_phi_in_one_run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ProlificDreamer with a picture: a kohya style, a subject fitted twice, phi learning on top."""
    from nerf2mesh.lora import export_adapter
    from nerf2mesh.lora.adapters import attach, train_only
    from nerf2mesh.priors import PriorConfig, load_prior

    model = models / "sd" if (models / "sd").exists() else tiny.write("sd", models / "sd")
    network = load_prior(PriorConfig(model=str(model), precision="float32")).network
    attach(network, "ink", 3)
    with torch.no_grad():
        for i, p in enumerate(train_only(network, "ink")):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    file = export_adapter(tmp_path / "ink.safetensors", network, "ink", "kohya")
    picture = f"input.image={nerf2mesh.inputs.demo_picture()}"
    adapted = ["lora.subject=true", "lora.steps=2", "lora.rank=2", "lora.refresh_at=0.34", f"lora.adapters=[{file}]"]
    runs = []
    for name, more in (("whole", []), ("plain", ["lora.adapters=[]"])):
        lines = run("prolificdreamer", models, tmp_path / name, monkeypatch, picture, *adapted, *more)
        assert all(line["distill/phi"] > 0 for line in lines)
        runs.append(read_checkpoint(tmp_path / name / "checkpoints/last.safetensors"))
    assert (tmp_path / "whole/adapters/subject.safetensors").is_file()
    assert {"phi"} <= set(runs[0]["parts"]["distiller"])
    assert any(not torch.equal(runs[0]["field"][key], runs[1]["field"][key]) for key in runs[0]["field"])
