"""A face made of formulas: landmarks in all three schemes, a plate that shows it, a generated square for it."""

from __future__ import annotations

import cv2
import numpy as np

from blending.landmark_tables import DERIVED_FROM_478, REGIONS
from blending.types import CropBox, Landmarks


def points_68(
    centre: tuple[float, float] = (160, 120), size: float = 180, roll: float = 0.0, yaw: float = 0.0, mouth: float = 0.0
) -> np.ndarray:
    """An upright face about `size` px wide; roll in radians, yaw in -1..1 squeezes one half, mouth 0..1 opens."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 17)
    jaw = np.column_stack([0.52 * np.sin(t), 0.72 * np.cos(t) ** 0.8 - 0.05 + 0.05 * mouth * np.cos(t)])
    brow_x = np.linspace(0.12, 0.42, 5)
    brow = np.column_stack([brow_x, -0.18 - 0.05 * np.sin((brow_x - 0.12) / 0.3 * np.pi)])
    bridge = np.column_stack([np.zeros(4), np.linspace(-0.06, 0.16, 4)])
    base = np.column_stack([np.linspace(-0.09, 0.09, 5), [0.2, 0.215, 0.22, 0.215, 0.2]])
    eye = np.array([[-0.08, 0], [-0.03, -0.03], [0.03, -0.03], [0.08, 0], [0.03, 0.03], [-0.03, 0.03]])

    def ring(count: int, wide: float, high: float) -> np.ndarray:
        angle = np.pi - np.arange(count) * 2 * np.pi / count
        xy = np.column_stack([wide * np.cos(angle), -high * np.sin(angle)])
        xy[xy[:, 1] > 0.01, 1] += 0.12 * mouth
        return np.add(xy, (0, 0.38))

    parts = [jaw, brow[::-1] * (-1, 1), brow, bridge, base, np.add(eye, (-0.22, -0.08)), np.add(eye, (0.22, -0.08))]
    face = np.concatenate([*parts, ring(12, 0.17, 0.06), ring(8, 0.14, 0.01)])
    face[:, 0] *= np.where(face[:, 0] * yaw > 0, 1 - 0.6 * abs(yaw), 1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return (face * size @ turn.T + centre).astype(np.float32)


def points_478(**pose: float) -> np.ndarray:
    """478 points that lie on the outlines of the 68: every region is the same curve, sampled more often."""
    source = Landmarks(points_68(**pose))
    points = np.full((478, 2), np.nan, np.float32)
    for row, terms in enumerate(DERIVED_FROM_478[68]):
        for vertex, _ in terms:
            points[vertex] = source.points[row]
    for name, vertices in REGIONS[478].items():
        curve = source.region(name)
        if name not in ("jaw", "nose_bridge", "nose_base"):
            curve = np.concatenate([curve, curve[:1]])
        at = np.linspace(0, len(curve) - 1, len(vertices))
        resampled = np.column_stack([np.interp(at, np.arange(len(curve)), curve[:, k]) for k in (0, 1)])
        for vertex, point in zip(vertices, resampled, strict=True):
            if np.isnan(points[vertex]).any():
                points[vertex] = point
    points[np.isnan(points).any(axis=1)] = source.region("nose_base").mean(axis=0)
    return points


def points_of(scheme: int, **pose: float) -> np.ndarray:
    if scheme == 68:
        return points_68(**pose)
    marks = Landmarks(points_478(**pose))
    return marks.to_scheme(scheme).points if scheme == 110 else marks.points


def plate_of(points: np.ndarray, frame_hw: tuple[int, int] = (320, 320), seed: int = 0) -> np.ndarray:
    """A frame with wall, neck, shaded skin, lips and grain around a 68-point face."""
    marks, (height, width) = Landmarks(points), frame_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    frame = np.dstack([120 + 0.1 * x, 116 + 0.1 * x, 112 + 0.08 * y])
    chin, size = marks.anchor("chin"), float(np.ptp(marks.region("jaw")[:, 0]))

    def lay(polygon: np.ndarray, bgr: tuple[float, float, float], shade: float) -> None:
        cover = np.zeros(frame_hw, np.uint8)
        cv2.fillPoly(cover, [np.rint(polygon).astype(np.int32)], 1)
        soft = cv2.GaussianBlur(cover.astype(np.float32), (0, 0), 1)[..., None]
        light = 1 + shade * (chin[0] - x) / size
        frame[:] = frame * (1 - soft) + soft * (np.array(bgr) * light[..., None])

    neck = chin + np.array([[-0.3, -0.3], [0.3, -0.3], [0.4, 0.8], [-0.4, 0.8]]) * size
    lay(neck, (98, 122, 165), 0.2)
    face = np.concatenate([marks.region("jaw"), marks.region("right_brow")[::-1] - (0, 0.2 * size),
                           marks.region("left_brow")[::-1] - (0, 0.2 * size)])  # fmt: skip
    lay(face, (118, 148, 196), 0.25)
    lay(marks.region("outer_lip"), (105, 100, 180), 0.1)
    lay(marks.region("inner_lip"), (40, 35, 60), 0)
    for eye in ("left_eye", "right_eye"):
        lay(marks.region(eye), (90, 80, 70), 0)
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 7, (*frame_hw, 3)), (0, 0), 0.8)
    return np.clip(np.rint(frame + grain), 0, 255).astype(np.uint8)


def generated_of(
    points: np.ndarray, *, offset: tuple[float, float, float] = (-8, 6, 14), frame_hw: tuple[int, int] = (320, 320)
) -> tuple[np.ndarray, CropBox]:
    """The square of the same pose with an open mouth, softer and in other colours (offset in BGR levels)."""
    box = CropBox.from_landmarks(points)
    marks = Landmarks(points)
    opened = points.copy()
    lips = np.r_[48:68]
    opened[lips, 1] += np.where(points[lips, 1] > marks.region("outer_lip")[:, 1].mean() + 0.5, 0.07 * box.side, 0)
    face = cv2.GaussianBlur(plate_of(opened, frame_hw, seed=1).astype(np.float32), (0, 0), 0.6)
    return box.extract(np.clip(np.rint(face * 1.03 + offset), 0, 255).astype(np.uint8)).copy(), box
