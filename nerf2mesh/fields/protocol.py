"""The interface that a renderer needs of a field: `HashGridField` has it, a user's own network can have it too."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


class FieldOutput(NamedTuple):
    """Density in 1 / world unit, sRGB in [0, 1], and the pre-activation logit that marching cubes sees; of a field with
    such heads also roughness and metallic in [0, 1]."""

    density: Float[Tensor, "n"]
    rgb: Float[Tensor, "n 3"]
    logit: Float[Tensor, "n"]
    surface: Float[Tensor, "n 2"] | None = None


@runtime_checkable
class Field(Protocol):
    """Density and color of world points [n, 3] in [-1, 1]^3. A torch module in training or evaluation mode."""

    training: bool

    @property
    def view_dependent(self) -> bool:
        """Whether calls need directions."""
        ...

    @property
    def bytes_per_sample(self) -> int:
        """Memory that a differentiable call keeps for one point, for the renderer's budget."""
        ...

    def __call__(self, points: Tensor, directions: Tensor | None = None) -> FieldOutput:
        """Density, color and logit at points [n, 3], seen along unit directions [n, 3]."""
        ...

    def density(self, points: Tensor) -> Tensor:
        """Density alone, [n], 1 / world unit."""
        ...

    def normals(self, points: Tensor, mode: str = "analytic") -> Tensor:
        """Outward unit normals [n, 3]; modes as in `HashGridField.normals`."""
        ...

    def train(self, mode: bool = True) -> Field:
        """Switches between training and evaluation mode, as torch modules do."""
        ...
