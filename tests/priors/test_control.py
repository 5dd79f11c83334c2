"""ControlNet and IP-Adapter: against diffusers' pipelines' way of calling, and the control pictures by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerf2mesh.priors.foundation import control
from nerf2mesh.types import Camera, Observations, View
from tests.priors import tiny
from tests.priors.conftest import Models, four_cameras, noisy_latents, observations


def views(size: int = 16) -> torch.Tensor:
    """A grey square on nothing, four times: premultiplied RGBA [1, 4, size, size, 4]."""
    images = torch.zeros(1, 4, size, size, 4)
    images[..., size // 4 : -size // 4, size // 4 : -size // 4, :] = torch.tensor([0.2, 0.2, 0.2, 1.0])
    return images


@pytest.fixture(scope="module")
def nets(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("control")
    return {kind: tiny.write_controlnet(root / kind, models.folder(kind)) for kind in ("sd", "sdxl")}


@pytest.fixture(scope="module")
def adapters(models: Models, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ip")
    return {kind: tiny.write_ip_adapter(root / kind, models.folder(kind)) for kind in ("sd", "sdxl")}


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@torch.no_grad()
def test_controlnet_is_a_direct_call(models: Models, nets: dict[str, Path], kind: str) -> None:
    prior = models.prior(kind, controlnet=str(nets[kind]), control_scale=0.7)
    condition, noisy, t = prior.condition(observations()), noisy_latents(prior), torch.tensor([0.35])
    prior.encode(views())
    ours = prior.predict(noisy, t, four_cameras(), condition)
    keys, n = ["front", "side", "back", "side"], torch.tensor(350)
    told = {name: torch.stack([condition.text[k][name] for k in keys]) for name in condition.text["front"]}
    added = None
    if kind == "sdxl":
        ids = torch.tensor([[16.0, 16.0, 0.0, 0.0, 16.0, 16.0]]).repeat(4, 1)
        added = {"text_embeds": told["pooled"], "time_ids": ids}
    picture = control.edges("canny", torch.cat([views()[0, ..., :3] + 1 - views()[0, ..., 3:]]).permute(0, 3, 1, 2))
    down, middle = prior.controlnet(
        noisy[0], n, told["hidden"], picture, conditioning_scale=0.7, added_cond_kwargs=added, return_dict=False
    )
    truth = prior.network(
        noisy[0], n, told["hidden"], added_cond_kwargs=added, down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample  # fmt: skip
    torch.testing.assert_close(ours[0], truth, atol=2e-5, rtol=2e-5)
    plain = models.shared(kind)[0].predict(noisy, t, four_cameras(), condition)
    assert (ours - plain).abs().max() > 1e-4, "the picture is followed"


@torch.no_grad()
def test_control_by_the_reference_fades_as_the_camera_turns(models: Models, nets: dict[str, Path]) -> None:
    prior = models.prior("sd", controlnet=str(nets["sd"]), control="lineart", control_from="reference")
    condition, noisy, t = prior.condition(observations()), noisy_latents(prior), torch.tensor([0.35])
    ours = prior.predict(noisy, t, four_cameras(), condition)
    plain = models.shared("sd")[0].predict(noisy, t, four_cameras(), condition)
    difference = (ours - plain)[0].abs().amax((1, 2, 3))
    assert difference[0] > 1e-4, "20 degrees from the reference"
    torch.testing.assert_close(ours[0, 1:], plain[0, 1:], atol=1e-5, rtol=1e-5)
    reference = Camera.orbit(0.0, 0.0)
    near = control.nearness(Camera.orbit(torch.tensor([[0.0, 14.0, 37.5, 61.0]]), 0.0), reference)
    assert near.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.0], abs=1e-3)


def test_pictures_show_what_they_are_named_after() -> None:
    size = 32
    rgba = views(size)
    for kind in ("canny", "scribble", "lineart"):
        lines = control.of_rendering(kind, rgba, None, None, size)
        assert lines.shape == (4, 3, size, size) and lines.min() >= 0 and lines.max() <= 1
        inside, border, outside = (float(lines[:, :, 16, x].mean()) for x in (16, 8, 1))
        near_border = float(lines[:, :, 16, 6:11].max())
        assert inside < 0.05 and outside < 0.05 and near_border > 0.3, (kind, inside, border, outside)
    thick, thin = (control.of_rendering(kind, rgba, None, None, size).sum() for kind in ("scribble", "canny"))
    assert thick > 2 * thin
    depth = torch.full((1, 4, size, size), 3.0) - torch.linspace(0, 1, size)
    shade = control.of_rendering("depth", rgba, depth, None, size)
    assert shade[0, 0, 16, 22] == pytest.approx(1.0, abs=0.1) and shade[0, 0, 16, 9] == pytest.approx(0.1, abs=0.1)
    assert shade[0, 0, 2, 2] == 0.0


def test_normals_of_a_ball_are_those_of_a_ball() -> None:
    """Depth of a ball seen from the front and from the left; the normal at a pixel is its point's direction."""
    cameras = Camera.orbit(torch.tensor([[0.0, 90.0]]), torch.tensor([[0.0, 30.0]]), width_px=48)
    rays = cameras.rays()
    along = -(rays.origins * rays.directions).sum(-1)
    beside = (rays.origins + along[..., None] * rays.directions).square().sum(-1)
    depth = along - (0.64 - beside).clamp_min(0.0).sqrt()
    point = rays.origins + depth[..., None] * rays.directions
    truth = torch.einsum("bvhwi,bvij->bvhwj", point / 0.8, cameras.camera_to_world[..., :3, :3])
    seen = control.camera_normals(depth, cameras)
    inside = beside < 0.4
    assert (seen - truth)[inside].norm(dim=-1).max() < 0.05
    color = control.of_rendering("normal", torch.ones(1, 2, 48, 48, 4), depth, cameras, 48)
    middle, left, top = color[0, :, 24, 24], color[0, :, 24, 17], color[0, :, 17, 24]
    assert middle.tolist() == pytest.approx([0.5, 0.5, 1.0], abs=0.05)
    assert left[0] > 0.6 and top[1] > 0.6, "red to the left, green up"


