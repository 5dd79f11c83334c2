"""The field that is optimized: density and color of every point of the box, from a hash grid and small networks.

Frames and letters
    Points are in world axes inside [-1, 1]^3; outside they are read at the nearest face. x: logit, what marching cubes
    sees; sigma = activation(x): density in 1 / world unit. Normals point out of the object: along -grad x, which has
    the direction of -grad sigma and does not vanish where the activation saturates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nerf2mesh.fields.activation import make_activation
from nerf2mesh.fields.bound import SilhouetteBound
from nerf2mesh.fields.config import FieldConfig
from nerf2mesh.fields.encoding import HashGridEncoding
from nerf2mesh.fields.harmonics import harmonics_count, spherical_harmonics
from nerf2mesh.fields.network import FieldNetwork
from nerf2mesh.fields.protocol import FieldOutput
from nerf2mesh.utils.precision import fast_dtype

_TETRAHEDRON = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))
_NO_GRAD_BLOCK, _NO_GRAD_BLOCK_GPU = 1 << 16, 1 << 20
"""Points per block where nothing is differentiated: on a CPU a block's features stay in the cache."""


class HashGridField(nn.Module):
    """Hash encoding (Mueller et al. 2022) -> trunk -> (logit + blob, geometry features) -> color head.

    In training mode the networks compute in `config.precision`, in evaluation mode in float32. The start is a function
    of `generator` alone.
    """

    _active_levels: Tensor
    _taps: Tensor

    def __init__(self, config: FieldConfig | None = None, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config = FieldConfig() if config is None else config
        self.layout = config.layout()
        n_directions = harmonics_count(config.direction_degree) if config.view_dependent else 0
        self.encoding = HashGridEncoding(self.layout, config.encoding, generator)
        self.network = FieldNetwork(config.n_levels * config.n_features, n_directions, config, generator)
        self.activation = make_activation(config.density_activation, scale=config.density_scale, beta=config.beta)
        self.register_buffer("_active_levels", torch.tensor(0))
        self.register_buffer("_taps", torch.tensor(_TETRAHEDRON), persistent=False)
        self.register_load_state_dict_post_hook(_read_active_levels)
        self.n_active_levels = min(config.start_levels, config.n_levels)
        self.bound: SilhouetteBound | None = None
        """Where the views' silhouettes bound the object; see `bounded`."""

    @property
    def n_active_levels(self) -> int:
        """How many levels of the grid are used (coarse to fine); saved with the parameters."""
        return self._n_active_levels

    @n_active_levels.setter
    def n_active_levels(self, value: int) -> None:
        """Raises ValueError outside 1 to `config.n_levels`."""
        if not 1 <= value <= self.config.n_levels:
            raise ValueError(
                f"n_active_levels: expected 1 to {self.config.n_levels}, got {value}; choose a value in this range"
            )
        if value != getattr(self, "_n_active_levels", None):
            self._n_active_levels = int(value)
            self._active_levels.fill_(int(value))

    @property
    def cell_size(self) -> float:
        """Side of the finest active level's cell, in world units: the smallest sensible finite difference."""
        return 2.0 / (float(self.layout.resolutions[self.n_active_levels - 1]) - 1)

    @property
    def view_dependent(self) -> bool:
        """Whether color depends on the viewing direction."""
        return self.config.view_dependent

    @property
    def bytes_per_sample(self) -> int:
        """About what a differentiable pass keeps for one sample: values and their gradients, in float32."""
        c = self.config
        widths = self.layout.n_outputs + c.hidden * c.n_hidden + c.color_hidden * c.n_color_hidden
        return 8 * (widths + c.n_geometry_features + 24)

    def inverse_activation(self, density: Tensor) -> Tensor:
        """The logit whose density is `density`."""
        return self.activation.inverse(density)

    def blob(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """What is added to the logit: see `FieldConfig.blob`."""
        c = self.config
        if c.blob == "none":
            return points.new_zeros(points.shape[:-1])
        radius = torch.linalg.vector_norm(points, dim=-1)
        if c.blob == "cone":
            return c.blob_scale * (1 - radius / c.blob_width).clamp_min(c.blob_floor)
        if c.blob == "gaussian":
            return c.blob_scale * torch.exp(-0.5 * (radius / c.blob_width) ** 2)
        return c.blob_width - radius

    def bounded(self, points: Float[Tensor, "n 3"], logit: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """The logits, where there is a `bound` no larger than it allows."""
        return logit if self.bound is None else self.bound(points, logit)

    def density_logit(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Pre-activation density with the blob, float32: positive inside where the activation is "laplace"."""
        return _in_blocks(self._logit, points)

    def free_logit(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """`density_logit` as if there were no `bound`."""

        def free(block: Tensor) -> Tensor:
            return self.network.logit(self._features(block), dtype=torch.float32) + self.blob(block)

        return _in_blocks(free, points)

    def density(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
        """Density alone, in the arithmetic of the present mode like `forward`."""
        dtype = self._dtype(points.device)
        return _in_blocks(lambda block: self.activation(self._logit(block, dtype=dtype)), points)

    def forward(self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"] | None = None) -> FieldOutput:
        """Density, sRGB in [0, 1] and logit of `points`; `directions` (unit) only where the field is view dependent.

        Raises ValueError where such a field gets no directions.
        """
        harmonics = None
        if self.config.view_dependent:
            if directions is None:
                raise ValueError("directions: expected unit vectors [n, 3], got None; pass the directions of the rays")
            harmonics = spherical_harmonics(directions, self.config.direction_degree)
        logit, colors = self.network(self._features(points), harmonics, self._dtype(points.device))
        logit = self.bounded(points, logit + self.blob(points))
        surface = colors[:, 3:] if self.config.material == "pbr" else None
        return FieldOutput(self.activation(logit), colors[:, :3], logit, surface)

    def logit_gradient(
        self, points: Float[Tensor, "n 3"], mode: str = "analytic", epsilon: float | None = None
    ) -> Float[Tensor, "n 3"]:
        """Gradient of the logit in world axes.

        "analytic": exact, about twice the cost of the logit; with interpolation="linear" it jumps between cells.
        "finite_difference": four taps at the corners of a tetrahedron of circumradius sqrt(3) * `epsilon` (default:
        half `cell_size`); error O(epsilon), smooths over that distance (Neuralangelo, Li et al. 2023, section 3.1).
        Where gradients are enabled both can be differentiated with respect to the parameters.
        """
        if mode == "analytic":
            return torch.cat([self._analytic_gradient(block) for block in points.split(_block(points))])
        if mode != "finite_difference":
            raise ValueError(f"mode: expected 'analytic' or 'finite_difference', got {mode!r}; choose one of these")
        epsilon = 0.5 * self.cell_size if epsilon is None else epsilon
        taps = self._taps.to(points.dtype)
        moved = (points[None] + epsilon * taps[:, None]).reshape(-1, 3)
        values = self.density_logit(moved).reshape(4, -1)
        return values.t() @ taps / (4 * epsilon)

    def normals(
        self, points: Float[Tensor, "n 3"], mode: str = "analytic", epsilon: float | None = None
    ) -> Float[Tensor, "n 3"]:
        """Unit normals that point outward; zero where the gradient is below 1e-6. Modes as in `logit_gradient`."""
        return F.normalize(-self.logit_gradient(points, mode, epsilon), dim=-1, eps=1e-6)

    def param_groups(self, lr_encoding: float, lr_network: float) -> list[dict[str, object]]:
        """Groups for an optimizer: the grid learns faster than the networks."""
        network = [*self.network.parameters(), *self.activation.parameters()]
        return [
            {"name": "encoding", "params": [self.encoding.params], "lr": lr_encoding},
            {"name": "network", "params": network, "lr": lr_network},
        ]

    def _features(self, points: Tensor, *, frozen: bool = False) -> Tensor:
        unit = (points * 0.5 + 0.5).clamp(0.0, 1.0)
        return self.encoding(unit, self.n_active_levels, frozen=frozen)

    def _logit(self, points: Tensor, *, frozen: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
        features = self._features(points, frozen=frozen)
        return self.bounded(points, self.network.logit(features, frozen=frozen, dtype=dtype) + self.blob(points))

    def _dtype(self, device: torch.device) -> torch.dtype:
        return fast_dtype(self.config.precision, device) if self.training else torch.float32

    def _analytic_gradient(self, points: Tensor) -> Tensor:
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            points = points if again and points.requires_grad else points.detach().requires_grad_()
            logit = self._logit(points, frozen=not again)
            (gradient,) = torch.autograd.grad(logit.sum(), points, create_graph=again)
        return gradient


def _block(points: Tensor) -> int:
    return _NO_GRAD_BLOCK if points.device.type == "cpu" else _NO_GRAD_BLOCK_GPU


def _in_blocks(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    if torch.is_grad_enabled() or len(points) <= _block(points):
        return function(points)
    return torch.cat([function(block) for block in points.split(_block(points))])


def _read_active_levels(field: HashGridField, _keys: object) -> None:
    field._n_active_levels = int(field._active_levels)
