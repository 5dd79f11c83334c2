"""The command line: thin Hydra mains over `nerf2mesh.api`.

What the user can put right ends with one line on stderr and exit code 2; set HYDRA_FULL_ERROR=1 for the traceback. Our
own mistakes end with a traceback and exit code 1. A run that a scheduler stops (SIGTERM, SIGUSR1, SIGUSR2) writes a
checkpoint and ends with exit code 75: the same command goes on.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from omegaconf import DictConfig

from nerf2mesh import __version__
from nerf2mesh.run.preemption import INTERRUPTED, REQUEUE
from nerf2mesh.utils.interpreter import forget_current_folder
from nerf2mesh.utils.names import printable
from nerf2mesh.utils.override_text import many_pictures, with_folder
from nerf2mesh.utils.streams import outlive_readers
from nerf2mesh.utils.user_message import plain_message
from nerf2mesh.utils.utf8 import speak_utf8

if TYPE_CHECKING:
    from nerf2mesh.run.preemption import Signals

USER_ERROR = 2
BENCH = "nerf2mesh.sweep.config:BenchConfig"


def start_up() -> None:
    """What every command does before anything is loaded. Modules in the current folder are none of ours."""
    forget_current_folder()
    speak_utf8()
    outlive_readers()
    share_the_cores()


def share_the_cores() -> None:
    """Lets idle threads sleep soon. Call it before torch is loaded, which is when GNU OpenMP reads its settings.

    GNU OpenMP's threads spin for milliseconds after every parallel loop. Where other programs use the same cores, the
    thread that has work waits for the one that spins, and a step takes many times as long. What the user sets stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # what it takes by itself where it knows of too few cores


def main() -> None:
    """nerf2mesh: one picture becomes a mesh."""
    start_up()
    if many_pictures(sys.argv[1:]) is not None:
        sys.exit(_guarded(_fit_many, wants_traceback=os.environ.get("HYDRA_FULL_ERROR") not in (None, "", "0")))
    sys.exit(run_app(_fit, "config"))


def train_prior() -> None:
    """nerf2mesh-train-prior: train the built-in prior on procedural shapes and on meshes."""
    start_up()
    sys.exit(run_app(_train_prior, "train_prior", "nerf2mesh.objects.train:MeshTrainConfig"))


def train_lora() -> None:
    """nerf2mesh-train-lora: train a style adapter on pairs of pictures and models."""
    start_up()
    sys.exit(run_app(_train_lora, "train_lora", "nerf2mesh.lora.train.style:StyleTrainConfig"))


def curate() -> None:
    """nerf2mesh-curate: look through the pictures and models that a style adapter is to learn from."""
    start_up()
    sys.argv[1:] = with_folder(sys.argv[1:])
    sys.exit(run_app(_curate, "curate", "nerf2mesh.lora.curate.config:CurateConfig"))


def train_foreground() -> None:
    """nerf2mesh-train-foreground: train the network that finds a picture's object."""
    start_up()
    sys.exit(run_app(_train_foreground, "train_foreground", "nerf2mesh.segmentation.config:ForegroundTrainConfig"))


def train_viewpoint() -> None:
    """nerf2mesh-train-viewpoint: train the network that tells a picture's elevation and field of view."""
    start_up()
    sys.exit(run_app(_train_viewpoint, "train_viewpoint", "nerf2mesh.viewpoint.config:ViewpointTrainConfig"))


def train_normals() -> None:
    """nerf2mesh-train-normals: train the network that tells the normals of what a picture shows."""
    start_up()
    sys.exit(run_app(_train_normals, "train_normals", "nerf2mesh.normals.config:NormalsTrainConfig"))


def provenance() -> None:
    """nerf2mesh-provenance: show and verify the record inside a file, make a key, print the gate of licences."""
    start_up()
    from nerf2mesh.run.provenance_command import main as run_command

    outcome: list[int] = []
    code = _guarded(lambda: outcome.append(run_command(sys.argv[1:])))
    sys.exit(code or outcome[0])


