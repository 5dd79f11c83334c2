"""The prior that comes in the package: it must know something about objects that it has never seen."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nerf2mesh.api import fit
from nerf2mesh.distill import to_x0
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.priors.builtin.prior import PACKAGED, BuiltinPrior, reduced_rgba
from nerf2mesh.priors.builtin.weight_files import export_network
from nerf2mesh.procedural.captions import N_WORDS
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera, Observations, View
from tests.tiny_run import PLAIN


@pytest.fixture(scope="module")
def prior() -> BuiltinPrior:
    return load_prior(PriorConfig())


def straight(premultiplied: torch.Tensor) -> torch.Tensor:
    alpha = premultiplied[..., 3:]
    return torch.cat([premultiplied[..., :3] / alpha.clamp_min(1e-6), alpha], dim=-1)


def test_denoised_views_of_unseen_objects_beat_copying_the_input(prior: BuiltinPrior) -> None:
    """From almost pure noise (t = 0.9) and one picture, 8 held-out scenes; mean squared error on white."""
    seeds = range(VALIDATION_SEED, VALIDATION_SEED + 8)
    cameras = sample_cameras(seeds, ViewConfig(n_views=4, size_px=prior.image_size, orthographic_share=0.0))
    rgba = SceneRenderer().render(sample_scenes(seeds), cameras)["rgba"]
    generator = torch.Generator().manual_seed(0)
    ours, copied, blank = [], [], []
    for i in range(len(seeds)):
        condition = prior.condition(Observations((View(straight(rgba[i, 0]), cameras[i, 0]),)))
        t = torch.tensor([0.9])
        level = prior.level(t)
        latents = prior.encode(rgba[i : i + 1, 1:])
        noisy = level.add(latents, torch.randn(latents.shape, generator=generator))
        with torch.no_grad():
            v = prior.predict(noisy, t, cameras[i : i + 1, 1:], condition, branch="conditional")
        guess = prior.decode(to_x0(prior.kind, v, noisy, level))[0]
        on_white = [x[..., :3] + 1 - x[..., 3:] for x in (rgba[i, 1:], guess, rgba[i, :1].expand(3, -1, -1, -1))]
        ours.append((on_white[1].clamp(0, 1) - on_white[0]).square().mean())
        copied.append((on_white[2] - on_white[0]).square().mean())
        blank.append((1 - on_white[0]).square().mean())
    ours, copied, blank = (float(torch.stack(errors).mean()) for errors in (ours, copied, blank))
    assert ours < 0.5 * min(copied, blank), (ours, copied, blank)


def test_packaged_file_is_small_and_says_what_it_is() -> None:
    from safetensors import safe_open

    assert PACKAGED.stat().st_size < 32e6
    with safe_open(PACKAGED, framework="pt") as file:
        assert {"network", "training"} <= set(file.metadata())


def test_condition_takes_several_views(prior: BuiltinPrior) -> None:
    image = torch.rand(64, 64, 4)
    views = tuple(View(image, Camera.orbit(a, 10.0, width_px=64)) for a in (0.0, 90.0))
    condition = prior.condition(Observations(views))
    noisy = torch.randn(1, 3, 4, prior.image_size, prior.image_size)
    cameras = Camera.orbit(torch.tensor([[30.0, 150.0, 270.0]]), 0.0, width_px=prior.image_size)
    assert prior.predict(noisy, torch.tensor([0.5]), cameras, condition, branch="conditional").shape == noisy.shape


def test_reduced_picture_is_premultiplied_by_area() -> None:
    image = torch.zeros(4, 4, 4)
    image[:2, :, 0] = 1.0
    image[:2, :2, 3] = 1.0
    small = reduced_rgba(image, 2)
    assert small[0, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert small[0, 1].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a file, got none"):
        load_prior(PriorConfig(weights=str(tmp_path / "none.safetensors")))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(ValueError, match="expected a readable"):
        load_prior(PriorConfig(weights=str(tmp_path / "torn.safetensors")))
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="which network"):
        load_prior(PriorConfig(weights=str(tmp_path / "foreign.safetensors")))
    small = DenoiserConfig(channels=8).as_dict()
    import json

    save_file({"x": torch.zeros(1)}, tmp_path / "shape.safetensors", metadata={"network": json.dumps(small)})
    with pytest.raises(ValueError, match="does not fit"):
        load_prior(PriorConfig(weights=str(tmp_path / "shape.safetensors")))


def test_a_wide_picture_is_refused(prior: BuiltinPrior) -> None:
    view = View(torch.rand(10, 20, 4), Camera.orbit(0.0, 0.0, width_px=20, height_px=10))
    with pytest.raises(ValueError, match="square"):
        prior.condition(Observations((view,)))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small random network that reads words: for the plumbing."""
    sizes = {"image_size": 16, "channels": 8, "volume_size": 8, "volume_channels": 8, "deep_channels": 8, "n_deep": 1}
    torch.manual_seed(0)
    network = DenoiserConfig(**sizes, n_words=N_WORDS, n_ray_samples=6).build()
    for layer in (network.words.out, network.fine_out.conv2, network.head):
        torch.nn.init.normal_(layer.weight, std=0.2)
    path = tmp_path_factory.mktemp("weights") / "reader.safetensors"
    export_network(network, {}, path)
    return path


