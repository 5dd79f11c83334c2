"""Every foundation prior on a tiny model with random weights: the interface, gradients, batches, cameras, offline."""

from __future__ import annotations

import json
import shutil
import socket

import pytest
import torch

from tests.priors import tiny
from tests.priors.conftest import Models, four_cameras, noisy_latents, observations

BRANCHES = ("conditional", "unconditional", "negative", "front", "side", "back")
BLIND = ("sd", "sdxl", "sd3", "flux", "sana", "if")
"""Priors whose network is not told of the camera."""


def images_of(prior, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 4, prior.image_size, prior.image_size, 4, generator=generator)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_loads_offline_and_says_what_it_is(models: Models, kind: str, no_network: None) -> None:
    prior = models.prior(kind)
    condition = prior.condition(observations())
    noisy, t = noisy_latents(prior), torch.tensor([0.4])
    with torch.no_grad():
        prediction = prior.predict(noisy, t, four_cameras(), condition, branch="conditional")
    assert prediction.shape == noisy.shape and prediction.dtype == torch.float32 and prediction.isfinite().all()
    assert prior.kind == {"sd-v": "v", "sd3": "flow", "flux": "flow", "sana": "flow"}.get(kind, "epsilon")
    assert not prior.has_alpha and prior.image_size == 16
    assert not any(p.requires_grad for p in prior.network.parameters())
    assert not any("text_encoder" in name for name in vars(prior)), "text encoders are let go"


def test_a_copied_folder_is_the_same_prior(models: Models, kind: str, tmp_path) -> None:
    """What is loaded, saved in pieces by the libraries and loaded again, predicts the same to the bit."""
    prior, condition = models.shared(kind)
    shutil.copytree(models.folder(kind), tmp_path / "copy")
    for name, part in (("vae", prior.vae), (prior.network_name, prior.network)):
        if part is not None:
            shutil.rmtree(tmp_path / "copy" / name)
            part.save_pretrained(str(tmp_path / "copy" / name))
    again = models.prior(kind, model=str(tmp_path / "copy"))
    noisy, t = noisy_latents(prior), torch.tensor([0.4])
    with torch.no_grad():
        first, second = (p.predict(noisy, t, four_cameras(), condition) for p in (prior, again))
        assert torch.equal(first, second)
        assert torch.equal(prior.encode(images_of(prior)), again.encode(images_of(prior)))


def test_branches_in_one_forward_are_the_branches_one_by_one(models: Models, kind: str) -> None:
    prior, condition = models.shared(kind)
    noisy, t, cameras = noisy_latents(prior, 2), torch.tensor([0.3, 0.8]), four_cameras(2)
    with torch.no_grad():
        together = prior.predict_branches(noisy, t, cameras, condition, BRANCHES)
        assert tuple(together) == BRANCHES
        for branch in BRANCHES:
            alone = prior.predict(noisy, t, cameras, condition, branch=branch)
            torch.testing.assert_close(together[branch], alone, atol=2e-5, rtol=2e-5)
        for scene in range(2):
            pick = slice(scene, scene + 1)
            one = prior.predict(noisy[pick], t[pick], cameras[pick], condition)
            torch.testing.assert_close(together["conditional"][pick], one, atol=2e-5, rtol=2e-5)
    assert (together["conditional"] - together["unconditional"]).abs().max() > 1e-4
    if kind != "zero123":
        assert (together["negative"] - together["unconditional"]).abs().max() > 1e-5


def test_rows_may_go_through_in_parts(models: Models, kind: str) -> None:
    prior, condition = models.shared(kind)
    parts = models.prior(kind, rows_per_forward=3 if kind not in ("mvdream", "imagedream") else 5)
    noisy, t = noisy_latents(prior), torch.tensor([0.5])
    with torch.no_grad():
        whole, pieces = (
            p.predict_branches(noisy, t, four_cameras(), condition, ("conditional", "negative")) for p in (prior, parts)
        )
    for branch, value in whole.items():
        torch.testing.assert_close(pieces[branch], value, atol=2e-5, rtol=2e-5)


