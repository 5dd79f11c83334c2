"""Image metrics against scikit-image and closed forms, on pictures made on the spot."""

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
    ssim,
)
from tests.evaluate.shapes import painting


def test_ssim_equals_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    common = {"data_range": 1.0, "channel_axis": -1}
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for a, b in zip(painting(0), painting(1)):
        box = structural_similarity(a.numpy(), b.numpy(), **common)
        assert float(ssim(a, b, window="uniform")) == pytest.approx(box, rel=1e-6)
        smooth = structural_similarity(a.numpy(), b.numpy(), **common, **gaussian)
        assert float(ssim(a, b)) == pytest.approx(smooth, rel=1e-6)


def test_psnr_equals_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    a, b = painting(2), painting(3)
    truth = [peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1.0) for x, y in zip(b, a)]
    assert psnr(a, b).tolist() == pytest.approx(truth, rel=1e-12)


def test_pictures_are_put_in_front_of_the_background() -> None:
    rgba = torch.tensor([0.2, 0.4, 0.6, 0.25]).expand(2, 2, 4)
    assert over(rgba)[0, 0].tolist() == pytest.approx([0.8, 0.85, 0.9])
    assert over(rgba, 0.0)[0, 0].tolist() == pytest.approx([0.05, 0.1, 0.15])


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
    with pytest.raises(ValueError, match="expected one shape"):
        psnr(image, torch.zeros(8, 9, 3))
    with pytest.raises(ValueError, match="11 px"):
        ssim(image, image)
    with pytest.raises(ValueError, match="gaussian"):
        ssim(torch.zeros(16, 16, 3), torch.zeros(16, 16, 3), window="box")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees() -> None:
    a, b = torch.rand(2, 32, 32, 3), torch.rand(2, 32, 32, 3)
    for metric in (psnr, ssim):
        np.testing.assert_allclose(metric(a.cuda(), b.cuda()).cpu(), metric(a, b), rtol=1e-5)
