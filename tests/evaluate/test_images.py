"""Image metrics against the chicken fixture's published digits, scikit-image and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nerf2mesh.evaluate.metrics.images import (
    depth_error,
    foreground_psnr,
    mask_iou,
    normal_error,
    over,
    psnr,
    psnr_float32_rows,
    ssim,
)
from tests.evaluate.shapes import chicken_views


@pytest.fixture(scope="module")
def chicken() -> tuple[torch.Tensor, torch.Tensor]:
    return chicken_views("pred"), chicken_views("gt")


def test_chicken_digits(chicken: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, truth = chicken
    white = over(truth)
    assert f"{psnr_float32_rows(prediction, white).mean():.5f}" == "25.41291"
    assert f"{ssim(prediction, white).mean():.5f}" == "0.88553"
    # The published 25.41291 holds float32 rounding; summed exactly it is 25.41332.
    assert f"{psnr(prediction.double(), white.double()).mean():.5f}" == "25.41332"
    assert foreground_psnr(prediction, white, truth[..., 3]).mean() == pytest.approx(20.10, abs=0.01)
    assert psnr(torch.ones_like(white), white).mean() == pytest.approx(11.64, abs=0.005)
    assert ssim(torch.ones_like(white), white).mean() == pytest.approx(0.827, abs=5e-4)


def test_ssim_equals_scikit_image(chicken: tuple[torch.Tensor, torch.Tensor]) -> None:
    from skimage.metrics import structural_similarity

    a, b = chicken[0][3].double(), over(chicken[1][3]).double()
    common = {"data_range": 1.0, "channel_axis": -1}
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert float(ssim(a, b)) == pytest.approx(structural_similarity(a.numpy(), b.numpy(), **common, **gaussian), 1e-6)
    assert float(ssim(a, b, window="uniform")) == pytest.approx(
        structural_similarity(a.numpy(), b.numpy(), **common), rel=1e-6
    )


def test_psnr_closed_form_and_batches() -> None:
    target = torch.rand(2, 3, 16, 16, 3) * 0.5
    image = target + torch.tensor([0.1, 0.01])[:, None, None, None, None]
    assert torch.allclose(psnr(image, target), torch.tensor([20.0, 40.0])[:, None].expand(2, 3), atol=1e-3)
    assert ssim(image, target).shape == (2, 3)
    assert math.isinf(float(psnr(target, target)[0, 0]))
    assert torch.allclose(ssim(target, target), torch.ones(2, 3))


def test_foreground_psnr_ignores_the_background() -> None:
    target = torch.zeros(8, 8, 3)
    mask = torch.zeros(8, 8)
    mask[:2] = 1.0
    image = target.clone()
    image[:2] = 0.1
    assert float(foreground_psnr(image, target, mask)) == pytest.approx(20.0, abs=1e-4)
    image[4:] = 1.0
    assert float(foreground_psnr(image, target, mask)) == pytest.approx(20.0, abs=1e-4)
    assert math.isnan(float(foreground_psnr(image, target, torch.zeros(8, 8))))


def test_mask_iou_shifted_squares() -> None:
    a, b = torch.zeros(2, 32, 32), torch.zeros(2, 32, 32)
    a[0, 4:12, 4:12] = 1.0
    b[0, 4:12, 8:16] = 1.0
    assert mask_iou(a, b).tolist() == pytest.approx([4 / 12, 1.0])


def test_depth_and_normal_errors() -> None:
    depth, valid = torch.full((4, 4), 2.0), torch.zeros(4, 4, dtype=torch.bool)
    valid[:2] = True
    moved = depth.clone()
    moved[0] += 0.5
    moved[3] += 100.0
    assert float(depth_error(moved, depth, valid)) == pytest.approx(0.25)
    normal = torch.zeros(4, 4, 3)
    normal[..., 2] = 1.0
    angle = math.radians(30)
    turned = normal.new_tensor([0.0, math.sin(angle), math.cos(angle)]).expand(4, 4, 3) * 2.0
    assert float(normal_error(turned, normal, valid)) == pytest.approx(30.0, abs=1e-4)


def test_wrong_input_says_what_is_wanted() -> None:
    image = torch.zeros(8, 8, 3)
    with pytest.raises(ValueError, match="one shape wanted"):
        psnr(image, torch.zeros(8, 9, 3))
    with pytest.raises(ValueError, match="11 px"):
        ssim(image, image)
    with pytest.raises(ValueError, match="gaussian"):
        ssim(torch.zeros(16, 16, 3), torch.zeros(16, 16, 3), window="box")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees() -> None:
    a, b = torch.rand(2, 32, 32, 3), torch.rand(2, 32, 32, 3)
    for metric in (psnr, ssim, psnr_float32_rows):
        np.testing.assert_allclose(metric(a.cuda(), b.cuda()).cpu(), metric(a, b), rtol=1e-5)
