"""Landmarks laid onto other landmarks by a true similarity: rotation, one scale, shift, never a reflection."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blending.types import Landmarks, as_landmarks


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The (2, 3) matrix [sR | t] that takes source to target with the least sum of squared distances.

    source, target: (N, 2), N >= 2. In the plane the solution is one complex number, the same as Umeyama's (1991)
    without reflection. ValueError for other shapes, values that are not finite, and points that all coincide.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2 or len(a) < 2:
        raise ValueError(f"source and target must both have shape (N, 2), N >= 2; got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("source and target must be finite; got NaN or infinity")
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    z, w = (a - centre_a) @ (1, 1j), (b - centre_b) @ (1, 1j)
    size_a, size_b = np.abs(z).max(), np.abs(w).max()
    if min(size_a, size_b) < 1e-6:
        raise ValueError(f"source and target must have points that differ; got extents {size_a:.1e} and {size_b:.1e}")
    turn = np.vdot(z, w) / np.vdot(z, z).real
    if abs(turn) * size_a < 1e-6 * size_b:
        raise ValueError("source and target must be alike enough to align; got sets without any common shape")
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, centre_b - linear @ centre_a])


def align_landmarks_to_reference(
    landmarks: Landmarks | ArrayLike, reference: Landmarks | ArrayLike
) -> NDArray[np.float32]:
    """Landmarks laid onto the reference by the best similarity over all points, float32 (N, 2), px.

    Both of one scheme (68, 110 or 478 points). What is left between the result and the reference is the difference in
    shape: expression, turn of the head. ValueError for differing schemes and degenerate sets.
    """
    marks, target = as_landmarks(landmarks), as_landmarks(reference)
    if marks.scheme != target.scheme:
        raise ValueError(f"reference must have the {marks.scheme} points of landmarks; got {target.scheme}")
    matrix = similarity(marks.points, target.points)
    return (marks.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
