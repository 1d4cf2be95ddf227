"""What a blend is judged by: against a known truth (simulated footage), and without one (everything else).

With a truth: seam, neck, ring, skin, lips and their sum *vis*, "how much of it is seen". Without one: tint, fidelity of
the mouth, flicker, NRV, and the floor a clip's own noise gives the seam score. All at S -> 192 px, in CIELAB, as
specs/blending.md has them; 0 is best everywhere but in a correlation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blending.engine import Blender
from blending.mask import Mask, face_outline
from blending.perception import colour_difference, lab_of
from blending.seam import (
    LIP_SHARE,
    NECK_REACH,
    WORK_SIDE,
    WorkGrid,
    check_pair,
    seam_map,
    seam_score,
    tint,
    top5,
)
from blending.settings import BlendSettings
from blending.types import CropBox, Frame, Image, Landmarks, as_landmarks, check_frame

__all__ = [
    "Flicker",
    "MouthFidelity",
    "Regions",
    "Truth",
    "VisibleError",
    "clip_floor",
    "mouth_fidelity",
    "nrv",
    "regions",
    "tint",
]

RING_AT_SQUARE = 9.6
RING_AT_OUTLINE = 11.5
SKIN_INSET = 5.8
LIPS_SCALE = 1.08

STATIC_LAB = 2.0
"""The plate stands still where it changes by less than this from one frame to the next, after a Gaussian of 2 px."""

MOUTH_FLOOR = 0.98
FLOOR_PERCENTILE = 95


@dataclass(frozen=True, eq=False)
class Regions:
    """Where errors are averaged, bool masks of a working grid: the neck below the jaw, the ring along the square's
    border and the face's outline, the skin, the generated lips."""

    neck: Mask
    ring: Mask
    skin: Mask
    lips: Mask


@dataclass(frozen=True)
class VisibleError:
    """seam: largest 5 % of the visible gradient error. neck, ring, skin, lips: mean CIEDE2000; 0 where not in view."""

    seam: float
    neck: float
    ring: float
    skin: float
    lips: float

    @property
    def vis(self) -> float:
        """The overall visible error."""
        return 0.5 * self.seam + 0.25 * (self.neck + self.ring + self.skin) / 3 + 0.25 * self.lips


@dataclass(frozen=True)
class MouthFidelity:
    """Pearson correlation of L in the lips, and mean CIEDE2000 there, of a blend against the generated picture."""

    correlation: float
    delta_e: float


def regions(grid: WorkGrid, landmarks: Landmarks, generated_landmarks: Landmarks, frame_hw: tuple[int, int]) -> Regions:
    """The regions of one shot; F is the hull of the plate's face and the generated jaw.

    neck: out of F by up to 58 px, below the chin's row less 58 px, in the square, between the jaw's outer columns.
    ring: less than 9.6 px from the square's border or 11.5 px from F's outline, off the lips. skin: in F, 5.8 px inside
    the square, off the lips. Off the lips: further than 11.5 px from the generated ones. lips: their hull x 1.08.
    """
    face = np.concatenate([face_outline(landmarks), generated_landmarks.region("jaw")])
    lips = generated_landmarks.region("outer_lip")
    off_lips, visible = ~grid.near(lips, LIP_SHARE * WORK_SIDE), grid.in_frame(frame_hw)
    xs, ys = grid.centres
    jaw_x = landmarks.region("jaw")[:, 0]
    columns = (xs > jaw_x.min()) & (xs < jaw_x.max())
    rows = ys > landmarks.anchor("chin")[1] - NECK_REACH / grid.scale
    inside = grid.near(face)
    rim = grid.square(-RING_AT_SQUARE) & ~grid.square(RING_AT_SQUARE)
    middle = lips.mean(axis=0)
    return Regions(
        grid.near(face, NECK_REACH) & ~inside & grid.square() & rows[:, None] & columns[None, :] & visible,
        (rim | grid.along(face, RING_AT_OUTLINE)) & off_lips & visible,
        inside & grid.square(SKIN_INSET) & off_lips & visible,
        grid.near(middle + LIPS_SCALE * (lips - middle)) & visible,
    )


class Truth:
    """A frame as it should have come out; `error` says how far a blend is from it.

    frame: uint8 (H, W, 3). landmarks: of the plate. generated_landmarks: of the mouth that was put in, in frame px.
    """

    def __init__(
        self,
        frame: Frame,
        box: CropBox,
        landmarks: Landmarks | ArrayLike,
        generated_landmarks: Landmarks | ArrayLike,
    ) -> None:
        self._frame = check_frame(frame, "frame")
        self._grid, marks = WorkGrid.around(box), as_landmarks(landmarks)
        frame_hw = (frame.shape[0], frame.shape[1])
        self._regions = regions(self._grid, marks, as_landmarks(generated_landmarks), frame_hw)
        self._band = self._grid.band(marks, frame_hw)
        self._lab = self._grid.lab(frame)
        self._soft = _blurred(self._lab, 1)

    def heatmap(self, blended: Frame) -> NDArray[np.float32]:
        """Visible gradient error of a blend over the band, float32 (size, size)."""
        check_pair(self._frame, blended)
        return self._heat(self._grid.lab(blended))

    def error(self, blended: Frame) -> VisibleError:
        """Seam and colour errors of a blend, uint8 of the truth's size; all 0 for the truth itself."""
        check_pair(self._frame, blended)
        lab, where = self._grid.lab(blended), self._regions
        anywhere = where.neck | where.ring | where.skin
        difference = np.zeros(lab.shape[:2], np.float32)
        difference[anywhere] = colour_difference(_blurred(lab, 1)[anywhere], self._soft[anywhere])
        lips = colour_difference(lab[where.lips], self._lab[where.lips])
        neck, ring, skin = (_mean(difference[region]) for region in (where.neck, where.ring, where.skin))
        return VisibleError(top5(self._heat(lab)[self._band]), neck, ring, skin, _mean(lips))

    def _heat(self, lab: Image) -> NDArray[np.float32]:
        reference, window = self._lab[self._grid.window], lab[self._grid.window]
        return seam_map(self._grid, reference, window - reference) * self._band


