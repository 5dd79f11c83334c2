"""The trainer's optimizer: Muon for the inner weights, AdamW for everything else.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) orthogonalizes the momentum of each weight matrix; kernels
of convolutions are taken as matrices of output channels times the rest. Step sizes are matched to AdamW's ("Muon is
scalable for LLM training", Liu et al. 2025, equation 4), so that one learning rate serves both. The step is that of
`torch.optim.Muon`, with matrices of one shape taken together: a GPU then waits for a third of the launches, and a CPU
without bfloat16 multiplies in float32.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from nerf2mesh.utils.precision import fast_dtype

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Jordan et al.'s coefficients of the iteration X <- a X + (b A + c A^2) X with A = X X^T."""

OUTER = ("stem", "head", "to_rays", "embed.0", "words")
"""First and last layers, by the beginning of their names: AdamW."""


def orthogonalized(matrices: Tensor, n_steps: int = 5) -> Tensor:
    """Newton-Schulz iteration: U S V^T of each of matrices [k, n, m] -> about U V^T, singular values 0.7 to 1.2."""
    a, b, c = QUINTIC
    x = matrices.to(fast_dtype("auto", matrices.device))
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(n_steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon` with adjust_lr_fn "match_rms_adamw"; its states can be loaded here."""

    def __init__(self, matrices: list[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.1):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step for all matrices; each must have a gradient."""
        assert closure is None, "the loss is not evaluated again"
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                self._step(shape, matrices, **{key: group[key] for key in ("lr", "momentum", "weight_decay")})

    def _step(
        self, shape: torch.Size, matrices: list[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        buffers: list[Tensor] = []
        for matrix in matrices:
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            buffers.append(state["momentum_buffer"])
        gradients = torch.stack([matrix.grad for matrix in matrices if matrix.grad is not None])
        assert len(gradients) == len(matrices), "the backward pass comes first"
        mean = torch.stack(buffers).lerp_(gradients, 1 - momentum)
        torch._foreach_copy_(buffers, list(mean))  # pyright: ignore[reportPrivateImportUsage]  # not listed
        updates = orthogonalized(gradients.lerp_(mean, momentum))
        weights: list[Tensor] = list(matrices)
        torch._foreach_mul_(weights, 1 - lr * weight_decay)  # pyright: ignore[reportPrivateImportUsage]
        step = lr * 0.2 * max(shape) ** 0.5
        torch._foreach_add_(weights, list(updates), alpha=-step)  # pyright: ignore[reportPrivateImportUsage]


class MuonAdamW:
    """The calls of `torch.optim.Optimizer` that training uses, over both kinds of parameters of `network`."""

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        inner = [p for name, p in network.named_parameters() if _is_inner(name, p)]
        taken = {id(p) for p in inner}
        others = [p for p in network.parameters() if id(p) not in taken]
        self.matrices = [(p, nn.Parameter(p.detach().view(len(p), -1))) for p in inner]
        """Each inner weight beside the same memory as a matrix."""
        self.muon = Muon([matrix for _, matrix in self.matrices], learning_rate, weight_decay=0.01)
        self.adamw = torch.optim.AdamW(others, learning_rate, betas=(0.9, 0.99), weight_decay=0.01)

    @property
    def param_groups(self) -> list[dict]:
        """Of both, for the learning rate; loading a state replaces them."""
        return self.muon.param_groups + self.adamw.param_groups

    def step(self) -> None:
        """One step of both optimizers; every inner weight must have a gradient."""
        for weight, matrix in self.matrices:
            assert weight.grad is not None, "the backward pass comes first"
            matrix.grad = weight.grad.view(matrix.shape)
        self.muon.step()
        self.adamw.step()

    def zero_grad(self) -> None:
        """Sets all gradients to None."""
        for weight, matrix in self.matrices:
            weight.grad = matrix.grad = None
        self.adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, dict]:
        """Both optimizers' states, as muon and adamw."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """ValueError where the state is another optimizer's."""
        if set(state) != {"muon", "adamw"}:
            raise ValueError(
                "output_dir: its state was made by another optimizer and cannot be continued; "
                "choose a new folder and start from its weights (weights=.../prior.safetensors)"
            )
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def _is_inner(name: str, parameter: nn.Parameter) -> bool:
    """Weights of at least 16 outputs and 16 inputs between the first and the last layers; no modulations."""
    if not name.endswith("weight") or parameter.ndim < 2 or name.startswith(OUTER) or "film" in name:
        return False
    return min(len(parameter), parameter[0].numel()) >= 16
