"""Which prior, where its weights are, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Name, OneOf, Share, Within

CONTROLS = ("scribble", "lineart", "canny", "depth", "normal")
PRECISIONS = ("auto", "bfloat16", "float16", "float32")
BUILTIN = "builtin"
AUTO = "auto"


@dataclass(kw_only=True)
class PriorConfig:
    """The built-in prior by default; a foundation model by `name`, by `model`, or by both."""

    name: Name = BUILTIN
    """"builtin", a known name (see `zoo.MODEL_ZOO` and docs/priors.md), or "auto": what `model` says of itself.
    With `model` given, "builtin" counts as "auto"."""
    weights: FilePath | None = None
    """builtin only: path of a safetensors file from nerf2mesh-train-prior; null takes the packaged weights."""
    precision: Annotated[str, OneOf(*PRECISIONS)] = "auto"
    """Arithmetic of the networks: bfloat16, float16 or float32 (builtin: bfloat16 or float32). auto: bfloat16 where the
    device multiplies it in hardware, else float32."""
    model: FilePath | None = None
    """Where the foundation model is: a folder in the diffusers layout, a .safetensors file, or a hub id (owner/name).
    Null takes the first id of the known name that is there."""
    config_dir: FilePath | None = None
    """For a single file: a folder in the diffusers layout with the configurations and tokenizers of its family."""
    variant: Name | None = None
    """Of the weight files, such as fp16 for diffusion_pytorch_model.fp16.safetensors."""
    revision: Name | None = None
    """Of the hub repository; null takes the known one, else main."""
    offline: bool = False
    """Never ask the network. Files that are already there are taken without asking in any case."""
    controlnet: FilePath | None = None
    """Folder or hub id of a ControlNet for SD or SDXL."""
    control: Annotated[str, OneOf(*CONTROLS)] = "canny"
    """What the ControlNet reads: scribble, lineart, canny, depth or normal; made from the reference view or the
    rendering."""
    control_from: Annotated[str, OneOf("rendering", "reference")] = "rendering"
    """"rendering": the picture that is being optimized, at every view. "reference": the given picture, fading out as
    the camera turns away from it."""
    control_scale: Annotated[float, Within(0.0, 100.0)] = 1.0
    ip_adapter: FilePath | None = None
    """Folder, or hub id, with an IP-Adapter for SD or SDXL: NAME.safetensors and image_encoder/; FOLDER:NAME picks
    one of several."""
    ip_adapter_scale: Annotated[float, Within(0.0, 100.0)] = 0.5
    cache_dir: FilePath | None = None
    """Where text embeddings are kept; null takes ~/.cache/nerf2mesh (or XDG_CACHE_HOME)."""
    background: Share | None = None
    """Grey level behind the object for priors that know no opacity; null takes what the model was trained with (1 for
    Zero123 and ImageDream), else 0.5. Prior.background takes any color."""
    resolution: Annotated[int, Within(8, 4096)] | None = None
    """Side in pixels of the renderings that the prior is given; null takes the network's own. Smaller ones are
    enlarged before the network sees them, as DreamFusion does."""
    network_resolution: Annotated[int, Within(8, 4096)] | None = None
    """Side in pixels at which the network works; null takes the one it was trained at."""
    view_prompts: bool = True
    """Say "front view", "side view", "back view" or "overhead view" in the prompt."""
    view_half_deg: Annotated[float, Within(0.0, 90.0, above=True)] = 45.0
    """Up to how far from the front's azimuth a view is a front view, and from the back's a back view."""
    use_t5: bool = True
    """SD3: whether the third text encoder (4.8 billion numbers) is used; without it, zeros stand in, as published."""
    distilled_guidance: Annotated[float, Within(0.0, 1000.0)] = 3.5
    """FLUX.1-dev: the guidance that is fed to the network itself; not classifier-free guidance."""
    checkpointing: bool = True
    """Recompute activations in the backward pass of the VAE's encoder and of the network: less memory, more time."""
    rows_per_forward: Annotated[int, Within(0, 1_000_000)] = 0
    """At most so many latents in one forward of the network; 0 takes all branches and views at once."""

    def __post_init__(self) -> None:
        check_ranges(self, "prior.")
        if self.model and self.name == BUILTIN:
            self.name = AUTO
        self._check_name()
        if self.name == BUILTIN and self.precision == "float16":
            raise ValueError(
                "prior.precision: expected auto, bfloat16 or float32 with the built-in prior, got float16; choose one"
            )

    def _check_name(self) -> None:
        from nerf2mesh.priors.foundation.zoo import MODEL_ZOO

        if self.name in (BUILTIN, *MODEL_ZOO) or (self.name == AUTO and self.model):
            return
        if self.name == AUTO:
            raise ValueError("prior.name: expected prior.model=FOLDER, FILE or ID beside auto, got none; set it")
        names = ", ".join(MODEL_ZOO)
        raise ValueError(
            f"prior.name: expected builtin, {names}, or auto with prior.model, got {self.name!r}; choose one"
        )