def test_same_seed_same_bits(models: Models, kind: str) -> None:
    prior, condition = models.shared(kind)
    noisy, t = noisy_latents(prior), torch.tensor([0.6])
    runs = []
    for _ in range(2):
        images = images_of(prior).requires_grad_()
        latents = prior.encode(images)
        latents.square().sum().backward()
        with torch.no_grad():
            runs.append((latents.detach(), images.grad, prior.predict(noisy, t, four_cameras(), condition)))
    assert all(torch.equal(a, b) for a, b in zip(*runs))


def test_gradient_through_encode_is_the_finite_difference(models: Models, kind: str) -> None:
    prior, _ = models.shared(kind)
    images = images_of(prior) * 0.8 + 0.1
    generator = torch.Generator().manual_seed(2)
    latents = prior.encode(images.requires_grad_())
    weight = torch.randn(latents.shape, generator=generator)
    (latents * weight).sum().backward()
    assert (images.grad.abs().amax((2, 3, 4)) > 0).all(), "every view feels it"
    direction = images.grad / images.grad.norm()
    with torch.no_grad():
        step = 0.05 if kind != "sana" else 0.005  # its autoencoder bends sharply
        ahead, behind = (prior.encode(images + s * step * direction) for s in (1, -1))
        measured = float(((ahead - behind).double() * weight).sum() / (2 * step))
    assert measured == pytest.approx(float((images.grad * direction).sum()), rel=0.02)


def test_checkpointing_does_not_change_the_gradient(models: Models, kind: str) -> None:
    gradients = []
    for checkpointing in (True, False):
        prior = models.prior(kind, checkpointing=checkpointing)
        images = images_of(prior).requires_grad_()
        prior.encode(images).square().sum().backward()
        gradients.append(images.grad)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)


