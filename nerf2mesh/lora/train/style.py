"""Trains a style adapter on the built-in prior: from pictures in a style to what they show in the round.

The network is shown the styled picture as its clean frame and learns to denoise ordinary views of the model
(`builtin.loss.velocity_loss`): the adapter learns to read the style, what comes out stays ordinary. A tenth of the
pictures is hidden, so that the unconditional half of guidance keeps its meaning under the adapter.

A run writes `<title>.safetensors` with its manifest, `curve.jsonl` and a checkpoint; the same command goes on.
Bit-equal for the same data, settings and number of threads, interrupted or not.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn

from nerf2mesh.lora import adapters
from nerf2mesh.lora.io.export import save_adapter
from nerf2mesh.lora.io.manifest import Manifest
from nerf2mesh.lora.train.curated import CURATED, curation_note
from nerf2mesh.lora.train.pairs import Pair, load_pairs, read_pairs
from nerf2mesh.lora.train.style_batch import draw, measure, split, style_loss
from nerf2mesh.priors import BuiltinPrior, PriorConfig, load_prior
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.materials import prior_materials
from nerf2mesh.report import Progress, sha256_file
from nerf2mesh.rights import USES, Material, Use, check
from nerf2mesh.utils.atomic_write import append_text
from nerf2mesh.utils.checkpoint import has_checkpoint, restore_newest, write_checkpoint
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Count, Device, FilePath, Length, Name, OneOf, Rate, Seed, Share, Text, Within, Words
from nerf2mesh.utils.tensor_file import check_optimizer
from nerf2mesh.utils.without_paths import without_paths

STYLE = "style"
STATE = "checkpoints/last.safetensors"


@dataclass(kw_only=True)
class StyleTrainConfig:
    """How a style adapter is trained."""

    data: FilePath | None = None
    """The folder with the pairs (`nerf2mesh-curate`'s curated.jsonl comes before items.jsonl), or a file of items."""
    output_dir: FilePath = "outputs/style"
    title: Annotated[str, Text(200, r"[^./\\\x00]+", "a name without dots and slashes")] = "style"
    """Names the file and stands in its header."""
    licence: Words = ""
    """Of the adapter, for its header."""
    unlicensed: Annotated[str, OneOf("refuse", "skip")] = "refuse"
    """Pictures without a licence: "refuse" the whole folder, or "skip" them."""
    use: Annotated[str, OneOf(*USES)] | None = None
    """What the adapter is for: commercial, research or personal. A picture, or a prior, whose licence forbids that ends
    the training before its first step. null: what would be forbidden is only named."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    rank: Annotated[int, Within(1, 1024)] = 8
    targets: Annotated[list[Name], Length(0, 1000)] = field(default_factory=list)
    """Ends of the names of the layers to adapt; empty: the built-in prior's usual ones, and where pictures come in."""
    steps: Count = 1500
    batch_pairs: Annotated[int, Within(1, 65_536)] = 4
    n_noisy: Annotated[int, Within(1, 64)] = 3
    """Views of the model a pair and step."""
    views_per_model: Annotated[int, Within(1, 1024)] = 12
    learning_rate: Rate = 1e-3
    warmup_steps: Annotated[int, Within(0, 10_000_000)] = 50
    cooldown_share: Share = 0.3
    """Share of the steps over which the rate falls linearly to a twentieth."""
    drop_condition: Share = 0.1
    high_noise_share: Share = 0.5
    """This share of the times is drawn from [0.6, 1], where distillation works, the rest from [0, 1]."""
    held_out_share: Annotated[float, Within(0.0, 1.0, below=True)] = 0.1
    """Share of the pairs that is only measured on."""
    memorization_probes: Annotated[int, Within(0, 1000)] = 8
    """Pictures on which the finished adapter is tried for giving training items back; 0 leaves that out."""
    checkpoint_every: Count = 100
    device: Device = "cpu"
    threads: Annotated[int, Within(0, 1024)] = 0
    """Threads of the CPU; 0 leaves torch's own choice."""
    seed: Seed = 0
    quiet: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass
class StyleState:
    """Everything that a continued run needs."""

    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0

    def save(self, path: Path, fingerprint: str) -> None:
        """Writes the state to `path`, aside and renamed; `fingerprint` stands for the data and the settings."""
        values = {
            "parameters": [p.detach().clone() for p in self.parameters],
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "fingerprint": fingerprint,
        }
        write_checkpoint(path, values)

    def load(self, path: Path, fingerprint: str) -> list[str]:
        """Takes over the state in `path`, or the one before it where this one is damaged; returns what to say.

        Raises ValueError where neither can be used, or it was saved with another fingerprint: other data or settings.
        """
        return restore_newest(path, lambda values: self._restore(values, path, fingerprint))

    def _restore(self, values: dict[str, Any], path: Path, fingerprint: str) -> None:
        if values["fingerprint"] != fingerprint:
            raise ValueError(
                f"output_dir: expected a run with these data and settings, got another in {path.parent}; "
                "choose a new folder"
            )
        check_optimizer(self.optimizer, values["optimizer"])
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values["parameters"], strict=True):
                parameter.copy_(value)
        self.optimizer.load_state_dict(values["optimizer"])
        self.generator.set_state(values["generator"])
        self.step = values["step"]