def test_a_drawing_is_its_own_control() -> None:
    ink = torch.ones(16, 16, 4)
    ink[8, :, :3] = 0.0
    view = View(ink, Camera.orbit(0.0, 0.0, width_px=16), domain="sketch")
    lines = control.of_reference("scribble", Observations((view,)), 16)
    assert lines[0, 0, 8].min() == 1.0 and lines[0, 0, :7].max() == 0.0


def test_depth_and_normals_have_to_be_shown(models: Models, nets: dict[str, Path]) -> None:
    prior = models.prior("sd", controlnet=str(nets["sd"]), control="normal")
    condition, noisy, t = prior.condition(observations()), noisy_latents(prior), torch.tensor([0.5])
    prior.encode(views())
    with pytest.raises(ValueError, match=r"prior\.control=normal: the rendering is to be shown"):
        prior.predict(noisy, t, four_cameras(), condition)
    prior.show(views(), depth=torch.rand(1, 4, 16, 16) + 2.0, cameras=four_cameras())
    with torch.no_grad():
        assert prior.predict(noisy, t, four_cameras(), condition).isfinite().all()
    reference = models.prior("sd", controlnet=str(nets["sd"]), control="depth", control_from="reference")
    with pytest.raises(ValueError, match="a picture does not tell its depth"):
        reference.condition(observations())


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@torch.no_grad()
def test_ip_adapter_is_diffusers(models: Models, adapters: dict[str, Path], kind: str) -> None:
    """Against the UNet of a pipeline that loaded the same file by its own method."""
    import diffusers

    prior = models.prior(kind, ip_adapter=str(adapters[kind]), ip_adapter_scale=0.8)
    condition, noisy, t = prior.condition(observations()), noisy_latents(prior), torch.tensor([0.35])
    ours = prior.predict(noisy, t, four_cameras(), condition)
    name = "StableDiffusionPipeline" if kind == "sd" else "StableDiffusionXLPipeline"
    absent = {"safety_checker": None, "requires_safety_checker": False} if kind == "sd" else {"add_watermarker": False}
    pipe = getattr(diffusers, name).from_pretrained(
        models.folder(kind), feature_extractor=None, image_encoder=None, local_files_only=True, **absent
    )
    pipe.load_ip_adapter(str(adapters[kind]), subfolder="", weight_name="ip_adapter.safetensors",
                         image_encoder_folder=None, local_files_only=True)  # fmt: skip
    pipe.set_ip_adapter_scale(0.8)
    keys = ["front", "side", "back", "side"]
    told = {name: torch.stack([condition.text[k][name] for k in keys]) for name in condition.text["front"]}
    added = {"image_embeds": [condition.picture["image"].repeat(4, 1, 1)]}
    if kind == "sdxl":
        ids = torch.tensor([[16.0, 16.0, 0.0, 0.0, 16.0, 16.0]]).repeat(4, 1)
        added |= {"text_embeds": told["pooled"], "time_ids": ids}
    truth = pipe.unet(noisy[0], torch.tensor(350), told["hidden"], added_cond_kwargs=added).sample
    torch.testing.assert_close(ours[0], truth, atol=2e-5, rtol=2e-5)
    assert not condition.picture["no_image"].any() and condition.picture["image"].any()
    wordless = prior.condition(observations(prompt=""))
    assert prior.predict(noisy, t, four_cameras(), wordless).isfinite().all(), "a picture is prompt enough"


def test_wrong_neighbors_are_refused(
    models: Models, nets: dict[str, Path], adapters: dict[str, Path], tmp_path
) -> None:
    with pytest.raises(ValueError, match=r"prior\.controlnet: expected a prior of family sd or sdxl, got sd3"):
        models.prior("sd3", controlnet=str(nets["sd"]))
    with pytest.raises(ValueError, match=r"prior\.controlnet: no folder .*nowhere"):
        models.prior("sd", controlnet=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"prior\.controlnet: .* without \.safetensors"):
        models.prior("sd", controlnet=str(tmp_path))
    with pytest.raises(ValueError, match=r"prior\.ip_adapter: ip_adapter\.safetensors does not fit this UNet"):
        models.prior("sd", ip_adapter=str(adapters["sdxl"]))
    with pytest.raises(ValueError, match=r"prior\.ip_adapter: expected one adapter file in .*, got none"):
        models.prior("sd", ip_adapter=str(tmp_path))
