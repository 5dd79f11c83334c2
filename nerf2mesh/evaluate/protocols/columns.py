"""The metrics there are, in the order of their columns: titles, directions, digits, tolerances."""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED_THRESHOLDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Metric:
    """How to show and judge one column. `tolerance`: what two runs of one method on two machines may differ by."""

    key: str
    title: str
    higher_is_better: bool
    digits: int
    tolerance: float

    def margin(self, value: float, other: float) -> float:
        """How far `value` beats `other`; negative where it loses."""
        return value - other if self.higher_is_better else other - value


METRICS = (
    Metric("volume_iou", "volume IoU", True, 4, 0.03),
    Metric("chamfer", "Chamfer", False, 4, 0.01),
    Metric("chamfer_floor", "Chamfer floor", False, 4, 0.01),
    *(Metric(f"f_score_{t:g}", f"F@{t:g}", True, 4, 0.04) for t in PUBLISHED_THRESHOLDS),
    Metric("normal_consistency", "normal consistency", True, 4, 0.03),
    Metric("psnr", "PSNR", True, 2, 0.5),
    Metric("foreground_psnr", "foreground PSNR", True, 2, 0.5),
    Metric("ssim", "SSIM", True, 4, 0.02),
    Metric("mask_iou", "mask IoU", True, 4, 0.03),
    Metric("normal_error_deg", "normal error (deg)", False, 2, 3.0),
    Metric("depth_error", "depth error", False, 4, 0.02),
    Metric("lpips_alex", "LPIPS (Alex)", False, 4, 0.02),
    Metric("lpips_vgg", "LPIPS (VGG)", False, 4, 0.02),
    Metric("clip_similarity", "CLIP similarity", True, 4, 0.02),
    Metric("clip_text", "CLIP to prompt", True, 4, 0.02),
    Metric("clip_t3bench", "CLIP to prompt, T3Bench's way", True, 4, 0.02),
    Metric("r_precision", "R-precision", True, 4, 0.1),
    Metric("color_agreement", "color agreement", True, 4, 0.05),
    Metric("field_psnr", "field PSNR", True, 2, 0.5),
    Metric("color_error", "color error", False, 2, 2.0),
    Metric("psnr_seen", "PSNR, seen", True, 2, 0.5),
    Metric("psnr_unseen", "PSNR, unseen", True, 2, 0.5),
    Metric("ssim_seen", "SSIM, seen", True, 4, 0.03),
    Metric("ssim_unseen", "SSIM, unseen", True, 4, 0.03),
    Metric("color_error_seen", "color error, seen", False, 2, 2.0),
    Metric("color_error_unseen", "color error, unseen", False, 2, 2.0),
    Metric("normal_error_deg_seen", "normal error (deg), seen", False, 2, 3.0),
    Metric("normal_error_deg_unseen", "normal error (deg), unseen", False, 2, 3.0),
    Metric("depth_error_seen", "depth error, seen", False, 4, 0.02),
    Metric("depth_error_unseen", "depth error, unseen", False, 4, 0.02),
    Metric("lightness_error_unseen", "lightness error, unseen", False, 2, 2.0),
    Metric("chroma_error_unseen", "chroma error, unseen", False, 2, 2.0),
)
METRIC_BY_KEY = {metric.key: metric for metric in METRICS}
