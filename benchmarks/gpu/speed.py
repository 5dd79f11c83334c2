"""Speed of the kernels on a GPU: ratios to tiny-cuda-nn and nerfacc in one run, and to floors measured beside them.

Every time is from Python to the end of the GPU's work, the best of several; launching is part of it, for all alike.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, reference

from ..kernels import cases
from ..kernels.rivals import tiny_cuda_nn
from ..kernels.timing import best_seconds

Figures = dict[str, object]
STEP = 2 * 3**0.5 / 1024


def encoding(
    device: str, sizes: tuple[int, ...] = (16, 18, 19, 20, 21), tables: tuple[int, ...] = (15, 19), repeats: int = 9
) -> Figures:
    """Forward and backward at 2^size points: over the floor, and tiny-cuda-nn's time over ours."""
    found: Figures = dict(memory(device))
    for size in sizes:
        for table in tables:
            layout = GridLayout(log2_table_size=table, **cases.INSTANT_NGP)
            name = f"encode 16x2 T=2^{table} n=2^{size}"
            found |= cases.encode(name, layout, 1 << size, repeats, device, False)
        table = tables[0] + 2
        name = f"encode 8x4 T=2^{table} n=2^{size}"
        found |= cases.encode(name, GridLayout(log2_table_size=table), 1 << size, repeats, device, False)
    return found


def memory(device: str, n: int = 1 << 26) -> dict[str, float]:
    """Bytes read and written per second by a copy of n floats."""
    source = torch.rand(n if device != "cpu" else 1 << 20, device=device)
    target = torch.empty_like(source)
    seconds = best_seconds({"copy": partial(target.copy_, source)}, 5)["copy"]
    return {"memory [GB/s]": 8e-9 * source.numel() / seconds}


def march_and_composite(device: str, rival: str = "nerfacc", n_rays: int = 4096, repeats: int = 9) -> Figures:
    """Ours with a fixed capacity and without waiting; the rival as the renderer would call it."""
    from nerf2mesh.render.backends import load_backend

    origins, directions = cases.camera_rays(n_rays, device)
    bits = cases.sphere_bits(64, device)
    exact = kernels.march_rays(origins, directions, bits, 64, step_size=STEP)
    capacity = 1 << (exact.t.shape[0] - 1).bit_length()
    ours = partial(kernels.march_rays, origins, directions, bits, 64, step_size=STEP, capacity=capacity)
    work = _compositing("ours", ours, kernels.composite, device)
    why = ""
    try:
        other = load_backend(rival, torch.device(device))
        theirs = partial(other.march_rays, origins, directions, bits, 64, step_size=STEP)
        work |= _compositing(rival, theirs, other.composite, device)
    except ValueError as error:
        why = str(error)
    seconds = best_seconds(work, repeats)
    found: Figures = {f"{name} [ms]": 1e3 * s for name, s in seconds.items()} | {"samples": exact.t.shape[0]}
    sums = {k: sum(s for name, s in seconds.items() if name.startswith(f"{k}:")) for k in ("ours", rival)}
    return found | ({"rival": f"not run: {why}"} if why else {f"{rival} over ours": sums[rival] / sums["ours"]})


def _compositing(name: str, march: Callable, composite: Callable, device: str) -> dict[str, Callable[[], object]]:
    s = march()
    n = s.t.shape[0]
    density, color = torch.rand(n, device=device) * 20, torch.rand(n, 3, device=device)
    leaves = density.requires_grad_(), color.requires_grad_()
    image = lambda: composite(*leaves, s.t, s.dt, s.packed_info).channels  # noqa: E731
    backward = cases.backward_of(image, list(leaves))
    return {f"{name}: march": march, f"{name}: composite": image, f"{name}: composite backward": backward}


class Step:
    """A training step that never asks the GPU for a number: march, encode, networks, composite, backward, Adam."""

    def __init__(self, device: str, n_rays: int = 4096, capacity: int = 1 << 19, log2_table_size: int = 17) -> None:
        self.layout = GridLayout(log2_table_size=log2_table_size)
        self.rays = cases.camera_rays(n_rays, device)
        self.bits = cases.sphere_bits(64, device)
        self.params = nn.Parameter(1e-2 * torch.randn(self.layout.n_params, device=device))
        self.mlp = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
        self.mlp.to(device)
        groups = [{"params": [self.params], "row_size": 4}, {"params": list(self.mlp.parameters()), "lr": 1e-3}]
        self.optimizer = kernels.FusedAdam(groups)
        self.march = partial(kernels.march_rays, *self.rays, self.bits, 64, step_size=STEP, capacity=capacity)
        self.encode = partial(kernels.hash_grid_encode, params=self.params, layout=self.layout)
        self.composite = partial(kernels.composite, stop=1e-4)
        self.target = torch.rand(n_rays, 3, device=device)
        self.device = device

    def __call__(self) -> Tensor:
        jitter = torch.rand(len(self.rays[0]), device=self.device)
        s = self.march(jitter=jitter)
        points = torch.addcmul(self.rays[0][s.ray_index], self.rays[1][s.ray_index], s.t[:, None])
        features = self.encode(points * 0.5 + 0.5)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda")):
            out = self.mlp(features).float()
        density, color = torch.exp(out[:, 0].clamp(max=10.0)), torch.sigmoid(out[:, 1:])
        image = self.composite(density, color, s.t, s.dt, s.packed_info)
        loss = (image.channels - self.target).square().mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)
        return loss.detach()


