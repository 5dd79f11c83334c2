"""LPIPS, CLIP similarity and R-precision with weights that the user has; nothing is downloaded.

A table must name the network: LPIPS of AlexNet and of VGG differ by a factor, and of 224 px and 256 px too. Here
pictures are compared at their own size. Letters: pictures are [n, h, w, 3] in [0, 1], in front of the background.

LPIPS (Zhang et al. 2018, as in the lpips package, version 0.1): features of five layers, scaled to unit length over
channels, squared differences weighted by the learned heads, mean over pixels, sum over layers. Its two files are the
backbone (torchvision's state_dict, keys features.N.weight) and the heads (keys linI.model.1.weight), or the
state_dict of a whole lpips.LPIPS module, which holds both.
CLIP (Radford et al. 2021): a folder as transformers writes it. Similarity is the cosine of image embeddings, here the
mean over novel views against the input picture, as Magic123 measures; R-precision the share of renderings whose own
prompt is the nearest of all prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.images import _same_shape

Layer = tuple[str, int, int, int]
"""("conv", index in torchvision's `features`, stride, padding), ("pool", 0, stride, size) or ("tap", 0, 0, 0)."""


def _convs(*indices: int) -> list[Layer]:
    return [("conv", index, 1, 1) for index in indices]


_TAP: Layer = ("tap", 0, 0, 0)
_POOL2: Layer = ("pool", 0, 2, 2)
_POOL3: Layer = ("pool", 0, 2, 3)
NETWORKS: dict[str, list[Layer]] = {
    "alex": [
        *[("conv", 0, 4, 2), _TAP, _POOL3, ("conv", 3, 1, 2), _TAP, _POOL3],
        *[*_convs(6), _TAP, *_convs(8), _TAP, *_convs(10), _TAP],
    ],
    "vgg": [
        *[*_convs(0, 2), _TAP, _POOL2, *_convs(5, 7), _TAP, _POOL2, *_convs(10, 12, 14), _TAP, _POOL2],
        *[*_convs(17, 19, 21), _TAP, _POOL2, *_convs(24, 26, 28), _TAP],
    ],
}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Lpips:
    """LPIPS of one network, "alex" or "vgg"; call it with two batches of pictures."""

    def __init__(self, network: str, state: Mapping[str, Tensor]) -> None:
        if network not in NETWORKS:
            raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, got {network!r}; choose one")
        self.layers = NETWORKS[network]
        self.convs = {index: _conv(state, index) for kind, index, *_ in self.layers if kind == "conv"}
        self.heads = [_entry(state, f"lin{k}.model.1.weight", f"lins.{k}.model.1.weight") for k in range(5)]

    @staticmethod
    def load(network: str, *files: Path | str) -> Lpips:
        """From one file, or the backbone's and the heads'; .safetensors, or .pth without pickled code."""
        return Lpips(network, {key: value for file in files for key, value in _read(Path(file)).items()})

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "n h w 3"], target: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n"]:
        _same_shape(image, target)
        pairs = zip(self._features(image), self._features(target), self.heads, strict=True)
        terms = [(F.conv2d((_unit(a) - _unit(b)).square(), head)).mean(dim=(1, 2, 3)) for a, b, head in pairs]
        return torch.stack(terms).sum(dim=0)

    def _features(self, image: Float[Tensor, "n h w 3"]) -> list[Tensor]:
        x = (2 * image.movedim(-1, 1) - 1 - image.new_tensor(_SHIFT)[:, None, None]) / image.new_tensor(_SCALE)[
            :, None, None
        ]
        taps = []
        for kind, index, stride, size in self.layers:
            if kind == "conv":
                weight, bias = self.convs[index]
                x = F.relu(F.conv2d(x, weight.to(x), bias.to(x), stride=stride, padding=size))
            elif kind == "pool":
                x = F.max_pool2d(x, size, stride)
            else:
                taps.append(x)
        return taps


class Clip:
    """Embeddings of unit length by a CLIP model in a folder."""

    def __init__(self, folder: Path | str) -> None:
        from transformers import AutoTokenizer, CLIPModel

        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise ValueError(
                f"weights.clip: expected a folder with config.json and weights, got {folder}; give your copy's path"
            )
        self.model: Any = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
        self._tokens = lambda words: AutoTokenizer.from_pretrained(folder, local_files_only=True)(
            words, return_tensors="pt", padding=True, truncation=True
        )

    @torch.no_grad()
    def images(self, pictures: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n d"]:
        """Embeddings of square pictures, which are resized (bicubic, antialiased) to the model's size."""
        size = self.model.config.vision_config.image_size
        x = F.interpolate(pictures.movedim(-1, 1), (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        x = (x - x.new_tensor(_CLIP_MEAN)[:, None, None]) / x.new_tensor(_CLIP_STD)[:, None, None]
        pooled = self.model.vision_model(pixel_values=x.to(self.model.dtype)).pooler_output
        return F.normalize(self.model.visual_projection(pooled).float(), dim=-1)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Embeddings of prompts, cut at the model's length."""
        pooled = self.model.text_model(**self._tokens(list(prompts))).pooler_output
        return F.normalize(self.model.text_projection(pooled).float(), dim=-1)


def clip_similarity(views: Float[Tensor, "n d"], reference: Float[Tensor, "d"]) -> float:
    """Mean cosine of the views' embeddings with the reference's."""
    return float((F.normalize(views, dim=-1) @ F.normalize(reference, dim=-1)).mean())


def r_precision(views: Float[Tensor, "n d"], prompts: Float[Tensor, "m d"], own: Sequence[int]) -> float:
    """Share of views whose own prompt (its row in `prompts`) is the nearest of all; 1 / m is what chance gives."""
    nearest = (F.normalize(views, dim=-1) @ F.normalize(prompts, dim=-1).T).argmax(dim=-1)
    return float((nearest == torch.as_tensor(own, device=nearest.device)).float().mean())


class Judges:
    """The perceptual metrics whose weights the user gave; adds their columns to a case's scores.

    weights: "lpips_alex" and "lpips_vgg" to their files, "clip" to its folder.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.lpips = {key: Lpips.load(key.removeprefix("lpips_"), *weights[key]) for key in weights if key != "clip"}
        self.clip = Clip(weights["clip"]) if "clip" in weights else None

    def __call__(
        self, given: Float[Tensor, "h w 3"], image: Float[Tensor, "n h w 3"], target: Float[Tensor, "n h w 3"]
    ) -> dict[str, float]:
        scores = {key: float(lpips(image, target).mean()) for key, lpips in self.lpips.items()}
        if self.clip is not None:
            scores["clip_similarity"] = clip_similarity(self.clip.images(image), self.clip.images(given[None])[0])
        return scores


def _unit(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


def _conv(state: Mapping[str, Tensor], index: int) -> tuple[Tensor, Tensor]:
    slices = [f"net.slice{k}.{index}" for k in range(1, 6)]
    names = (f"features.{index}", *slices)
    weight, bias = (_entry(state, *(f"{name}.{part}" for name in names)) for part in ("weight", "bias"))
    return weight, bias


def _entry(state: Mapping[str, Tensor], *names: str) -> Tensor:
    found = next((state[name] for name in names if name in state), None)
    if found is None:
        raise ValueError(
            f"weights: expected an entry {names[0]}, got none; give LPIPS's file of the backbone and that of the heads"
        )
    return found


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"weights: expected a file, got {path}; give the path of your copy")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
