import json
import os
import pickle
import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.priors.builtin import data, train, validation, weight_files
from nerf2mesh.priors.builtin.examples import draw_frames
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, DenoiserConfig
from nerf2mesh.priors.builtin.train import learning_rate, train_prior
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.train_state import TrainState
from nerf2mesh.priors.builtin.weight_files import read_network
from nerf2mesh.procedural.captions import CHANNEL_ORDERS, N_WORDS, describe, word_numbers
from nerf2mesh.procedural.dataset import render_seeds
from nerf2mesh.procedural.grammar import ViewConfig, draw_scene, sample_scenes
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.types import Camera
from nerf2mesh.utils.checkpoint import read_checkpoint

VIEWS = ViewConfig(n_views=4, size_px=16, orthographic_share=0.0)
TINY = DenoiserConfig(
    image_size=16, patch=2, channels=16, volume_size=8, volume_channels=16, deep_channels=16, n_deep=1, n_ray_samples=8
)


RENDERER = SceneRenderer()


def config(*, reader: bool = False, **more) -> PriorTrainConfig:
    return PriorTrainConfig(
        network=replace(TINY, n_words=N_WORDS) if reader else TINY,
        views=VIEWS,
        batch_scenes=4,
        n_frames=4,
        warmup_steps=5,
        learning_rate=2e-3,
        cooldown_share=0.0,
        **more,
    )


def test_frames_keep_their_cameras_through_mirroring() -> None:
    """A drawn frame, mirrored or not, still shows the object where its camera says: its mask's center fits."""
    batch = render_seeds(range(8), VIEWS, SceneRenderer())
    images, geometry, kind, _ = draw_frames(batch, config(), torch.Generator().manual_seed(3))
    assert images.shape == (8, 4, 4, 16, 16)
    assert ((kind[:, 0] == CLEAN) | (kind[:, 0] == ABSENT)).all()
    assert (kind[:, 3:] == NOISY).all()
    handed = torch.linalg.det(geometry.pose[..., :3, :3])
    torch.testing.assert_close(handed, torch.ones_like(handed), atol=1e-5, rtol=1e-5)
    # The visual hull of all four masks is not empty only if pictures and cameras belong together.
    axis = torch.linspace(-0.9, 0.9, 24)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    grid = geometry.project(points)
    alpha = (images[:, :, 3:] + 1) / 2
    seen = torch.nn.functional.grid_sample(alpha.flatten(0, 1), grid.flatten(0, 1)[:, None], align_corners=False)
    hull = seen.reshape(8, 4, -1).amin(1) > 0.4
    reprojected = [grid[i, j][hull[i]] for i in range(8) for j in range(4)]
    for i in range(8):
        for j in range(4):
            spread = reprojected[4 * i + j]
            mask = alpha[i, j, 0] > 0.4
            rows, columns = mask.nonzero().unbind(-1)
            middle = torch.stack([columns, rows], -1).float().add(0.5).div(8).sub(1)
            assert (spread.mean(0) - middle.mean(0)).abs().max() < 0.3


