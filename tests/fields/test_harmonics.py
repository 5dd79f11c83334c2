import torch

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
