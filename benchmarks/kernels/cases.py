"""What is measured. Every function returns metrics; a metric's name says what it divides by what."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, c_void_p
from functools import partial

import torch
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, _lib, reference

from .rivals import hash_by_tensors, tiny_cuda_nn
from .timing import best_seconds

Metrics = dict[str, float]
INSTANT_NGP = {"n_levels": 16, "n_features": 2, "per_level_scale": 1.447269237440378}


def backward_of(function: Callable[[], Tensor], leaves: list[Tensor]) -> Callable[[], None]:
    """Runs a backward pass again and again over one graph."""
    out = function()
    gradient = torch.randn_like(out)

    def run() -> None:
        torch.autograd.grad(out, leaves, gradient, retain_graph=True)

    return run


def floor_work(layout: GridLayout, n: int, params: Tensor) -> dict[str, Callable[[], None]]:
    """Eight random lookups (and updates) per point and level in tables of the same sizes: the machine's floor."""
    library = _lib.cuda() if params.is_cuda else _lib.cpu()
    if library is None:
        return {}
    grid, scratch = _lib.grid_struct(layout, layout.n_levels, False), params.clone()
    if params.is_cuda:
        out = params.new_empty(n, layout.n_outputs)
        stream = c_void_p(torch.cuda.current_stream().cuda_stream)
    else:
        library.n2m_set_threads(torch.get_num_threads())

    def probe(write: int) -> None:
        arguments = (byref(grid), _lib.I64(n), c_void_p(scratch.data_ptr()))
        if params.is_cuda:
            library.n2m_probe_lookups_cuda(*arguments, c_void_p(out.data_ptr()), write, stream)
        else:
            library.n2m_probe_lookups(*arguments, write)

    return {"floor forward": partial(probe, 0), "floor backward": partial(probe, 1)}


def encode(name: str, layout: GridLayout, n: int, repeats: int, device: str, rivals: bool) -> Metrics:
    """Forward and backward to the parameters at n random points, beside the floor, the twin and other libraries."""
    points, params = torch.rand(n, 3, device=device), torch.randn(layout.n_params, device=device, requires_grad=True)
    native = partial(kernels.hash_grid_encode, points, params, layout)
    work = {"forward": native, "backward": backward_of(native, [params])}
    work |= floor_work(layout, n, params.detach())
    seconds = best_seconds(work, repeats)
    if rivals:
        seconds |= slow_rivals(layout, points, params)
    other = tiny_cuda_nn(layout) if device != "cpu" else None
    if other is not None:
        run = partial(other, points)
        seconds |= best_seconds({"tcnn forward": run, "tcnn backward": backward_of(run, [other.params])}, repeats)
    both = seconds["forward"] + seconds["backward"]
    metrics = {f"{name}: forward [ms]": 1e3 * seconds["forward"], f"{name}: backward [ms]": 1e3 * seconds["backward"]}
    labels = (
        ("floor", "over floor"),
        ("tensors", "torch fallback over ours"),
        ("twin", "twin over ours"),
        ("tcnn", "tcnn over ours"),
    )
    for kind, label in labels:
        if f"{kind} forward" in seconds:
            total = seconds[f"{kind} forward"] + seconds[f"{kind} backward"]
            metrics[f"{name}: {label}"] = both / total if kind == "floor" else total / both
    return metrics


def slow_rivals(layout: GridLayout, points: Tensor, params: Tensor) -> dict[str, float]:
    table = torch.randn(
        layout.n_levels << layout.log2_table_size, layout.n_features, device=points.device, requires_grad=True
    )
    tensors = partial(hash_by_tensors, points, table, layout)
    twin = partial(reference.hash_grid_encode, points, params, layout)
    work = {"tensors forward": tensors, "tensors backward": backward_of(tensors, [table])}
    seconds = best_seconds(work, 1)
    return seconds | best_seconds({"twin forward": twin, "twin backward": backward_of(twin, [params])}, 1)


def sphere_bits(resolution: int, device: str) -> Tensor:
    """Cells of a shell of radius 0.6: what a trained scene looks like to the marcher."""
    axis = (torch.arange(resolution, device=device) + 0.5) * (2.0 / resolution) - 1.0
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    shell = ((x * x + y * y + z * z).sqrt() - 0.6).abs() < 0.12
    return (shell.view(-1, 8) * 2 ** torch.arange(8, device=device)).sum(-1).to(torch.uint8)


