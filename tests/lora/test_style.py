"""Style adapters: checks of pairs, the command, resuming bit for bit, and that a style is learnt if it is there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from nerf2mesh.lora.train import pairs as pairs_module
from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.priors import PriorConfig
from nerf2mesh.priors.builtin.network import DenoiserConfig
from nerf2mesh.types import Camera

SMALL = DenoiserConfig(
    image_size=16, channels=8, volume_size=8, volume_channels=8, deep_channels=16, n_deep=1, n_ray_samples=4, patch=2
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny built-in network with random weights; its last layers start at zero, so it is not good at anything."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    tensors = {key: value.contiguous() for key, value in SMALL.build().state_dict().items()}
    save_file(tensors, path, metadata={"network": json.dumps(SMALL.as_dict())})
    return path


def disc(path: Path, color: tuple[int, int, int], shift: int = 0) -> None:
    """A colored disc, transparent around."""
    y, x = np.mgrid[:32, :32] + 0.5
    inside = (x - 16 - shift) ** 2 + (y - 16) ** 2 < 81
    rgba = np.concatenate([np.broadcast_to(color, (32, 32, 3)), 255 * inside[..., None]], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba.astype(np.uint8)).save(path)


def pose(azimuth: float, elevation: float = 10.0) -> list:
    return Camera.orbit(azimuth, elevation).camera_to_world.tolist()


def line(folder: Path, i: int, color: tuple[int, int, int], **more: object) -> dict:
    """A grey drawing of a disc whose views are of one color: a made-up style."""
    disc(folder / f"{i}.png", (60 + i, 60, 60))
    frames = []
    for k, azimuth in enumerate((0, 90, 180)):
        disc(folder / f"{i}/{k}.png", color)
        frames.append({"transform_matrix": pose(azimuth)})
    views = [f"{i}/{k}.png" for k in range(3)]
    entry = {"picture": f"{i}.png", "views": views, "cameras": {"camera_angle_x": 0.7, "frames": frames}}
    return entry | {"licence": "CC0-1.0", "source": "drawn for this test"} | more


def write(folder: Path, lines: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "items.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    return write(data, [line(data, i, (200, 40, 30)) for i in range(6)])


def config(data: Path, weights: Path, output: Path, **more: object) -> StyleTrainConfig:
    small = {"rank": 2, "steps": 6, "batch_pairs": 2, "views_per_model": 3, "warmup_steps": 1, "memorization_probes": 0}
    prior = PriorConfig(weights=str(weights))
    return StyleTrainConfig(data=str(data), output_dir=str(output), prior=prior, quiet=True, **(small | more))


def test_the_same_bytes_again_and_after_an_interruption(folder: Path, weights: Path, tmp_path: Path) -> None:
    small = {"steps": 4, "checkpoint_every": 2}
    once = train_style(config(folder, weights, tmp_path / "once", **small))
    assert not train_style(config(folder, weights, tmp_path / "twice", **small), stop_after=3).exists()
    twice = train_style(config(folder, weights, tmp_path / "twice", **small))
    assert once.read_bytes() == twice.read_bytes()
    manifest = json.loads((tmp_path / "once/style.manifest.json").read_text())
    assert [s["licence"] for s in manifest["sources"]] == ["CC0-1.0"] * 6
    assert len({s["sha256"] for s in manifest["sources"]}) == 6 and len(manifest["sources"][0]["views_sha256"]) == 3
    assert len(manifest["base_sha256"]) == 64 and manifest["settings"]["rank"] == 2
    assert [json.loads(text)["step"] for text in (tmp_path / "once/curve.jsonl").read_text().splitlines()] == [2, 4]
    with pytest.raises(ValueError, match="these data and settings"):
        train_style(config(folder, weights, tmp_path / "once", rank=3))


@pytest.mark.slow
def test_a_made_up_style_is_learnt(folder: Path, weights: Path, tmp_path: Path) -> None:
    """Grey drawings of red things: on held-out pairs the error falls well below the base network's."""
    more = {"rank": 4, "steps": 120, "batch_pairs": 4, "learning_rate": 3e-2, "targets": TO_THE_END}
    path = train_style(config(folder, weights, tmp_path / "run", checkpoint_every=40, **more))
    measured = json.loads((tmp_path / "run/style.manifest.json").read_text())["settings"]["v_loss"]
    assert measured["held_out"] < 0.8 * measured["held_out_base"]
    assert any(value.abs().sum() > 0 for key, value in load_file(path).items() if "lora_B" in key)


TO_THE_END = ["head", "conv1", "conv2", "stem"]
"""The random network's last layer is zero: an adapter must sit on it to say anything."""


