"""Light and colour along a clip: one measurement a frame, the variation over the clip, and sudden changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, Landmarks, to_image
from clips.head_pose import turn_deg
from clips.landmarks import ClipLandmarks
from clips.library import appearance_distance

FACE_LOOKS, FRAME_LOOKS = 64, 96
"""So many pixels across the face and across the frame are looked at: medians of these few thousand are within .2 of
those of all pixels (largest of 566 bundled frames), and cost 1 ms instead of 20."""

RAMP, AROUND = 5, 5
"""A change within so many frames is sudden (a lamp glows up in 4), judged by the medians of so many on both sides."""

ONSET_SHARE = 0.15
"""Part of a change at which it has begun, and that is left when it has ended."""

SAME_SHARE = 0.97
"""Of the places from which a change looks this large the first is meant."""

LIGHT_PER_DEGREE = 1.0

SKIN = slice(0, 4)
"""Part of a measurement that tells the light on the face: skin L, a, b; left less right."""


def frame_light(frame: Frame, landmarks: Landmarks) -> NDArray[np.float32]:
    """Light and colour of one frame as `clips.library.measure_appearance` counts them, float32 (7,).

    Skin L, a, b; skin L left less right of the nose; background L, a, b: medians in CIELAB, L 0..100. Skin: the hull of
    the landmarks. Background: beside the face, above the chin. NaN where the picture has too little of either.
    """
    points, jaw = landmarks.points, landmarks.region("jaw")
    (x0, y0), (x1, y1) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    step = max(1, int((x1 - x0) // FACE_LOOKS))
    xs, ys = _inside(x0, x1, step, frame.shape[1]), _inside(y0, y1, step, frame.shape[0])
    lab = _lab(frame[ys[:, None], xs[None, :]])
    hull = np.zeros(lab.shape[:2], np.uint8)
    if hull.size:
        shifted = (points - (xs[0], ys[0])) / step
        cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(shifted).astype(np.int32)), (1,))
    left = (hull > 0) & (xs < landmarks.region("nose_bridge")[:, 0].mean())[None]
    right = (hull > 0) & ~left
    margin = 0.35 * float(np.ptp(jaw[:, 0]))  # hair and ears
    step = max(1, max(frame.shape[:2]) // FRAME_LOOKS)
    columns = np.arange(0, frame.shape[1], step)
    away = (columns < jaw[:, 0].min() - margin) | (columns > jaw[:, 0].max() + margin)
    rows = np.arange(0, max(0, min(frame.shape[0], int(landmarks.anchor("chin")[1]))), step)
    beside = _lab(frame[rows[:, None], columns[away][None, :]]).reshape(-1, 3)
    return np.concatenate(
        [_median(lab[hull > 0]), [_median(lab[left])[0] - _median(lab[right])[0]], _median(beside)]
    ).astype(np.float32)


def _inside(start: float, stop: float, step: int, size: int) -> NDArray[np.intp]:
    return np.arange(max(0, int(start)), max(0, min(size, int(stop) + 1)), step)


def _lab(pixels: Frame) -> NDArray[np.float32]:
    if pixels.size == 0:
        return np.zeros((*pixels.shape[:2], 3), np.float32)
    return np.asarray(cv2.cvtColor(to_image(np.ascontiguousarray(pixels)), cv2.COLOR_BGR2LAB), np.float32)


def _median(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.median(pixels, axis=0) if len(pixels) >= 16 else np.full(3, np.nan, np.float32)


def clip_light(frames: Iterable[Frame], landmarks: ClipLandmarks) -> NDArray[np.float32]:
    """`frame_light` of every frame that has landmarks, float32 (T, 7); NaN in frames without a face, and beyond the
    last picture."""
    light = np.full((len(landmarks), 7), np.nan, np.float32)
    for index, frame in zip(range(len(landmarks)), frames, strict=False):
        if landmarks.found[index]:
            light[index] = frame_light(frame, landmarks.at(index))
    return light


def light_distances(light: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far each frame is from the clip's median, in CIELAB units as `appearance_distance`, (T,); NaN without a
    face."""
    off = light.astype(np.float64) - median_light(light)
    distance = np.sqrt(np.nansum(off**2, axis=1))
    return np.where(np.isfinite(light).any(axis=1), distance, np.nan)


def median_light(light: NDArray[np.float32]) -> NDArray[np.float64]:
    """The clip's median measurement, (7,); NaN where no frame has the value."""
    known = np.isfinite(light)
    return np.array([np.median(light[k, i]) if k.any() else np.nan for i, k in enumerate(known.T)])


@dataclass(frozen=True)
class LightChange:
    """A sudden change of light: the last frame before it and the first after it, and how much it is in CIELAB units
    beyond what the head's own turn makes."""

    last: int
    first: int
    amount: float


def light_change(light: NDArray[np.float32], rotations: NDArray[np.float64]) -> LightChange | None:
    """The largest change of light within RAMP frames, from what stood before to what stays after; None in a clip too
    short to tell.

    light: (T, 7) of `clip_light`; rotations: (T, 3, 3) of the head: a face that turns is lit otherwise, a person's by
    1 unit a degree (a quick nod changes it by 10). What is left is 1.4 at most in the bundled clips, 1.6 in a person's
    talk, 22 where a lamp goes on.
    """
    steps = [_step(light, rotations, start) for start in range(1, len(light) - RAMP)]
    if not steps or not np.isfinite(steps).any():
        return None
    largest = float(np.nanmax(steps))
    if largest <= 0:
        return LightChange(0, 1, 0.0)
    start = 1 + int(np.flatnonzero(np.nan_to_num(np.array(steps)) >= SAME_SHARE * largest)[0])
    before = median_light(light[max(0, start - AROUND) : start])
    after = median_light(light[start + RAMP - 1 : start + RAMP - 1 + AROUND])
    whole = appearance_distance(before, after)
    # The medians on both sides tell how much; when is where single frames leave the one and reach the other.
    gone = [appearance_distance(before, frame) / whole for frame in light[start : start + RAMP + AROUND]]
    begun = next((k for k, share in enumerate(gone) if share > ONSET_SHARE), 0)
    ended = next((k for k, share in enumerate(gone) if share > 1 - ONSET_SHARE and k >= begun), begun)
    return LightChange(start + begun - 1, start + ended, largest)


def _step(light: NDArray[np.float32], rotations: NDArray[np.float64], start: int) -> float:
    """Change from the frames before `start` to those RAMP - 1 after it, less what the turn of the head makes; NaN where
    either side has no face."""
    there = start + RAMP - 1
    first = max(0, start - AROUND)
    sides = light[first:start], light[there : there + AROUND]
    if not all(np.isfinite(side).any() for side in sides):
        return float("nan")
    middles = (first + start - 1) // 2, there + (len(sides[1]) - 1) // 2
    turn = turn_deg(rotations[middles[0]], rotations[middles[1]])
    return appearance_distance(*(median_light(side) for side in sides)) - LIGHT_PER_DEGREE * turn
