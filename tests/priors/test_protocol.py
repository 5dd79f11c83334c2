"""The protocol of a prior is whole: what the loop asks for is there on every prior, and a small one gets it from the
defaults."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nerf2mesh.distill.noise import NoiseLevel, cosine_level
from nerf2mesh.priors import BuiltinPrior, Prior, PriorDefaults, SeesCameras
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.load import CLASSES, prior_class
from nerf2mesh.types import Camera, Observations

MEMBERS = {name for name in dir(Prior) if not name.startswith("_")} | {"background"}
TINY = DenoiserConfig(image_size=16, patch=2, channels=8, volume_size=8, volume_channels=8, deep_channels=8, n_deep=1)


class Counting(SeesCameras, PriorDefaults):
    """The least that a prior has to write; predicts the number of the branch and counts its calls."""

    kind, has_alpha, image_size = "epsilon", True, 8
    network, background = nn.Identity(), torch.zeros(3)
    calls = 0

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents

    def level(self, t: Tensor) -> NoiseLevel:
        return cosine_level(t)

    def condition(self, observations: Observations) -> None:
        return None

    def predict(self, noisy: Tensor, t: Tensor, cameras: Camera, condition: None, *, branch="conditional") -> Tensor:
        self.calls += 1
        return torch.full_like(noisy, {"conditional": 1.0, "negative": 2.0}[branch])


def test_every_prior_has_every_member() -> None:
    builtin: Prior = BuiltinPrior(TINY.build())
    small: Prior = Counting()
    for prior in (builtin, small):
        assert [name for name in sorted(MEMBERS) if not hasattr(prior, name)] == []
    assert builtin.render_px == 8 and small.render_px == 8 and builtin.n_views == small.n_views == 1


@pytest.mark.parametrize("family", CLASSES)
def test_every_family_has_every_method(family: str) -> None:
    set_on_the_instance = {"background", "image_size", "network"}
    known = prior_class(family)
    assert [name for name in sorted(MEMBERS - set_on_the_instance) if not hasattr(known, name)] == []


def test_default_branches_are_asked_once_each_and_come_back_in_order() -> None:
    prior = Counting()
    noisy, cameras = torch.zeros(1, 1, 8, 8, 4), Camera.orbit(torch.zeros(1, 1), 0.0, width_px=8)
    found = prior.predict_branches(noisy, torch.ones(1), cameras, None, ("negative", "conditional", "negative"))
    assert list(found) == ["negative", "conditional"] and prior.calls == 2
    assert found["negative"].unique().item() == 2.0 and found["conditional"].unique().item() == 1.0
