"""Every setting is read by the loss and the schedule, or refused in one line when it is not at its default."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from nerf2mesh.config import load_config
from nerf2mesh.distill import LOSSES, SCHEDULES, DistillConfig, settings_read
from nerf2mesh.optimize.distillers import make_distiller
from tests.distill.gaussian import GaussianPrior, guidance_inputs

OTHER = {
    "weighting": "uniform", "guidance_scale": 3.0, "guidance_end": 5.0, "guidance_rescale": 0.5, "perp_neg": True,
    "csd_null": (-0.5, 0.0), "csd_negative": (-0.5, -1.0), "csd_ramp": 0.1, "csd_normalize": True, "nfsd_split": 0.9,
    "asd_shift": 0.3, "inversion_stride": 0.35, "inversion_grid": "authors", "inversion_scale": 2.0,
    "inversion_eta": 0.9, "ism_interval": (0.2, 0.2), "hifa_image_weight": 2.0, "perp_neg_cut": 0.3,
    "phi_rank": 2, "phi_learning_rate": 1e-2, "phi_steps": 2, "teacher_learning_rate": 1e-2, "teacher_scale": 2.0,
}  # fmt: skip
"""Settings that change the gradient of two steps, each with another value."""


CASES = [(loss, name, name in settings_read(loss, "linear")) for loss in LOSSES for name in OTHER]


def base_of(loss: str, name: str) -> DistillConfig:
    """Guidance and Perp-Neg are on where they can be, since their own settings count only then."""
    on = {"guidance_scale": 4.0, "perp_neg": True}
    read = settings_read(loss, "linear") - {name}
    return DistillConfig(loss=loss, **{key: value for key, value in on.items() if key in read})


def gradient(config: DistillConfig) -> torch.Tensor:
    """Of two steps on the Gaussian prior with learning between them, latents and images together."""
    q = guidance_inputs(GaussianPrior("v"), config, 3)
    distiller = make_distiller(q.prior, config, q.generators)
    first = distiller(q)
    distiller.learn(q)
    parts = [first, distiller(q)]
    return torch.cat([x.flatten() for part in parts for x in (part.latents, part.images) if x is not None])


@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, name, read in CASES if read])
def test_a_setting_that_is_read_changes_the_gradient(loss: str, name: str) -> None:
    base = base_of(loss, name)
    changed = replace(base, **{name: OTHER[name]})
    assert float((gradient(base) - gradient(changed)).abs().max()) > 0.0


@pytest.mark.parametrize(("loss", "name"), [(loss, name) for loss, name, read in CASES if not read])
def test_a_setting_that_is_not_read_is_refused(loss: str, name: str) -> None:
    with pytest.raises(ValueError, match=rf"^distill\.{name}: expected .*loss={loss}.*; leave it out"):
        replace(base_of(loss, name), **{name: OTHER[name]})


@pytest.mark.parametrize("loss", LOSSES)
def test_every_setting_is_read_by_someone(loss: str) -> None:
    names = {item.name for item in fields(DistillConfig)}
    everyone = set().union(*(settings_read(loss, schedule) for loss in LOSSES for schedule in SCHEDULES))
    assert everyone == names
    assert settings_read(loss, "linear") < names


@pytest.mark.parametrize("loss", ["csd", "nfsd", "dds"])
@pytest.mark.parametrize("setting", ["perp_neg=true", "guidance_rescale=0.5"])
def test_the_command_refuses_in_one_line(loss: str, setting: str) -> None:
    with pytest.raises(ValueError, match=r"^distill\.\w+: expected .*, got .*; leave it out or") as error:
        load_config([f"distill={loss}", f"distill.{setting}"])
    assert "\n" not in str(error.value)


def test_a_schedule_refuses_the_times_of_another() -> None:
    with pytest.raises(ValueError, match=r"distill\.t_start: expected 0\.98 with schedule=uniform"):
        DistillConfig(schedule="uniform", t_start=0.9)
    with pytest.raises(ValueError, match=r"distill\.t_low: expected \(0\.02, 0\.02\) with schedule=linear"):
        DistillConfig(t_low=(0.3, 0.02))
    DistillConfig(schedule="dreamtime", t_start=0.9, dreamtime=(0.7, 0.4, 0.3, 0.1))
    DistillConfig(t_low=[0.02, 0.02])
