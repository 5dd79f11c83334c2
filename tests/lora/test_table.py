"""Prior x loss x LoRA: every cell is asked one question on a tiny prior, bare and with a style adapter.

`python -m tests.lora.test_table` prints the table of docs/adapters.md from the same cells. The models are tiny and have
random weights: a cell says that the parts fit, that the adapter is heard, and that the bare prior comes back bit for
bit; it says nothing about quality.
"""

import tempfile
from pathlib import Path

import pytest
import torch

from nerf2mesh import lora
from nerf2mesh.config import load_config
from nerf2mesh.distill import LOSSES, settings_read
from nerf2mesh.lora import adapters
from nerf2mesh.optimize.distillers import GuidanceInputs, make_distiller
from nerf2mesh.optimize.state import STREAMS
from nerf2mesh.priors import BuiltinPrior
from nerf2mesh.types import Camera
from tests.lora.nets import _builtin
from tests.priors.conftest import Models, models, observations  # noqa: F401

PRIORS = ("builtin", "sd", "sdxl", "sd3", "flux", "sana", "if", "zero123", "mvdream", "imagedream")
NAMES = {"sd": "SD 1.5, 2.1", "sdxl": "SDXL", "sd3": "SD3, 3.5", "flux": "FLUX.1", "sana": "SANA", "if": "DeepFloyd IF"}
NAMES |= {"builtin": "built-in", "zero123": "Zero123", "mvdream": "MVDream", "imagedream": "ImageDream"}
FAST = {("sd", "sds"), ("sd", "vsd"), ("builtin", "vsd")}
LEARNERS = ("vsd", "bsd")
CELLS = [(prior, loss) for prior in PRIORS for loss in LOSSES]


def asked(prior, condition, loss: str, cell: str) -> torch.Tensor:
    """The gradient on the latents that the loss gives for fixed views; one step of learning where it learns."""
    stride = ["distill.inversion_stride=0.3"] if "inversion_stride" in settings_read(loss, "uniform") else []
    config = load_config([f"distill={loss}", "distill.n_views=4", *stride]).distill
    cameras = Camera.orbit(torch.tensor([[0.0, 90.0, 180.0, 270.0]]), 15.0, width_px=prior.image_size)
    g = torch.Generator().manual_seed(4)
    images = torch.rand(1, 4, prior.image_size, prior.image_size, 4, generator=g)
    generators = {name: torch.Generator().manual_seed(i) for i, name in enumerate(STREAMS)}
    with torch.no_grad():
        latents = prior.encode(images)
    inputs = GuidanceInputs(
        prior, condition, config, cameras, 0.5, torch.tensor([0.6]), latents, images, generators, images.flip(-2)
    )
    distiller = make_distiller(prior, config, generators)
    with torch.no_grad():
        first = distiller(inputs).latents
    if loss not in LEARNERS:
        return first
    assert all(value.isfinite() for value in distiller.learn(inputs).values()), cell
    with torch.no_grad():
        return distiller(inputs).latents


def check_cell(prior, condition, loss: str) -> None:
    """Bare, with a style, and bare again."""
    torch.set_num_threads(torch.get_num_threads())  # as `fit` does: else MKL chooses, and bits may differ
    cell = f"{type(prior).__name__} {loss}"
    if "style" not in lora.names(prior.network):
        lora.attach(prior.network, "style", rank=2)
        with torch.no_grad():
            for i, p in enumerate(adapters.train_only(prior.network, "style")):
                p.add_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    lora.stack(prior.network, {})
    before = asked(prior, condition, "sds", cell)
    bare = asked(prior, condition, loss, cell)
    lora.stack(prior.network, {"style": 1.0})
    styled = asked(prior, condition, loss, cell)
    assert lora.stacked(prior.network) == {"style": 1.0}, f"{cell}: the run's own stack has changed"
    lora.stack(prior.network, {})
    for name in set(lora.names(prior.network)) - {"style"}:
        lora.remove(prior.network, name)
    after = asked(prior, condition, "sds", cell)
    assert bare.isfinite().all() and bare.abs().sum() > 0, f"{cell}: no gradient"
    assert not torch.equal(styled, bare), f"{cell}: the adapter is not heard"
    assert torch.equal(after, before), f"{cell}: the bare prior has not come back"


def prior_of(kind: str, found: Models) -> tuple:
    if kind == "builtin":
        prior = BuiltinPrior(_builtin(), precision="float32")
        return prior, prior.condition(observations())
    return found.shared(kind)


@pytest.mark.parametrize(
    ("kind", "loss"), [c if c in FAST else pytest.param(*c, marks=pytest.mark.slow) for c in CELLS]
)
def test_cell(models: Models, kind: str, loss: str) -> None:  # noqa: F811
    check_cell(*prior_of(kind, models), loss)


def main() -> None:
    """The table in Markdown: yes where the cell holds, else what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        found = Models(Path(folder))
        print("| prior | " + " | ".join(f"`{loss}`" for loss in LOSSES) + " |")
        print("| --- |" + " --- |" * len(LOSSES))
        for kind in PRIORS:
            cells = []
            for loss in LOSSES:
                try:
                    check_cell(*prior_of(kind, found), loss)
                    cells.append("yes")
                except Exception as error:
                    cells.append(f"no: {str(error).splitlines()[0][:60]}")
            print(f"| {NAMES[kind]} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