def view() -> None:
    """nerf2mesh-view: a run folder or a mesh in the browser."""
    start_up()
    from nerf2mesh.view.command import main as run_command

    sys.exit(_guarded(lambda: run_command(sys.argv[1:])))


def render() -> None:
    """nerf2mesh-render: a picture of a run or a mesh to paint over, with its camera."""
    start_up()
    from nerf2mesh.refine.render_command import main as run_command

    sys.exit(_guarded(lambda: run_command(sys.argv[1:])))


def rig() -> None:
    """nerf2mesh-rig: a skeleton, weights and clips for a mesh file."""
    start_up()
    from nerf2mesh.motion.rig.command import main as run_command

    sys.exit(_guarded(lambda: run_command(sys.argv[1:])))


def serve() -> None:
    """nerf2mesh-serve: pictures come in by HTTP, meshes go out."""
    start_up()
    from nerf2mesh.serve.command import main as run_command

    sys.exit(_guarded(lambda: run_command(sys.argv[1:])))


def bench() -> None:
    """nerf2mesh-bench: a sweep (key=value), a command on sweeps, or a benchmark of the source checkout."""
    start_up()
    from nerf2mesh.sweep.commands import COMMANDS

    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in COMMANDS:
        sys.exit(_guarded(lambda: COMMANDS[word](sys.argv[2:])))
    if re.fullmatch(r"\w+", word):
        sys.exit(_guarded(_checkout_benchmark))

    sys.exit(run_app(_bench, "bench", BENCH))


def _register(name: str, node: str) -> None:
    """Registers the dataclass `node`, "module:Class", as NAME_schema with Hydra."""
    from hydra.core.config_store import ConfigStore

    module, _, kind = node.partition(":")
    ConfigStore.instance().store(name=f"{name}_schema", node=getattr(import_module(module), kind))


def run_app(task: Callable[[DictConfig], object], name: str, node: str = "") -> int:
    """Runs a Hydra application on the configuration `name` and returns its exit code.

    node: "module:Class" of the dataclass that is its schema, imported under the same care for errors as the rest.
    """
    if "--version" in sys.argv[1:]:
        return _guarded(lambda: print(f"nerf2mesh {__version__}"))
    failures: list[Exception] = []

    def job(composed: DictConfig) -> object:
        """A single run takes errors past Hydra, which would print lines of its own; a sweep passes them on."""
        from hydra.core.hydra_config import HydraConfig

        from nerf2mesh.config import is_sweep, reject_added

        try:
            reject_added(cast(DictConfig, HydraConfig.get()), "hydra.")
            return task(composed)
        except Exception as error:
            if is_sweep():
                raise
            failures.append(error)
            return None

    def start() -> None:
        import hydra

        from nerf2mesh.config import config_path, searchpath_checked
        from nerf2mesh.utils.foreign_yaml import taken_from
        from nerf2mesh.utils.override_text import command_line

        if node:
            _register(name, node)
        sys.argv[1:] = command_line(taken_from(sys.argv[1:]), takes_picture=task is _fit)
        with searchpath_checked():
            hydra.main(version_base="1.3", config_path=config_path(), config_name=name)(job)()
        if failures:
            raise failures[0]

    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets errors through instead of printing them and exiting with 1
    try:
        return _guarded(start, wants_traceback=before not in (None, "", "0"))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _guarded(work: Callable[[], object], wants_traceback: bool = False) -> int:
    from nerf2mesh.run import listening

    with listening(interrupts=True) as signals:
        return _outcome(work, signals, wants_traceback)


