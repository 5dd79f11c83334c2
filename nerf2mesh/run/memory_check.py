"""What a run needs of memory at the least, reckoned from its settings before anything is built.

A lower bound: what is counted is needed in any case, so that no run is refused which would fit. The optimization's
parts are in memory together; those of the mesh come one after the other, on the host.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import torch

from nerf2mesh.config import Config
from nerf2mesh.distill.config import DistillConfig

FLOAT = 4
ADAM_COPIES = 4
"""Parameter, gradient, two moments."""
RAY_BYTES = 60
"""Origin, direction, color, opacity, depth, and what was wanted there."""
MARCHED_SHARE = 0.2
"""Of the lattice points on the box's diagonal those that a ray meets at the first step, at the least."""
MARCHED_BYTES = 24
"""Position along the ray, length, number of the ray, point."""
PIXEL_BYTES = 24
"""Color, opacity, depth and number of the triangle."""
CELL_BYTES = 20
"""Of the occupancy grid at a refresh: largest density, point, density."""
TEXEL_BYTES = 40
"""Point, normal, color, number of the triangle."""
MOST_THREADS = 64
LEAST_SIDE_PX = 32
"""Views are at least so wide where neither setting says; priors know more."""


@dataclass(frozen=True)
class Need:
    """Bytes for something, and the setting that makes them many."""

    setting: str
    what: str
    n_bytes: float


def check_threads(threads: int) -> None:
    """ValueError for many more threads than cores: where the system has no room for them, OpenMP ends the process."""
    cores = os.cpu_count() or 1
    most = max(MOST_THREADS, 4 * cores)
    if threads > most:
        raise ValueError(
            f"threads: expected at most {most} on this machine of {cores} cores, got {threads}; set 0 for the usual"
        )


def check_memory(config: Config, device: torch.device | str) -> None:
    """ValueError where the device or the host cannot hold what the settings ask for."""
    together = during_optimization(config)
    _refuse(together, sum(need.n_bytes for need in together), free_bytes(device))
    for need in for_the_mesh(config):
        _refuse([need], need.n_bytes, free_bytes("cpu"))


def during_optimization(config: Config) -> list[Need]:
    """What is in the device's memory at once."""
    c, loop = config.field, config.optimize
    layout = c.layout()
    widths = [layout.n_outputs, *[c.hidden] * c.n_hidden, 1 + c.n_geometry_features]
    widths += [*[c.color_hidden] * c.n_color_hidden, 3]
    weights = sum(a * b for a, b in pairwise(widths))
    widest = "field.hidden" if c.hidden >= c.color_hidden else "field.color_hidden"
    needs = [
        Need("field.log2_table_size", "the hash grid", layout.n_params * FLOAT * ADAM_COPIES),
        Need(widest, "the field's networks", weights * FLOAT * ADAM_COPIES),
        Need(
            "renderer.occupancy_resolution", "the occupancy grid", config.renderer.occupancy_resolution**3 * CELL_BYTES
        ),
        Need("optimize.regularizer_samples", "the regularizers", loop.regularizer_samples * layout.n_outputs * FLOAT),
        _pass("optimize.rays", "the rays of a step", loop.rays, config),
    ]
    return [*needs, *_views("distill", config.distill, config)]


def _views(group: str, c: DistillConfig, config: Config) -> list[Need]:
    if not c.weight > 0:
        return []
    side = (c.render_px or config.prior.resolution or LEAST_SIDE_PX) * c.supersample
    setting = f"{group}.n_views"
    if side > 512 and c.n_views < 64:
        setting = f"{group}.render_px" if c.render_px or not config.prior.resolution else "prior.resolution"
    return [_pass(setting, "the views of a step", c.n_views * side**2, config)]


def _pass(setting: str, what: str, n_rays: int, config: Config) -> Need:
    marched = MARCHED_SHARE * config.renderer.samples_per_ray * MARCHED_BYTES
    named = setting if n_rays >= config.renderer.samples_per_ray else "renderer.samples_per_ray"
    return Need(named, what, n_rays * (RAY_BYTES + marched))


def for_the_mesh(config: Config) -> list[Need]:
    """What the host holds after the optimization, one after the other."""
    c, show = config.mesh, config.report
    texels = (c.texture_size * c.texture_supersample) ** 2 if c.texture else 0
    return [
        Need("mesh.resolution", "the surface", 2 * c.resolution**2 * 200),
        Need("mesh.calibration_resolution", "the coarse grid", c.calibration_resolution**3 * 2 * FLOAT),
        Need("mesh.texture_size", "the texture", texels * TEXEL_BYTES),
        _pictures("mesh.calibration_views", c.calibration_views, c.calibration_size_px),
        _pictures("mesh.bake_fit_views", c.bake_fit_views, c.bake_fit_size_px),
        _pictures("mesh.bake_views", c.bake_views, c.bake_view_size_px),
        _pictures("report.turntable_frames", show.turntable_frames, show.turntable_size_px),
    ]


def _pictures(setting: str, count: int, side_px: int) -> Need:
    return Need(setting, f"{count:,} pictures of {side_px} px", count * side_px**2 * PIXEL_BYTES)


def _refuse(needs: list[Need], total: float, free: int) -> None:
    if total <= free:
        return
    most = max(needs, key=lambda need: need.n_bytes)
    share = "" if len(needs) == 1 else f"{total / 1e9:,.1f} GB, of which "
    raise ValueError(
        f"{most.setting}: expected settings that fit into {free / 1e9:,.1f} GB of free memory, "
        f"got at least {share}{most.n_bytes / 1e9:,.1f} GB for {most.what}; lower it"
    )


def free_bytes(device: torch.device | str) -> int:
    """Free memory of a GPU, or of the host with its swap, within the limit of its control group."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    host = psutil.virtual_memory().available + psutil.swap_memory().free
    return min([host, *_control_group()])


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What a container may still take, or nothing where no limit is set (cgroup v2, then v1)."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return [max(0, int((root / limit).read_text("utf-8")) - int((root / used).read_text("utf-8")))]
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return []
