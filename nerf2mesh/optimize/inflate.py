"""Normals of what a silhouette could be: a rounded body, before any shape is known.

Letters: m the pixels of the object; u solves the Poisson equation -lap u = 4 in m with u = 0 around it; the height
z = sqrt(u) is that of a ball where m is a disc, and meets the outline at a right angle as any smooth body does
(Johnston 2002, "Lumo", for that boundary condition). Holes and several pieces are bodies of their own.
"""

from __future__ import annotations

import numpy as np


def inflated_normals(mask: np.ndarray) -> np.ndarray:
    """Unit normals [h, w, 3] of the body over `mask` [h, w] in camera axes (x right, y up, z to the eye), zero outside.

    The picture is taken to be orthographic and its pixels square.
    """
    u = poisson(mask)
    around = np.pad(u, 1)
    right = 0.5 * (around[1:-1, 2:] - around[1:-1, :-2])
    down = 0.5 * (around[2:, 1:-1] - around[:-2, 1:-1])
    normals = np.stack([-0.5 * right, 0.5 * down, np.sqrt(np.maximum(u, 1e-9))], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True).clip(1e-9)
    return normals * mask[..., None]


def poisson(mask: np.ndarray) -> np.ndarray:
    """u [h, w] of the module's equation on the pixels of `mask`, by five-point differences; zero outside."""
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import spsolve

    height, width = mask.shape
    n, number = int(mask.sum()), np.full(mask.shape, -1)
    u = np.zeros(mask.shape)
    if not n:
        return u
    number[mask] = np.arange(n)
    around, own = np.pad(number, 1, constant_values=-1), number[mask]
    rows, columns, values = [own], [own], [np.full(n, 4.0)]
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beside = around[row : row + height, column : column + width][mask]
        rows.append(own[beside >= 0])
        columns.append(beside[beside >= 0])
        values.append(np.full(len(columns[-1]), -1.0))
    matrix = csc_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))
    u[mask] = np.asarray(spsolve(matrix, np.full(n, 4.0)))
    return u
