"""The classifier of `input.domain=auto`: fits it, and measures it on objects and hands that it has not seen.

    python -m benchmarks domain --objects FOLDER --fit            # writes nerf2mesh/inputs/domain/kinds.json
    python -m benchmarks domain --objects FOLDER                  # the confusion table of the packaged one

Fitted to objects of split `train` in the `seen` hands of `domain_pictures`; measured on objects of the splits `heldout`
and `outside` in the `unseen` hands, and in the seen ones. A network with one hidden layer is fitted beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
import torch

from benchmarks.domain_pictures import SEEN, UNSEEN, Hands, drawn_kind
from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.evaluate.protocols.objects import draw, lit_mesh
from nerf2mesh.inputs.domain.classify import FARTHEST, KINDS, PACKAGED, acted_on, kind_probabilities, probabilities
from nerf2mesh.inputs.domain.features import NAMES, features
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.procedural.gbuffer import mesh_gbuffer
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera

SIZE_PX = 224
LEAST_COVER = 0.03


def pictures(folder: ObjectFolder, entries: Sequence[ObjectEntry], hands: Hands, seed: int, each: int):
    """(kind's number, RGBA) of every object in every kind, `each` times; objects that hardly show are left out."""
    for entry in entries:
        rng = np.random.default_rng([seed, *entry.path.name.encode()[:16]])
        mesh = canonical_frame(lit_mesh(folder.read(entry), entry.path.name))
        camera = Camera.orbit(float(rng.uniform(-60, 60)), float(rng.uniform(-5, 40)), width_px=SIZE_PX)
        shown = rasterize_mesh(mesh, camera)
        if float(shown.opacity.mean()) < LEAST_COVER:
            continue
        buffer = mesh_gbuffer(shown, camera)
        for _ in range(each):
            for number, kind in enumerate(KINDS):
                yield number, drawn_kind(buffer, kind, hands, rng)


def fitted(x: np.ndarray, y: np.ndarray, *, hidden: int = 0, decay: float = 3e-4) -> torch.nn.Module:
    """Logistic regression of standardized features, or a network with one hidden layer, by L-BFGS with weight decay."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(x.shape[1], len(KINDS))]
    if hidden:
        layers = [torch.nn.Linear(x.shape[1], hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, len(KINDS))]
    model = torch.nn.Sequential(*layers).double()
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), wanted, label_smoothing=0.02)
        loss = loss + decay * sum(p.square().sum() for p in model.parameters() if p.ndim > 1)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model


def table(y: np.ndarray, chances: np.ndarray) -> str:
    """Rows: what it is; columns: the most probable kind; then how many a run acts on as other than a photo."""
    best, acts = chances.argmax(1), np.array([acted_on(row) for row in chances])
    lines = ["            " + "".join(f"{kind:>10s}" for kind in KINDS) + "   acted on rightly, wrongly"]
    for number, kind in enumerate(KINDS):
        row, acted = y == number, (y == number) & (acts != 0)
        cells = "".join(f"{int((best[row] == other).sum()):10d}" for other in range(len(KINDS)))
        right = int((acted & (acts == y)).sum())
        lines.append(f"{kind:12s}{cells}   {right:6d} {int(acted.sum()) - right:6d}")
    return "\n".join([*lines, f"right: {float((best == y).mean()):.4f} of {len(y)}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the confusion tables; with --fit writes the regression."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks domain", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--objects", required=True, help="folder of meshes with a manifest.jsonl")
    parser.add_argument("--train", type=int, default=160, help="objects to fit to")
    parser.add_argument("--test", type=int, default=80, help="objects to measure on, half of each split")
    parser.add_argument("--fit", action="store_true", help="fit it again and write it")
    asked = parser.parse_args(argv)
    folder = ObjectFolder(asked.objects)
    chosen = [e for s in ("heldout", "outside") for e in list(draw(folder.split(s), 0))[: asked.test // 2]]
    if asked.fit:
        entries = list(draw(folder.split("train"), 0))[: asked.train]
        y, x = _measured(pictures(folder, entries, SEEN, 1, 2))
        mean, std = x.mean(0), x.std(0).clip(1e-6)
        standard = np.clip((x - mean) / std, -FARTHEST, FARTHEST)
        linear, deep = fitted(standard, y), fitted(standard, y, hidden=24)
        layer = linear[0]  # pyright: ignore[reportIndexIssue]
        numbers = {
            "mean": mean, "std": std, "weight": layer.weight.detach().numpy(), "bias": layer.bias.detach().numpy()
        }  # fmt: skip
        stored = {name: np.round(value, 6).tolist() for name, value in numbers.items()}
        about = {"kinds": KINDS, "features": NAMES, "pictures": len(y), "objects": len(entries)}
        PACKAGED.write_text(json.dumps(about | stored) + "\n")
        print("fitted to", table(y, probabilities(x, **numbers)), sep="\n")
    for name, hands in (("unseen hands", UNSEEN), ("seen hands", SEEN)):
        y, x = _measured(pictures(folder, chosen, hands, 2, 1))
        if asked.fit:
            with torch.no_grad():
                inputs = torch.from_numpy(np.clip((x - mean) / std, -FARTHEST, FARTHEST))
                print(f"{name}, a network with 24 hidden units", table(y, deep(inputs).softmax(-1).numpy()), sep="\n")
            print(f"{name}, logistic regression", table(y, probabilities(x, **numbers)), sep="\n", flush=True)
        else:
            print(name, table(y, _packaged(folder, chosen, hands)), sep="\n", flush=True)
    return 0


def _measured(drawn) -> tuple[np.ndarray, np.ndarray]:
    rows = [(number, features(rgba)) for number, rgba in drawn]
    return np.array([number for number, _ in rows]), np.stack([found for _, found in rows])


def _packaged(folder: ObjectFolder, chosen: Sequence[ObjectEntry], hands: Hands) -> np.ndarray:
    return np.stack([kind_probabilities(rgba) for _, rgba in pictures(folder, chosen, hands, 2, 1)])
