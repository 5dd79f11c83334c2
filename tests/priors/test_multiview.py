"""MVDream's network against diffusers' reading of the latent-diffusion layout; its cameras; ImageDream's picture."""

from __future__ import annotations

import math

import pytest
import torch

from nerf2mesh.priors.foundation.families.multiview import told_pose
from nerf2mesh.priors.foundation.families.multiview_unet import MultiViewUNet
from nerf2mesh.priors.foundation.resampler import Resampler
from nerf2mesh.types import Camera
from tests.priors.conftest import Models, four_cameras, noisy_latents

SMALL = {
    "model_channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1, "attention_resolutions": (2, 1),
    "num_head_channels": 16, "context_dim": 24,
}  # fmt: skip


def single_view_twin(network: MultiViewUNet):
    """Stable Diffusion's UNet with the same weights, through diffusers' conversion of latent-diffusion checkpoints."""
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    twin = UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=24, attention_head_dim=(2, 4),
        down_block_types=("CrossAttnDownBlock2D",) * 2, up_block_types=("CrossAttnUpBlock2D",) * 2,
        use_linear_projection=True,
    ).eval()  # fmt: skip
    weights = {f"model.diffusion_model.{k}": v for k, v in network.state_dict().items() if "camera_embed" not in k}
    twin.load_state_dict(convert_ldm_unet_checkpoint(weights, dict(twin.config)))
    return twin


@torch.no_grad()
def test_one_view_without_camera_is_stable_diffusion() -> None:
    torch.manual_seed(0)
    network = MultiViewUNet(**SMALL).eval()
    for parameter in network.camera_embed[-1].parameters():
        parameter.zero_()
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 24)
    truth = single_view_twin(network)(x, t, encoder_hidden_states=context).sample
    ours = network(x, t, context, torch.randn(2, 16), 1)
    torch.testing.assert_close(ours, truth, atol=1e-4, rtol=1e-4)
    # The same picture twice, side by side: softmax over doubled tokens is the softmax over the tokens.
    doubled = network(x[:1].repeat(2, 1, 1, 1), t[:1].repeat(2), context[:1].repeat(2, 1, 1), torch.randn(2, 16), 2)
    torch.testing.assert_close(doubled, ours[:1].repeat(2, 1, 1, 1), atol=1e-4, rtol=1e-4)


def test_full_size_layout_is_the_published_one() -> None:
    """Names and shapes of a few parameters of MVDream's and ImageDream's files, and SD 2.1's number of them."""
    with torch.device("meta"):
        mvdream, imagedream = MultiViewUNet(), MultiViewUNet(ip_dim=16)
    shapes = {name: tuple(value.shape) for name, value in mvdream.state_dict().items()}
    assert shapes["camera_embed.0.weight"] == (1280, 16)
    assert shapes["input_blocks.0.0.weight"] == (320, 4, 3, 3)
    assert shapes["input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"] == (320, 1024)
    assert shapes["input_blocks.3.0.op.weight"] == (320, 320, 3, 3)
    assert shapes["middle_block.1.proj_in.weight"] == (1280, 1280)
    assert shapes["output_blocks.5.2.conv.weight"] == (1280, 1280, 3, 3)
    assert shapes["output_blocks.11.0.skip_connection.weight"] == (320, 640, 1, 1)
    assert shapes["out.2.weight"] == (4, 320, 3, 3)
    camera = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("camera_embed"))
    assert sum(math.prod(shape) for shape in shapes.values()) - camera == 865_910_724, "Stable Diffusion 2.1's UNet"
    further = set(imagedream.state_dict()) - set(shapes)
    assert "image_embed.layers.3.0.to_kv.weight" in further
    assert "input_blocks.1.1.transformer_blocks.0.attn2.to_v_ip.weight" in further
    assert imagedream.state_dict()["image_embed.proj_in.weight"].shape == (1024, 1280)


