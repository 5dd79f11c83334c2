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
