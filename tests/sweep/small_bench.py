"""A benchmark small enough for tests: one ball, its configuration, and records without a fit."""

from __future__ import annotations

from dataclasses import asdict

from hydra.core.config_store import ConfigStore

from nerf2mesh.config import compose_config, to_dataclass
from nerf2mesh.evaluate.protocols.canonical import make_case
from nerf2mesh.evaluate.protocols.scoring import Case, Settings
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.sweep.config import BenchConfig

SMALL = Settings(supersample=1, iou_resolution=16, surface_samples=200)
ConfigStore.instance().store(name="bench_schema", node=BenchConfig)


def small_case() -> Case:
    from nerf2mesh.mesh import TriangleMesh
    from nerf2mesh.mesh.shapes import icosphere

    ball = icosphere(2, 0.6)
    colors = 0.5 + 0.5 * ball.vertices / 0.6
    return make_case("ball", TriangleMesh(ball.vertices, ball.faces, vertex_colors=colors), size_px=32, settings=SMALL)


def config(*overrides: str) -> BenchConfig:
    return to_dataclass(compose_config(list(overrides), name="bench"), BenchConfig)


def scored(method: str, name: str, seed: int, psnr: float) -> dict[str, object]:
    return asdict(Record(method, name, seed, {"psnr": psnr, "volume_iou": 0.5}, "", 10.0, 2**30))
