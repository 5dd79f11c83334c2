import pytest
import torch

from nerf2mesh.fields import Background, BackgroundConfig
from nerf2mesh.fields.harmonics import spherical_harmonics


def sphere_quadrature(n: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights that integrate polynomials over the sphere exactly."""
    azimuth = torch.arange(2 * n, dtype=torch.float64) * torch.pi / n
    # Gauss-Legendre nodes are the eigenvalues of the Jacobi matrix (Golub and Welsch).
    k = torch.arange(1, n, dtype=torch.float64)
    off = k / torch.sqrt(4 * k * k - 1)
    z, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    weight = 2 * vectors[0] ** 2
    ring = torch.sqrt(1 - z * z)
    x, y = ring[:, None] * azimuth.cos(), ring[:, None] * azimuth.sin()
    points = torch.stack([x, y, z[:, None].expand_as(x)], dim=-1).reshape(-1, 3)
    return points, (weight[:, None] * torch.pi / n).expand_as(x).reshape(-1)


def test_harmonics_are_orthonormal():
    directions, weights = sphere_quadrature()
    basis = spherical_harmonics(directions, 3)
    gram = (basis * weights[:, None]).T @ basis
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), atol=1e-12, rtol=0)


def test_first_harmonics_follow_the_axes():
    basis = spherical_harmonics(torch.eye(3), 1)
    torch.testing.assert_close(basis[:, 1:] / 0.48860251190291987, torch.tensor([[0, 0, -1.0], [-1, 0, 0], [0, 1, 0]]))


@pytest.mark.parametrize("kind", ["fixed", "constant", "direction"])
def test_every_kind_starts_at_its_color(kind):
    background = Background(BackgroundConfig(kind=kind, color=(0.2, 0.5, 0.9)))
    directions = torch.nn.functional.normalize(torch.randn(7, 3), dim=-1)
    torch.testing.assert_close(background(directions), torch.tensor([0.2, 0.5, 0.9]).expand(7, 3))
    assert (len(list(background.parameters())) > 0) == (kind != "fixed")


def test_constant_has_a_color_per_image():
    background = Background(BackgroundConfig(kind="constant", n_images=3))
    with torch.no_grad():
        background.logits.copy_(torch.tensor([-20.0, 0.0, 20.0])[:, None].expand(3, 3))
    colors = background(torch.zeros(4, 3), torch.tensor([2, 0, 1, 2]))
    torch.testing.assert_close(colors[:, 0], torch.tensor([1.0, 0.0, 0.5, 1.0]))
    assert background(torch.zeros(4, 3), 1).shape == (4, 3)


@pytest.mark.parametrize("wrong", [{"kind": "sky"}, {"color": (0.0, 1.0, 2.0)}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="background"):
        Background(BackgroundConfig(**wrong))
