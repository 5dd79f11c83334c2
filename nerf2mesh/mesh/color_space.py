"""The sRGB transfer function and its inverse (IEC 61966-2-1): textures are sRGB, glTF's factors and COLOR_0 linear."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(color: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of sRGB values of any shape, which are clipped to [0, 1] first."""
    color = np.clip(color, 0.0, 1.0)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(color: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1] of linear light of any shape, which is clipped to [0, 1] first."""
    color = np.clip(color, 0.0, 1.0)
    return np.where(color <= 0.0031308, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)


TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
"""Linear sRGB to CIE XYZ, D65 (IEC 61966-2-1)."""


def cielab(color: np.ndarray) -> np.ndarray:
    """CIELAB [..., 3] of sRGB colors [..., 3], white D65 (CIE 15)."""
    xyz = srgb_to_linear(color) @ np.array(TO_XYZ).T / np.array(TO_XYZ).sum(1)
    knee = 6.0 / 29.0
    f = np.where(xyz > knee**3, np.cbrt(xyz), xyz / (3.0 * knee**2) + 4.0 / 29.0)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)
