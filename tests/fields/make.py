"""Small fields for tests."""

from __future__ import annotations

import torch

from nerf2mesh.fields import FieldConfig, HashGridField


def rough_field(*, amplitude: float = 0.3, seed: int = 0, **config) -> HashGridField:
    """A field whose grid is far from its start, so that its logit varies from cell to cell."""
    settings = {"n_levels": 4, "n_features": 2, "log2_table_size": 10, "base_resolution": 4, "start_levels": 4}
    generator = torch.Generator().manual_seed(seed)
    field = HashGridField(FieldConfig(**settings | {"precision": "float32"} | config), generator)
    with torch.no_grad():
        field.encoding.params.copy_(torch.randn(field.encoding.params.shape, generator=generator) * amplitude)
    return field


def box_points(n: int, seed: int = 1, extent: float = 0.95) -> torch.Tensor:
    return (torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * extent
