"""Settings of a benchmark run: what to measure, what to vary, and where the workers run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from nerf2mesh.evaluate.protocols.names import LOOKS, PROTOCOLS, SPLITS, STUDIES, TRACKS, TURNED
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import FilePath, Length, Name, OneOf, Seed, Within, Words

FACTORS = ("prior", "loss", "views", "noise", "adapters", "levels", "extraction")
"""Of protocol ablation; see `sweep.ablation`."""
LAUNCHERS = ("local", "slurm", "ray", "joblib")


@dataclass(kw_only=True)
class SlurmConfig:
    """What is asked of SLURM for each worker; `extra` goes to sbatch as it is (constraint, account, qos, ...)."""

    partition: Name = ""
    time_min: Annotated[int, Within(1, 100_000)] = 240
    cpus_per_task: Annotated[int, Within(1, 4096)] = 2
    mem_gb: Annotated[float, Within(0.0, 1e5, above=True)] = 8.0
    gpus_per_node: Annotated[int, Within(0, 1024)] = 0
    array_parallelism: Annotated[int, Within(1, 100_000)] = 256
    signal_delay_s: Annotated[int, Within(0, 86_400)] = 90
    """So long before the limit the worker is told to stop; it writes a checkpoint and is put back into the queue."""
    extra: Annotated[dict[str, Any], Length(0, 100)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_ranges(self, "launch.slurm.")
        for key, value in {"partition": self.partition, **self.extra}.items():
            # submitit writes them as lines #SBATCH of a shell script: a second line would be a command.
            if not re.fullmatch(r"[A-Za-z][\w-]*", str(key)) or not str(value).isprintable():
                raise ValueError(
                    f"launch.slurm: expected options of one line, got {str(key)[:40]!r}: {str(value)[:40]!r}; fix it"
                )


@dataclass(kw_only=True)
class LaunchConfig:
    """Who does the work. Workers share only `output_dir`: on a cluster it must lie on a file system that all see."""

    kind: Annotated[str, OneOf(*LAUNCHERS)] = "local"
    workers: Annotated[int, Within(1, 10_000)] = 1
    threads: Annotated[int, Within(0, 1024)] = 0
    """CPU threads of each worker; 0: the machine's cores divided among the local workers."""
    wait: bool = True
    """Stay until all is done. False (SLURM only): start the workers and leave; the same command later collects."""
    retry_failed: bool = False
    """Jobs that a former start of this sweep gave up are tried again."""
    retries: Annotated[int, Within(0, 1000)] = 1
    max_losses: Annotated[int, Within(0, 1_000_000)] = 20
    lease_s: Annotated[float, Within(1.0, 1e6)] = 60.0
    """A worker of another machine that gave no sign for so long is taken for dead."""
    say_every_s: Annotated[float, Within(0.0, 1e6, above=True)] = 10.0
    ray_address: Name = ""
    """Of a running Ray cluster; empty: one is started on this machine."""
    gpus: Annotated[float, Within(0.0, 1024.0)] = 0.0
    """GPUs of each Ray worker (may be a fraction)."""
    slurm: SlurmConfig = field(default_factory=SlurmConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "launch.")
        if not self.wait and self.kind != "slurm":
            raise ValueError(
                f"launch.wait: expected true with launch={self.kind}, got false; only SLURM's workers outlive it"
            )


@dataclass(kw_only=True)
class WeightsConfig:
    """Files that the user has; a metric without its weights is left out of the tables. See `evaluate.perceptual`."""

    lpips_alex: Annotated[tuple[FilePath, ...], Length(0, 2)] = ()
    lpips_vgg: Annotated[tuple[FilePath, ...], Length(0, 2)] = ()
    """LPIPS: the backbone's file and the heads' file, or one file of the whole module; .pth or .safetensors."""
    clip: FilePath | None = None
    """CLIP: a folder as transformers' save_pretrained writes it, with the processor's and tokenizer's files."""

    def __post_init__(self) -> None:
        check_ranges(self, "weights.")

    def given(self) -> dict[str, list[str]]:
        """The files of each metric that has any. ValueError where one is not there."""
        files = {key: [value] if isinstance(value, str) else list(value) for key, value in vars(self).items() if value}
        for key, paths in files.items():
            for path in paths:
                if not Path(path).exists():
                    raise ValueError(f"weights.{key}: expected a file or folder that is there, got {path}; correct it")
        return files