def test_decode_undoes_the_scaling_of_encode(models: Models, kind: str) -> None:
    """The network's latents are (mean - shift) * scale of the VAE; decode goes the other way."""
    prior, _ = models.shared(kind)
    with torch.no_grad():
        latents = prior.encode(images_of(prior))
        picture = prior.decode(latents)
        assert picture.shape == (1, 4, 16, 16, 3)
        if prior.vae is None:
            torch.testing.assert_close(picture, prior.over_background(images_of(prior)))
            return
        c = prior.vae.config
        raw = latents[0] / c["scaling_factor"] + (c.get("shift_factor") or 0.0)
        truth = prior.vae.decode(raw).sample.permute(0, 2, 3, 1) / 2 + 0.5
        rgb = prior.over_background(images_of(prior))[0].permute(0, 3, 1, 2) * 2 - 1
        out = prior.vae.encode(rgb)
        torch.testing.assert_close(raw, out.latent if hasattr(out, "latent") else out.latent_dist.mode())
    torch.testing.assert_close(picture[0], truth, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", BLIND)
def test_camera_embedding_is_silent_at_first_and_only_speaks_inside(models: Models, kind: str) -> None:
    prior = models.prior(kind)
    condition, noisy, t = prior.condition(observations()), noisy_latents(prior), torch.tensor([0.5])

    def predict() -> torch.Tensor:
        return prior.predict(noisy, t, four_cameras(), condition)

    with torch.no_grad():
        before = predict()
    state = set(prior.network.state_dict())
    prior.add_camera_embedding()
    prior.add_camera_embedding()
    assert set(prior.network.state_dict()) == state, "the network's files do not change"
    with torch.no_grad(), prior.camera_conditioned():
        assert torch.equal(predict(), before), "zero at first"
    with prior.camera_conditioned():
        predict().square().sum().backward()
    last = prior.camera_embedding.layers[-1].weight
    assert last.grad is not None and last.grad.abs().sum() > 0
    torch.nn.init.normal_(last)
    with torch.no_grad():
        assert torch.equal(predict(), before)
        with prior.camera_conditioned():
            assert (predict() - before).abs().max() > 1e-4
        assert torch.equal(predict(), before)


@pytest.mark.parametrize("kind", ["zero123", "mvdream", "imagedream"])
def test_priors_that_see_cameras_need_no_embedding(models: Models, kind: str) -> None:
    prior, condition = models.shared(kind)
    noisy, t = noisy_latents(prior), torch.tensor([0.5])
    with torch.no_grad():
        before = prior.predict(noisy, t, four_cameras(), condition)
        prior.add_camera_embedding()
        with prior.camera_conditioned():
            assert torch.equal(prior.predict(noisy, t, four_cameras(), condition), before)
        turned = prior.predict(noisy, t, four_cameras().turned(40.0), condition)
    assert prior.camera_embedding is None
    assert (turned - before).abs().max() > 1e-5, "the cameras are seen"


def test_background_is_what_shines_through(models: Models) -> None:
    prior = models.prior("if", background=0.25)
    clear = torch.zeros(1, 2, 16, 16, 4)
    torch.testing.assert_close(prior.encode(clear), torch.full((1, 2, 3, 16, 16), -0.5))
    prior.background = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    seen = prior.encode(clear)
    assert seen[0, 0, :, 0, 0].tolist() == [1.0, -1.0, -1.0] and seen[0, 1, :, 0, 0].tolist() == [-1.0, -1.0, 1.0]
    assert models.shared("zero123")[0].background.tolist() == [1.0, 1.0, 1.0], "trained on white"


def test_small_renderings_are_enlarged(models: Models) -> None:
    prior = models.prior("sd", resolution=8)
    images = torch.rand(1, 4, 8, 8, 4, requires_grad=True)
    latents = prior.encode(images)
    assert prior.image_size == 8 and latents.shape == (1, 4, 4, 8, 8)
    latents.sum().backward()
    assert images.grad.abs().sum() > 0
    wide = models.prior("sd", network_resolution=32)
    assert wide.image_size == 32 and wide.encode(torch.rand(1, 1, 32, 32, 4)).shape == (1, 1, 4, 16, 16)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_near_float32(models: Models, precision: str) -> None:
    prior, condition = models.shared("sd")
    half = models.prior("sd", precision=precision)
    noisy, t = noisy_latents(prior), torch.tensor([0.5])
    with torch.no_grad():
        exact = prior.predict(noisy, t, four_cameras(), condition)
        rough = half.predict(noisy, t, four_cameras(), half.condition(observations()))
    assert half.network.dtype == getattr(torch, precision)
    assert half.vae.dtype == (torch.float32 if precision == "float16" else torch.bfloat16), "float16 VAEs overflow"
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_a_prior_says_what_it_was_made_of(models: Models, tmp_path) -> None:
    """For provenance.json: a digest of each part, which changes with one byte of its weights."""
    before = models.shared("zero123")[0].about()
    assert {"unet", "vae", "image_encoder", "clip_camera_projection"} <= set(before["sha256"])
    other = tiny.write("zero123", tmp_path / "other", seed=1)
    after = models.prior("zero123", model=str(other)).about()
    assert before["sha256"]["unet"] != after["sha256"]["unet"] and before["family"] == after["family"] == "zero123"
    assert before["sha256"]["scheduler"] == after["sha256"]["scheduler"]
    json.dumps(after)
    (tmp_path / "full").write_text("no folder can be made here")
    assert models.prior("zero123", cache_dir=str(tmp_path / "full")).about()["sha256"] == before["sha256"]


def test_what_is_missing_in_the_input_is_said(models: Models) -> None:
    with pytest.raises(ValueError, match=r"input\.prompt: expected words for the prior sd"):
        models.shared("sd")[0].condition(observations(prompt=" "))
    with pytest.raises(ValueError, match=r"input\.image: the prior zero123 starts from a picture"):
        models.shared("zero123")[0].condition(observations(views=()))
    prior, condition = models.shared("mvdream")
    with pytest.raises(ValueError, match=r"distill\.n_views: expected 4, which mvdream denoises .*, got 3; set 4"):
        prior.predict(noisy_latents(prior)[:, :3], torch.tensor([0.5]), four_cameras()[:, :3], condition)