def train_style(config: StyleTrainConfig, *, stop_after: int | None = None) -> Path:
    """Trains and writes the adapter; returns its file.

    stop_after: leave after this step of the whole run, with a checkpoint (for tests of resuming).

    Raises:
        ValueError: in one line, what is wrong with the data, a setting, or the prior.
    """
    # To name the number, even the present one, also ends MKL's choosing it at run time, which changes bits.
    torch.set_num_threads(config.threads or torch.get_num_threads())
    pairs, notes = read_pairs(_data(config), config.unlicensed)
    for line in check(_materials(config, pairs), cast("Use | None", config.use)):
        warnings.warn(line, stacklevel=2)
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    prior = _builtin(config)
    with Progress(len(pairs), "pairs", quiet=config.quiet, unit="pair") as bar:
        for note in notes:
            bar.note(f"data: {note}")
        frames = load_pairs(pairs, prior.image_size, config.views_per_model, config.seed, lambda: bar.update())
    learning, held_out = _split(pairs, config)
    state = _fresh(prior.network, config)
    fingerprint = _fingerprint(config, pairs)
    if has_checkpoint(folder / STATE, folder / "state.pt"):
        for line in state.load(folder / STATE, fingerprint):
            warnings.warn(line, stacklevel=2)
    _run(state, prior, frames[learning], frames[held_out], config, folder, fingerprint, stop_after)
    path = folder / f"{config.title}.safetensors"
    if state.step >= config.steps:
        measured = {"held_out": measure(prior.network, frames[held_out])}
        with adapters.using(prior.network, {}):
            measured["held_out_base"] = measure(prior.network, frames[held_out])
        manifest = _manifest(config, prior, pairs, measured)
        save_adapter(path, adapters.adapter_state(prior.network, STYLE), manifest)
        if config.memorization_probes:
            _check_memorization(prior, frames, learning, held_out, pairs, config)
    return path


def _check_memorization(
    prior: BuiltinPrior, frames: Frames, learning: Tensor, held_out: Tensor, pairs: list[Pair], config: StyleTrainConfig
) -> None:
    """Tries the adapter on what it has not learnt from, and writes how near its outputs come to single items."""
    from nerf2mesh.lora.memorization.check import check_memorization
    from nerf2mesh.lora.memorization.page import write_check
    from nerf2mesh.lora.memorization.probes import probes_of

    n = config.memorization_probes
    with Progress(n, "memorization", quiet=config.quiet, unit="probe") as bar:
        probes = probes_of(frames[held_out], n, prior.image_size)
        found = check_memorization(prior, frames[learning], probes, config.seed, lambda: bar.update())
        names = [str(pairs[i].entry["picture"]) for i in learning.tolist()]
        page = write_check(Path(config.output_dir), found, names)
        bar.note(f"memorization: {found.line()}; {page}")
    if found.flagged:
        warnings.warn(f"memorization: {found.line()}; see {page}, and train for fewer steps or on more", stacklevel=3)


