"""The priors against diffusers: embeddings by its pipelines, predictions by its networks, noise by its schedulers.

Pipelines serve as the truth here and nowhere else.
"""

from __future__ import annotations

import json

import diffusers
import pytest
import torch

from nerf2mesh.priors.foundation import prompts
from nerf2mesh.priors.foundation.components import Components
from nerf2mesh.priors.foundation.families.flow import packed, patch_ids, unpacked
from nerf2mesh.priors.foundation.schedule import DiscreteSchedule, FlowSchedule, read_schedule
from tests.priors.conftest import NEGATIVE, PROMPT, Models, four_cameras, noisy_latents, observations

WORDS = ("sd", "sdxl", "sd3", "sd3-no-t5", "flux", "sana", "if")


def pipeline(models: Models, kind: str):
    folder = models.folder(kind)
    name = json.loads((folder / "model_index.json").read_text())["_class_name"]
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "watermarker": None}
    absent |= {"requires_safety_checker": False} if kind in ("sd", "if") else {}
    absent |= {"text_encoder_3": None, "tokenizer_3": None} if kind == "sd3-no-t5" else {}
    absent |= {"add_watermarker": False} if kind == "sdxl" else {}
    accepted = {key: value for key, value in absent.items() if key in _arguments(getattr(diffusers, name))}
    return getattr(diffusers, name).from_pretrained(folder, local_files_only=True, **accepted)


def _arguments(kind: type) -> set[str]:
    import inspect

    return set(inspect.signature(kind.__init__).parameters)


def embeddings(pipe, kind: str) -> dict[str, dict[str, torch.Tensor]]:
    """By the pipeline's own encode_prompt, for the prompt as it is and for the negative one."""
    if kind in ("sd", "if"):
        hidden = pipe.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True,
                                    negative_prompt=NEGATIVE)  # fmt: skip
        return {"plain": {"hidden": hidden[0]}, "negative": {"hidden": hidden[1]}}
    if kind == "sdxl":
        found = pipe.encode_prompt(PROMPT, device="cpu", negative_prompt=NEGATIVE)
        pairs = ((found[0], found[2]), (found[1], found[3]))
    elif kind.startswith("sd3"):
        found = pipe.encode_prompt(PROMPT, PROMPT, PROMPT, device="cpu", negative_prompt=NEGATIVE)
        pairs = ((found[0], found[2]), (found[1], found[3]))
    elif kind == "flux":
        pairs = tuple(pipe.encode_prompt(text, text, device="cpu")[:2] for text in (PROMPT, NEGATIVE))
    else:
        import inspect

        words = inspect.signature(pipe.__call__).parameters["complex_human_instruction"].default
        found = pipe.encode_prompt(PROMPT, negative_prompt=NEGATIVE, device=torch.device("cpu"),
                                   complex_human_instruction=words)  # fmt: skip
        return {
            "plain": {"hidden": found[0], "mask": found[1]},
            "negative": {"hidden": found[2], "mask": found[3]},
        }
    return {key: {"hidden": h, "pooled": p} for key, (h, p) in zip(("plain", "negative"), pairs)}


@pytest.mark.parametrize("kind", WORDS)
@torch.no_grad()
def test_embeddings_are_the_pipelines(models: Models, kind: str) -> None:
    condition = models.shared(kind)[1]
    for key, parts in embeddings(pipeline(models, kind), kind).items():
        for name, truth in parts.items():
            torch.testing.assert_close(condition.text[key][name].float(), truth[0].float(), atol=1e-5, rtol=1e-5)
    if kind == "sdxl":
        assert not condition.text["unconditional"]["hidden"].any(), "SDXL's empty prompt is zeros"