def test_words_are_of_the_scene_that_is_drawn_in_its_own_frame() -> None:
    """Told words alone, the network thinks where the object's front is +X: the unturned object, seen by the turned
    cameras, has the silhouettes that were drawn, mirrored or not; colors follow the channels."""
    seeds = [seed for seed in range(30) if not np.isnan(draw_scene(seed).front_deg)][:3]
    pieces = [render_seeds(range(seed, seed + 1), VIEWS, RENDERER) for seed in seeds]
    batch = {key: torch.cat([piece[key] for piece in pieces]) for key in pieces[0]}
    c = config(reader=True, drop_condition=1.0, words_alone=1.0, drop_word=0.0, given_shares=(1.0, 0.0, 0.0))
    images, geometry, kind, words = draw_frames(batch, c, torch.Generator().manual_seed(5))
    assert (kind[:, 0] == ABSENT).all()
    pose = geometry.turned_to_front().pose[:, 1:]
    upright = replace(sample_scenes(seeds), rotation=torch.eye(3).expand(len(seeds), 3, 3))
    side, mirrored = torch.tensor([1.0, -1.0, 1.0, 1.0]), 0
    for i, seed in enumerate(seeds):
        shapes = []
        for turn in (False, True):
            seen = side[:, None] * pose[i] * torch.tensor([-1.0, 1.0, 1.0, 1.0]) if turn else pose[i]
            focal = (geometry.focal[i, 1:, None] * 16).expand(-1, 2)
            camera = Camera(seen[None], focal[None], torch.full((1, 3, 2), 8.0), 16, 16)
            alpha = RENDERER.render(upright[i : i + 1], camera)["rgba"][0, ..., 3]
            shapes.append((2 * (alpha.flip(-1) if turn else alpha) - 1 - images[i, 1:, 3]).abs().mean())
        assert min(shapes) < 0.01
        mirrored += int(shapes[1] < shapes[0])
        described = [word_numbers(describe(draw_scene(seed), order)) for order in CHANNEL_ORDERS]
        assert [n for n in words[i].tolist() if n] in described
    assert 0 < mirrored < len(seeds)


@pytest.mark.slow
def test_loss_falls_on_one_batch() -> None:
    batch = render_seeds(range(4), VIEWS, SceneRenderer())
    c = config(reader=True)
    state = TrainState.fresh(c)
    before = validation.validate(state.network, batch, c)["v_loss"]
    for _ in range(30):
        train.train_step(state.network, state, batch, c, 2e-3)
    assert validation.validate(state.network, batch, c)["v_loss"] < 0.75 * before


def test_held_out_words_tell_whether_they_are_used() -> None:
    batch = render_seeds(range(8), VIEWS, RENDERER)
    c = config(reader=True)
    network = c.network.build()
    losses = [validation.validate_words(network, batch, c)]
    assert len(set(losses[0].values())) == 1, "words say nothing before training"
    for layer in (network.words.out, network.fine_out.conv2, network.head):
        torch.nn.init.normal_(layer.weight, std=0.2)
    losses.append(validation.validate_words(network, batch, c))
    assert len(set(losses[1].values())) == 3


def test_words_alone_learn_where_nothing_else_does(tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    weight_files.export_network(TrainState.fresh(config(reader=True)).network, {}, file)
    batch = render_seeds(range(4), VIEWS, RENDERER)
    c = config(reader=True, words_only=True, weights=str(file), drop_condition=1.0, words_alone=1.0)
    state = TrainState.fresh(c)
    for layer in (state.network.fine_out.conv2, state.network.head):
        torch.nn.init.normal_(layer.weight, std=0.2)
    before = {name: p.detach().clone() for name, p in state.network.named_parameters()}
    for _ in range(2):
        train.train_step(state.network, state, batch, c, 1e-3)
    moved = {name for name, p in state.network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.startswith("words.")}
    with pytest.raises(ValueError, match="words_only"):
        config(words_only=True)


def test_rate_warms_up_and_falls() -> None:
    c = PriorTrainConfig(learning_rate=1.0, warmup_steps=10, cooldown_share=0.5)
    assert learning_rate(c, 0, 0.0) == 0.1
    assert learning_rate(c, 100, 0.4) == 1.0
    assert abs(learning_rate(c, 100, 0.75) - 0.5) < 1e-9
    assert learning_rate(c, 100, 1.0) == 0.05


def test_training_resumes_and_exports(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("nerf2mesh.procedural.dataset.SHARD", 8)
    monkeypatch.setattr(data, "write_shards", _eager_shards)
    monkeypatch.setattr(train, "PART_BYTES", 100_000)
    c = config(
        reader=True,
        part_files=True,
        output_dir=str(tmp_path),
        data_dir=str(tmp_path / "scenes"),
        n_scenes=8,
        minutes=1.0,
        total_steps=3,
        validate_every=2,
    )
    first = train_prior(c)
    assert first.step == 3
    second = train_prior(PriorTrainConfig(**(vars(c) | {"total_steps": 5})))
    assert second.step == 5
    network = read_network(tmp_path / "prior.safetensors")
    for key, value in second.average.state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value.half().float())
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "parts", elsewhere / "parts")
    assert len(list((elsewhere / "parts").iterdir())) > 1, "the small limit must have split the file"
    third = train_prior(replace(c, output_dir=str(elsewhere), total_steps=5))
    assert (third.step, third.frames_seen) == (5, second.frames_seen)
    for key, value in third.network.state_dict().items():
        torch.testing.assert_close(value, second.network.state_dict()[key], atol=1e-3, rtol=1e-3)
    for ours, theirs in zip(*(x.optimizer.muon.state.values() for x in (third, second)), strict=True):
        torch.testing.assert_close(ours["momentum_buffer"], theirs["momentum_buffer"], atol=1e-6, rtol=1e-2)
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]


