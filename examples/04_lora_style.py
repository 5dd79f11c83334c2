"""Train a style adapter and fit with it: `python examples/04_lora_style.py [SETTING ...]`.

The adapter learns to read line drawings: pairs of a drawing and ordinary views of the same object, drawn by the package
itself. Your own pictures and models go into a folder of the same form (docs/adapters.md). `n_pairs=` and
`train_steps=` set the size of the training; 200 and 1500 are a start.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nerf2mesh
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.procedural.pairs import write_pairs

FOLDER = Path("outputs/examples/04")


def main(arguments: list[str]) -> None:
    sizes = {"n_pairs": 40, "train_steps": 150}
    for name in sizes:
        sizes[name] = int(next((a.split("=")[1] for a in arguments if a.startswith(f"{name}=")), sizes[name]))
    settings = [a for a in arguments if a.split("=")[0] not in sizes] or ["preset=preview"]
    pairs = FOLDER / "pairs"
    if not (pairs / "items.jsonl").exists():
        write_pairs(pairs, look="line", n=sizes["n_pairs"])
    training = StyleTrainConfig(
        data=str(pairs),
        output_dir=str(FOLDER / "adapter"),
        title="line",
        licence="Apache-2.0",
        steps=sizes["train_steps"],
        views_per_model=4,
        memorization_probes=0,  # by default the adapter is tried on 8 pictures afterwards; this is a short example
    )
    adapter = train_style(training)
    drawing = sorted(pairs.glob("*.png"))[0]
    with_adapter = ["input.domain=lineart", f"lora.adapters=[{adapter}]", *settings]
    print(nerf2mesh.fit(drawing, overrides=with_adapter).save(FOLDER))


if __name__ == "__main__":
    main(sys.argv[1:])
