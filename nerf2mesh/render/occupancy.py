"""The occupancy grid: a coarse grid of the cells that hold anything, so that ray marching skips the others.

Letters
    The grid cuts [-1, 1]^3 into resolution^3 cells; cell (x, y, z) is number (x * res + y) * res + z, its bit is
    bit number & 7 of byte number >> 3. ema: the largest density seen in a cell lately, decaying.
Source: Mueller et al. 2022, instant-ngp, appendix C.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.fields import Field
from nerf2mesh.utils.device_copy import to_device

_ROOTS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
"""1/g, 1/g^2, 1/g^3 with g^4 = g + 1: steps of the R3 sequence (Roberts 2018), evenly spread in the unit cube."""
_FULL_TAPS = ((0.25, 0.25, 0.25), (0.75, 0.75, 0.25), (0.75, 0.25, 0.75), (0.25, 0.75, 0.75), (0.5, 0.5, 0.5))
"""Where a full refresh looks into a cell: a body-centered tetrahedron."""


class OccupancyGrid(nn.Module):
    """ema float32 [res^3] and bits uint8 [res^3 / 8], both in the state dict. All cells count as occupied at first."""

    ema: Float[Tensor, "cells"]
    bits: UInt8[Tensor, "bytes"]

    def __init__(self, resolution: int = 64) -> None:
        super().__init__()
        if resolution < 2 or resolution % 2:
            raise ValueError(
                f"renderer.occupancy_resolution: expected an even number of at least 2, got {resolution}; change it"
            )
        self.resolution = resolution
        self.register_buffer("ema", torch.zeros(resolution**3))
        self.register_buffer("bits", torch.full((resolution**3 // 8,), 255, dtype=torch.uint8))
        self.open: UInt8[Tensor, "bytes"] | None = None
        """Cells that count as occupied after every refresh, so that something may grow there, in the form of `bits`."""

    @torch.no_grad()
    def update(
        self,
        field: Field,
        *,
        threshold: float,
        generator: torch.Generator | None = None,
        decay: float = 0.95,
        warmup: bool = False,
    ) -> None:
        """One refresh: jittered densities of some cells enter the decayed maximum, then the bits are set anew.

        warmup: every cell is evaluated; else a quarter of the cells, drawn at random, and as many of the occupied ones.
        On a GPU every cell is always evaluated, since choosing cells would synchronize the host and save little. A cell
        is occupied where ema > min(mean ema, threshold), so that nearly transparent starts are kept. `threshold` is a
        density in 1 / world unit; `RendererConfig.density_threshold` gives it from an opacity per step.
        """
        if self.ema.device.type != "cpu":
            cells = self._all_cells()
            inside = _scattered(cells, generator)
        else:
            cells = self._all_cells() if warmup else self._some_cells(generator)
            inside = torch.rand(cells.shape[0], 3, generator=generator)
        values = field.density(self._points(cells, inside))
        self._write(cells, values, decay, threshold)

    @torch.no_grad()
    def bake_full(self, field: Field, *, threshold: float) -> None:
        """Replace the grid by densities at five fixed points per cell; deterministic, for extraction and evaluation.

        A cell with anything above the threshold beside it also counts: thin parts may pass between the points.
        """
        cells = self._all_cells()
        seen = torch.zeros_like(self.ema)
        for tap in _FULL_TAPS:
            seen = torch.maximum(
                seen, field.density(self._points(cells, self.ema.new_tensor(tap).expand(len(cells), 3)))
            )
        grid = seen.view(1, 1, *(self.resolution,) * 3)
        self._write(cells, nn.functional.max_pool3d(grid, 3, stride=1, padding=1).view(-1), 0.0, threshold)

    def fill(self) -> None:
        """Count every cell as occupied."""
        self.bits.fill_(255)

    def keep_open(self, inside: Callable[[Tensor], Tensor] | None) -> None:
        """From now on the cells whose middle `inside` (points [n, 3] -> bool [n]) holds count as occupied; None: no
        longer."""
        if inside is None:
            self.open = None
            return
        cells = self._all_cells()
        self.open = _packed(inside(self._points(cells, self.ema.new_full((len(cells), 3), 0.5))))
        self.bits |= self.open

    def occupy(self, cells: Bool[Tensor, " cells"]) -> None:
        """Count exactly these cells [res^3] as occupied."""
        self.bits.copy_(_packed(cells))

    def middles(self) -> Float[Tensor, "n 3"]:
        """World points in the middle of the occupied cells."""
        cells = self.occupied().nonzero()[:, 0]
        return self._points(cells, self.ema.new_full((len(cells), 3), 0.5))

    def fraction(self) -> Float[Tensor, ""]:
        """The share of occupied cells."""
        return self.occupied().float().mean()

    def occupied(self) -> Tensor:
        """bool [res^3]: which cells are occupied."""
        shifts = torch.arange(8, device=self.bits.device)
        return ((self.bits[:, None].int() >> shifts) & 1).bool().view(-1)

    def _write(self, cells: Tensor, values: Tensor, decay: float, threshold: float) -> None:
        values = values.float().contiguous()
        kernels.update_occupancy(self.ema, self.bits, cells, values, decay, threshold, below_mean=True)
        if self.open is not None:
            self.bits |= self.open

    def _all_cells(self) -> Int64[Tensor, "cells"]:
        return torch.arange(self.resolution**3, device=self.ema.device)

    def _some_cells(self, generator: torch.Generator | None) -> Int64[Tensor, "m"]:
        n = self.resolution**3
        uniform = torch.randint(n, (n // 4,), generator=generator)
        occupied = self.occupied().nonzero()[:, 0]
        if len(occupied) > n // 4:
            occupied = occupied[torch.randint(len(occupied), (n // 4,), generator=generator)]
        return torch.cat([uniform, occupied])

    def _points(self, cells: Int64[Tensor, "m"], inside: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """World points at the position `inside` [0, 1]^3 of each cell."""
        res, cells = self.resolution, cells.int()  # 32-bit division is several times faster
        corner = torch.stack([cells // (res * res), cells // res % res, cells % res], dim=-1)
        return (corner + inside) * (2.0 / res) - 1.0


def _packed(cells: Bool[Tensor, " cells"]) -> UInt8[Tensor, " bytes"]:
    """Eight cells a byte, the first in its lowest bit."""
    chosen = cells.view(-1, 8).to(torch.uint8)
    return (chosen << torch.arange(8, device=chosen.device, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def _scattered(cells: Int64[Tensor, "m"], generator: torch.Generator | None) -> Float[Tensor, "m 3"]:
    """A position in [0, 1)^3 for each cell: a sequence that fills the cube evenly, shifted by three drawn numbers."""
    shift = to_device(torch.rand(3, generator=generator, dtype=torch.float64), cells.device)
    along = [(cells.double() * root + shift[i]).frac() for i, root in enumerate(_ROOTS)]
    return torch.stack(along, dim=-1).float()