@dataclass(kw_only=True)
class BenchConfig:
    """The fidelity benchmark as a sweep: objects x seeds x presets x everything in `vary`."""

    protocol: Annotated[str, OneOf(*PROTOCOLS)] = "core"
    track: Annotated[str, OneOf(*TRACKS)] = "image"
    look: Annotated[str, OneOf(*LOOKS)] = "line"
    """Track sketch: line, contour, outline, cel, pencil, blueprint."""
    objects: Annotated[tuple[Name, ...], Length(0, 100000)] = ()
    """Names out of the protocol's; empty: all."""
    n_objects: Annotated[int, Within(0, 1_000_000)] = 0
    """Only the first so many of them; 0: all (of protocol ablation 16, unless `objects` names them)."""
    split: Annotated[str, OneOf(*SPLITS)] = "both"
    """Of protocol objects: heldout (sources that priors are trained on), outside (other sources), or both."""
    per_split: Annotated[int, Within(1, 100_000)] = 48
    """Objects drawn of each split, balanced by kind."""
    draw_seed: Seed = 0
    """Another seed draws other objects."""
    yaws: Annotated[int, Within(1, 360)] = 1
    """Protocols core and objects: every object is given from so many sides, evenly turned, each a case of its own."""
    seeds: Annotated[tuple[Seed, ...], Length(1, 10000)] = (0, 1)
    presets: Annotated[tuple[Name, ...], Length(1, 100)] = ("standard",)
    vary: Annotated[dict[str, Any], Length(0, 100)] = field(default_factory=dict)
    """Settings of the fit and their values: +vary.prior=[builtin,latent] +vary.distill.weight=[1,2]."""
    overrides: Annotated[tuple[Words, ...], Length(0, 1000)] = ()
    """For every fit: 'overrides=["optimize.steps=50"]'."""
    factors: Annotated[tuple[Annotated[str, OneOf(*FACTORS)], ...], Length(0, 7)] = ()
    """Protocol ablation: which parts of the method are varied; empty: all. See `sweep.ablation`."""
    fit: bool = True
    """False: the baselines only."""
    baselines: bool = True
    only_tables: bool = False
    """Start nothing: write the tables of what is done so far."""
    data_dir: FilePath | None = None
    """The folder of the data set: of core, what `nerf2mesh-bench fetch` brings; of objects, meshes with a manifest; of
    t3bench, its prompts."""
    dataset: Annotated[str, OneOf("gso", "omniobject3d", "objaverse")] = "gso"
    """How data_dir is laid out, for published protocols: gso, omniobject3d, objaverse."""
    output_dir: FilePath | None = None
    """The sweep's folder; by default outputs/bench/PROTOCOL-TRACK, so that the same command goes on."""
    price_per_hour: Annotated[float, Within(0.0, 1e6)] = 0.0
    """Of one worker; 0 leaves the cost out."""
    currency: Name = "EUR"
    power_w: Annotated[float, Within(1.0, 1e6)] = 65.0
    """Power of one worker that is assumed, in watts, where its machine has no counter of energy that can be read."""
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.yaws > 1 and self.protocol not in TURNED:
            raise ValueError(
                f"yaws: expected 1, or more with protocol {' and '.join(TURNED)}, got {self.yaws} with "
                f"{self.protocol}; change it"
            )
        if self.factors and self.protocol not in STUDIES:
            raise ValueError(
                f"factors: expected none, or protocol ablation, got {', '.join(self.factors)} with {self.protocol}; "
                "change one"
            )
        if self.protocol in STUDIES and (len(self.presets) > 1 or self.vary or not self.fit or self.track == "text"):
            raise ValueError(
                "protocol: expected one preset, nothing in vary, fits, and a track of pictures with ablation, got "
                f"presets={list(self.presets)} vary={self.vary} fit={self.fit} track={self.track}; change them"
            )
        if not self.fit and not self.baselines:
            raise ValueError("fit, baselines: expected one of them, got neither; set fit=true")