@torch.no_grad()
def test_resampler_is_ip_adapter_plus() -> None:
    """Its weights go by the same names as those of IP-Adapter Plus, which diffusers reads in its own way."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    ours = Resampler(64, 4, 64, 2, 3, 20).eval()
    twin = UNet2DConditionModel._convert_ip_adapter_image_proj_to_diffusers(None, ours.state_dict(), False).eval()
    x = torch.randn(2, 7, 20)
    torch.testing.assert_close(ours(x), twin(x), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_views_see_each_other(models: Models) -> None:
    prior, condition = models.shared("mvdream")
    noisy, t = noisy_latents(prior, 2), torch.tensor([0.5, 0.5])
    other = noisy.clone()
    other[0, 3] += 1.0
    a, b = (prior.predict(x, t, four_cameras(2), condition) for x in (noisy, other))
    assert (a[0, 0] - b[0, 0]).abs().max() > 1e-4, "views of a scene are denoised together"
    torch.testing.assert_close(a[1], b[1], atol=1e-5, rtol=1e-5)


def authors_camera(elevation_deg: float, azimuth_deg: float) -> torch.Tensor:
    """MVDream's camera: OpenGL's (+Y up, azimuth 0 at +Z, 90 at +X) on the unit sphere, turned to Blender's +Z up."""
    elevation, azimuth = math.radians(elevation_deg), math.radians(azimuth_deg)
    back = torch.tensor(
        [math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth)]
    )
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    pose = torch.eye(4)
    pose[:3] = torch.stack([right, torch.linalg.cross(back, right), back, back], dim=1)
    to_blender = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return to_blender @ pose


def test_told_pose_is_mvdreams_with_its_second_view_at_our_front() -> None:
    """Of the views at 0, 90, 180, 270 that MVDream draws by default the second shows the front."""
    cameras = Camera.orbit(torch.tensor([[0.0, 90.0, 180.0]]), 30.0, distance=5.0)
    pose = told_pose(cameras, torch.zeros(())).reshape(3, 4, 4)
    truth = torch.stack([authors_camera(30.0, azimuth) for azimuth in (90.0, 180.0, 270.0)])
    torch.testing.assert_close(pose, truth, atol=1e-6, rtol=1e-6)
    given = told_pose(cameras, torch.tensor(90.0)).reshape(3, 4, 4)
    torch.testing.assert_close(given[1], authors_camera(30.0, 90.0), atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_imagedream_gets_a_fifth_frame(models: Models) -> None:
    prior, condition = models.shared("imagedream")
    noisy, t, cameras = noisy_latents(prior), torch.tensor([0.5]), four_cameras()
    ours = prior.predict(noisy, t, cameras, condition, branch="conditional")
    x = torch.cat([noisy[0], condition.picture["latents"]])
    pose = torch.cat([told_pose(cameras, torch.tensor(20.0)), torch.zeros(1, 16)])
    words = condition.text["plain"]["hidden"].repeat(5, 1, 1)
    truth = prior.network(x, torch.full((5,), 500), words, pose, 5, condition.picture["tokens"].repeat(5, 1, 1))
    torch.testing.assert_close(ours[0], truth[:4], atol=1e-5, rtol=1e-5)


def test_pose_numbers_of_zero123(models: Models) -> None:
    from nerf2mesh.priors.foundation.families.zero123 import CameraProjection, relative_pose

    reference = Camera.orbit(30.0, 20.0, distance=3.0)
    cameras = Camera.orbit(torch.tensor([[30.0, 120.0]]), torch.tensor([[20.0, 50.0]]), distance=3.5)
    plain = relative_pose(cameras, reference, stable=False)
    torch.testing.assert_close(plain[0], torch.tensor([0.0, 0.0, 1.0, 0.5]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(plain[1], torch.tensor([-math.pi / 6, 1.0, 0.0, 0.5]), atol=1e-5, rtol=1e-5)
    stable = relative_pose(cameras, reference, stable=True)
    assert stable[:, 3].tolist() == pytest.approx([math.radians(70.0)] * 2)
    projection = CameraProjection(8)
    other = {key.replace("proj.", "projection."): value for key, value in projection.state_dict().items()}
    CameraProjection(8).load_state_dict(other)
