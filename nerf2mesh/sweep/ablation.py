"""Protocol `ablation`: what each part of the method brings, one part changed at a time.

Every variant is the base configuration with the overrides listed here, on the same objects with the same seeds; its
table is paired with the base (`tables.ablation_table`). Objects: those of protocol `objects` where `data_dir` names a
folder with a manifest, else the held-out scenes of `procedural-heldout`.

Losses are compared at equal time, not at equal steps: a loss that asks the network twice a step gets fewer steps.
`step_cost` counts its passes through the network; the table's column of time says how well that holds.
dds is not among them: it edits the object of another run. mv_sdi is sdi with views in opposite pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from nerf2mesh.config import load_config
from nerf2mesh.sweep.config import BenchConfig

BASE = "base"
N_OBJECTS = 16
"""Unless n_objects or objects says otherwise: with preset preview and one seed two hours on two cores."""
PASSES = {
    "sds": 1.0, "sjc": 1.0, "csd": 3.0, "nfsd": 3.0, "ism": 10.0, "asd": 2.0, "sdi": 17.0, "vsd": 5.0, "bsd": 8.0,
    "hifa": 1.0, "x0": 1.0, "rfds": 1.0, "rfds_rev": 2.0,
}  # fmt: skip
"""Of the built-in prior's network a step, at the preset's guidance; a pass that learns counts as three. ism and sdi
walk to the noise level in strides of a tenth, sdi with two passes a stride: rough means over the run.
"""
REST = 0.63
"""What a step takes beside, in passes: 0.086 s against 0.136 s a pass (preset preview, one core)."""


def step_cost(loss: str) -> float:
    """What a step of the loss takes, over that of sds."""
    return (REST + PASSES[loss]) / (REST + PASSES["sds"])


@dataclass(frozen=True)
class Variant:
    """One change of the base: the part that it concerns, what it is called in the table, and its overrides."""

    factor: str
    name: str
    overrides: tuple[str, ...]

    @property
    def method(self) -> str:
        """Its name among the methods of the sweep."""
        return f"{self.factor}: {self.name}"


def measured_protocol(config: BenchConfig) -> str:
    """The protocol that the objects are of: the sweep's own, of ablation objects or procedural-heldout."""
    if config.protocol != "ablation":
        return config.protocol
    return "objects" if config.data_dir else "procedural-heldout"


def ablation_methods(config: BenchConfig) -> list[tuple[str, list[str]]]:
    """The base and every variant: its name in the tables, and its overrides."""
    common = [f"preset={config.presets[0]}", *config.overrides]
    steps = load_config(common).optimize.steps
    return [(BASE, common), *((v.method, [*common, *v.overrides]) for v in variants(config.factors, steps))]


def variants(factors: tuple[str, ...], steps: int) -> list[Variant]:
    """Those of some factors, all where none is named. steps: of the base, from which equal time is counted."""
    found = [*_prior(), *_losses(steps), *_views(), *_noise(), *_adapters(), *_levels(), *_extraction()]
    return [variant for variant in found if not factors or variant.factor in factors]


def _prior() -> list[Variant]:
    guess = ("distill.weight=0", "lora.steps=0", "optimize.guessed_views=8")
    return [
        Variant("prior", "none: the given view and the regularizers", ("distill.weight=0",)),
        Variant("prior", "best guess only: eight views guessed at once", guess),
    ]


def _losses(steps: int) -> list[Variant]:
    found = []
    for loss in PASSES:
        if loss != "sds":
            count = max(1, round(steps / step_cost(loss)))
            found.append(Variant("loss", loss, (f"distill.loss={loss}", f"optimize.steps={count}")))
    pairs = ("distill.loss=sdi", "distill.antithetic=true", "distill.n_views=4")
    count = max(1, round(steps / step_cost("sdi") * 3 / 4))  # four views a step, three in the base
    return [*found, Variant("loss", "mv_sdi", (*pairs, f"optimize.steps={count}"))]


def _views() -> list[Variant]:
    return [Variant("views", f"{n} a step", (f"distill.n_views={n}",)) for n in (1, 2, 6)]


def _noise() -> list[Variant]:
    return [
        Variant("noise", "0.98 to 0.02", ("distill.t_end=0.02",)),
        Variant("noise", "0.98 throughout", ("distill.t_end=0.98",)),
        Variant("noise", "uniform in 0.02 to 0.98", ("distill.schedule=uniform",)),
    ]


def _adapters() -> list[Variant]:
    return [Variant("adapters", "subject, fitted to the given view", ("lora.subject=true",))]


def _levels() -> list[Variant]:
    return [
        Variant("levels", "4", ("field.n_levels=4",)),
        Variant("levels", "12", ("field.n_levels=12",)),
        Variant("levels", "8, all from the start", ("field.start_levels=8",)),
    ]


def _extraction() -> list[Variant]:
    return [Variant("extraction", f"{n}^3", (f"mesh.resolution={n}",)) for n in (48, 64, 160)]
