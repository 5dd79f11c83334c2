"""Settings drawn at random, absurd ones and the ends of their ranges, through the command's own way up to step 0.

    python -m tests.fuzz.settings SECONDS [SEED]

prints what was tried. Each case changes one to three settings of a tiny run, a quarter of them as overrides of the
command line; the loop itself is left out. A case is
`refused` where one line names one of them, `reached` where all parts were built, `long` where that took over LIMIT_S
(settings such as 10,000 pictures of a class ask for it). Everything else is a fault: `traceback`, or `unnamed` where
the line names none of the settings.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import nerf2mesh
from nerf2mesh.config import Config, compose_config, load_config, to_config
from nerf2mesh.priors import PriorConfig, load_prior
from nerf2mesh.run import memory_check
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.utils.config_errors import describe
from nerf2mesh.utils.range_check import Form, form_of, hints_of

LIMIT_S = 20.0
MEMORY_BYTES = 2_000_000_000
"""What `memory_check` is told to be free; the process itself may take four times as much."""
ABSURD = (0, -1, 1, math.nan, math.inf, 10**12, -(10**12), 1e-300, 1e300, None, True, "no", "", "\t", [], [0], [[1]])


class Reached(Exception):
    """All parts are built, the first step would come now."""


class TooLong(BaseException):
    """A case took longer than LIMIT_S."""


def settings(kind: type = Config, prefix: str = "") -> Iterator[tuple[str, Form]]:
    """Every setting of a run; `second` has those of the first prior and its loss."""
    for name, hint in hints_of(kind).items():
        form = form_of(hint)
        if not is_dataclass(form.kind):
            yield prefix + name, form
        elif not form.optional:
            yield from settings(form.kind, f"{prefix}{name}.")


def within(form: Form, draw: random.Random) -> Any:
    """A value at an end of the range, or inside it."""
    if form.optional and draw.random() < 0.2:
        return None
    if form.kind is bool:
        return draw.random() < 0.5
    if form.kind in (int, float):
        low, high = form.note.low, form.note.high
        tiny = low + (1 if form.kind is int else min(1e-3, (high - low) / 8))
        value = draw.choice((low, high, tiny, low + 3 * (tiny - low), *form.note.also))
        return form.kind(value)
    if form.kind is str:
        return draw.choice(getattr(form.note, "options", ("a", "ab c", "x" * 150)))
    if form.kind in (tuple, list):
        entries = form.entries if form.is_fixed else form.entries * draw.randint(form.note.low, min(form.note.high, 3))
        return [within(form_of(entry), draw) for entry in entries]
    return None


def drawn(draw: random.Random, known: list[tuple[str, Form]]) -> dict[str, Any]:
    """Path -> value of one to three settings."""
    chosen = draw.sample(known, draw.choice((1, 1, 2, 3)))
    return {path: within(form, draw) if draw.random() < 0.6 else draw.choice(ABSURD) for path, form in chosen}


def override(path: str, value: Any) -> str:
    """As it is written on the command line."""
    if path == "optimize.ramps":
        return f"+{path}.weight_mask={json.dumps(value)}"
    text = json.dumps(value) if isinstance(value, str | list | bool) or value is None else f"{value!r}"
    return f"{path}={text.replace('NaN', 'nan').replace('Infinity', 'inf')}"


def ball() -> Observations:
    """One view of a grey disc."""
    axis = torch.linspace(-1, 1, 32)
    inside = (axis[:, None].square() + axis.square() < 0.4).float()
    return Observations((View(torch.stack([inside / 2] * 3 + [inside], -1), Camera.orbit(0.0, 10.0, width_px=32)),))


class Tiny:
    """What cases share: the composed settings of a tiny run, and the prior."""

    def __init__(self) -> None:
        self.composed = compose_config(["preset=tiny", "report.quiet=true"])
        self.prior = load_prior(PriorConfig())

    def config(self, changes: dict[str, Any], whole: bool) -> Config:
        """The configuration with the changes; `whole`: by Hydra, from the override's text on."""
        if whole:
            overrides = [override(*change) for change in changes.items()]
            return load_config(["preset=tiny", "report.quiet=true", *overrides])
        composed = copy.deepcopy(self.composed)
        try:
            for path, value in changes.items():
                OmegaConf.update(composed, path, value, merge=False)
        except OmegaConfBaseException as error:
            raise ValueError(describe(error, Config)) from error
        return to_config(composed)


def outcome(changes: dict[str, Any], tiny: Tiny, whole: bool) -> tuple[str, str]:
    """(kind, what was said) of one case."""
    names = [path.rpartition(".")[2] for path in changes]
    prior = None if whole or any(path.startswith("prior.") for path in changes) else tiny.prior
    try:
        with warnings.catch_warnings(), limited(LIMIT_S):
            warnings.simplefilter("ignore")
            nerf2mesh.fit(observations=ball(), config=tiny.config(changes, whole), prior=prior)
    except Reached:
        return "reached", ""
    except TooLong:
        return "long", ""
    except ValueError as error:
        said = str(error)
        if "\n" in said or len(said) > 500:
            return "traceback", said
        return "refused" if any(name in said for name in names) else "unnamed", said
    except Exception:
        return "traceback", traceback.format_exc(limit=-3)
    return "traceback", "the loop was not reached"


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TooLong after so much time."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def inside(folder: str) -> Iterator[None]:
    """That folder is the present one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def not_run(*_: object) -> None:
    raise Reached


def main(seconds: float, seed: int = 0) -> dict[str, Any]:
    """Tries cases for so long: {"cases", "refused", "reached", "long", "unnamed", "tracebacks", "faults": [...]}."""
    draw, known, counts, faults, tiny = random.Random(seed), list(settings()), Counter(), [], Tiny()
    resource.setrlimit(resource.RLIMIT_DATA, (4 * MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    end = time.monotonic() + seconds
    with (
        tempfile.TemporaryDirectory() as here,
        inside(here),  # some cases name an output_dir
        patch("nerf2mesh.run.fit.run_loop", not_run),
        patch.object(memory_check, "free_bytes", lambda _: MEMORY_BYTES),
    ):
        while time.monotonic() < end:
            changes = drawn(draw, known)
            kind, said = outcome(changes, tiny, whole=draw.random() < 0.25)
            counts[kind] += 1
            if kind in ("traceback", "unnamed"):
                faults.append(f"{kind}: {changes}: {said}")
    kinds = {kind: counts[kind] for kind in ("refused", "reached", "long", "unnamed")}
    return {"cases": counts.total(), **kinds, "tracebacks": counts["traceback"], "faults": faults}


if __name__ == "__main__":
    result = main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print("\n".join(result.pop("faults")))
    print(json.dumps(result))
