from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.procedural import dataset
from nerf2mesh.procedural.dataset import batch_cameras, render_seeds, write_shards
from nerf2mesh.procedural.families import FAMILIES
from nerf2mesh.procedural.grammar import ViewConfig, sample_cameras, sample_scenes
from nerf2mesh.procedural.parts import Part, pack_parts
from nerf2mesh.procedural.render import SceneRenderer, Scenes
from nerf2mesh.types import Camera


def ball(radius: float) -> Scenes:
    shapes, colors = pack_parts([[Part(size=(radius,) * 3, ellipsoid=True)]])
    colors[:, :, :6] = 0.5
    light = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0]])
    return Scenes(shapes, colors, torch.eye(3)[None], torch.zeros(1, 3), torch.ones(1), light)


def test_seed_gives_the_same_scene_in_any_batch() -> None:
    many, one = sample_scenes(range(3, 9)), sample_scenes([5])
    for a, b in zip(vars(many).values(), vars(one).values(), strict=True):
        torch.testing.assert_close(a[2:3], b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_fits_the_frame_and_shows_something(family: str) -> None:
    scenes = sample_scenes(range(8), [family])
    axis = torch.linspace(-1.4, 1.4, 32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3).expand(8, -1, -1)
    inside = scenes.distance(grid) < 0
    reach = torch.where(inside, grid.norm(dim=-1), 0.0).amax(1)
    assert (reach < 1.2).all()
    views = SceneRenderer().render(scenes, sample_cameras(range(8), ViewConfig(n_views=2, size_px=24)))
    assert (views["rgba"][..., 3].flatten(1).mean(1) > 0.01).all()


@pytest.mark.parametrize("orthographic", [False, True])
def test_ball_is_drawn_where_it_is(orthographic: bool) -> None:
    """Silhouette area and depth of a ball against the closed form."""
    radius, distance = 0.6, 3.2
    camera = Camera.orbit(torch.tensor([[30.0]]), 20.0, distance=distance, width_px=48, orthographic=orthographic)
    views = SceneRenderer().render(ball(radius), camera)
    focal = float(camera.focal_px[0, 0, 0])
    seen = radius if orthographic else radius / np.sqrt(distance**2 - radius**2)
    area = np.pi * (seen * focal) ** 2
    assert float(views["rgba"][..., 3].sum()) == pytest.approx(area, rel=0.03)
    depth = views["depth"][0, 0]
    middle = depth[depth.shape[0] // 2, depth.shape[1] // 2]
    assert float(middle) == pytest.approx(distance - radius, abs=0.01)


def test_normals_point_at_the_camera_and_out() -> None:
    camera = Camera.orbit(torch.tensor([[75.0]]), -10.0, width_px=32)
    views = SceneRenderer().render(ball(0.7), camera)
    rays = camera.resized(64, 64).rays()
    points = rays.origins[0, 0] + views["depth"][0, 0][..., None] * rays.directions[0, 0]
    hit = views["depth"][0, 0] > 0
    torch.testing.assert_close(views["normal"][0, 0][hit], points[hit] / 0.7, atol=0.03, rtol=0.0)


def test_tracing_agrees_with_brute_force() -> None:
    """Hits of the fast renderer against dense sampling of the same rays."""
    scenes = sample_scenes(range(20, 26))
    camera = sample_cameras(range(20, 26), ViewConfig(n_views=1, size_px=16))
    mask = SceneRenderer(supersample=2).render(scenes, camera)["depth"][:, 0] > 0
    rays = camera.resized(32, 32).rays()
    t = torch.linspace(-1.25, 1.25, 400)
    o, d = rays.origins.reshape(6, -1, 1, 3), rays.directions.reshape(6, -1, 1, 3)
    points = o + ((-(o * d).sum(-1))[..., None] + t[:, None]) * d
    truth = torch.cat([scenes[i : i + 1].distance(points[i].reshape(1, -1, 3)).reshape(1, -1, 400) for i in range(6)])
    truth = (truth.amin(-1) < 0.01).reshape(mask.shape)
    assert (mask == truth).float().mean() > 0.985


def test_batch_cameras_are_those_that_rendered() -> None:
    views = ViewConfig(n_views=3, size_px=16)
    batch = render_seeds(range(4), views, SceneRenderer())
    ((rows, cameras),) = batch_cameras(batch)
    wanted = sample_cameras(range(4), views)
    assert rows.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(cameras.camera_to_world, wanted.camera_to_world)
    torch.testing.assert_close(cameras.focal_px, wanted.focal_px)
    assert batch["rgba"].dtype == torch.uint8
    assert (batch["rgba"][..., :3] <= batch["rgba"][..., 3:]).all(), "color is premultiplied"


def test_compiled_rendering_raises_the_recompile_limits_for_itself_only() -> None:
    """With torch's own limits the renderer falls back to eager after a few shapes."""
    import torch._dynamo

    limits, inside = torch._dynamo.config.recompile_limit, []
    renderer = SceneRenderer()
    plain, renderer.compiled = renderer.scene_distance, True

    def watched(*args: torch.Tensor) -> torch.Tensor:
        inside.append(torch._dynamo.config.recompile_limit)
        return plain(*args)

    renderer.scene_distance = watched
    render_seeds(range(2), ViewConfig(n_views=1, size_px=8), renderer)
    assert set(inside) == {dataset.RECOMPILE_LIMIT}
    assert torch._dynamo.config.recompile_limit == limits < dataset.RECOMPILE_LIMIT


def test_shards_hold_the_seeds_and_print_their_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(dataset, "SHARD", 4)
    views = ViewConfig(n_views=2, size_px=8)
    write_shards(tmp_path, range(8), views, compiled=False, batch=2)
    assert "4 scenes, " in (printed := capsys.readouterr().out) and "pictures/s" in printed
    with np.load(tmp_path / "shard_8_2_4.npz") as shard:
        again = render_seeds(range(6, 8), views, SceneRenderer())
        assert np.array_equal(shard["rgba"][2:], again["rgba"].numpy())
    write_shards(tmp_path, range(8), views, compiled=False)
    assert not capsys.readouterr().out  # shards that are there are kept
