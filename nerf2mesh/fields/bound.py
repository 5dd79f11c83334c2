"""The visual hull of exact silhouettes as a hard bound: nothing of the object is where a view shows none.

Letters
    d_v(x): how deep a point lies within the silhouette of view v, in world units, negative outside; d = min_v d_v is
    positive exactly inside the hull (Laurentini 1994, "The visual hull concept for silhouette-based image
    understanding"). A logit l becomes min(l, EDGE + STEEPNESS d), and at most as small as FAR: inside it stays as the
    field has it, at the hull's surface it falls within a thousandth of the box. Edges of the hull stay as sharp as the
    outlines, since the level sets of min are those of the one or the other. What a view's inner lines carve off, a
    region of depth c(x) down to a height h of its sight, is left out: d = min(d, max(-c, h - s(x))), s the height.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nerf2mesh.types import View

EDGE = 2.5
"""The logit at the hull's surface, about the usual levels. Meshing puts the surface onto the hull itself (`depth`)."""
STEEPNESS = 10_000.0
"""Per world unit."""
FAR = -16.0


class SilhouetteBound(nn.Module):
    """The largest logits that the silhouettes allow; buffers are not in the state dict, the views bring them."""

    axes: Float[Tensor, "v 2 3"]
    offset: Float[Tensor, "v 2"]
    clearance: Float[Tensor, "v 1 h w"]
    carved: Float[Tensor, "c 1 h w"]
    sights: Float[Tensor, "c 3"]
    heights: Float[Tensor, " c"]

    def __init__(self, views: Sequence[View]) -> None:
        """views: orthographic, each with its `clearance`, all of one size."""
        super().__init__()
        assert views and all(view.camera.orthographic and view.clearance is not None for view in views)
        cameras = [v.camera.resized(*v.clearance.shape[::-1]) for v in views if v.clearance is not None]
        turn = torch.stack([c.camera_to_world[:3, :2].T * c.focal_px.new_tensor([[1.0], [-1.0]]) for c in cameras])
        focal = torch.stack([c.focal_px for c in cameras])
        axes = turn * focal[..., None]
        at = torch.stack([c.position for c in cameras])
        offset = torch.stack([c.principal_px for c in cameras]) - (axes @ at[..., None])[..., 0]
        maps = [view.clearance for view in views if view.clearance is not None]
        carvings = [(k, carving) for k, view in enumerate(views) for carving in view.carvings]
        self.seen_by = [k for k, _ in carvings]
        # With `behind` both the height and the plane's turn around.
        signs = axes.new_tensor([-1.0 if carving.behind else 1.0 for _, carving in carvings])
        heights = signs * axes.new_tensor([carving.height for _, carving in carvings])
        sights = signs[:, None] * torch.stack([c.camera_to_world[:3, 2] for c in cameras])[self.seen_by]
        carved = torch.stack([carving.clearance for _, carving in carvings]) if carvings else axes.new_zeros(0, 1, 1)
        buffers = {"axes": axes, "offset": offset, "clearance": torch.stack(maps)[:, None]}
        buffers |= {"carved": carved[:, None], "sights": sights, "heights": heights}
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def depth(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """d: how deep points lie within the hull, world units, negative outside."""
        pixels = torch.einsum("vij,nj->vni", self.axes, points) + self.offset[:, None]
        inside = _sampled(self.clearance, pixels).amin(0)
        if not self.seen_by:
            return inside
        below = self.heights[:, None] - torch.einsum("ci,ni->cn", self.sights, points)
        left = torch.maximum(-_sampled(self.carved, pixels[self.seen_by]), below)
        return torch.minimum(inside, left.amin(0))

    def forward(self, points: Float[Tensor, "n 3"], logit: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The logits of points with the bound in force."""
        return torch.minimum(logit, (EDGE + STEEPNESS * self.depth(points)).clamp_min(FAR))


def _sampled(maps: Float[Tensor, "v 1 h w"], pixels: Float[Tensor, "v n 2"]) -> Float[Tensor, "v n"]:
    """Each view's map at its own pixels, those beyond the rim as at the rim."""
    size = pixels.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (2.0 * pixels / size - 1.0)[:, :, None]
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)[:, 0, :, 0]


def bound_of(views: Sequence[View]) -> SilhouetteBound | None:
    """The bound by those views that have a `clearance`; None where none has."""
    bounding = [view for view in views if view.clearance is not None]
    return SilhouetteBound(bounding) if bounding else None