def _eager_shards(folder: Path, seeds: range, views: ViewConfig, *, compiled: bool = True, device: str = "cpu") -> None:
    from nerf2mesh.procedural.dataset import write_shards

    write_shards(folder, range(seeds.start, seeds.start + 8), views, compiled=False, batch=8)


def started(tmp_path: Path, monkeypatch, **more) -> PriorTrainConfig:
    monkeypatch.setattr("nerf2mesh.procedural.dataset.SHARD", 8)
    monkeypatch.setattr(data, "write_shards", _eager_shards)
    folders = {"output_dir": str(tmp_path), "data_dir": str(tmp_path / "scenes")}
    return config(n_scenes=8, **folders, **more)


def test_stops_when_asked_and_when_the_time_is_up_with_all_files(tmp_path: Path, monkeypatch) -> None:
    c = started(tmp_path, monkeypatch, total_steps=1000)
    steps = iter([False, False, True])
    state = train_prior(c, stopping=lambda: nullcontext(lambda: next(steps)))
    assert state.step == 2
    assert read_network(tmp_path / "prior.safetensors").config == TINY
    assert train_prior(replace(c, until=time.time() + 1.0)).step == 2, "the time for closing is more than is left"
    assert read_checkpoint(tmp_path / train.STATE)["counts"][0] == 2


def test_goes_back_from_weights_that_are_not_finite(tmp_path: Path, monkeypatch, capsys) -> None:
    """One poisoned loss is forgotten; where every loss is, the training ends and what is on disk is finite."""
    c = started(tmp_path, monkeypatch, total_steps=6)
    monkeypatch.setattr(train, "CHECK_EVERY", 2)
    right, count = train.velocity_loss, iter(range(100))

    def poisoned(*arguments, **weights) -> torch.Tensor:
        return right(*arguments, **weights) * (float("nan") if next(count) == 2 else 1.0)

    monkeypatch.setattr(train, "velocity_loss", poisoned)
    state = train_prior(c)
    assert state.step == 6
    assert "weights were not finite at step 4" in capsys.readouterr().out
    assert all(p.isfinite().all() for p in state.average.parameters())
    monkeypatch.setattr(train, "velocity_loss", lambda *a, **weights: right(*a, **weights) * float("nan"))
    with pytest.raises(ValueError, match="learning_rate: expected finite weights"):
        train_prior(replace(c, total_steps=60))
    assert all(p.isfinite().all() for p in read_network(tmp_path / "prior.safetensors").parameters())


def numbered(first: int, n: int) -> dict[str, torch.Tensor]:
    pose = torch.arange(first, first + n, dtype=torch.float32)
    return {"pose": pose, "given": pose, "rgba": pose}


