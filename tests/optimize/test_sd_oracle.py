"""SDS on a tiny Stable Diffusion from a configuration against the equation, written out with diffusers' own parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.lora import adapters
from nerf2mesh.optimize import GivenPixels, LoopState, OptimizeConfig, Problem, optimize
from nerf2mesh.optimize.distillers import GuidanceInputs, make_distiller
from nerf2mesh.optimize.distillers.variational import PHI
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Camera, Observations
from tests.priors import tiny

PROMPT = Observations(prompt="a cup", negative_prompt="blurry")
TIME = 0.437


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write("sd", tmp_path_factory.mktemp("sd"))


def tiny_sd(folder: Path):
    settings = PriorConfig(model=str(folder), precision="float32", offline=True, cache_dir=str(folder / "cache"))
    return load_prior(settings)


def by_hand(folder: Path, images: torch.Tensor, noise: torch.Tensor, scale: float) -> torch.Tensor:
    """d/d images of the SDS pull, (1 - abar) (e_u + s (e_c - e_u) - noise) on the latents, for two views."""
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    words = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    unet = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    abar = DDPMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod[round(TIME * 1000)]

    def told(text: str) -> torch.Tensor:
        ids = words(text, padding="max_length", max_length=words.model_max_length, truncation=True, return_tensors="pt")
        return encoder(ids.input_ids)[0]

    images = images.clone().requires_grad_(True)
    rgb = images[0, ..., :3] + (1 - images[0, ..., 3:]) * 0.5
    latents = vae.encode(rgb.permute(0, 3, 1, 2) * 2 - 1).latent_dist.mean * vae.config.scaling_factor
    with torch.no_grad():
        noisy = abar.sqrt() * latents + (1 - abar).sqrt() * noise[0]
        wanted = torch.cat([told("a cup, front view"), told("a cup, back view")])
        e_c = unet(noisy, round(TIME * 1000), wanted).sample
        e_u = unet(noisy, round(TIME * 1000), told("blurry").repeat(2, 1, 1)).sample
        gradient = (1 - abar) * (e_u + scale * (e_c - e_u) - noise[0]) / latents.numel()
    latents.backward(gradient)
    return images.grad


@pytest.mark.parametrize("scale", [7.5, 100.0])
def test_sds_is_the_equation(folder: Path, scale: float) -> None:
    prior = tiny_sd(folder)
    condition = prior.condition(PROMPT)
    cameras = Camera.orbit(torch.tensor([[0.0, 180.0]]), 0.0, width_px=prior.image_size)
    g = torch.Generator().manual_seed(1)
    images = torch.rand(1, 2, prior.image_size, prior.image_size, 4, generator=g)
    seeded = {"noise": torch.Generator().manual_seed(5)}
    live = images.clone().requires_grad_(True)
    latents = prior.encode(live)
    config = DistillConfig(weighting="sds", guidance_scale=scale)
    time = torch.tensor([TIME])
    q = GuidanceInputs(prior, condition, config, cameras, 0.0, time, latents.detach(), images, seeded)
    latents.backward(make_distiller(prior, config, seeded)(q).latents)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5))
    wanted, other = (by_hand(folder, images, noise, s) for s in (scale, scale + 1.0))
    size = float(wanted.abs().max())
    assert float((live.grad - wanted).abs().max()) < 1e-5 * size
    assert float((live.grad - other).abs().max()) > 1e-4 * size, "a guidance of one more would be seen"


def test_vsd_on_stable_diffusion_learns_its_adapter_and_its_camera(folder: Path) -> None:
    """From text alone, two steps: LoRA and camera embedding move, and the bare U-Net stays what it was."""
    prior = tiny_sd(folder)
    condition = prior.condition(PROMPT)
    cameras = Camera.orbit(torch.tensor([[0.0, 180.0]]), 0.0, width_px=prior.image_size)
    probe = torch.randn(1, 2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    time = torch.tensor([TIME])
    before = prior.predict(probe, time, cameras, condition).clone()
    distill = DistillConfig(loss="vsd", guidance_scale=7.5, n_views=2, phi_camera_dropout=0.0)
    config = OptimizeConfig(steps=3, regularizer_samples=16)
    field = HashGridField(FieldConfig(n_levels=4, log2_table_size=8, hidden=16), torch.Generator().manual_seed(0))
    occupancy = OccupancyGrid(16)
    state = LoopState.fresh(field, occupancy, config.lr_encoding, config.lr_network, 0)
    renderer = VolumeRenderer(RendererConfig(samples_per_ray=32, occupancy_resolution=16), field, occupancy)
    pixels = GivenPixels(PROMPT, torch.device("cpu"))
    task = Problem(
        observations=PROMPT,
        prior=prior,
        condition=condition,
        renderer=renderer,
        pixels=pixels,
        config=config,
        distill=distill,
    )
    optimize(state, task)
    phi = state.parts["distiller"].phi
    assert all(float(p.abs().max()) > 0.0 for name, p in phi.weights.items() if ".lora_B." in name)
    assert all(bool(p.any()) for p in prior.camera_embedding.parameters())
    assert PHI in adapters.names(prior.network) and PHI not in adapters.stacked(prior.network)
    with torch.no_grad():
        assert torch.equal(before, prior.predict(probe, time, cameras, condition))
