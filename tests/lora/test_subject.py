"""Fitting a subject adapter: the prior's error on the given picture falls, on frames that the fit did not draw."""

import torch

from nerf2mesh.lora import SUBJECT, LoraConfig, fit_subject, names
from nerf2mesh.lora.train.subject import draw_batch
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.render import SceneRenderer


def given_frames() -> Frames:
    seeds = [VALIDATION_SEED + 7]
    camera = sample_cameras(seeds, ViewConfig(n_views=1, size_px=64, orthographic_share=0.0))
    rgba = SceneRenderer().render(sample_scenes(seeds), camera)["rgba"][0]
    return Frames(rgba.permute(0, 3, 1, 2)[None], FrameGeometry.of(camera))


def mean_loss(network, frames: Frames, seed: int) -> float:
    g = torch.Generator().manual_seed(seed)
    losses = []
    with torch.no_grad():
        for _ in range(12):
            batch, kind = draw_batch(frames, None, network.config.image_size, g)
            t, noise = 0.1 + 0.8 * torch.rand(1, generator=g), torch.randn(batch.images.shape, generator=g)
            losses.append(float(velocity_loss(network, batch.images, batch.geometry, kind, t, noise)))
    return sum(losses) / len(losses)


def test_subject_adapter_learns_the_picture_and_only_it_learns() -> None:
    prior, frames = load_prior(PriorConfig()), given_frames()
    base = {k: v.clone() for k, v in prior.network.state_dict().items()}
    before = mean_loss(prior.network, frames, seed=99)
    config = LoraConfig(rank=4, steps=60, learning_rate=2e-3)
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