class Flicker:
    """What a blend adds to a sequence in time: RMS over skin, ring and neck, where the plate stands still, of the
    change of the blend less the change of the plate, in LAB under a Gaussian of 2 px. Frames are added in order."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as before the first frame."""
        self._before: tuple[Frame, Frame] | None = None
        self._energy, self._count = 0.0, 0

    def cut(self) -> None:
        """The next frame does not follow the last one."""
        self._before = None

    def add(
        self,
        plate: Frame,
        blended: Frame,
        box: CropBox,
        landmarks: Landmarks | ArrayLike,
        generated_landmarks: Landmarks | ArrayLike,
    ) -> None:
        """The next frame, uint8 of the size of those before."""
        check_pair(plate, blended)
        if self._before is not None:
            plate_before, blended_before = self._before
            check_pair(plate_before, plate)
            grid = WorkGrid.around(box)
            frame_hw = plate.shape[0], plate.shape[1]
            where = regions(grid, as_landmarks(landmarks), as_landmarks(generated_landmarks), frame_hw)
            motion = grid.lab(plate) - grid.lab(plate_before)
            added = _blurred(grid.lab(blended) - grid.lab(blended_before) - motion, 2)
            static = (_blurred(motion, 2) ** 2).sum(axis=2) < STATIC_LAB**2
            chosen = (where.skin | where.ring | where.neck) & static
            self._energy += float((added[chosen].astype(np.float64) ** 2).sum())
            self._count += int(chosen.sum())
        self._before = (plate, blended)

    @property
    def value(self) -> float:
        """The RMS so far; 0 with fewer than two frames in a row, or when nothing stood still."""
        return (self._energy / self._count) ** 0.5 if self._count else 0.0


def mouth_fidelity(
    blended: Frame, generated: Frame, box: CropBox, generated_landmarks: Landmarks | ArrayLike
) -> MouthFidelity:
    """How much of the generated mouth survives in the blend.

    blended: uint8 (H, W, 3). generated: uint8 (K, K, 3), the square after its colour correction. generated_landmarks:
    of the generated mouth in frame px. Lips outside the frame, and lips without any contrast, count as kept: 1 and 0.
    """
    check_frame(blended, "blended")
    check_frame(generated, "generated")
    grid, lips = WorkGrid.around(box), as_landmarks(generated_landmarks).region("outer_lip")
    where = grid.near(lips) & grid.square() & grid.in_frame((blended.shape[0], blended.shape[1]))
    if not where.any():
        return MouthFidelity(1.0, 0.0)
    ours = grid.lab(blended)[where]
    wanted = lab_of(grid.work_paste(blended, generated))[where]
    first, second = (lab[:, 0].astype(np.float64) - lab[:, 0].mean(dtype=np.float64) for lab in (ours, wanted))
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    correlation = float((first * second).sum()) / spread if spread > 1e-6 else 1.0
    return MouthFidelity(correlation, _mean(colour_difference(ours, wanted)))


def nrv(seam: float, tint: float, correlation: float) -> float:
    """No-reference visibility, seamU + .25 tint + 10 max(0, .98 - corrG): compares methods; lower is better.

    It agrees with the error against the truth at Spearman .84; the seam score alone praises a blend without a mouth.
    """
    return seam + 0.25 * tint + 10 * max(0.0, MOUTH_FLOOR - correlation)


def clip_floor(
    plates: Iterable[Frame],
    encoded: Iterable[Frame],
    landmarks: Iterable[Landmarks],
    settings: BlendSettings | None = None,
) -> float:
    """The seam score that the clip's own noise makes: lower cannot be told from none.

    95th percentile over the frames of the score of an identity composite: the square of the plate after another pass
    through the video encoder (`encoded`), blended into the plate by `settings` (the defaults). ValueError for no frame
    and for sequences of differing lengths.
    """
    blender, scores = Blender(settings or BlendSettings()), []
    for plate, again, marks in zip(plates, encoded, landmarks, strict=True):
        box = CropBox.from_landmarks(marks)
        result = blender.blend(plate, np.ascontiguousarray(box.extract(again)), box, marks)
        scores.append(seam_score(plate, result.frame, result.generated_matched, box, marks).score)
    if not scores:
        raise ValueError("plates must hold at least one frame; got none")
    return float(np.percentile(scores, FLOOR_PERCENTILE))


def _blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _mean(values: NDArray) -> float:
    return float(np.mean(values)) if values.size else 0.0
