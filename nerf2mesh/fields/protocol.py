"""What a renderer asks of a field; `HashGridField` is one, a test's analytic ball or a user's own network another."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


class FieldOutput(NamedTuple):
    """Density in 1 / world unit, sRGB in [0, 1], and the pre-activation logit that marching cubes sees."""

    density: Float[Tensor, "n"]
    rgb: Float[Tensor, "n 3"]
    logit: Float[Tensor, "n"]


@runtime_checkable
class Field(Protocol):
    """Density and color of world points [n, 3] in [-1, 1]^3. A torch module in training or evaluation mode."""

    training: bool

    @property
    def view_dependent(self) -> bool:
        """Whether calls want directions."""

    @property
    def bytes_per_sample(self) -> int:
        """Memory that a differentiable call keeps for one point, for the renderer's budget."""

    def __call__(self, points: Tensor, directions: Tensor | None = None) -> FieldOutput: ...

    def density(self, points: Tensor) -> Tensor: ...

    def normals(self, points: Tensor, mode: str = "analytic") -> Tensor: ...

    def train(self, mode: bool = True) -> Field: ...
