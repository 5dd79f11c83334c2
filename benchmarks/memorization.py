"""An adapter that learned five pairs by heart, and an ordinary one: what the check for memorization says of them.

    python -m benchmarks memorization PAIRS OUT [--steps 200] [--usual-steps 120] [--probes 6]

PAIRS: a folder of nerf2mesh.procedural.pairs. Lines 2 to 6 are learnt by one adapter at three times the usual rate, the
first hundred by the other with the usual settings; both are tried on the same held-out pairs. Ends with 1 where the
first is not flagged, or the second is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nerf2mesh.lora import load_adapter
from nerf2mesh.lora.memorization.check import Memorization, check_memorization
from nerf2mesh.lora.memorization.page import write_check
from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.lora.train.style_batch import split
from nerf2mesh.priors import BuiltinPrior, PriorConfig
from nerf2mesh.utils.atomic_write import atomic_write_text

FEW = slice(1, 6)


def adapters_of(pairs: Path, out: Path, steps: int, usual_steps: int) -> dict[str, Path]:
    """Trains both, or goes on, and returns their files. The folders with their lines lie beside the pairs' files."""
    lines = [line for line in (pairs / "items.jsonl").read_text(encoding="utf-8").splitlines() if line][:100]
    usual = StyleTrainConfig(steps=usual_steps, views_per_model=6, memorization_probes=0, checkpoint_every=20)
    few = replace(
        usual, steps=steps, batch_pairs=2, learning_rate=3e-3, rank=16, held_out_share=0.0, warmup_steps=20, threads=1
    )
    found = {}
    for title, config, chosen in (("five", few, lines[FEW]), ("usual", usual, lines)):
        items = atomic_write_text(pairs / f"{title}.jsonl", "".join(f"{line}\n" for line in chosen))
        found[title] = train_style(replace(config, data=str(items), output_dir=str(out / title), title=title))
    return found


def tried(adapter: Path, pairs: Path, title: str, n_probes: int, seed: int = 0) -> tuple[Memorization, list[str]]:
    """The check on held-out pairs of the ordinary adapter, which neither has learnt."""
    every, _ = read_pairs(pairs / "usual.jsonl")
    learning, held_out = split(len(every), 0.1, seed)
    learnt = torch.arange(len(every))[FEW] if title == "five" else learning
    prior = BuiltinPrior.load(PriorConfig())
    load_adapter(prior, title, adapter)
    chosen = [*learnt.tolist(), *[i for i in held_out.tolist() if i not in range(FEW.start, FEW.stop)][:n_probes]]
    frames = load_pairs([every[i] for i in chosen], prior.image_size, 6, seed)
    names = [str(every[i].entry["picture"]) for i in learnt.tolist()]
    return check_memorization(prior, frames[: len(learnt)], frames[len(learnt) :], seed), names


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--usual-steps", type=int, default=120)
    parser.add_argument("--probes", type=int, default=6)
    parser.add_argument("--only", choices=["five", "usual"])
    args = parser.parse_args(argv)
    wrong = 0
    for title, adapter in adapters_of(args.pairs, args.out, args.steps, args.usual_steps).items():
        if args.only in (None, title):
            found, names = tried(adapter, args.pairs, title, args.probes)
            print(f"{title}: {found.line()}; {write_check(args.out / title, found, names)}")
            for output in found.outputs:
                source = "noise" if output.hidden else "picture"
                d, base = output.distance.total, output.base.total
                print(f"  probe {output.probe}, {source}: {d:.3f} to {names[output.distance.item]}, bare {base:.3f}")
            print(f"  truths: {' '.join(f'{distance.total:.3f}' for distance in found.truths)}", flush=True)
            wrong += found.flagged != (title == "five")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
