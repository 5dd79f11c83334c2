import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors import safe_open

from nerf2mesh import cli
from nerf2mesh.objects import stream
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.objects.stream import ObjectScenes, check_batch
from nerf2mesh.objects.train import MeshTrainConfig, object_scenes, train_on_meshes
from nerf2mesh.priors.builtin import data as training_data
from nerf2mesh.priors.builtin import train
from nerf2mesh.priors.builtin.averaging import average_weights
from nerf2mesh.priors.builtin.data import OtherScenes, mixed_batches
from nerf2mesh.priors.builtin.examples import draw_frames
from nerf2mesh.priors.builtin.network import CLEAN, DenoiserConfig, encode_rgba, noise_level
from nerf2mesh.priors.builtin.object_check import check_objects, picture_scores
from nerf2mesh.priors.builtin.weight_files import mesh_sources, read_network
from nerf2mesh.procedural.dataset import write_shards
from nerf2mesh.procedural.grammar import ViewConfig
from tests.objects.files import mixed_folder, pack, two_colored_ball, write_manifest

VIEWS = ViewConfig(n_views=4, size_px=16)
TINY = DenoiserConfig(
    image_size=16, patch=2, channels=16, volume_size=8, volume_channels=16, deep_channels=16, n_deep=1, n_ray_samples=8
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five objects with a manifest; one held out."""
    home = mixed_folder(tmp_path / "meshes")
    pack(home / "e.npz", two_colored_ball(1))
    names = ("a.glb", "below/b.obj", "c.ply", "d.npz", "torn.glb", "e.npz")
    lines = [{"file": name, "split": "train", "licence": "CC0-1.0", "source": "s", "credit": "A"} for name in names]
    lines[-1] |= {"split": "heldout"}
    lines[0] |= {"licence": "CC-BY-4.0", "credit": "B"}
    write_manifest(home, lines)
    return home


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight procedural scenes instead of 512."""

    def few(folder: Path, seeds: range, views: ViewConfig, *, compiled: bool = True, device: str = "cpu") -> None:
        write_shards(folder, range(seeds.start, seeds.start + 8), views, compiled=False, batch=8)

    monkeypatch.setattr("nerf2mesh.procedural.dataset.SHARD", 8)
    monkeypatch.setattr(training_data, "write_shards", few)


def config(tmp_path: Path, meshes: Path, name: str = "out", **more) -> MeshTrainConfig:
    values = {"batch_scenes": 4, "n_frames": 4, "warmup_steps": 2, "cooldown_share": 0.0, "minutes": 5.0, "seed": 3}
    values |= {"data": ObjectDataConfig(meshes=str(meshes), augment=AugmentConfig(look_share=0.3, cutout_share=0.3))}
    values |= {"output_dir": str(tmp_path / name), "data_dir": str(tmp_path / "scenes"), "validate_every": 2}
    return MeshTrainConfig(network=TINY, views=VIEWS, **(values | more))


def test_scenes_are_the_same_whenever_they_are_drawn(folder: Path) -> None:
    def scenes(seed: int) -> ObjectScenes:
        objects = ObjectFolder(folder)
        entries, _ = objects.readable(objects.split("train"))
        return ObjectScenes(objects, entries, VIEWS, AugmentConfig(look_share=0.3), seed)

    whole, later = scenes(1).batch(0, 8), scenes(1)
    later.batch(20, 2)
    part = later.batch(5, 3)
    for key, value in part.items():
        assert torch.equal(value, whole[key][5:]), key
    other = scenes(2).batch(0, 8)["rgba"]
    assert not torch.equal(other, whole["rgba"])
    front = torch.atan2(whole["pose"][:, 0, 1, 3], whole["pose"][:, 0, 0, 3])
    torch.testing.assert_close(front, torch.zeros(8), atol=1e-6, rtol=0.0)


def test_things_too_thin_to_see_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needle = two_colored_ball(1)
    needle.vertices *= np.array([0.001, 0.001, 1.0])
    pack(tmp_path / "needle.npz", needle)
    objects = ObjectFolder(tmp_path, ObjectDataConfig(heldout_share=0.0))
    scenes = ObjectScenes(objects, objects.entries, VIEWS, AugmentConfig(tumble_share=0.0), 0)
    monkeypatch.setattr(stream, "TRIES", 3)
    with pytest.raises(ValueError, match="cover 2% of a picture, got none in 3 draws"):
        scenes.scene(0)


def test_batches_mix_by_share_and_go_on_by_number() -> None:
    """Numbers of other scenes follow each other without a gap, from any batch on."""

    def draw(first: int, n: int) -> dict:
        number = torch.arange(first, first + n)
        return {"rgba": number, "given": number}

    def procedural(n: int) -> dict:
        return {"rgba": torch.full((n,), -1)}

    other = OtherScenes(draw, procedural_share=0.3)
    batches = mixed_batches(other, procedural, 8, 0, "cpu")
    drawn = [next(batches)["rgba"] for _ in range(50)]
    assert {len(batch) for batch in drawn} == {8}
    numbers = torch.cat(drawn)
    assert torch.equal(numbers[numbers >= 0], torch.arange(280))
    later = mixed_batches(other, procedural, 8, 17, "cpu")
    assert torch.equal(next(later)["rgba"], drawn[17])
    alone = mixed_batches(replace(other, procedural_share=0.0), None, 8, 2, "cpu")
    assert torch.equal(next(alone)["rgba"], torch.arange(16, 24))


def test_only_given_frames_are_shown_as_drawn() -> None:
    """Targets are 0.5 grey, given pictures 0.25."""
    rgba = torch.full((6, 4, 16, 16, 4), 128, dtype=torch.uint8)
    pose = torch.eye(4).repeat(6, 4, 1, 1)
    batch = {"rgba": rgba, "given": rgba // 2, "pose": pose, "focal": torch.ones(6, 4)}
    batch["orthographic"] = torch.zeros(6, dtype=torch.bool)
    c = MeshTrainConfig(network=TINY, views=VIEWS, n_frames=4, given_shares=(0.5, 0.3, 0.2))
    images, _, kind, _ = draw_frames(batch, c, torch.Generator().manual_seed(0))
    alpha = images[:, :, 3].mean((-2, -1)) / 2 + 0.5
    expected = torch.where(kind == CLEAN, 64 / 255, 128 / 255)
    torch.testing.assert_close(alpha, expected)
    assert 6 <= (kind == CLEAN).sum() < 24


class Oracle:
    """Knows the clean images, or takes grey for them."""

    def __init__(self, images: torch.Tensor, knows: bool) -> None:
        self.images, self.knows, self.config = images, knows, TINY

    def __call__(self, noisy, log_snr, kind, geometry, words=None, n_given=0) -> torch.Tensor:
        rows = [int((self.images[:, 0] == image).flatten(1).all(1).nonzero()[0, 0]) for image in noisy[:, 0]]
        clean = self.images[rows] if self.knows else torch.zeros_like(noisy)
        alpha, sigma = (torch.sigmoid(sign * log_snr).sqrt()[:, None, None, None, None] for sign in (1, -1))
        return ((alpha * noisy - clean) / sigma)[:, n_given:]


def test_check_gives_the_best_figures_to_who_knows_the_truth(folder: Path) -> None:
    objects = ObjectFolder(folder)
    entries, _ = objects.readable(objects.split("train"))
    batch = check_batch(objects, entries, VIEWS)
    assert torch.equal(batch["rgba"], check_batch(objects, entries, VIEWS)["rgba"])
    images = encode_rgba(batch["rgba"].permute(0, 1, 4, 2, 3).float() / 255)
    right, wrong = (check_objects(Oracle(images, knows), batch) for knows in (True, False))
    for t in (0.3, 0.6, 0.9):
        assert right[f"objects_v_loss_t{t}"] < 1e-4
        # v of a wrong x0 is off by (x0 - truth) / sigma.
        sigma = float(noise_level(torch.tensor(t), TINY.patch).sigma)
        expected = float((images[:, 1:] / sigma).square().mean())
        assert wrong[f"objects_v_loss_t{t}"] == pytest.approx(expected, rel=1e-3)
    assert right["objects_iou_t0.9"] == 1.0 and right["objects_psnr_t0.9"] > 40.0
    assert wrong["objects_iou_t0.9"] == 0.0 and wrong["objects_psnr_t0.9"] < 15.0


def test_scores_of_known_pictures() -> None:
    guess, truth = torch.zeros(1, 1, 4, 8, 8), torch.zeros(1, 1, 4, 8, 8)
    truth[..., 3, :, :4], guess[..., 3, :, 2:6] = 1.0, 1.0
    iou, psnr = picture_scores(guess, truth)
    assert float(iou) == pytest.approx(2 / 6)
    assert float(psnr) == pytest.approx(-10 * np.log10(0.5), abs=1e-4), "half of the pixels are black against white"


@pytest.mark.slow
@pytest.mark.usefixtures("small_shards")
def test_training_on_meshes_continues_bit_for_bit(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off between two checkpoints while the rate falls, and taken up again."""
    falling = {"total_steps": 4, "cooldown_share": 0.5, "checkpoint_s": 0.0}
    whole = train_on_meshes(config(tmp_path, folder, "whole", **falling))
    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(train, "validate", Mock(side_effect=InterruptedError))
        train_on_meshes(config(tmp_path, folder, "halves", validate_every=3, **falling))
    halves = train_on_meshes(config(tmp_path, folder, "halves", **falling))
    for a, b in zip(whole.network.parameters(), halves.network.parameters(), strict=True):
        assert torch.equal(a, b)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "curve.jsonl").read_text().splitlines()]
    assert {"v_loss_t0.9", "objects_v_loss_t0.9", "objects_iou_t0.9", "objects_psnr_t0.9"} <= set(lines[-1])
    with safe_open(tmp_path / "whole" / "prior.safetensors", framework="pt") as file:
        (rows,) = json.loads(file.metadata()["training"])["meshes"]
    counts = [(row["licence"], row["credit"], row["files"]) for row in rows]
    assert counts == [("CC0-1.0", "A", 3), ("CC-BY-4.0", "B", 1)]
    assert "| 1 | CC-BY-4.0 | s | B |" in (tmp_path / "whole" / "DATA.md").read_text()
    weights = tmp_path / "whole" / "prior.safetensors"
    train_on_meshes(config(tmp_path, folder, "after", total_steps=1, weights=str(weights)))
    assert mesh_sources(tmp_path / "after" / "prior.safetensors") == [rows, rows]


@pytest.mark.usefixtures("small_shards")
def test_weights_average_and_keep_their_sources(tmp_path: Path, folder: Path) -> None:
    for seed in (0, 1):
        c = config(tmp_path, folder, f"run{seed}", total_steps=1, seed=seed)
        train_on_meshes(replace(c, data=replace(c.data, procedural_share=0.0)))
    files = [tmp_path / f"run{seed}" / "prior.safetensors" for seed in (0, 1)]
    path = average_weights(files, tmp_path / "mean")
    states = [read_network(file).state_dict() for file in (*files, path)]
    for key, value in states[2].items():
        expected = ((states[0][key].double() + states[1][key].double()) / 2).half().float()
        torch.testing.assert_close(value, expected, atol=1e-6, rtol=1e-3)
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])
    assert mesh_sources(path) == mesh_sources(files[0])
    assert "CC-BY-4.0" in (tmp_path / "mean" / "DATA.md").read_text()
    with pytest.raises(ValueError, match="average: expected two or more weight files"):
        average_weights(files[:1], tmp_path / "mean")


def test_held_out_objects_are_never_trained_on(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = object_scenes(config(tmp_path, folder))
    assert scenes.check is not None and len(scenes.check["rgba"]) == 1
    read, names = ObjectFolder.read, set()
    monkeypatch.setattr(ObjectFolder, "read", lambda self, entry: (names.add(entry.path.name), read(self, entry))[1])
    scenes.draw(0, 40)
    assert names == {"a.glb", "b.obj", "c.ply", "d.npz"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.meshes=nowhere"], "data.meshes: expected a folder, got nowhere"),
        (["data.procedural_share=2"], "data.procedural_share: expected a number from 0 to 1, got 2"),
        (["average=[a.safetensors]"], "average: expected two or more weight files"),
        (["training=objects", "data.kinds=[cat]", "data.meshes=."], "expected objects of kind cat"),
    ],
)
def test_command_explains_what_does_not_fit(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["nerf2mesh-train-prior", *arguments])
    with pytest.raises(SystemExit) as done:
        cli.train_prior()
    assert done.value.code == 2
    assert said in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("small_shards")
def test_200_steps_on_meshes_are_bit_equal_when_repeated(tmp_path: Path, folder: Path) -> None:
    states = [
        train_on_meshes(config(tmp_path, folder, name, total_steps=200, validate_every=1000)) for name in ("a", "b")
    ]
    for a, b in zip(*(state.network.parameters() for state in states), strict=True):
        assert torch.equal(a, b)
