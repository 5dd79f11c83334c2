"""Multiresolution hash encoding with one interface: native kernels, plain torch, or tiny-cuda-nn.

Letters
    Points enter in [0, 1]^3. Parameters are one flat float32 vector, level-major, in tiny-cuda-nn's order, so that a
    checkpoint made with one backend loads with another.
Source: Mueller et al. 2022, Instant Neural Graphics Primitives, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, reference

BACKENDS = ("native", "torch", "tcnn")
INITIAL_RANGE = 1e-4
"""Half width of the uniform start values, as in Mueller et al. 2022, section 4."""


class HashGridEncoding(nn.Module):
    """Points [N, 3] in [0, 1] to features [N, n_levels * n_features].

    backend "native" uses the compiled kernels (their torch twins where the library is absent), "torch" the twins,
    and "tcnn" tiny-cuda-nn, which needs a CUDA device and is imported only then. All can be differentiated twice.
    """

    def __init__(self, layout: GridLayout, backend: str = "native", generator: torch.Generator | None = None) -> None:
        super().__init__()
        if backend not in BACKENDS:
            raise ValueError(f"field.encoding: expected {', '.join(BACKENDS)}, got {backend!r}; choose one of these")
        self.layout = layout
        self.backend = backend
        start = torch.rand(layout.n_params, generator=generator) * (2 * INITIAL_RANGE) - INITIAL_RANGE
        self.params = nn.Parameter(start)
        self._tcnn: Callable[[Tensor], Tensor] | None = None
        if backend == "tcnn":
            module = _tcnn_encoding(layout)
            self.params = nn.Parameter(start.to(next(module.parameters()).device))
            # One parameter, registered here only: the checkpoint's keys do not depend on the backend.
            del module._parameters["params"]
            object.__setattr__(self, "_tcnn", module)

    def forward(
        self, points: Float[Tensor, "n 3"], n_active_levels: int | None = None, *, frozen: bool = False
    ) -> Float[Tensor, "n features"]:
        """Features of `points`; levels from `n_active_levels` on give zeros. `frozen`: parameters get no gradient.

        Raises ValueError where tiny-cuda-nn is asked for points on a CPU.
        """
        params = self.params.detach() if frozen else self.params
        if self._tcnn is not None:
            return self._forward_tcnn(points, params, n_active_levels)
        encode = reference.hash_grid_encode if self.backend == "torch" else kernels.hash_grid_encode
        return encode(points, params, self.layout, n_active_levels)

    def _forward_tcnn(self, points: Tensor, params: Tensor, n_active_levels: int | None) -> Tensor:
        if points.device.type != "cuda":
            raise ValueError(
                f"field.encoding=tcnn: expected points on a CUDA device, got {points.device}; use field.encoding=native"
            )
        assert self._tcnn is not None
        self._tcnn.__dict__["params"] = params
        features = self._tcnn(points)
        if n_active_levels is None or n_active_levels >= self.layout.n_levels:
            return features
        # tiny-cuda-nn's level limit is not bound to Python: all levels are paid for and the tail is masked.
        mask = torch.zeros(features.shape[-1], device=features.device)
        mask[: n_active_levels * self.layout.n_features] = 1
        return features * mask


def _tcnn_encoding(layout: GridLayout) -> Any:
    try:
        import tinycudann
    except (ImportError, OSError) as error:
        raise ValueError(
            f"field.encoding=tcnn: expected the package tinycudann, got {str(error)!r}; "
            "use field.encoding=native, which computes the same features, or install it where nvcc and a GPU are: "
            "pip install --no-build-isolation "
            "'git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch'"
        ) from error
    config = {
        "otype": "HashGrid",
        "n_levels": layout.n_levels,
        "n_features_per_level": layout.n_features,
        "log2_hashmap_size": layout.log2_table_size,
        "base_resolution": layout.base_resolution,
        "per_level_scale": layout.per_level_scale,
        "interpolation": layout.interpolation.capitalize(),
    }
    module = tinycudann.Encoding(layout.n_dims, config, dtype=torch.float32)
    if module.params.numel() != layout.n_params:
        raise ValueError(
            f"field.encoding=tcnn: expected {layout.n_params} parameters, got {module.params.numel()} of this "
            "tiny-cuda-nn; use field.encoding=native, or a field.per_level_scale whose level sizes are no whole numbers"
        )
    return module
