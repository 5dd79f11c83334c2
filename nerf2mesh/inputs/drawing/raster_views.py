"""Views in a picture of a drawing: what its lines close off from the paper around.

Text, dimension and center lines lie outside the outlines or are thin lines that an opening takes away. Outlines are
taken in the middle of their lines.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from shapely.affinity import translate
from shapely.geometry import Polygon

from nerf2mesh.inputs.drawing.kinds import Hidden, Lines, Silhouette
from nerf2mesh.inputs.linework.kinds import Raster
from nerf2mesh.inputs.plan.raster_walls import opened, polygons_of

MIN_VIEW_SHARE = 0.02
"""Smaller closed regions, as a share of the largest, are letters, arrows and symbols."""
MIN_INNER_PX = 6
PALE = 0.3
"""Ink of a hidden line, which may be thinner than a pixel."""


def raster_views(raster: Raster) -> Lines:
    """Silhouettes, with the regions inside them that a closed line bounds."""
    dark = (raster.ink > 0.5).astype(np.uint8)
    free = 1 - dark
    count, label = cv2.connectedComponents(np.pad(free, 1, constant_values=1), connectivity=4)
    label = label[1:-1, 1:-1]
    filled = (label != 1).astype(np.uint8)  # the padded border is component 1
    line_px = _line_width(dark)
    side = int(2 * np.ceil(line_px) + 3)
    solid = opened(filled, side)
    solid = cv2.dilate(solid, np.ones((3, 3), np.uint8)) & filled
    solid = opened(solid, max(3, side - 2))
    half = line_px / 2 * raster.pixel_m
    outer = polygons_of(_soft(solid, raster.ink), raster)
    outer = [Polygon(shape.exterior).buffer(-half, join_style="mitre") for shape in outer]
    largest = max((shape.area for shape in outer), default=0.0)
    outer = [shape for shape in outer if shape.area > MIN_VIEW_SHARE * largest]
    faces = _inner_faces(label, count, raster, half)
    views = tuple(_silhouette(shape, faces, 2 * half) for shape in outer)
    return Lines(views, _hidden(raster), 1.5 * raster.pixel_m + half)


def _silhouette(outline: Polygon, faces: list[Any], margin: float) -> Silhouette:
    """A view with what lies in it; hidden outlines are not looked for in pictures."""
    within, rim = outline.buffer(-margin), outline.buffer(margin)
    inner = tuple(face for face in faces if within.contains(face))
    return Silhouette(outline, inner, faces=tuple(face for face in faces if rim.contains(face)))


def _soft(solid: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """The filled views in [0, 1] float32, at their rims as dark as the ink is there."""
    square = np.ones((3, 3), np.uint8)
    inner, rim = cv2.erode(solid, square), cv2.dilate(solid, square)
    return np.where(inner == 1, 1.0, np.where(rim == 1, ink, 0.0)).astype(np.float32)


def _line_width(dark: np.ndarray) -> float:
    """In pixels: area over half the outline's length, of all ink."""
    contours, _ = cv2.findContours(dark, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(contour, True) for contour in contours)
    return float(2.0 * dark.sum() / max(length, 1.0)) if length else 1.0


def _inner_faces(label: np.ndarray, count: int, raster: Raster, half: float) -> list[Any]:
    """Paper that lines bound, up to the lines' middles."""
    sizes = np.bincount(label.ravel(), minlength=count)
    found = []
    for k in np.flatnonzero(sizes >= MIN_INNER_PX**2):
        if k < 2:
            continue  # lines and the paper around
        rows, columns = np.flatnonzero((label == k).any(1)), np.flatnonzero((label == k).any(0))
        top, left = int(rows[0]) - 2, int(columns[0]) - 2
        window = np.pad(label[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == k, 2).astype(np.float32)
        shift = np.array([left, label.shape[0] - top - window.shape[0]]) * raster.pixel_m
        shapes = polygons_of(window, replace(raster, ink=window))
        shapes = [translate(shape, *shift) for shape in shapes]
        found += [shape.buffer(half, join_style="mitre") for shape in shapes]
    return found


def _hidden(raster: Raster) -> Hidden:
    """Any ink: whether it is a dashed line is seen from how much of it is there."""
    distance = cv2.distanceTransform((raster.ink <= PALE).astype(np.uint8), cv2.DIST_L2, 5) * raster.pixel_m
    height, width = raster.ink.shape

    def near(points: np.ndarray, tolerance_m: float) -> np.ndarray:
        column = np.floor(points[:, 0] / raster.pixel_m).astype(int).clip(0, width - 1)
        row = np.floor(height - points[:, 1] / raster.pixel_m).astype(int).clip(0, height - 1)
        return distance[row, column] <= min(tolerance_m, 1.5 * raster.pixel_m)  # less than half a dash's gap

    return near