def direct(prior, kind: str, x: torch.Tensor, n: torch.Tensor, told: dict[str, torch.Tensor]) -> torch.Tensor:
    """One call of the network as the pipelines write it; x [k, c, s, s], n the time as the pipeline has it."""
    net, hidden = prior.network, told["hidden"]
    if kind in ("sd", "sd-v"):
        return net(x, n, encoder_hidden_states=hidden).sample
    if kind == "sdxl":
        ids = torch.tensor([[16.0, 16.0, 0.0, 0.0, 16.0, 16.0]]).repeat(len(x), 1)
        added = {"text_embeds": told["pooled"], "time_ids": ids}
        return net(x, n, encoder_hidden_states=hidden, added_cond_kwargs=added).sample
    if kind == "if":
        return net(x, n, encoder_hidden_states=hidden).sample.chunk(2, dim=1)[0]
    if kind == "sd3":
        return net(x, timestep=n, encoder_hidden_states=hidden, pooled_projections=told["pooled"]).sample
    if kind == "sana":
        return net(x, timestep=n, encoder_hidden_states=hidden, encoder_attention_mask=told["mask"]).sample
    pipe = diffusers.FluxPipeline
    ids = pipe._prepare_latent_image_ids(1, 4, 4, "cpu", torch.float32)
    out = net(
        hidden_states=pipe._pack_latents(x, len(x), 4, 8, 8), timestep=n / 1000, guidance=torch.full((len(x),), 3.5),
        pooled_projections=told["pooled"], encoder_hidden_states=hidden, txt_ids=torch.zeros(hidden.shape[1], 3),
        img_ids=ids,
    ).sample  # fmt: skip
    return pipe._unpack_latents(out, 16, 16, 2)


@pytest.mark.parametrize("kind", ["sd", "sd-v", "sdxl", "sd3", "flux", "sana", "if"])
@torch.no_grad()
def test_prediction_is_a_direct_call_of_the_network(models: Models, kind: str) -> None:
    prior, condition = models.shared(kind)
    noisy, t = noisy_latents(prior), torch.tensor([0.35])
    ours = prior.predict(noisy, t, four_cameras(), condition, branch="conditional")
    keys = ["front", "side", "back", "side"]
    told = {name: torch.stack([condition.text[k][name] for k in keys]) for name in condition.text["front"]}
    n = torch.full((4,), 350) if prior.kind in ("epsilon", "v") else 1000.0 * prior.level(t).sigma.reshape(1).repeat(4)
    torch.testing.assert_close(ours[0], direct(prior, kind, noisy[0], n, told), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_zero123_is_a_direct_call(models: Models) -> None:
    prior, condition = models.shared("zero123")
    noisy, t = noisy_latents(prior), torch.tensor([0.35])
    predicted = {b: prior.predict(noisy, t, four_cameras(), condition, branch=b) for b in ("conditional", "negative")}
    embedding, latents = condition.picture["embedding"], condition.picture["latents"]
    azimuth = torch.deg2rad(torch.tensor([-20.0, 70.0, 160.0, 250.0]))
    polar = torch.full((4,), (10.0 - 15.0) * torch.pi / 180)
    pose = torch.stack([polar, azimuth.sin(), azimuth.cos(), torch.zeros(4)], -1)
    hidden = prior.projection(torch.cat([embedding.repeat(4, 1), pose], -1))[:, None]
    x, n = noisy[0], torch.tensor(350)
    truth = prior.network(torch.cat([x, latents.repeat(4, 1, 1, 1)], 1), n, encoder_hidden_states=hidden).sample
    torch.testing.assert_close(predicted["conditional"][0], truth, atol=2e-5, rtol=2e-5)
    blind = prior.network(torch.cat([x, 0 * x], 1), n, encoder_hidden_states=0 * hidden).sample
    torch.testing.assert_close(predicted["negative"][0], blind, atol=2e-5, rtol=2e-5)


STEPS = torch.tensor([0, 1, 20, 350, 500, 980, 999])


@pytest.mark.parametrize("kind", ["sd", "sd-v", "sdxl", "if", "zero123", "mvdream"])
def test_levels_are_the_schedulers_to_the_bit(models: Models, kind: str) -> None:
    prior, _ = models.shared(kind)
    scheduler = diffusers.DDPMScheduler.from_pretrained(models.folder(kind) / "scheduler")
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, len(STEPS), 4, 4, 4, generator=generator)
    ours = prior.level(STEPS / 1000).add(x[:, None], noise[:, None])[:, 0]
    assert torch.equal(ours, scheduler.add_noise(x, noise, STEPS))
    assert torch.equal(prior.schedule.timestep(STEPS / 1000), STEPS)


@pytest.mark.parametrize("rescaled", [False, True])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_every_beta_schedule(schedule: str, rescaled: bool) -> None:
    settings = {"beta_schedule": schedule, "rescale_betas_zero_snr": rescaled, "prediction_type": "v_prediction"}
    scheduler = diffusers.DDIMScheduler(**settings)
    ours = read_schedule(dict(scheduler.config))
    assert isinstance(ours, DiscreteSchedule) and ours.kind == "v"
    assert torch.equal(ours.alphas_cumprod, scheduler.alphas_cumprod)