def predictions(prior: BuiltinPrior, observations: Observations) -> dict[str, torch.Tensor]:
    condition = prior.condition(observations)
    noisy = torch.randn(1, 2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    cameras = Camera.orbit(torch.tensor([[0.0, 120.0]]), 10.0, width_px=16)
    branches = ("conditional", "unconditional", "negative", "front", "side", "back")
    return prior.predict_branches(noisy, torch.tensor([0.8]), cameras, condition, branches)


def test_branches_with_words_alone_and_beside_a_picture(reader: Path) -> None:
    prior = load_prior(PriorConfig(weights=str(reader), precision="float32"))
    view = View(torch.rand(16, 16, 4), Camera.orbit(0.0, 10.0, width_px=16))
    for views in ((), (view,)):
        found = predictions(prior, Observations(views, "a red vessel"))
        assert not torch.equal(found["conditional"], found["unconditional"])
        assert all(torch.equal(found[name], found["conditional"]) for name in ("front", "side", "back"))
        assert torch.equal(found["negative"], found["unconditional"]), "no negative prompt"
        other = predictions(prior, Observations(views, "a blue vessel", negative_prompt="patterned"))
        assert not torch.equal(other["conditional"], found["conditional"])
        assert torch.equal(other["unconditional"], found["unconditional"])
        assert not torch.equal(other["negative"], other["unconditional"])
    pictured = predictions(prior, Observations((view,)))
    assert torch.equal(pictured["unconditional"], found["unconditional"])
    assert not torch.equal(pictured["conditional"], found["conditional"])


def test_words_that_are_not_read_are_named(reader: Path, prior: BuiltinPrior) -> None:
    knowing = load_prior(PriorConfig(weights=str(reader)))
    view = View(torch.rand(16, 16, 4), Camera.orbit(0.0, 10.0, width_px=16))
    with pytest.warns(UserWarning, match=r"does not read shiny, dragon in .*; it knows black, grey"):
        knowing.condition(Observations((), "a shiny red dragon"))
    with pytest.raises(ValueError, match=r"input\.prompt: expected words of black, grey.*, got 'a dragon'"):
        knowing.condition(Observations((), "a dragon"))
    with pytest.warns(UserWarning, match="goes by the picture alone, not by 'a dragon': none of its words is known"):
        assert knowing.condition(Observations((view,), "a dragon")).words is None
    silent = BuiltinPrior(DenoiserConfig(image_size=16, channels=8).build())
    with pytest.raises(ValueError, match=r"prior\.name: expected a prior that reads words"):
        silent.condition(Observations((), "a red vessel"))
    with pytest.warns(UserWarning, match="these weights read no words"):
        silent.condition(Observations((view,), "a red vessel"))


def test_words_alone_become_a_mesh(reader: Path) -> None:
    """The whole chain, with random weights: the mesh's shape means nothing."""
    settings = [*PLAIN, "input=text", "input.prompt=a red vessel", f"prior.weights={reader}"]
    result = fit(overrides=[*settings, "distill.guidance_scale=3", "optimize.steps=2", "lora=none"])
    assert result.observations.views == ()
    assert result.field is not None


def test_weights_of_another_vocabulary_are_refused(reader: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(reader, framework="pt") as file:
        about, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(weights, tmp_path / "other.safetensors", metadata=about | {"words": "red green"})
    with pytest.raises(ValueError, match="another vocabulary"):
        load_prior(PriorConfig(weights=str(tmp_path / "other.safetensors")))