def rival_step(device: str, rival: str, n_rays: int, log2_table_size: int) -> Step:
    """The same step by other libraries: tiny-cuda-nn's encoding, `rival`'s marcher and compositing, torch's Adam.

    Raises:
        ValueError: one of them cannot serve here.
    """
    from nerf2mesh.render.backends import load_backend

    step, other = Step(device, n_rays, log2_table_size=log2_table_size), load_backend(rival, torch.device(device))
    step.march = partial(other.march_rays, *step.rays, step.bits, 64, step_size=STEP)
    step.composite = other.composite
    if rival == "torch":
        step.encode = partial(reference.hash_grid_encode, params=step.params, layout=step.layout)
    else:
        step.encode = tiny_cuda_nn(step.layout)
        if step.encode is None:
            raise ValueError("the package tinycudann is not installed")
        step.params = step.encode.params
    groups = [{"params": [step.params]}, {"params": list(step.mlp.parameters()), "lr": 1e-3}]
    step.optimizer = torch.optim.Adam(groups, lr=1e-2, betas=(0.9, 0.99), eps=1e-15, fused=True)
    return step


def adam(device: str, log2_table_size: int = 19, repeats: int = 20) -> Figures:
    """FusedAdam and torch's fused Adam over the parameters of a field, and of a grid of 16 x 2 with 2^19 entries alone,
    all gradients there; the floor: seven arrays (four read, three written) at the measured bandwidth."""
    from nerf2mesh.fields import FieldConfig, HashGridField

    found: Figures = dict(memory(device))
    field = HashGridField(FieldConfig(), torch.Generator().manual_seed(0)).to(device)
    grid = GridLayout(log2_table_size=log2_table_size, **cases.INSTANT_NGP)
    table = nn.Parameter(torch.randn(grid.n_params, device=device))
    groups = {"field": field.param_groups(1e-2, 1e-3), f"grid 16x2 T=2^{log2_table_size}": [{"params": [table]}]}
    for name, group in groups.items():
        params = [p for g in group for p in g["params"]]
        for p in params:
            p.grad = 1e-3 * torch.randn_like(p)
        options = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-15}
        work = {
            "ours": kernels.FusedAdam([dict(g) for g in group], **options).step,
            "torch fused": torch.optim.Adam([dict(g) for g in group], fused=True, **options).step,
        }
        seconds = best_seconds(work, repeats)
        floor = 28 * sum(p.numel() for p in params) / (1e9 * found["memory [GB/s]"])
        found |= {f"adam {name}: {kind} [ms]": 1e3 * s for kind, s in seconds.items()}
        found[f"adam {name}: arrays"] = len(params)
        found[f"adam {name}: torch fused over ours"] = seconds["torch fused"] / seconds["ours"]
        found[f"adam {name}: ours over floor"] = seconds["ours"] / floor
    return found


def host_syncs(function: Callable[[], object]) -> dict[str, int]:
    """How often each Python line made the host wait for the GPU while `function` ran."""
    if not torch.cuda.is_available():
        return {}
    root = Path(__file__).resolve().parents[2]
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    lines = (w for w in caught if "synchroniz" in str(w.message))
    return dict(Counter(f"{Path(w.filename).as_posix().removeprefix(f'{root}/')}:{w.lineno}" for w in lines))


def whole_step(
    device: str, n_rays: int = 4096, repeats: int = 20, log2_table_size: int = 17, rival: str = "nerfacc"
) -> Figures:
    """Time of the step and of ten in a row without waiting between them, and of other libraries' step; how many host
    synchronizations were seen."""
    step = Step(device, n_rays, log2_table_size=log2_table_size)
    step(), step()
    seen = host_syncs(step)
    work = {"one": step, "ten": lambda: [step() for _ in range(10)]}
    why = ""
    try:
        work["rival"] = rival_step(device, rival, n_rays, log2_table_size)
    except ValueError as error:
        why = str(error)
    seconds = best_seconds(work, repeats)
    found: Figures = {"step [ms]": 1e3 * seconds["one"], "of ten in a row [ms]": 100 * seconds["ten"]}
    found |= {"rival": f"not run: {why}"} if why else {f"{rival} over ours": seconds["rival"] / seconds["one"]}
    found |= {"host synchronizations": sum(seen.values()), **{f"waits at {line}": n for line, n in seen.items()}}
    parts = cases.training_step(n_rays, min(repeats, 9), device, log2_table_size)
    return {**found, **parts, **({"failed": "the step waits for the GPU"} if seen else {})}


def mlp(device: str, sizes: tuple[int, ...] = (17, 18, 20), repeats: int = 9) -> Figures:
    """torch's half-precision layers, forward and backward, over what a fused kernel must at least move: per sample 64 +
    32 bytes forward, 64 + 32 + 64 backward (input read again, hidden layers recomputed), at the measured bandwidth."""
    found: Figures = dict(memory(device))
    dtype = torch.bfloat16 if device == "cpu" else torch.float16
    layers = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
    layers = layers.to(device, dtype)
    for size in sizes:
        x = torch.randn(1 << size, 32, device=device, dtype=dtype, requires_grad=True)
        forward = partial(layers, x)
        work = {"forward": forward, "backward": cases.backward_of(forward, [x, *layers.parameters()])}
        seconds = best_seconds(work, repeats)
        floor = 256 * x.shape[0] / (1e9 * found["memory [GB/s]"])
        found |= {f"mlp n=2^{size}: {name} [ms]": 1e3 * s for name, s in seconds.items()}
        found[f"mlp n=2^{size}: over a fused kernel's floor"] = sum(seconds.values()) / floor
    return found