def _outcome(work: Callable[[], object], signals: Signals, wants_traceback: bool) -> int:
    """Does the work and tells how it ended; the exit code."""
    from nerf2mesh.run import Preempted, stoppable
    from nerf2mesh.run.warned import as_lines

    try:
        try:
            with stoppable(), as_lines():
                work()
                sys.stdout.flush()
        finally:
            signals.ending = True
    except (Preempted, KeyboardInterrupt) as stop:
        print(f"{str(stop) or 'stopped'}; the same command goes on from the last checkpoint", file=sys.stderr)
        return INTERRUPTED if isinstance(stop, KeyboardInterrupt) else int(stop.code or REQUEUE)
    except Exception as error:
        message = None if wants_traceback else user_message(error)
        if message is None:
            raise
        print(f"error: {printable(message)}", file=sys.stderr)
        return USER_ERROR
    return 0


def user_message(error: BaseException) -> str | None:
    """One line for an error that the user can put right, None for our own mistakes."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from nerf2mesh.config import describe

    return describe(error) if isinstance(error, HydraException | OmegaConfBaseException) else plain_message(error)


def _fit(composed: DictConfig) -> None:
    from nerf2mesh.run.fit_command import main as run_command

    run_command(composed)


def _fit_many() -> None:
    from nerf2mesh.sweep.pictures_command import main as run_command

    run_command(sys.argv[1:])


def _train_prior(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.objects.train import MeshTrainConfig, train_on_meshes
    from nerf2mesh.priors.builtin.averaging import average_weights
    from nerf2mesh.run import between_steps

    config = to_dataclass(composed, MeshTrainConfig)
    if config.average:
        average_weights(config.average, config.output_dir)
    else:
        train_on_meshes(config, between_steps)
    print(f"done\n  {Path(config.output_dir) / 'prior.safetensors'}")


def _train_lora(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.lora.train.style import StyleTrainConfig, train_style

    path = train_style(to_dataclass(composed, StyleTrainConfig))
    print(f"done\n  {path}\nnerf2mesh input.image=PICTURE 'lora=[{path}]'")


def _curate(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.lora.curate.config import CurateConfig
    from nerf2mesh.lora.curate.curate import curate, summary

    print("\n".join(summary(curate(to_dataclass(composed, CurateConfig)))))


def _train_foreground(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.segmentation.config import ForegroundTrainConfig
    from nerf2mesh.segmentation.train import train_foreground

    path = train_foreground(to_dataclass(composed, ForegroundTrainConfig))
    print(f"done\n  {path}\nnerf2mesh input.image=PICTURE input.foreground_weights={path}")


def _train_viewpoint(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.viewpoint.config import ViewpointTrainConfig
    from nerf2mesh.viewpoint.train import train_viewpoint

    path = train_viewpoint(to_dataclass(composed, ViewpointTrainConfig))
    print(f"done\n  {path}")


def _train_normals(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.normals.config import NormalsTrainConfig
    from nerf2mesh.normals.train import train_normals

    path = train_normals(to_dataclass(composed, NormalsTrainConfig))
    print(f"done\n  {path}")


def _bench(composed: DictConfig) -> None:
    from nerf2mesh.config import to_dataclass
    from nerf2mesh.sweep.bench import run_bench
    from nerf2mesh.sweep.config import BenchConfig

    folder = run_bench(to_dataclass(composed, BenchConfig))
    where = "the workers are queued; the same command later collects" if folder is None else f"  {folder / 'page.html'}"
    print(f"done\n{where}" if folder else where)


def _checkout_benchmark() -> None:
    """`nerf2mesh-bench NAME ...` is `python -m benchmarks NAME ...` of the source checkout that is installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / "setup.py").is_file() or not (root / "benchmarks" / "__main__.py").is_file():
        raise ValueError(
            f"benchmarks: expected the package of a source checkout, got the installed one in {root}; "
            "pip install -e CHECKOUT first"
        )
    sys.path.insert(0, str(root))
    from benchmarks.__main__ import main as run_benchmark

    run_benchmark()


if __name__ == "__main__":
    main()
