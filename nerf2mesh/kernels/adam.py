"""Adam as one pass over memory, and the optimizer class around it.

Kingma and Ba 2015 with the decoupled weight decay of Loshchilov and Hutter 2019. Letters: g gradient, m and v its
running moments, p the parameter, b1 and b2 the betas, n the number of the step:
    m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
    p = (1 - lr decay) p - lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ._check import check_tensor


def adam_step(
    param: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.99),
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    grad_scale: float = 1.0,
    row_size: int = 1,
    skip_zero_rows: bool = False,
    zero_grad: bool = False,
) -> None:
    """One step in place on four contiguous float32 tensors of one size; `step` counts from 1.

    skip_zero_rows: rows of `row_size` values with an all-zero gradient keep parameter and moments (the hash grid's
    entries that no sample touched). zero_grad clears the gradient in the same pass. grad_scale multiplies it first.
    """
    for name, value in {"param": param, "grad": grad, "mean": mean, "square": square}.items():
        check_tensor(name, value, tuple(param.shape), like=param)
        if not value.is_contiguous():
            raise ValueError(
                f"{name}: expected contiguous memory, got strides {value.stride()}; it is written in place, "
                "so call .contiguous() where it is made"
            )
    if step < 1:
        raise ValueError(f"step: expected a count from 1, got {step}; count the first step as 1")
    if row_size < 1 or param.numel() % row_size:
        raise ValueError(f"row_size: expected a divisor of {param.numel()}, got {row_size}; 1 fits every size")
    rates = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "grad_scale": grad_scale}
    for name, value in rates.items():
        if not all(math.isfinite(v) for v in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name}: expected a finite number, got {value}; set one")
    options = (weight_decay, step, grad_scale, row_size, skip_zero_rows, zero_grad)
    with torch.no_grad():
        torch.ops.n2m.adam(param, grad, mean, square, lr, *betas, eps, *options)


class FusedAdam(torch.optim.Optimizer):
    """AdamW over float32 parameters in one native call; every option may differ between groups.

    A group with `row_size` > 0 leaves rows of that many values with an all-zero gradient untouched: their moments do
    not decay either, as with torch.optim.SparseAdam. State and state_dict are those of torch.optim.AdamW.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        row_size: int = 0,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0 or not all(0 <= b < 1 for b in betas):
            raise ValueError(
                "lr, eps, weight_decay, betas: expected numbers from 0, and betas below 1, "
                f"got {lr}, {eps}, {weight_decay}, {betas}; set them within these bounds"
            )
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "row_size": row_size}
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step of every parameter that has a gradient; returns what `closure` gives, if there is one.

        Raises:
            ValueError: a parameter is neither float32 nor contiguous in memory.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        by_device: dict[torch.device, list[tuple[Tensor, Tensor, dict]]] = {}
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    by_device.setdefault(param.device, []).append((param, param.grad.contiguous(), group))
        for together in by_device.values():
            self._step_together(together)
        return loss

    def _step_together(self, work: list[tuple[Tensor, Tensor, dict]]) -> None:
        """Parameters of one device, each with its gradient and its group."""
        params, grads = [param for param, _, _ in work], [grad for _, grad, _ in work]
        states = [self._state_of(param) for param in params]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
        rates: list[float] = []
        counts: list[int] = []
        for step, (_, _, group) in zip(torch.stack(steps).tolist(), work):
            rates += (float(group["lr"]), *group["betas"], group["eps"], group["weight_decay"])
            counts += (int(step), group["row_size"])
        moments = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
        # The operator itself: a large table leaves nothing of Python in the caches, and then every check is slow.
        torch.ops.n2m.adam_many.default(params, grads, *moments, rates, counts)

    def _state_of(self, param: Tensor) -> dict:
        """Its moments and count of steps, made at the first step."""
        state = self.state[param]
        if not state:
            check_tensor("params", param, tuple(param.shape))
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(param, memory_format=torch.contiguous_format)
            state["exp_avg_sq"] = torch.zeros_like(param, memory_format=torch.contiguous_format)
        if not param.is_contiguous():
            raise ValueError(
                f"params: expected contiguous memory, got strides {param.stride()}; call .contiguous() where it is made"
            )
        return state
