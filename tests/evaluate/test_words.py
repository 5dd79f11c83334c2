"""Text to 3D measured: colors and views by hand, CLIP by a stand-in, and both text protocols from end to end.

The networks of the end-to-end runs are tiny and random: they prove that the parts fit, nothing about quality.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.text_metrics import (
    COLORS_RGB,
    TextCase,
    color_agreement,
    color_words,
    colored_ball,
    score_words,
)
from nerf2mesh.evaluate.protocols import cases, t3bench
from nerf2mesh.evaluate.protocols.baselines import background, baselines_of
from nerf2mesh.evaluate.protocols.canonical import ring_cameras
from nerf2mesh.evaluate.protocols.datasets import t3bench_prompts
from nerf2mesh.evaluate.protocols.scoring import Settings
from nerf2mesh.evaluate.protocols.t3bench import t3bench_aggregate, t3bench_cameras, t3bench_case, t3bench_frame
from nerf2mesh.evaluate.tables.results import Results, run_case
from nerf2mesh.mesh.shapes import box, icosphere
from nerf2mesh.procedural.captions import COLORS, color_name
from nerf2mesh.sweep import bench, commands
from nerf2mesh.sweep.config import BenchConfig, WeightsConfig
from nerf2mesh.types import Camera, Rendering
from tests.priors import tiny, tiny_parts
from tests.sweep.standin import Here, polls_often  # noqa: F401

PROMPTS = ("a red fruit of one part", "a blue vessel of two parts", "a wooden chair")


def case(prompt: str = PROMPTS[0]) -> TextCase:
    cameras = Camera.orbit(torch.arange(4) * 90.0, 10.0, width_px=32)
    return TextCase("one", prompt, PROMPTS, cameras, Settings(supersample=1))


class ByColor:
    """A stand-in for CLIP: pictures and prompts are embedded by how red and how blue they are."""

    def images(self, pictures: torch.Tensor) -> torch.Tensor:
        ink = 1 - pictures.flatten(1, 2).mean(1)
        return torch.nn.functional.normalize(torch.stack([ink[:, 2], ink[:, 0], ink[:, 0] * 0 + 1e-3], -1), dim=-1)

    def texts(self, prompts: tuple[str, ...]) -> torch.Tensor:
        return torch.eye(3)[: len(prompts)]


def test_every_color_of_the_captions_has_a_swatch() -> None:
    assert set(COLORS_RGB) == set(COLORS)
    assert all(color_name(np.array(rgb)) == word for word, rgb in COLORS_RGB.items())
    assert color_words("A Gray cat on a red, red mat, redder than reddish orange") == ["grey", "red", "orange"]


def test_agreement_is_a_share_of_covered_pixels() -> None:
    rgb, opacity = torch.zeros(2, 4, 4, 3), torch.zeros(2, 4, 4)
    opacity[0, :2] = 1.0
    rgb[0, 0], rgb[0, 1] = torch.tensor(COLORS_RGB["red"]), torch.tensor(COLORS_RGB["blue"])
    views = Rendering(rgb, opacity, torch.zeros(2, 4, 4))
    assert color_agreement(views, ["red"]).tolist() == [0.5, 0.0], "the second view shows nothing"
    assert color_agreement(views, ["blue", "red"]).tolist() == [1.0, 0.0]
    half = Rendering(rgb * 0.6, opacity * 0.6, torch.zeros(2, 4, 4))
    assert color_agreement(half, ["red"])[0] == 0.5, "colors are premultiplied"


def test_scores_with_and_without_clip() -> None:
    ball = colored_ball(case())
    assert score_words(case(), ball) == {"color_agreement": 1.0}
    found = score_words(case(), ball, ByColor())
    assert found["r_precision"] == 1.0 and set(found) == {"color_agreement", "clip_text", "r_precision"}
    assert score_words(case(PROMPTS[1]), ball, ByColor())["r_precision"] == 0.0
    assert score_words(case(PROMPTS[2]), ball) == {}, "no color, no weights: nothing to say"
    assert score_words(case(), background(None)) == {"color_agreement": 0.0}


def test_a_failure_counts_as_nothing() -> None:
    def broken(prompt: str) -> object:
        raise RuntimeError(prompt)

    record = run_case("broken", broken, case())
    assert record.failed == f"RuntimeError: {PROMPTS[0]}" and record.metrics == {"color_agreement": 0.0}
    assert list(baselines_of(case())) == ["background", "colored ball"]


def test_t3bench_frame_and_way_of_views() -> None:
    mesh = box()
    moved = t3bench_frame(mesh)
    assert np.abs(moved.vertices.mean(axis=0)).max() < 1e-12 and np.abs(moved.vertices).max() == pytest.approx(1.0)
    assert t3bench_frame(background(case()).mesh).n_vertices == 0
    sphere, scores = icosphere(2), torch.rand(162, 5, generator=torch.Generator().manual_seed(0))
    near = [{k} for k in range(162)]
    for face in sphere.faces:
        for k in face:
            near[k] |= set(face)
    best = scores.amax(1).tolist()
    for _ in range(3):
        best = [sum(best[j] for j in near[k]) / len(near[k]) for k in range(162)]
    assert t3bench_aggregate(scores.flatten()) == pytest.approx(max(best), rel=1e-5)
    assert t3bench_aggregate(torch.full((810,), 0.3)) == pytest.approx(0.3)


def test_prompts_are_read_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prompt_single\.txt"):
        t3bench_prompts(tmp_path)
    (tmp_path / "prompt_single.txt").write_text("A red cup\n\nA map of an explorer\u2019s island \n", encoding="utf-8")
    (tmp_path / "prompt_multi.txt").write_text("A cat and a dog", encoding="utf-8")
    found = t3bench_prompts(tmp_path)
    assert found["single-001"].startswith("A map") and found["multi-000"] == "A cat and a dog" and len(found) == 3
    made = t3bench_case("single-000", found)
    assert made.prompts == tuple(found.values())[:2] and made.given == ("A red cup",)
    assert made.novel_cameras.camera_to_world.shape == (810, 4, 4) and made.settings.background == 0.0
    assert torch.equal(made.novel_cameras.focal_px[7], t3bench_cameras().focal_px[1, 2])


def write_clip(folder: Path) -> str:
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    vision = text | {"image_size": 16, "patch_size": 8}
    words = text | {"vocab_size": 2 + 2 * len(tiny_parts.CHARACTERS), "max_position_embeddings": tiny_parts.TOKENS}
    words |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    CLIPModel(CLIPConfig(text_config=words, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    tiny_parts.clip_tokenizer().save_pretrained(folder)
    return str(folder)


def builtin_reader(folder: Path) -> list[str]:
    from nerf2mesh.priors.builtin.network import DenoiserConfig
    from nerf2mesh.priors.builtin.weight_files import export_network
    from nerf2mesh.procedural.captions import N_WORDS

    torch.manual_seed(0)
    sizes = {"image_size": 16, "channels": 8, "volume_size": 8, "volume_channels": 8, "deep_channels": 8, "n_deep": 1}
    export_network(DenoiserConfig(**sizes, n_words=N_WORDS, n_ray_samples=6).build(), {}, folder / "reader.safetensors")
    return [f"prior.weights={folder / 'reader.safetensors'}"]


def stable_diffusion(folder: Path) -> list[str]:
    model = tiny.write("sd", folder / "sd")
    settings = ["prior=sd21-base", f"prior.model={model}", "prior.resolution=16", "prior.precision=float32"]
    return [*settings, "prior.checkpointing=false"]


@pytest.mark.parametrize("protocol", ["core", pytest.param("t3bench", marks=pytest.mark.slow)])
def test_from_prompts_to_tables(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in prior reads a caption of core, and nobody judges; Stable Diffusion reads T3Bench's, CLIP judges."""
    monkeypatch.setattr(bench, "make_launcher", Here)
    monkeypatch.setattr(cases, "ring_cameras", lambda: ring_cameras(32))
    monkeypatch.setattr(t3bench, "t3bench_cameras", lambda: t3bench_cameras(16))
    (tmp_path / "prompt_single.txt").write_text('A "red" cup, half full = half empty\nA blue map\n', encoding="utf-8")
    prior = builtin_reader(tmp_path) if protocol == "core" else stable_diffusion(tmp_path)
    config = BenchConfig(
        protocol=protocol,
        track="text",
        objects=("proc-12",) if protocol == "core" else ("single-000",),
        seeds=(0,),
        presets=("tiny",),
        overrides=(*prior, "threads=1", "optimize.steps=2", "mesh.smooth_radius=0.1"),
        data_dir=str(tmp_path) if protocol == "t3bench" else None,
        weights=WeightsConfig(clip=write_clip(tmp_path / "clip") if protocol == "t3bench" else None),
        output_dir=str(tmp_path / "out"),
    )
    folder = bench.run_bench(config)
    records = Results.load(folder / "results.json").records
    fitted = records[-1]
    assert fitted.failed == "" and 0.0 <= fitted.metrics["color_agreement"] <= 1.0
    names = [r.method for r in records[:-1]]
    table = (folder / "table.md").read_text()
    assert f"# {protocol}-text" in table and "R-precision [+]" in table
    if protocol == "core":
        assert names == ["background", "colored ball", "described object"]
        assert "no CLIP weights were given" in table and "r_precision" not in fitted.metrics
    else:
        assert names == ["background", "colored ball"] and "Weights: clip by clip." in table
        assert {"clip_text", "clip_t3bench", "r_precision"} <= set(fitted.metrics)
    assert (folder / "page.html").read_text().count("data:image/png") == len(records)
    (given,) = (folder / "runs").glob("*/run/config.yaml")
    assert "image: null" in given.read_text()
    assert json.loads((folder / "means.json").read_text())["means"]
    commands.COMMANDS["status"]([str(folder)])
