"""The built-in network as a model of diffusers: `save_pretrained`, `from_pretrained`, `push_to_hub`, `add_adapter`.

A module of its own, because it imports diffusers, which the built-in prior does without.
"""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin  # pyright: ignore[reportPrivateImportUsage]  # lazily exported
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin  # pyright: ignore[reportPrivateImportUsage]  # lazily exported
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import DenoiserConfig, MultiViewDenoiser
from nerf2mesh.procedural.captions import WORDS


class MultiViewDenoiserModel(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """`MultiViewDenoiser` (as `denoiser`) with what diffusers gives its models; the arguments are `DenoiserConfig`'s.

        MultiViewDenoiserModel.of(BuiltinPrior.load(PriorConfig()).network).save_pretrained("folder")
        load_prior(PriorConfig(weights="folder"))

    vocabulary: the words that the network's numbers stand for, with spaces between; None: those of this version.
    """

    @register_to_config
    def __init__(
        self,
        image_size: int = 64,
        patch: int = 2,
        channels: int = 48,
        volume_size: int = 16,
        volume_channels: int = 32,
        deep_channels: int = 128,
        n_deep: int = 3,
        n_ray_samples: int = 16,
        n_words: int = 0,
        vocabulary: str | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = DenoiserConfig(
            image_size=image_size,
            patch=patch,
            channels=channels,
            volume_size=volume_size,
            volume_channels=volume_channels,
            deep_channels=deep_channels,
            n_deep=n_deep,
            n_ray_samples=n_ray_samples,
            n_words=n_words,
        ).build()

    @staticmethod
    def of(network: MultiViewDenoiser) -> MultiViewDenoiserModel:
        """A copy of `network`, on its device. ValueError where it carries adapters."""
        if any(".base_layer." in key for key in network.state_dict()):
            raise ValueError(
                "network: expected one without adapters, got some; take a freshly loaded one, and save adapters alone"
            )
        vocabulary = " ".join(WORDS) if network.config.n_words else None
        model = MultiViewDenoiserModel(**network.config.as_dict(), vocabulary=vocabulary)
        model.denoiser.load_state_dict(network.state_dict())
        # diffusers wraps `Module.to` in a way that hides the method's binding from type checkers.
        return model.to(next(network.parameters()).device)  # pyright: ignore[reportArgumentType]

    def forward(
        self, images: Tensor, log_snr: Tensor, kind: Tensor, geometry: FrameGeometry, words: Tensor | None = None
    ) -> Tensor:
        """See `MultiViewDenoiser.forward`."""
        return self.denoiser(images, log_snr, kind, geometry, words)