@pytest.mark.slow
def test_processes_draw_the_same_batches_ahead() -> None:
    other = data.OtherScenes(numbered, procedural_share=0.3)

    def procedural(n: int) -> dict[str, torch.Tensor]:
        return {"pose": torch.full((n,), -1.0), "rgba": torch.full((n,), -1.0)}

    alone, ahead = (data.mixed_batches(other, procedural, 4, 5, "cpu", workers) for workers in (0, 2))
    for _ in range(7):
        one, two = next(alone), next(ahead)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_starts_from_weights_alone_and_grows(tmp_path: Path) -> None:
    small = DenoiserConfig(**(TINY.as_dict() | {"image_size": 8, "patch": 1}))
    first = TrainState.fresh(PriorTrainConfig(network=small, views=ViewConfig(size_px=8), seed=4))
    weight_files.export_network(first.network, {"steps": 0}, tmp_path / "small.safetensors")
    state = TrainState.fresh(config(weights=str(tmp_path / "small.safetensors")))
    assert torch.equal(state.network.place, first.network.place.half().float())
    assert state.average.head.weight.shape[0] == 16
    reader = TrainState.fresh(config(reader=True, weights=str(tmp_path / "small.safetensors")))
    assert torch.equal(reader.network.place, state.network.place)
    assert not reader.network.words.out.weight.any()
    with pytest.raises(ValueError, match="channels=16"):
        TrainState.fresh(PriorTrainConfig(weights=str(tmp_path / "small.safetensors")))


def test_words_alone_can_be_trained(tmp_path: Path) -> None:
    """Nothing but the words moves, so that pictures are answered as before."""
    first = TrainState.fresh(config(reader=True, seed=4)).network
    with torch.no_grad():
        for parameter in first.parameters():  # fresh networks answer zero, whatever the words
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    weight_files.export_network(first, {"steps": 0}, tmp_path / "first.safetensors")
    c = config(reader=True, weights=str(tmp_path / "first.safetensors"), words_only=True, drop_condition=1.0)
    state = TrainState.fresh(c)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    batch = render_seeds(range(4), VIEWS, SceneRenderer())
    for _ in range(2):
        train.train_step(state.network, state, batch, c, 1e-2)
    moved = {name for name, value in state.network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"words.table.weight", "words.hidden.weight", "words.out.weight"}
    with pytest.raises(ValueError, match="words_only"):
        PriorTrainConfig(words_only=True)


def test_config_says_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"views\.size_px: expected the network's image_size 64, got 32"):
        PriorTrainConfig(views=ViewConfig(size_px=32))
    with pytest.raises(ValueError, match="n_frames"):
        PriorTrainConfig(n_frames=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one that torch finds here, got cuda and no GPU; set training=cpu"):
        train_prior(config(device="cuda", output_dir=str(tmp_path / "prior")))
    assert not (tmp_path / "prior").exists()


@pytest.mark.slow
def test_200_steps_are_bit_equal_when_repeated() -> None:
    batch = render_seeds(range(16), VIEWS, SceneRenderer())
    weights = []
    for _ in range(2):
        c = config(reader=True)
        state = TrainState.fresh(c)
        for step in range(200):
            rows = torch.randint(16, (4,), generator=state.generator)
            train.train_step(
                state.network, state, {k: v[rows] for k, v in batch.items()}, c, learning_rate(c, step, 0.0)
            )
        weights.append(torch.cat([p.flatten() for p in state.network.parameters()]))
    assert torch.equal(*weights)
    assert torch.isfinite(weights[0]).all()


def test_a_damaged_state_is_one_line_and_one_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    first, last, old = TrainState.fresh(config(seed=4)), tmp_path / train.STATE, tmp_path / "state.pt"
    first.step = 3
    for _ in range(2):
        first.save(last)
    torch.save(read_checkpoint(last), old)
    second = TrainState.fresh(config(seed=5))
    assert second.load(old) == [] and second.step == 3
    last.write_bytes(last.read_bytes()[:-9])
    (said,) = second.load(last)
    assert "its SHA-256 does not fit" in said and "last.safetensors.refused" in said
    for key, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key])
    for content in (old.read_bytes()[:999], b"", b"PK\x03\x04" * 20, pickle.dumps(os.system, 2)):
        old.write_bytes(content)
        with pytest.raises(ValueError, match=r"^checkpoint: expected one of this run, got .*state\.pt \(a damaged"):
            second.load(old)
