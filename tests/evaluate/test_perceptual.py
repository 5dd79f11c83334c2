"""LPIPS and CLIP against a few lines of plain torch, with random weights: the arithmetic, not what trained ones say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nerf2mesh.evaluate.metrics.perceptual import Clip, Judges, Lpips, clip_similarity, r_precision

RELU = nn.ReLU


def backbone(network: str) -> nn.Sequential:
    """torchvision's `features`, written out."""
    conv = nn.Conv2d
    if network == "alex":
        layers = [conv(3, 64, 11, 4, 2), RELU(), nn.MaxPool2d(3, 2), conv(64, 192, 5, 1, 2), RELU(), nn.MaxPool2d(3, 2)]
        layers += [conv(192, 384, 3, 1, 1), RELU(), conv(384, 256, 3, 1, 1), RELU(), conv(256, 256, 3, 1, 1), RELU()]
        return nn.Sequential(*layers)
    layers, before = [], 3
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            layers += [conv(before, width, 3, 1, 1), RELU()]
            before = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}


def weights(network: str) -> tuple[nn.Sequential, list[torch.Tensor]]:
    torch.manual_seed(4)
    net = backbone(network)
    with torch.no_grad():  # torch's own start shrinks the signal from layer to layer
        for layer in net:
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(2.4)
    widths = [net[i - 1].out_channels for i in TAPS[network]]
    return net, [torch.rand(1, width, 1, 1) for width in widths]


def by_hand(network: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    net, heads = weights(network)
    total = torch.zeros(len(a))
    x, y = (2 * v.permute(0, 3, 1, 2) - 1 for v in (a, b))
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y = (x - shift) / scale, (y - shift) / scale
    for i, layer in enumerate(net):
        x, y = layer(x), layer(y)
        if i in TAPS[network]:
            head = heads[TAPS[network].index(i)]
            u = x / ((x**2).sum(1, keepdim=True).sqrt() + 1e-10)
            v = y / ((y**2).sum(1, keepdim=True).sqrt() + 1e-10)
            total = total + ((u - v) ** 2 * head).sum(1).mean((1, 2))
    return total.detach()


@pytest.mark.parametrize(("network", "layout"), [("alex", "whole module"), ("vgg", "two files")])
def test_lpips_is_what_its_definition_says(network: str, layout: str, tmp_path: Path) -> None:
    net, heads = weights(network)
    features = {f"features.{k}": v for k, v in net.state_dict().items()}
    linear = {f"lin{k}.model.1.weight": head for k, head in enumerate(heads)}
    if layout == "two files":
        torch.save(features, tmp_path / "backbone.pth")
        torch.save(linear, tmp_path / "heads.pth")
        lpips = Lpips.load(network, tmp_path / "backbone.pth", tmp_path / "heads.pth")
    else:
        taps = (0, *(t + 1 for t in TAPS[network]))
        slices = {}
        for name, value in net.state_dict().items():
            index = int(name.split(".")[0])
            k = next(k for k in range(1, 6) if taps[k - 1] <= index < taps[k])
            slices[f"net.slice{k}.{name}"] = value
        torch.save(slices | linear, tmp_path / "lpips.pth")
        lpips = Lpips.load(network, tmp_path / "lpips.pth")
    size = 64 if network == "alex" else 32
    a, b = torch.rand(2, 2, size, size, 3).unbind(0)
    found = lpips(a, b)
    torch.testing.assert_close(found, by_hand(network, a, b), rtol=1e-4, atol=1e-6)
    assert found.min() > 1e-3 and float(lpips(a, a).abs().max()) == 0.0


def test_lpips_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a file"):
        Lpips.load("alex", tmp_path / "none.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "half.pth")
    with pytest.raises(ValueError, match=r"expected an entry .*features\.0\.bias"):
        Lpips.load("alex", tmp_path / "half.pth")
    with pytest.raises(ValueError, match="one of alex, vgg"):
        Lpips("squeeze", {})


def test_cosines_and_retrieval_by_hand() -> None:
    prompts = torch.eye(3)
    views = torch.tensor([[2.0, 0.1, 0.0], [0.0, 5.0, 0.0], [0.0, 1.0, 0.9], [1.0, 0.0, 1.0]])
    assert r_precision(views, prompts, [0, 1, 2, 2]) == 0.5
    assert clip_similarity(torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([2.0, 0.0])) == pytest.approx(
        (1 + 2**-0.5) / 2
    )


def test_clip_embeds_as_transformers_does(tmp_path: Path) -> None:
    """A tiny CLIP with random weights: same embedding as the model's own forward; equal pictures have similarity 1."""
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    vision = text | {"image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text | {"vocab_size": 64}, vision_config=vision, projection_dim=8)).eval()
    model.save_pretrained(tmp_path)
    clip, pictures = Clip(tmp_path), torch.rand(2, 16, 16, 3)
    mean, std = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    pixels = ((pictures - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        out = model(input_ids=torch.ones(1, 4, dtype=torch.long), pixel_values=pixels)
    torch.testing.assert_close(clip.images(pictures), out.image_embeds, rtol=1e-4, atol=1e-5)
    scores = Judges({"clip": str(tmp_path)})(pictures[0], pictures[:1], pictures[1:])
    assert scores == {"clip_similarity": pytest.approx(1.0, abs=1e-5)}
    with pytest.raises(ValueError, match=r"config\.json"):
        Clip(tmp_path / "none")
