"""A deformation of space in time, so that a field of one moment is seen at any other.

Letters
    phi(x, t) = x + sum_k N_k(t) sum_ijl B_i(x) B_j(y) B_l(z) c_kijl: uniform cubic B-splines over knots in time and a
    lattice of control points in the box [-half, half]^3 (free-form deformation, Sederberg and Parry 1986; with
    B-splines Rueckert et al. 1999). Beyond the box and the times the displacement is that at the border.
    The inverse by Newton: x <- x - J^-1 (phi(x, t) - y), J = d phi / d x. Its gradient is that of the last step with J
    held fixed, which is the implicit function's: dx = J^-1 (dy - d phi / dc dc).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_matrix, identity, kron
from scipy.sparse.linalg import splu
from torch import Tensor

HALF = 1.2
NEWTON_STEPS = 12
CLOSE = 1e-7
"""World units within which a point of the inverse is found."""
SHARES = ((1, 4, 1, 0), (-3, 0, 3, 0), (3, -6, 3, 0), (-1, 3, -3, 1))
"""Six times the weights of the four control points around, by powers of the place between them."""


@dataclass
class Deformation:
    """control [k, l, l, l, 3] in world units; times of the first and the last knot interval's ends."""

    control: Float[Tensor, "k l l l 3"]
    begin_s: float
    end_s: float
    half: float = HALF

    def at(self, time_s: float) -> Float[Tensor, "m 3"]:
        """The control points at one time, flat."""
        when = self.control.new_tensor([time_s])
        knots, _, index = _weights(when, self.begin_s, self.end_s, self.control.shape[0])
        return (knots[0, :, None] * self.control.flatten(1)[index[0]]).sum(0).view(-1, 3)

    def forward(self, points: Float[Tensor, "n 3"], time_s: float) -> Float[Tensor, "n 3"]:
        """phi: where canonical points are at a time."""
        weights, _, index = self._around(points)
        return points + (weights[..., None] * self.at(time_s)[index]).sum(1)

    def jacobian(self, points: Float[Tensor, "n 3"], time_s: float) -> Float[Tensor, "n 3 3"]:
        """J: row a, column b is d phi_a / d x_b."""
        _, slopes, index = self._around(points)
        return torch.eye(3, dtype=points.dtype, device=points.device) + torch.einsum(
            "nkb,nka->nab", slopes, self.at(time_s)[index]
        )

    def inverse(self, points: Float[Tensor, "n 3"], time_s: float) -> Float[Tensor, "n 3"]:
        """The canonical points that are at `points` at a time; where space folds, one of them."""
        with torch.no_grad():
            found = 2.0 * points - self.forward(points, time_s)
            going = torch.arange(len(points))
            for _ in range(NEWTON_STEPS):
                some = found[going]
                miss = self.forward(some, time_s) - points[going]
                far = miss.abs().amax(1) > CLOSE
                if not bool(far.any()):
                    break
                going, some, miss = going[far], some[far], miss[far]
                step = torch.linalg.solve(self.jacobian(some, time_s), miss[..., None])[..., 0]
                found[going] = some - step.clamp(-0.25, 0.25)
            if not (points.requires_grad or self.control.requires_grad):
                return found
            turned = torch.linalg.inv(self.jacobian(found, time_s))
        miss = self.forward(found, time_s) - points
        return found - (turned @ miss[..., None])[..., 0]

    def elastic(self) -> Tensor:
        """Mean squared second difference of the control points along the axes of space."""
        return sum(((self.control.diff(n=2, dim=axis)) ** 2).mean() for axis in (1, 2, 3)) / 3.0  # pyright: ignore

    def momentum(self) -> Tensor:
        """Mean squared second difference of the control points in time."""
        return (self.control.diff(n=2, dim=0) ** 2).mean()

    def _around(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the 64 control points around each point: weights [n, 64], their slopes [n, 64, 3], numbers [n, 64]."""
        n, size = len(points), self.control.shape[1]
        weight, slope, index = _weights(points, -self.half, self.half, size)
        x, y, z = (weight[:, a] for a in range(3))
        product = torch.einsum("ni,nj,nl->nijl", x, y, z).reshape(n, 64)
        each = [
            torch.einsum("ni,nj,nl->nijl", *((slope if a == b else weight)[:, b] for b in range(3))).reshape(n, 64)
            for a in range(3)
        ]
        number = (index[:, 0, :, None, None] * size + index[:, 1, None, :, None]) * size + index[:, 2, None, None, :]
        return product, torch.stack(each, -1), number.reshape(n, 64)

    @staticmethod
    def fitted(
        rest: np.ndarray,
        positions: np.ndarray,
        times_s: tuple[float, ...],
        *,
        size: int = 10,
        knots: int = 0,
        elastic: float = 1e-5,
        momentum: float = 1e-3,
    ) -> Deformation:
        """The least squares fit to tracks [f, n, 3] of points `rest` [n, 3], with the energies of the lattice.

        size: control points along an axis; knots: in time, 0 takes two for three frames. Space and time are solved one
        after the other, each in closed form.
        """
        count = knots or max(4, round(2 * len(times_s) / 3) + 3)
        empty = torch.zeros(count, size, size, size, 3, dtype=torch.float64)
        made = Deformation(empty, times_s[0], times_s[-1])
        weight, _, index = made._around(torch.from_numpy(rest.astype(np.float64)))
        rows = np.repeat(np.arange(len(rest)), 64)
        basis = csr_matrix((weight.numpy().reshape(-1), (rows, index.numpy().reshape(-1))), (len(rest), size**3))
        one, second = identity(size), _second(size)
        bend = sum(kron(kron(a, b), c) for a, b, c in ((second, one, one), (one, second, one), (one, one, second)))
        matrix = basis.T @ basis / len(rest) + elastic * bend + 1e-9 * identity(size**3)
        moved = (positions - rest[None]).transpose(1, 0, 2).reshape(len(rest), -1)
        space = splu(csr_matrix(matrix).tocsc()).solve(np.asarray(basis.T @ moved) / len(rest))
        span, _, place = _weights(torch.tensor(times_s, dtype=torch.float64), times_s[0], times_s[-1], count)
        clock = np.zeros((len(times_s), count))
        np.put_along_axis(clock, place.numpy(), span.numpy(), 1)
        normal = clock.T @ clock + momentum * _second(count).toarray() + 1e-9 * np.eye(count)
        each = space.reshape(size**3, len(times_s), 3).transpose(1, 0, 2).reshape(len(times_s), -1)
        found = np.linalg.solve(normal, clock.T @ each)
        made.control = torch.from_numpy(found.reshape(count, size, size, size, 3))
        return made


def _weights(x: Tensor, low: float, high: float, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the four control points around each x [*]: weights and their slopes [*, 4], and numbers [*, 4]."""
    scale = (count - 3) / (high - low)
    inside = (x >= low) & (x <= high)
    place = ((x.clamp(low, high) - low) * scale).unsqueeze(-1)
    cell = place.detach().floor().clamp(0, count - 4)
    f = place - cell
    shares = torch.tensor(SHARES, dtype=x.dtype, device=x.device) / 6.0
    weight = shares[0] + f * (shares[1] + f * (shares[2] + f * shares[3]))
    slope = (shares[1] + f * (2.0 * shares[2] + 3.0 * f * shares[3])) * scale * inside.unsqueeze(-1)
    return weight, slope, cell.long() + torch.arange(4, device=x.device)


def _second(n: int) -> csr_matrix:
    """The matrix of the sum of squared second differences of n numbers."""
    difference = np.diff(np.eye(n), n=2, axis=0)
    return csr_matrix(difference.T @ difference)