def test_sd3_levels_are_the_schedulers(models: Models) -> None:
    prior, _ = models.shared("sd3")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(models.folder("sd3") / "scheduler")
    grid = torch.arange(1000, 0, -1) / 1000
    torch.testing.assert_close(prior.level(grid).sigma.reshape(-1), scheduler.sigmas, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(prior.schedule.timestep(grid), scheduler.timesteps, atol=1e-3, rtol=1e-6)
    x, noise, at = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3), scheduler.timesteps[650:651]
    truth = scheduler.scale_noise(x, at, noise)
    ours = prior.level(grid[650:651]).add(x[None], noise[None])[0]
    torch.testing.assert_close(ours, truth, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("n_tokens", [256, 1024, 4096])
def test_flux_levels_are_the_schedulers(models: Models, n_tokens: int) -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(models.folder("flux") / "scheduler")
    ours = read_schedule(dict(scheduler.config), n_tokens=n_tokens, scale=1.0)
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 0.05, 20).tolist(), mu=calculate_shift(n_tokens))
    sigma = ours.sigma(torch.linspace(1.0, 0.05, 20))
    torch.testing.assert_close(sigma, scheduler.sigmas[:-1], atol=1e-6, rtol=1e-5)


def test_sana_levels_are_the_schedulers(models: Models) -> None:
    prior, _ = models.shared("sana")
    scheduler = diffusers.DPMSolverMultistepScheduler.from_pretrained(models.folder("sana") / "scheduler")
    scheduler.set_timesteps(20)
    unshifted = scheduler.sigmas[:-1] / (3.0 - 2.0 * scheduler.sigmas[:-1])
    assert isinstance(prior.schedule, FlowSchedule) and prior.schedule.shift == 3.0
    torch.testing.assert_close(prior.schedule.sigma(unshifted), scheduler.sigmas[:-1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(scheduler.timesteps.float(), prior.schedule.timestep(unshifted), atol=1.0, rtol=1e-3)


def test_packing_is_the_pipelines_and_comes_back() -> None:
    x = torch.randn(2, 4, 8, 12)
    ours = packed(x)
    assert torch.equal(ours, diffusers.FluxPipeline._pack_latents(x, 2, 4, 8, 12))
    assert torch.equal(unpacked(ours, 8, 12), x)
    assert torch.equal(patch_ids(x), diffusers.FluxPipeline._prepare_latent_image_ids(1, 4, 6, "cpu", torch.float32))


def test_a_distilled_scheduler_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'trigflow'"):
        read_schedule({"prediction_type": "trigflow"})


def test_a_preconditioned_network_is_refused() -> None:
    """Playground 2.5 has such a scheduler; read as betas its levels would be another model's."""
    from diffusers import EDMEulerScheduler

    with pytest.raises(ValueError, match="EDMEulerScheduler"):
        read_schedule(dict(EDMEulerScheduler().config) | {"_class_name": "EDMEulerScheduler"})


@torch.no_grad()
def test_without_a_negative_prompt_the_negative_branch_is_the_empty_prompts(models: Models) -> None:
    """As SDXL's pipeline has it: zeros, not the encoding of an empty text."""
    condition = models.shared("sdxl")[0].condition(observations(negative_prompt=""))
    found = pipeline(models, "sdxl").encode_prompt(PROMPT, device="cpu", negative_prompt=None)
    for name, truth in (("hidden", found[1]), ("pooled", found[3])):
        torch.testing.assert_close(condition.text["negative"][name], truth[0])


def test_directions_of_cameras() -> None:
    from nerf2mesh.types import Camera

    cameras = Camera.orbit(torch.tensor([[0.0, 44.0, 46.0, -46.0, 134.0, 136.0, 181.0, 0.0]]), 0.0)
    told = ["front", "front", "side", "side", "side", "back", "back", "front"]
    assert prompts.direction(cameras) == told
    assert prompts.direction(Camera.orbit(torch.tensor([[0.0]]), 61.0)) == ["overhead"]
    assert prompts.keys("conditional", cameras, False) == ["plain"] * 8
    assert prompts.keys("back", cameras, True) == ["back"] * 8
    assert prompts.view_prompts("a cat")["overhead"] == "a cat, overhead view"


def test_components_know_what_they_lack(models: Models) -> None:
    parts = Components.read(models.folder("sd3-no-t5"))
    assert parts.missing(("transformer", "text_encoder_3")) == ["text_encoder_3"]
