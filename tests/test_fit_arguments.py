"""What `fit` refuses before anything is read or written: arguments that contradict each other, by their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import nerf2mesh
from nerf2mesh import Camera, Observations, View, load_config
from nerf2mesh.inputs import demo_picture
from nerf2mesh.optimize import GuidanceInputs, LatentGradient
from tests.tiny_run import TINY

OVERRIDES = [*TINY, "report.quiet=true"]


def ball(level: float = 0.5) -> Observations:
    axis = torch.linspace(-1, 1, 32)
    inside = (axis[:, None].square() + axis.square() < 0.4).float()
    picture = torch.stack([inside * 0 + level] * 3 + [inside], dim=-1)
    return Observations((View(picture, Camera.orbit(0.0, 10.0, width_px=32)),))


def test_a_configuration_and_overrides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^overrides: expected none beside config=, got seed=3; "):
        nerf2mesh.fit(demo_picture(), config=load_config(OVERRIDES), overrides=["seed=3"], output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("said", ["argument", "override", "config"])
def test_a_picture_and_observations_are_refused(said: str, tmp_path: Path) -> None:
    named = {
        "argument": {"image": demo_picture()},
        "override": {"overrides": [f"input.image={demo_picture()}"]},
        "config": {"config": load_config([f"input.image={demo_picture()}"])},
    }[said]
    with pytest.raises(ValueError, match=r"^input\.image: expected none beside observations=, got .*demo"):
        nerf2mesh.fit(**named, observations=ball(), output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prompt_and_observations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^input\.prompt: expected none beside observations=, got 'a cat'"):
        nerf2mesh.fit(observations=ball(), overrides=["input.prompt=a cat"])


class Begun(Exception):
    """The run folder is open and the input was taken."""


@pytest.fixture
def stops_when_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise Begun

    monkeypatch.setattr("nerf2mesh.run.fit.load_guidance", stop)


@pytest.mark.usefixtures("stops_when_begun")
def test_observations_are_part_of_the_resume_check(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Begun):
            nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, output_dir=tmp_path)
    (tmp_path / "checkpoints/last.safetensors").touch()
    with pytest.raises(ValueError, match="observations: expected those of the run"):
        nerf2mesh.fit(observations=ball(0.25), overrides=OVERRIDES, output_dir=tmp_path)


@pytest.mark.usefixtures("stops_when_begun")
def test_a_picture_that_changed_under_its_name_is_another_input(tmp_path: Path) -> None:
    from PIL import Image

    path, out = tmp_path / "ball.png", tmp_path / "run"
    for level, expected in ((128, Begun), (128, Begun), (60, ValueError)):
        picture = (ball(level / 255).views[0].image * 255).round().byte().numpy()
        Image.fromarray(picture).resize((96, 96)).save(path)
        with pytest.raises(expected):
            nerf2mesh.fit(path, overrides=OVERRIDES, output_dir=out)
        (out / "checkpoints/last.safetensors").touch()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda inputs: inputs.latents, r"^loss: expected a LatentGradient, got Tensor; "),
        (lambda inputs: None, r"^loss: expected a LatentGradient, got NoneType; "),
        (
            lambda inputs: LatentGradient(inputs.latents.mean()),
            r"^loss: expected a gradient of the latents' shape",
        ),
    ],
)
def test_a_loss_that_gives_no_gradient_is_refused(loss: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, loss=loss)


def test_a_class_in_place_of_a_prior_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prior: expected a prior, got the class Plain; pass Plain\(\)$"):
        nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, prior=type("Plain", (), {}))


def test_code_of_the_callers_own_is_named_in_the_record(tmp_path: Path) -> None:
    nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, loss=no_pull, output_dir=tmp_path / "run")
    record = json.loads((tmp_path / "run/provenance.json").read_text(encoding="utf-8"))
    assert record["own_code"] == {"loss": f"{__name__}.no_pull"}
    settings = (tmp_path / "run/config.yaml").read_text(encoding="utf-8")
    assert settings.startswith(f"# The caller's own loss, {__name__}.no_pull, instead of the one below.\n")
    assert yaml.safe_load(settings)["distill"]["loss"] == "sds"


def no_pull(inputs: GuidanceInputs) -> LatentGradient:
    return LatentGradient(torch.zeros_like(inputs.latents))
