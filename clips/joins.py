"""How much a cut from one clip frame to another would show: the mismatch that the choice of clips minimises.

Frames are counted through all clips of a list, one clip after the other: frame f of clip c is offset[c] + f.
A mismatch is a function of two such index arrays, the last frame before the join and the first one after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clips.landmarks import ClipLandmarks

THUMBNAIL_PX = 16
MOST_FRAMES_COMPARED = 3000
"""Above this only every second, third .. frame is compared: the table of 3000 x 3000 takes 36 MB."""

PICTURE_WEIGHT = 0.5
"""Of the picture's difference, in CIELAB units, against the landmarks', in % of the face's size. Frame to frame LS1
moves by .2 to .6 % and .2 units; its evening clip is 17 % and 14 units away from the silence clip."""

REST_STEP, REST_MOST = 0.3, 3.0

Indices = NDArray[np.intp]


class Mismatch(Protocol):
    """Price of joins, float32 of the broadcast shape; about 1 is where a cut between still heads begins to show."""

    def __call__(self, out: Indices, into: Indices) -> NDArray[np.float32]: ...


def offsets(lengths: Sequence[int]) -> Indices:
    """First index of each clip, and the number of all frames at the end."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)


class RestMismatch:
    """Where no pictures are known: core clips share the pose of their first and last frame, and a frame is the
    farther from it the farther it lies inside its clip. Neighbouring frames of a clip match."""

    def __init__(self, lengths: Sequence[int]) -> None:
        inside = [np.minimum(np.arange(n), np.arange(n)[::-1]) for n in lengths]
        self._rest = np.minimum(REST_STEP * np.concatenate(inside), REST_MOST).astype(np.float32)
        self._clip = np.repeat(np.arange(len(lengths)), lengths)

    def __call__(self, out: Indices, into: Indices) -> NDArray[np.float32]:
        apart = self._rest[out] + self._rest[into]
        return np.where((self._clip[out] == self._clip[into]) & (np.abs(out - into) <= 1), np.float32(0), apart)


@dataclass(frozen=True, eq=False)
class ClipPoses:
    """What is compared of a clip's frames.

    points: float32 (N, K, 2), landmarks in px. face_px: the face's size in px. thumbnails: float32 (N, 16, 16, 3),
    CIELAB. inside: float32 (16, 16), how much of each thumbnail pixel is face.
    """

    points: NDArray[np.float32]
    face_px: float
    thumbnails: NDArray[np.float32]
    inside: NDArray[np.float32]

    @classmethod
    def of(cls, landmarks: ClipLandmarks, thumbnails: NDArray[np.float32]) -> ClipPoses:
        """Poses from smoothed landmarks and thumbnails of the whole frames.

        Lips are left out of the points: where the sound drives them they are drawn anew.
        """
        marks = [landmarks.at(i).to_scheme(68) for i in range(len(landmarks))]
        names = ("jaw", "left_brow", "right_brow", "nose_bridge", "nose_base", "left_eye", "right_eye")
        points = np.stack([np.concatenate([one.region(name) for name in names]) for one in marks])
        if len(points) != len(thumbnails):
            raise ValueError(f"thumbnails must be {len(points)}, as the landmarks; got {len(thumbnails)}")
        low, high = np.median(points.min(axis=1), axis=0), np.median(points.max(axis=1), axis=0)
        x, y = (
            np.clip((high[k] / w - cells) * THUMBNAIL_PX, 0, 1) * np.clip((cells - low[k] / w) * THUMBNAIL_PX + 1, 0, 1)
            for k, w, cells in ((k, landmarks.size_wh[k], np.arange(THUMBNAIL_PX) / THUMBNAIL_PX) for k in (0, 1))
        )
        inside = np.outer(y, x).astype(np.float32)
        return cls(points.astype(np.float32), landmarks.face_size_px, thumbnails, inside)


class PoseMismatch:
    """Mismatch measured: the distance of the landmarks in % of the face's size, not aligned, since what a viewer
    sees is that a head jumps, grows or turns; and of the pictures, inside the face and outside of it."""

    def __init__(self, clips: Sequence[ClipPoses]) -> None:
        total = sum(len(clip.points) for clip in clips)
        step = -(-total // MOST_FRAMES_COMPARED)
        unit = clips[0].face_px
        points = np.concatenate([clip.points[::step] for clip in clips]) * (100 / unit)
        pictures = np.concatenate([clip.thumbnails[::step] for clip in clips])
        inside = np.clip(np.mean([clip.inside for clip in clips], axis=0), 0, 1)
        kept = [len(clip.points[::step]) for clip in clips]
        first = offsets(kept)
        self._key = np.concatenate([first[c] + np.arange(len(clip.points)) // step for c, clip in enumerate(clips)])
        self._table = _distance(points, np.ones(points.shape[1]))
        for weights in (inside, 1 - inside):
            flat = pictures.reshape(len(pictures), -1, 3)
            self._table += PICTURE_WEIGHT * _distance(flat, weights.ravel())

    def __call__(self, out: Indices, into: Indices) -> NDArray[np.float32]:
        return self._table[self._key[out], self._key[into]]


def _distance(vectors: NDArray[np.float32], weights: NDArray[np.floating]) -> NDArray[np.float32]:
    """Root of the weighted mean square distance of all pairs; vectors (N, K, D), weights (K,); float32 (N, N)."""
    share = np.sqrt(weights / max(float(weights.sum()), 1e-6))[:, None]
    rows = ((vectors - vectors.mean(axis=0)) * share).reshape(len(vectors), -1).astype(np.float32)
    square = (rows**2).sum(axis=1)
    return np.sqrt(np.maximum(square[:, None] + square[None] - 2 * rows @ rows.T, 0))
