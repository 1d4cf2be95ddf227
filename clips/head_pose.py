"""How the head is turned, from the 68 landmarks of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIGID = (27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45)
"""iBUG points that neither speech nor glance moves: bridge and base of the nose, corners of the eyes."""

# Where they lie on a head, in distances between the outer eye corners: x to the right of the picture, y down, z away
# from the camera. Fitted to what the detector finds in the bundled actor's four takes (210 frames), the turn of each
# being known from his exact landmarks by bundle adjustment (focal length 1518 px, residual .24 px), and made symmetric.
_HEAD = np.array(
    [
        (0, -0.276, -0.018), (0, -0.129, -0.118), (0, 0.030, -0.233), (0, 0.129, -0.275),
        (-0.128, 0.218, -0.058), (-0.082, 0.260, -0.069), (0, 0.263, -0.109), (0.082, 0.260, -0.069),
        (0.128, 0.218, -0.058), (-0.500, -0.263, 0.305), (-0.188, -0.223, 0.199), (0.188, -0.223, 0.199),
        (0.500, -0.263, 0.305),
    ]
)  # fmt: skip


def head_rotations(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotations (T, 3, 3) from the head to the camera, for landmarks (T, 68, 2) in px.

    The head's shape under scaled orthography: the best affine map of its points, and the rotation nearest to it.
    Against the truth of clips the table was not fitted to (96 frames, three of them other poses): root of the mean
    square 1.2 degrees in yaw and pitch, .4 in roll, 4.3 at most. Pitch counts from the actor's own; a person with
    another nose has an offset of up to about 12 degrees, so compare poses of one person only. ValueError: other shapes.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise ValueError(f"points must have shape (T, 68, 2); got {points.shape}")
    seen = points[:, RIGID] - points[:, RIGID].mean(axis=1, keepdims=True)
    affine = np.einsum("tkc,jk->tcj", seen, np.linalg.pinv(_HEAD - _HEAD.mean(axis=0)))
    u, _, v = np.linalg.svd(affine)
    rows = u @ v[:, :2]
    return np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)


def angles_deg(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw, pitch and roll in degrees, (T, 3): above 0 the face is turned to the picture's right, up, and clockwise.

    In this order from the face that looks into the camera, so that turning the picture changes the roll alone.
    """
    yaw = np.arctan2(rotations[:, 2, 0], rotations[:, 2, 2])
    pitch = np.arcsin(np.clip(-rotations[:, 2, 1], -1, 1))
    roll = np.arctan2(-rotations[:, 0, 1], rotations[:, 1, 1])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def turn_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Angle of the one turn, about whatever axis, that takes a rotation (3, 3) to another; 0..180 degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(one @ other.T) - 1) / 2, -1, 1))))


def mean_rotation(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation nearest to all of them, (3, 3)."""
    u, _, v = np.linalg.svd(rotations.mean(axis=0))
    return np.asarray(u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v)
