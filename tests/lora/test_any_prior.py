"""The subject adapter on foundation priors, and beside it the user's styles and VSD's phi on the same network.

Tiny models with random weights: they prove that what should learn learns and nothing else moves, not how it looks.
"""

import copy

import pytest
import torch

from nerf2mesh import lora
from nerf2mesh.distill.noise import from_x0
from nerf2mesh.lora import SUBJECT, LoraConfig, adapters
from nerf2mesh.lora.train.dreambooth import draw_pictures
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.types import Camera
from tests.priors.conftest import Models, models, observations  # noqa: F401

CONFIG = LoraConfig(rank=4, steps=20, learning_rate=5e-2)


def error(prior, condition, frames: Frames) -> float:
    """Mean squared error of the conditional prediction on noise that the fit did not draw."""
    g, total = torch.Generator().manual_seed(77), 0.0
    with torch.no_grad():
        for t in (0.3, 0.6, 0.9, 0.4, 0.7):
            images, cameras = draw_pictures(frames, prior.n_views, prior.image_size, g)
            latents = prior.encode(images)
            noise, level = torch.randn(latents.shape, generator=g), prior.level(torch.tensor([t]))
            noisy = level.add(latents, noise)
            wanted = from_x0(prior.kind, latents, noisy, level)
            found = prior.predict(noisy, torch.tensor([t]), cameras, condition)
            total += float((found - wanted).square().mean())
    return total


@pytest.mark.parametrize("kind", ["sd", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sd3", "mvdream"))])
def test_subject_is_learnt_and_nothing_else_moves(models: Models, kind: str) -> None:  # noqa: F811
    prior = models.prior(kind)
    condition, given = prior.condition(observations()), Frames.of(observations())
    base = copy.deepcopy(prior.network.state_dict())
    before = error(prior, condition, given)
    torch.manual_seed(0)
    losses = lora.fit_pictures(prior, condition, given, CONFIG, torch.Generator().manual_seed(0))
    assert len(losses) == CONFIG.steps and error(prior, condition, given) < 0.985 * before
    with lora.using(prior.network, {}):
        assert error(prior, condition, given) == before
    after = {k.replace(".base_layer", ""): v for k, v in prior.network.state_dict().items() if "lora_" not in k}
    assert all(torch.equal(after[k], v) for k, v in base.items())
    assert not any(p.requires_grad for p in prior.network.parameters())


def test_prior_preservation_keeps_the_class(models: Models) -> None:  # noqa: F811
    """What the bare prior draws under the class prompt is drawn the same again, and changes the fit."""
    prior = models.prior("sd")
    given = Frames.of(observations())
    cameras = Camera.orbit(torch.tensor([[0.0]]), 10.0, width_px=prior.image_size)
    words = prior.condition(observations(prompt="cat"))
    lora.attach(prior.network, "style", rank=2)
    drawn = [lora.class_pictures(prior, words, cameras, 2, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(drawn[0].latents, drawn[1].latents) and drawn[0].latents.isfinite().all()
    assert lora.stacked(prior.network) == {"style": 1.0}
    condition, results = prior.condition(observations()), []
    for preserved in (None, drawn[0]):
        torch.manual_seed(0)
        fitted = models.prior("sd")
        config = LoraConfig(rank=2, steps=3, learning_rate=1e-2)
        lora.fit_pictures(fitted, condition, given, config, torch.Generator().manual_seed(0), preserved=preserved)
        results.append(lora.adapter_state(fitted.network, SUBJECT))
    assert any(not torch.equal(results[0][key], results[1][key]) for key in results[0])


@pytest.mark.parametrize("kind", ("sd", pytest.param("sd3", marks=pytest.mark.slow)))
def test_phi_and_subject_beside_styles(models: Models, kind: str) -> None:  # noqa: F811
    """Named apart, weighted apart: phi learns on top of the styles, and the styles alone are what they were."""
    prior = models.prior(kind)
    condition, (images, cameras) = prior.condition(observations()), _pictures(prior)
    latents, t = prior.encode(images).detach(), torch.tensor([0.5])

    def predicted() -> torch.Tensor:
        return prior.predict(latents, t, cameras, condition)

    for name in ("style0", "style1", SUBJECT):
        lora.attach(prior.network, name, rank=2)
        _shake(prior.network, name)
    lora.stack(prior.network, {"style0": 0.5, SUBJECT: 2.0})
    with torch.no_grad():
        run = predicted()
    lora.attach(prior.network, "phi", rank=3)
    assert lora.stacked(prior.network) == {"style0": 0.5, SUBJECT: 2.0, "phi": 1.0}
    lora.stack(prior.network, {"style0": 0.5, SUBJECT: 2.0})
    with torch.no_grad():
        assert torch.equal(predicted(), run)
    phi = adapters.train_only(prior.network, "phi")
    with lora.using(prior.network, lora.stacked(prior.network) | {"phi": 1.0}):
        (predicted() - latents).square().mean().backward()
    assert any(p.grad.abs().sum() > 0 for p in phi)
    assert all(p.grad is None for p in prior.network.parameters() if not any(p is q for q in phi))
    with torch.no_grad():
        for p in phi:
            p.add_(p.grad.sign(), alpha=1e-2)
        assert torch.equal(predicted(), run), "phi has learnt, the run's own stack has not changed"
    assert lora.stacked(prior.network) == {"style0": 0.5, SUBJECT: 2.0}
    assert lora.names(prior.network) == ["style0", "style1", SUBJECT, "phi"]


def _pictures(prior) -> tuple[torch.Tensor, Camera]:
    return draw_pictures(Frames.of(observations()), 1, prior.image_size, torch.Generator().manual_seed(0))


def _shake(network, name: str) -> None:
    with torch.no_grad():
        for p in adapters.train_only(network, name):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(name))))
    network.requires_grad_(False)


def test_text_encoder_layers_of_a_file_are_heard_when_words_are_embedded(models: Models, tmp_path) -> None:  # noqa: F811
    """The truth: a folder whose text encoder has the change written into its weights."""
    import shutil

    from safetensors.torch import load_file, save_file

    prior, weight = models.prior("sd"), 0.5
    folder = shutil.copytree(models.folder("sd"), tmp_path / "merged")
    path = folder / "text_encoder/model.safetensors"
    weights = load_file(path)
    key = next(k for k in weights if k.endswith("layers.0.self_attn.q_proj.weight"))
    g = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, weights[key].shape[1], generator=g), torch.randn(weights[key].shape[0], 2, generator=g)
    weights[key] += weight * 6.0 / 2 * up @ down
    save_file(weights, path, metadata={"format": "pt"})
    name = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    tensors = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(6.0)}
    save_file(tensors, tmp_path / "words.safetensors")
    bare = prior.condition(observations())
    loaded = lora.load_adapter(prior, "words", tmp_path / "words.safetensors", text_weight=weight)
    assert loaded.applied == {"text_encoder": 1} and loaded.message() == ""
    got, wanted = prior.condition(observations()), models.prior("sd", model=str(folder)).condition(observations())
    for prompt in got.text:
        torch.testing.assert_close(got.text[prompt]["hidden"], wanted.text[prompt]["hidden"], atol=1e-5, rtol=1e-5)
        assert not torch.equal(got.text[prompt]["hidden"], bare.text[prompt]["hidden"])