def rate(config: StyleTrainConfig, step: int) -> float:
    """Warm-up, constant, then a linear fall to a twentieth over the last share of the steps."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    left = (config.steps - step) / max(config.cooldown_share * config.steps, 1e-6)
    return config.learning_rate * warm * max(0.05, min(1.0, left))


def _run(
    state: StyleState,
    prior: BuiltinPrior,
    frames: Frames,
    held_out: Frames,
    config: StyleTrainConfig,
    folder: Path,
    fingerprint: str,
    stop_after: int | None,
) -> None:
    last = config.steps if stop_after is None else min(stop_after, config.steps)
    with Progress(config.steps, "train", quiet=config.quiet, initial=state.step) as bar:
        while state.step < last:
            loss = _step(state, prior, frames, config)
            bar.update(loss=round(loss, 4))
            if state.step % config.checkpoint_every == 0 or state.step == last:
                line = {"step": state.step, "loss": loss, "held_out": measure(prior.network, held_out)}
                append_text(folder / "curve.jsonl", json.dumps(line) + "\n")
                state.save(folder / STATE, fingerprint)


def _step(state: StyleState, prior: BuiltinPrior, frames: Frames, config: StyleTrainConfig) -> float:
    batch = draw(
        frames,
        state.generator,
        batch_pairs=config.batch_pairs,
        n_noisy=config.n_noisy,
        drop_condition=config.drop_condition,
        high_noise_share=config.high_noise_share,
    )
    loss = style_loss(prior.network, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.parameters, 1.0)
    for group in state.optimizer.param_groups:
        group["lr"] = rate(config, state.step)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    return float(loss.detach())


def _fresh(network: nn.Module, config: StyleTrainConfig) -> StyleState:
    torch.manual_seed(config.seed)
    targets = tuple(config.targets) or (*adapters.default_targets(network), "stem", "shrink")
    adapters.attach(network, STYLE, config.rank, targets)
    parameters = adapters.train_only(network, STYLE)
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    return StyleState(parameters, optimizer, torch.Generator().manual_seed(config.seed))


def _builtin(config: StyleTrainConfig) -> BuiltinPrior:
    prior = load_prior(config.prior, config.device)
    if not isinstance(prior, BuiltinPrior):
        raise ValueError(
            f"prior.name: expected builtin, got {config.prior.name!r}; other priors learn with lora.subject"
        )
    return prior


def _materials(config: StyleTrainConfig, pairs: list[Pair]) -> list[Material]:
    """The prior, and the pictures by licence and giver."""
    counts = Counter((pair.entry.get("licence", ""), pair.entry.get("source", "")[:200]) for pair in pairs)
    pictures = [
        Material("training data", f"{n} pictures of {source}" if source else f"{n} pictures", licence, "data", source)
        for (licence, source), n in counts.items()
    ]
    return [*prior_materials(config.prior), *pictures]


def _data(config: StyleTrainConfig) -> str:
    if not config.data:
        raise ValueError("data: expected a folder with items.jsonl, got none; set data=FOLDER")
    return config.data


def _manifest(config: StyleTrainConfig, prior: BuiltinPrior, pairs: list[Pair], measured: dict) -> Manifest:
    kept = ("rank", "steps", "batch_pairs", "n_noisy", "learning_rate", "drop_condition", "seed", "targets")
    settings: dict[str, object] = {name: getattr(config, name) for name in kept}
    settings |= {"v_loss": measured, "image_size": prior.image_size}
    curation = curation_note(pairs[0].folder) if pairs[0].file == CURATED else {}
    settings |= {"curation": curation} if curation else {}
    return Manifest(
        title=config.title,
        base=prior.source.name if prior.source else "builtin",
        base_sha256=sha256_file(prior.source) if prior.source else "",
        licence=config.licence,
        settings=settings,
        sources=[pair.source() for pair in pairs],
    )


def _split(pairs: list[Pair], config: StyleTrainConfig) -> tuple[Tensor, Tensor]:
    """Numbers of the pairs to learn from and of those to measure on: as the lines say, else by the seed."""
    said = torch.tensor([bool(pair.held_out) for pair in pairs])
    if all(pair.held_out is None for pair in pairs):
        return split(len(pairs), config.held_out_share, config.seed)
    if said.all():
        raise ValueError('data: expected pairs to learn from, got a split of heldout in every line; write "train"')
    return (~said).nonzero()[:, 0], said.nonzero()[:, 0]


def _fingerprint(config: StyleTrainConfig, pairs: list[Pair]) -> str:
    """What must be the same for a run to go on."""
    free = ("output_dir", "data", "title", "licence", "use", "quiet", "checkpoint_every", "threads", "device")
    free += ("memorization_probes",)
    settings = {name: value for name, value in asdict(config).items() if name not in free}
    said = [[i for i, pair in enumerate(pairs) if pair.held_out]] if any(pair.held_out for pair in pairs) else []
    return json.dumps([without_paths(settings), [pair.sha256 for pair in pairs], *said], sort_keys=True)
