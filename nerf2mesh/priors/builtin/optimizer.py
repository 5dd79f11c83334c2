"""The trainer's optimizer: Muon for the inner weights, AdamW for everything else.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) orthogonalizes the momentum of each weight matrix; kernels
of convolutions are taken as matrices of output channels times the rest. Step sizes are matched to AdamW's ("Muon is
scalable for LLM training", Liu et al. 2025, equation 4), so that one learning rate serves both.
"""

from __future__ import annotations

import torch
from torch import nn

OUTER = ("stem", "head", "to_rays", "embed.0", "words")
"""First and last layers, by the beginning of their names: AdamW."""


class MuonAdamW:
    """The calls of `torch.optim.Optimizer` that training uses, over both kinds of parameters of `network`."""

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        inner = [p for name, p in network.named_parameters() if _is_inner(name, p)]
        taken = {id(p) for p in inner}
        others = [p for p in network.parameters() if id(p) not in taken]
        self.matrices = [(p, nn.Parameter(p.detach().view(len(p), -1))) for p in inner]
        """Each inner weight beside the same memory as a matrix."""
        self.muon = torch.optim.Muon(
            [matrix for _, matrix in self.matrices], learning_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        )
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
