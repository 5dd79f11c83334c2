"""nerf2mesh FOLDER, nerf2mesh 'glob(PATTERN)', nerf2mesh A.png B.png: a run for each of many pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore

from nerf2mesh.config import compose_config, load_config, to_dataclass
from nerf2mesh.sweep.config import BenchConfig
from nerf2mesh.sweep.pictures import Fitted, fit_pictures
from nerf2mesh.utils.override_text import many_pictures, pictures_of


def main(arguments: Sequence[str]) -> None:
    """Fits them and prints the meshes. ValueError in one line, which names pictures without a mesh and the reasons."""
    values = many_pictures(arguments) or []
    pictures = pictures_of(values)
    rest = [a for a in arguments if a.removeprefix("input.image=") not in values]
    launch = [a for a in rest if a.startswith(("launch=", "launch."))]
    settings = [a for a in rest if a not in launch and not a.startswith("output_dir=")]
    config = load_config([a for a in rest if a not in launch])
    preset = next((a.partition("=")[2] for a in reversed(settings) if a.startswith("preset=")), "standard")
    root = Path(config.output_dir or Path("outputs") / f"{_label(values[0])}-{preset}").resolve()
    ConfigStore.instance().store(name="bench_schema", node=BenchConfig)
    one = [] if launch else ["launch.workers=1"]
    bench = to_dataclass(compose_config([*one, *launch], name="bench"), BenchConfig)
    fitted = fit_pictures(pictures, settings, root, bench.launch)
    if fitted is None:
        print("the workers are queued; the same command later collects")
        return
    print("\n".join(["done", *(f"  {mesh}" for mesh in fitted.meshes.values())]))
    _check(fitted, len(pictures))


def _check(fitted: Fitted, n: int) -> None:
    """ValueError where pictures have no mesh."""
    if fitted.failed:
        reasons = {Path(name).name: why.removeprefix("ValueError: ") for name, why in fitted.failed.items()}
        named = "; ".join(f"{name} ({why})" for name, why in reasons.items())
        raise ValueError(
            f"input.image: expected pictures that can be fitted, got {len(fitted.failed)} of {n} that cannot: {named}; "
            "correct them, then give the same command again"
        )


def _label(value: str) -> str:
    """The name for the results of a folder, of glob(PATTERN), or of several pictures."""
    last = Path(value.removeprefix("glob(").rstrip(")").strip("\"'")).expanduser()
    places = [last.absolute().parent] if last.is_file() else [last.absolute(), last.absolute().parent]
    names = [re.sub(r"[^\w-]+", "", place.name.partition(".")[0]) for place in places]
    return next((name for name in names if name), "pictures")