def camera_rays(n: int, device: str) -> tuple[Tensor, Tensor]:
    origins = torch.tensor([3.2, 0.0, 0.0], device=device).expand(n, 3).contiguous()
    targets = torch.rand(n, 3, device=device) * 1.8 - 0.9
    return origins, nn.functional.normalize(targets - origins, dim=-1)


def training_step(n_rays: int, repeats: int, device: str, log2_table_size: int = 17) -> Metrics:
    """A whole step, part by part: march, encode, MLP, composite, their backward passes, Adam."""
    layout = GridLayout(n_levels=8, n_features=4, log2_table_size=log2_table_size)
    origins, directions = camera_rays(n_rays, device)
    bits, jitter = sphere_bits(64, device), torch.rand(n_rays, device=device)
    march = partial(kernels.march_rays, origins, directions, bits, 64, step_size=2 * 3**0.5 / 1024, jitter=jitter)
    s = march()
    rays = s.ray_index.long()
    points = 0.5 + 0.5 * (origins[rays] + s.t[:, None] * directions[rays])
    params = (1e-2 * torch.randn(layout.n_params, device=device)).requires_grad_()
    mlp = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4)).to(device)
    n_samples = s.t.shape[0]
    features = torch.randn(n_samples, 32, device=device, requires_grad=True)
    density, color = (torch.rand(n_samples, k, device=device) for k in (1, 3))
    leaves = [density[:, 0].clone().requires_grad_(), color.requires_grad_()]
    encode_points = partial(kernels.hash_grid_encode, points, params, layout)
    composite = lambda: kernels.composite(*leaves, s.t, s.dt, s.packed_info, stop=1e-4).channels  # noqa: E731
    state = [torch.randn(layout.n_params, device=device).abs() for _ in range(4)]
    work = {
        "march": march,
        "encode": encode_points,
        "encode backward": backward_of(encode_points, [params]),
        "composite": composite,
        "composite backward": backward_of(composite, leaves),
        "adam": partial(kernels.adam_step, *state, step=5, lr=1e-3),
        "mlp": partial(mlp, features),
        "mlp backward": backward_of(partial(mlp, features), [features, *mlp.parameters()]),
    }
    seconds = best_seconds(work, repeats)
    learned = seconds["mlp"] + seconds["mlp backward"]
    rest = sum(seconds.values()) - learned
    shares = {f"step: {name} [share]": value / (rest + learned) for name, value in seconds.items()}
    totals = {"step: samples": float(n_samples), "step: total [ms]": 1e3 * (rest + learned)}
    return totals | shares | {"step: all but the MLP over the MLP": rest / learned}


def optimizer(n: int, repeats: int, device: str) -> Metrics:
    """Fused Adam against torch's, and against copying the memory it must move (four arrays read, three written)."""
    param = torch.randn(n, device=device, requires_grad=True)
    param.grad = torch.randn_like(param)
    ours, plain = kernels.FusedAdam([param]), torch.optim.AdamW([param], foreach=False)
    fused = torch.optim.AdamW([param], fused=True)
    work = {"ours": ours.step, "torch": plain.step, "torch fused": fused.step}
    if device == "cpu" and _lib.cpu() is not None:
        source, target = torch.randn(int(3.5 * n)), torch.empty(int(3.5 * n))
        _lib.cpu().n2m_set_threads(torch.get_num_threads())
        arrays = (_lib.I64(len(source)), c_void_p(source.data_ptr()), c_void_p(target.data_ptr()))
        work["copy"] = partial(_lib.cpu().n2m_probe_copy, *arrays)
    seconds = best_seconds(work, repeats)
    metrics = {"adam: ours [ms]": 1e3 * seconds["ours"], "adam: torch over ours": seconds["torch"] / seconds["ours"]}
    metrics["adam: torch fused over ours"] = seconds["torch fused"] / seconds["ours"]
    return metrics | ({"adam: over copying": seconds["ours"] / seconds["copy"]} if "copy" in seconds else {})


def mlp_against_floor(n: int, repeats: int, device: str) -> Metrics:
    """torch's linear layers against the same multiply-adds as one large square product."""
    mlp = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16)).to(device)
    x = torch.randn(n, 32, device=device)
    flops = 2 * n * (32 * 64 + 64 * 64 + 64 * 16)
    side = 1024
    square = torch.randn(side, side, device=device)
    with torch.no_grad():
        seconds = best_seconds({"mlp": partial(mlp, x), "product": partial(torch.mm, square, square)}, repeats)
    at_peak = flops / (2 * side**3 / seconds["product"])
    return {"mlp: forward [ms]": 1e3 * seconds["mlp"], "mlp: over peak product rate": seconds["mlp"] / at_peak}