def test_models_are_rendered_where_there_are_no_views(tmp_path: Path) -> None:
    import trimesh

    trimesh.creation.box(extents=(1, 2, 3)).export(tmp_path / "box.glb")
    disc(tmp_path / "0.png", (90, 90, 90))
    entry = {"picture": "0.png", "model": "box.glb", "licence": "CC0-1.0", "source": "test", "elevation_deg": 25}
    found, notes = read_pairs(write(tmp_path, [entry]))
    frames = load_pairs(found, 24, 5, seed=0)
    assert notes == [] and frames.images.shape == (1, 6, 4, 24, 24)
    share = (frames.images[0, 1:, 3].float() / 255).mean(dim=(1, 2))
    assert (share > 0.05).all() and (share < 0.6).all()
    position = frames.geometry.pose[0, :, :3, 3]
    torch.testing.assert_close(position[0], Camera.orbit(0.0, 25.0).position)
    assert len({round(float(torch.atan2(p[1], p[0])), 2) for p in position[1:]}) == 5
    same = load_pairs(found, 24, 5, seed=0)
    assert torch.equal(same.images, frames.images)


def test_the_first_of_one_frame_more_is_the_pictures_camera(tmp_path: Path) -> None:
    entry = line(tmp_path, 0, (10, 200, 10))
    entry["cameras"]["frames"].insert(0, {"transform_matrix": pose(40.0), "camera_angle_x": 0.5})
    frames = load_pairs(read_pairs(write(tmp_path, [entry]))[0], 16, 3, seed=0)
    torch.testing.assert_close(frames.geometry.pose[0, 0], torch.tensor(pose(40.0)))
    assert float(frames.geometry.focal[0, 0]) == pytest.approx(0.5 / np.tan(0.25))
    assert float(frames.geometry.focal[0, 1]) == pytest.approx(0.5 / np.tan(0.35))


def test_duplicates_and_pictures_without_rights_are_named(tmp_path: Path) -> None:
    lines = [line(tmp_path, i, (200, 40, 30)) for i in range(3)]
    again = lines[0] | {"picture": "copy.png"}
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    found, notes = read_pairs(write(tmp_path, [*lines, again]))
    assert len(found) == 3 and notes == ["copy.png (line 4) is the picture of line 1 again: left out"]
    lines[1]["licence"] = " "
    with pytest.raises(ValueError, match=r"got none for 1.png \(line 2\)"):
        read_pairs(write(tmp_path, lines))
    found, notes = read_pairs(tmp_path, "skip")
    assert len(found) == 2 and "1.png (line 2)" in notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": "gone.png"}, "expected the file"),
        ({"model": "0.glb"}, "expected picture, and model or views"),
        ({"cameras": {"camera_angle_x": 0.7, "frames": []}}, "expected 3 camera frames"),
        ({"cameras": {"frames": [{"transform_matrix": []}] * 3}}, "camera_angle_x or ortho_scale"),
    ],
)
def test_broken_lines_say_what_they_lack(change: dict, message: str, tmp_path: Path) -> None:
    entry = line(tmp_path, 0, (1, 2, 3)) | change
    with pytest.raises(ValueError, match=message):
        read_pairs(write(tmp_path, [entry]))
    (tmp_path / pairs_module.ITEMS).write_text("{nothing\n")
    with pytest.raises(ValueError, match=r"line 1 of .*items\.jsonl: expected JSON"):
        read_pairs(tmp_path)


def test_the_command(folder: Path, weights: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    from nerf2mesh import cli

    more = [f"prior.weights={weights}", "rank=2", "steps=2", "batch_pairs=1", "views_per_model=2", "quiet=true"]
    more += ["memorization_probes=0"]
    monkeypatch.setattr("sys.argv", ["nerf2mesh-train-lora", f"data={folder}", f"output_dir={tmp_path / 'o'}", *more])
    with pytest.raises(SystemExit) as ended:
        cli.train_lora()
    assert ended.value.code == 0 and (tmp_path / "o/style.safetensors").is_file()
    assert "style.safetensors" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["nerf2mesh-train-lora", *more])
    with pytest.raises(SystemExit) as ended:
        cli.train_lora()
    assert ended.value.code == 2 and "data=FOLDER" in capsys.readouterr().err


def test_lora_in_brackets_is_short_for_the_adapters() -> None:
    from nerf2mesh.config import load_config

    assert load_config(["lora=[a.safetensors]"]).lora.adapters == ["a.safetensors"]
    assert load_config(["lora=none"]).lora.subject is False
