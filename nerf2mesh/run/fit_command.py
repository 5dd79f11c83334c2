"""nerf2mesh PICTURE: one run in a folder that the same command finds again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nerf2mesh.config import Config, is_sweep, to_config
from nerf2mesh.run.fit import run_fit
from nerf2mesh.run.result import Result


def main(composed: DictConfig) -> None:
    """Runs what Hydra composed and prints the files. ValueError in one line for what the user can put right, and for
    what the run itself says has failed."""
    config, job = to_config(composed), HydraConfig.get()
    if config.output_dir is not None:
        folder = Path(config.output_dir)
    elif is_sweep():
        folder = Path(job.runtime.output_dir)
    else:
        folder = default_output_dir(config, job.runtime.choices["preset"])
    config = replace(config, output_dir=str(folder))
    result = run_fit(config, overrides=list(job.overrides.task))
    if os.environ.get("RANK", "0") == "0":  # torchrun's first process speaks for all
        print(_summary(folder, result))
    if result.failures:
        raise ValueError("; ".join(result.failures))


def default_output_dir(config: Config, preset: str) -> Path:
    """outputs/PICTURE-PRESET, of a round of refinement outputs/SOURCE-then-WHAT-PRESET: the same command finds its
    folder again and resumes."""
    if config.start_from:
        made = config.refine.paint or config.refine.mask or (config.refine.regions or ["all"])[0]
        return Path("outputs") / f"{Path(config.start_from).resolve().stem}-then-{Path(made).stem}-{preset}"
    first = config.input.image or (config.input.images or [""])[0]
    stem = Path(first).resolve().stem if first else "run"
    return Path("outputs") / f"{stem}-{preset}"


def _summary(folder: Path, result: Result) -> str:
    meshes = [f"mesh.{name}" for name in dict.fromkeys(["glb", *result.config.mesh.formats])]
    names = (*meshes, "turntable.mp4", "turntable.gif", "report.html")
    lines = [f"  {folder / name}" for name in names if (folder / name).is_file()]
    return "\n".join(["done", *lines])
