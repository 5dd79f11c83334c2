"""Fitting a subject adapter: the prior's error on the given picture falls, on frames that the fit did not draw."""

from collections.abc import Callable

import pytest
import torch

from nerf2mesh.lora import SUBJECT, LoraConfig, fit_subject, names
from nerf2mesh.lora.train.subject import draw_batch
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.render import SceneRenderer


def given_frames(size_px: int) -> Frames:
    seeds = [VALIDATION_SEED + 7]
    camera = sample_cameras(seeds, ViewConfig(n_views=1, size_px=size_px, orthographic_share=0.0))
    rgba = SceneRenderer().render(sample_scenes(seeds), camera)["rgba"][0]
    return Frames(rgba.permute(0, 3, 1, 2)[None], FrameGeometry.of(camera))


def mean_loss(network, frames: Frames, seed: int) -> float:
    g = torch.Generator().manual_seed(seed)
    losses = []
    with torch.no_grad():
        for _ in range(8):
            batch, kind = draw_batch(frames, None, network.config.image_size, g)
            t, noise = 0.1 + 0.8 * torch.rand(1, generator=g), torch.randn(batch.images.shape, generator=g)
            losses.append(float(velocity_loss(network, batch.images, batch.geometry, kind, t, noise)))
    return sum(losses) / len(losses)


def small_prior() -> BuiltinPrior:
    """Random weights, none of them zero (the last layer starts at zero, where no adapter below it has an effect)."""
    torch.manual_seed(0)
    config = DenoiserConfig(
        image_size=16, patch=1, channels=8, volume_size=8, volume_channels=8, deep_channels=8, n_deep=1
    )
    network = config.build()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return BuiltinPrior(network, precision="float32")


@pytest.mark.parametrize(
    "make", [small_prior, pytest.param(lambda: load_prior(PriorConfig()), marks=pytest.mark.slow, id="packaged")]
)
def test_subject_adapter_learns_the_picture_and_only_it_learns(make: Callable[[], BuiltinPrior]) -> None:
    prior = make()
    frames = given_frames(prior.image_size)
    base = {k: v.clone() for k, v in prior.network.state_dict().items()}
    before = mean_loss(prior.network, frames, seed=99)
    config = LoraConfig(rank=4, steps=40, learning_rate=4e-3)
    torch.manual_seed(0)
    fit_subject(prior, frames, config, torch.Generator().manual_seed(0))
    assert names(prior.network) == [SUBJECT]
    assert mean_loss(prior.network, frames, seed=99) < 0.9 * before
    after = prior.network.state_dict()
    assert all(torch.equal(after[k if k in after else _wrapped(k)], v) for k, v in base.items())
    assert not any(p.requires_grad for p in prior.network.parameters())


def _wrapped(key: str) -> str:
    module, leaf = key.rsplit(".", 1)
    return f"{module}.base_layer.{leaf}"
