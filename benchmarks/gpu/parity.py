"""Our numbers beside those of tiny-cuda-nn and nerfacc, on the same parameters, points and samples.

An error is |ours - theirs| / (|theirs| + mean |theirs|): relative where values are large, absolute where they vanish.
Columns: the error that 99 % of the values stay below, and the mean. Bounds: with growth 2 the level scales are exact in
both; with another growth theirs come from the device's fast exp2 and may differ by an ulp, which moves some points to
another cell of the finest levels (that library's own tests bound the best 99 % by 1e-2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, reference

from ..kernels.rivals import tiny_cuda_nn

Encode = Callable[[Tensor, Tensor], Tensor]
BOUNDS = {2.0: 1e-3, 1.4473: 1e-2}


def errors(name: str, ours: Tensor, theirs: Tensor) -> dict[str, float]:
    scale = theirs.abs() + theirs.abs().mean() + 1e-20
    error = ((ours - theirs).abs() / scale).flatten().double()
    some = error if error.numel() <= 1 << 23 else error[torch.randint(error.numel(), (1 << 23,), device=error.device)]
    rank = max(1, int(0.99 * some.numel()))
    return {f"{name} 99 %": float(some.kthvalue(rank).values), f"{name} mean": float(error.mean())}


def encoding_rows(layout: GridLayout, other: Encode, device: str, n: int = 1 << 16) -> dict[str, float]:
    """Values, gradients to parameters and to points of our encoding and `other(points, params)`."""
    generator = torch.Generator().manual_seed(5)
    values = torch.rand(n, layout.n_dims, generator=generator), torch.randn(layout.n_params, generator=generator)
    weight = torch.randn(n, layout.n_outputs, generator=generator).to(device)
    results = []
    for encode in (lambda x, p: kernels.hash_grid_encode(x, p, layout), other):
        points, params = (v.to(device).requires_grad_() for v in values)
        out = encode(points, params)
        to_points, to_params = torch.autograd.grad((out.float() * weight).sum(), (points, params))
        results.append({"values": out.detach().float(), "to parameters": to_params, "to points": to_points})
    found: dict[str, float] = {}
    for name, theirs in results[1].items():
        found |= errors(name, results[0][name], theirs)
    return found


def with_tiny_cuda_nn(device: str = "cuda") -> dict[str, object]:
    """Four grids: growth 2.0 and 1.4473, linear and smoothstep, 16 levels of 2 features, T = 2^19, float32.

    On a CPU the torch twin stands for the other library, at a toy size: a rehearsal of this function, no comparison.
    """
    figures: dict[str, object] = {}
    worst = []
    for growth, bound in BOUNDS.items():
        for interpolation in ("linear", "smoothstep"):
            sizes = {"n_levels": 16, "n_features": 2, "log2_table_size": 19 if device != "cpu" else 10}
            layout = GridLayout(**sizes, per_level_scale=growth, interpolation=interpolation)
            if device == "cpu":
                twin = partial(reference.hash_grid_encode, layout=layout)
                figures |= {
                    f"rehearsal {growth} {interpolation}: {k}": e
                    for k, e in encoding_rows(layout, twin, device, 500).items()
                }
                continue
            module = tiny_cuda_nn(layout)
            if module.params.numel() != layout.n_params:
                figures["failed"] = f"{module.params.numel()} parameters there, {layout.n_params} here"
                continue
            rows = encoding_rows(layout, through(module), device)
            figures |= {f"scale {growth} {interpolation}: {name}": error for name, error in rows.items()}
            worst += [f"{growth} {interpolation} {name}" for name, e in rows.items() if "99" in name and e > bound]
    return figures | ({"failed": "beyond its bound: " + ", ".join(worst)} if worst else {})


def through(module: torch.nn.Module) -> Encode:
    """tiny-cuda-nn's module as a function of its parameters; its JIT kernels, whose smoothstep differs, left out."""
    if hasattr(module, "jit_fusion"):
        module.jit_fusion = False
    del module._parameters["params"]

    def encode(points: Tensor, params: Tensor) -> Tensor:
        module.__dict__["params"] = params
        return module(points)

    return encode


def samples(device: str, n_rays: int = 512) -> tuple[Tensor, ...]:
    """density, color, t, dt, packed_info of a batch of rays through a shell."""
    from ..kernels.cases import camera_rays, sphere_bits

    torch.manual_seed(6)
    origins, directions = camera_rays(n_rays, device)
    s = kernels.march_rays(origins, directions, sphere_bits(64, device), 64, step_size=0.005)
    n = s.t.shape[0]
    return 20 * torch.rand(n, device=device), torch.rand(n, 3, device=device), s.t, s.dt, s.packed_info


def compositing_rows(composite: Callable[..., kernels.Composited], device: str) -> dict[str, float]:
    """Weights, colors, depth and both gradients of our compositing and `composite` on the same samples."""
    density, color, *rest = samples(device)
    results = []
    for function in (kernels.composite, composite):
        leaves = density.clone().requires_grad_(), color.clone().requires_grad_()
        out = function(*leaves, *rest)
        total = out.channels.square().sum() + out.opacity.square().sum() + out.depth.sum() + out.distortion.sum()
        names = ("colors", "opacity", "depth", "distortion", "weights", "to density", "to colors")
        results.append(dict(zip(names, [*(x.detach() for x in out), *torch.autograd.grad(total, leaves)])))
    found: dict[str, float] = {}
    for name, theirs in results[1].items():
        found |= errors(name, results[0][name], theirs)
    return found


def marching_rows(march: Callable[..., kernels.Samples], device: str, n_rays: int = 4096) -> dict[str, float]:
    """Samples of rays that start inside the box, where both lattices begin at the origin, and of how many of them only
    one marcher knows (roundings at the faces of cells)."""
    from ..kernels.cases import sphere_bits

    generator = torch.Generator().manual_seed(7)
    origins = (torch.rand(n_rays, 3, generator=generator) * 1.8 - 0.9).to(device)
    directions = torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1).to(device)
    step, keys = 0.005, []
    for function in (kernels.march_rays, march):
        s = function(origins, directions, sphere_bits(64, device), 64, step_size=step)
        keys.append(s.ray_index.long() << 24 | (s.t / step - 0.5).round().long())
    alone = (~torch.isin(keys[0], keys[1])).sum() + (~torch.isin(keys[1], keys[0])).sum()
    return {"march: samples": len(keys[0]), "march: known to one alone [share]": float(alone) / len(keys[0])}


def with_nerfacc(device: str = "cuda") -> dict[str, object]:
    """Compositing and marching; on a CPU, as a rehearsal, with the torch twins for the other library."""
    from nerf2mesh.render.backends import load_backend

    theirs = load_backend("torch" if device == "cpu" else "nerfacc", torch.device(device))
    found = compositing_rows(theirs.composite, device)
    found |= marching_rows(theirs.march_rays, device, 50 if device == "cpu" else 4096)
    worst = [name for name, error in found.items() if "99" in name and error > 1e-3]
    return {**found, **({"failed": "beyond 1e-3: " + ", ".join(worst)} if worst else {})}
