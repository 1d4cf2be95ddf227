"""Landmarks to matte: how far each pixel of the generator's square is from the face's outline, and what alpha follows.

With S the side of the square, d the signed distance to the outline (negative inside), e = (expansion - 1) S / 2 and
f the feather in px:

    alpha = max(smoothstep((e - d) / f), mouth guard) * rim ramps

The feather runs inward from the expanded outline, so alpha is .5 at the true jaw when f = 2 e; a share of it may run
outward instead, and e may be weighted by direction (down to the neck, sideways to the cheeks). The rim ramps are the
*reach guard*: they start 4/328 S inside the square, because the generator's outermost 4 of 328 px are original pixels,
so alpha is 0 on the square's border whatever the settings. The mouth guard keeps the generated mouth whole under a
wide feather: 1 over the mouth, also when it opens, 0 from the nearest point of the outline on. Every term only grows
with expansion and only falls with the feather.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import cv2
import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from blending.types import CropBox, Landmarks, Matte, as_landmarks

RIM_SHARE = 4 / 328
"""Part of the square's side, at each edge, that holds original pixels."""

GRID_CELLS = 80
"""Distances are computed on at most this many cells a side and interpolated: 3.1 px apart at S = 250."""

MOUTH_CELLS = 48
"""The mouth guard is soft: half as fine a grid moves no alpha by more than .004."""

MOUTH_MARGIN_SHARE = 0.02
"""The mouth guard reaches this much of S further."""

TRUST_CELLS = 41
"""Cells a side of the grid on which the colour error is measured: 8 px each at the generator's 328."""

STILL_TRUST = 0.5

MOVING_SHARE = 0.15
"""Skin moves with the mouth over this part of S around it."""

LOWER_FACE_TRUST = 0.3
"""Cheeks and chin count this much: a smile changes what they show, and neck, hair and the face above the nose do not
follow it. On real footage with a smiling plate this takes the visible error from .92 to .87."""

BLACK_SHARE = 0.4
"""What is darker than this part of the skin is mouth cavity or nostril; a shift measured on skin would tint it."""

MOUTH_FLOOR = 0.97
"""Alpha over the mouth never falls below this, except where the square's own border cuts it."""

MOUTH_FLOOR_AT = 0.8956
"""Where on its way from 0 to 1 smoothstep reaches the floor."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MatteShape:
    """The numbers a matte follows. expansion_ratio >= 1 and feather_px >= 0, finite. outward_share, 0..1: part of the
    feather that runs outward from the expanded outline. down_share, side_share >= 0: the expansion below and beside the
    face as a multiple of the plain one. ValueError for anything else."""

    expansion_ratio: float = 1.15
    feather_px: float = 30.0
    outward_share: float = 0.0
    down_share: float = 1.0
    side_share: float = 1.0

    def __post_init__(self) -> None:
        check_shape_numbers(self.expansion_ratio, self.feather_px)
        for name, highest in (("outward_share", 1.0), ("down_share", math.inf), ("side_share", math.inf)):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) <= highest and math.isfinite(value)):
                raise ValueError(f"{name} must be a finite number of 0 to {highest}; got {value!r}")

    def reach_px(self, side: int, share: float = 1.0) -> float:
        """How far the matte goes beyond the outline in a direction of that share, px."""
        return share * (self.expansion_ratio - 1) * side / 2 + self.outward_share * self.feather_px


@dataclass(frozen=True, eq=False)
class FaceField:
    """What the matte of one face needs and no setting changes.

    distance_grid, mouth_grid: float32 (cells, cells), each of its own, px, signed distance to the face's outline and to
    `mouth_region` (negative inside) at the centres of equal cells. mouth_gap_px: shortest way from the mouth to the
    outline. edge_gaps_px: from the mouth to the left, top, right and bottom border pixel of the square, negative where
    it reaches over it.
    """

    box: CropBox
    outline: NDArray[np.float32]
    distance_grid: NDArray[np.float32]
    mouth_grid: NDArray[np.float32]
    mouth_gap_px: float
    edge_gaps_px: tuple[float, float, float, float]

    @cached_property
    def distance(self) -> NDArray[np.float32]:
        """Signed distance to the outline at every pixel, float32 (side, side), px."""
        return _to_side(self.distance_grid, self.box.side)

    @cached_property
    def mouth_distance(self) -> NDArray[np.float32]:
        """Signed distance to the mouth at every pixel, float32 (side, side), px."""
        return _to_side(self.mouth_grid, self.box.side)


def smoothstep(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """3 t^2 - 2 t^3 with t held in 0..1; exactly 0 below 0 and 1 above 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def face_outline(landmarks: Landmarks, generated: Landmarks | None = None) -> NDArray[np.float32]:
    """Convex hull of jaw, brows and lips, float32 (K, 2), px, in drawing order; ValueError when it has no area.

    generated: landmarks of the generated face, where they are known; then the hull holds both jaws and both mouths, so
    that an opening jaw does not show the closed one beneath it."""
    regions = ("jaw", "left_brow", "right_brow", "outer_lip")
    faces = (landmarks,) if generated is None else (landmarks, generated)
    hull = _hull(np.concatenate([face.region(name) for face in faces for name in regions]))
    area = cv2.contourArea(hull - hull.mean(axis=0))
    if len(hull) < 3 or area < 1:
        raise ValueError(f"landmarks must outline a face; got an outline of {area:.2f} square pixels")
    return hull


def signed_distance(polygon: NDArray[np.float32], xs: NDArray, ys: NDArray) -> NDArray[np.float32]:
    """Exact distance in px from each point (x, y) of a grid to a convex polygon, negative inside, (len(ys), len(xs)).

    polygon: (K, 2) with K >= 1, either winding; with fewer than 3 points or no area nothing is inside.
    """
    centre = polygon.mean(axis=0, dtype=np.float64)
    corners = np.ascontiguousarray(polygon - centre, np.float32)
    across, down = ((np.asarray(v, np.float64) - c).astype(np.float32) for v, c in ((xs, centre[0]), (ys, centre[1])))
    distance = np.empty((len(down), len(across)), np.float32)
    _fill_distance(corners, across, down, distance)
    return distance


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_distance(corners, across, down, distance):  # type: ignore[no-untyped-def]
    """Row by row and edge by edge, so that the innermost loop runs over contiguous columns."""
    count = len(across)
    lowest, highest = np.empty(count, np.float32), np.empty(count, np.float32)
    one, zero = np.float32(1), np.float32(0)
    for row in range(len(down)):
        nearest = distance[row]
        nearest[:] = np.inf
        lowest[:] = np.inf
        highest[:] = -np.inf
        for corner in range(len(corners)):
            x0, y0 = corners[corner, 0], corners[corner, 1]
            after = corner + 1 if corner + 1 < len(corners) else 0
            dx, dy = corners[after, 0] - x0, corners[after, 1] - y0
            per_length2 = one / max(dx * dx + dy * dy, np.float32(1e-12))
            py = down[row] - y0
            for column in range(count):
                px = across[column] - x0
                along = min(max((px * dx + py * dy) * per_length2, zero), one)
                away_x, away_y = px - along * dx, py - along * dy
                nearest[column] = min(nearest[column], away_x * away_x + away_y * away_y)
                turn = py * dx - px * dy
                lowest[column] = min(lowest[column], turn)
                highest[column] = max(highest[column], turn)
        for column in range(count):
            length = np.sqrt(nearest[column])
            nearest[column] = -length if lowest[column] > zero or highest[column] < zero else length


@njit(cache=True, nogil=True, error_model="numpy")
def _gap_px(outline, points):  # type: ignore[no-untyped-def]
    """Shortest way in px from points inside a convex outline to its lines; 0 when one of them lies outside."""
    middle_x, middle_y, gap = outline[:, 0].mean(), outline[:, 1].mean(), np.inf
    for corner in range(len(outline)):
        x, y = outline[corner, 0], outline[corner, 1]
        after = corner + 1 if corner + 1 < len(outline) else 0
        dx, dy = outline[after, 0] - x, outline[after, 1] - y
        length = max(np.hypot(dx, dy), np.float32(1e-6))
        inside = 1.0 if (middle_x - x) * dy - (middle_y - y) * dx > 0 else -1.0
        for k in range(len(points)):
            gap = min(gap, inside * ((points[k, 0] - x) * dy - (points[k, 1] - y) * dx) / length)
    return max(gap, 0.0)


def mouth_region(landmarks: Landmarks, generated: Landmarks | None = None) -> NDArray[np.float32]:
    """Hull of the lips and of where an opening mouth takes them, float32 (K, 2), px: halfway to the chin. On pairs of
    closed and wide open mouths the lower lip falls by .11 S at most, of .22 S to the chin. Known lips of the generated
    face are held too."""
    lips, chin = landmarks.region("outer_lip"), landmarks.anchor("chin")
    centre = lips.mean(axis=0)
    bottom = lips[np.argmin(((lips - chin) ** 2).sum(axis=1))]
    opened = centre + 0.6 * (lips - centre) + 0.4 * (bottom - centre) + 0.5 * (chin - bottom)
    known = [] if generated is None else [generated.region("outer_lip")]
    return _hull(np.concatenate([lips, opened.astype(np.float32), *known]))


def face_field(
    landmarks: Landmarks | ArrayLike, box: CropBox, generated: Landmarks | ArrayLike | None = None
) -> FaceField:
    """Distances in the square to outline and mouth; ValueError for landmarks without an outline.

    generated: landmarks of the generated face in frame px, where they are known."""
    marks = as_landmarks(landmarks)
    drawn = None if generated is None else as_landmarks(generated)
    outline, mouth = face_outline(marks, drawn), mouth_region(marks, drawn)
    (left, top), (right, bottom) = mouth.min(axis=0).tolist(), mouth.max(axis=0).tolist()
    return FaceField(
        box,
        outline,
        signed_distance(outline, *_centres(box, min(box.side, GRID_CELLS))),
        signed_distance(mouth, *_centres(box, min(box.side, MOUTH_CELLS))),
        _gap_px(outline, mouth),
        (left - box.x0, top - box.y0, box.x0 + box.side - 1 - right, box.y0 + box.side - 1 - bottom),
    )


def _centres(box: CropBox, cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns' x and rows' y, frame px, of the centres of equal cells of the square."""
    steps = (np.arange(cells) + 0.5) * (box.side / cells) - 0.5
    return box.x0 + steps, box.y0 + steps


def field_matte(field: FaceField, shape: MatteShape) -> Matte:
    """Matte of the square, float32 (side, side), by the closed form above; 0 on its outermost pixels."""
    side, ramp_px = field.box.side, _ramp_px(shape.feather_px)
    plain = (shape.expansion_ratio - 1) * side / 2
    outward = shape.outward_share * shape.feather_px
    rise = np.empty_like(field.distance_grid)
    more_down, more_aside = plain * (shape.down_share - 1), plain * (shape.side_share - 1)
    middle = (field.outline.mean(axis=0, dtype=np.float64) - (field.box.x0, field.box.y0) + 0.5) * (len(rise) / side)
    _fill_rise(field.distance_grid, middle - 0.5, plain + outward, more_down, more_aside, ramp_px, rise)
    margin = MOUTH_MARGIN_SHARE * side
    fall_px = max(field.mouth_gap_px - margin, 1.0)
    rim = RIM_SHARE * side
    rooms = np.array([min(ramp_px, max(gap - rim, 1.0)) for gap in field.edge_gaps_px])
    alpha = _to_side(rise, side)
    _finish_matte(alpha, field.mouth_distance, np.float32(fall_px), np.float32(margin), rim, rooms)
    return alpha


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_rise(distance, middle, reach, more_down, more_aside, ramp, rise):  # type: ignore[no-untyped-def]
    """(reach - distance) / ramp on the grid; the reach grows by more_down and more_aside times the squared cosine of
    the angle, seen from the outline's middle, to straight down and to either side."""
    per_ramp, plain = np.float32(1 / ramp), np.float32(reach)
    for row in range(len(rise)):
        y = np.float32(row - middle[1])
        below = np.float32(more_down) * y * y if y > 0 else np.float32(0)
        for column in range(len(rise)):
            x = np.float32(column - middle[0])
            more = (below + np.float32(more_aside) * x * x) / max(x * x + y * y, np.float32(1e-6))
            rise[row, column] = (plain + more - distance[row, column]) * per_ramp


@njit(cache=True, nogil=True)
def _finish_matte(alpha, mouth_px, fall_px, margin_px, rim_px, rooms_px):  # type: ignore[no-untyped-def]
    """max(smoothstep(alpha), mouth guard) * rim ramps, in place; smoothstep is monotonic, so the larger is stepped. The
    ramps of left, top, right and bottom begin at the rim and have risen to 1 before the mouth, within rooms_px."""
    side, zero, one, two, three = len(alpha), np.float32(0), np.float32(1), np.float32(2), np.float32(3)
    ramps, per_fall = np.ones((2, side), np.float32), one / fall_px
    for edge in range(4):
        for i in range(side):
            t = np.float32(min(max((i - rim_px) / rooms_px[edge], 0.0), 1.0))
            ramps[edge % 2, i if edge < 2 else side - 1 - i] *= t * t * (three - two * t)
    for row in range(side):
        line, mouth, ramp = alpha[row], mouth_px[row], ramps[1, row]
        for column in range(side):
            guard = one + (margin_px - mouth[column]) * per_fall
            t = min(max(max(line[column], guard), zero), one)
            line[column] = t * t * (three - two * t) * (ramp * ramps[0, column])


def face_matte(landmarks: Landmarks | ArrayLike, box: CropBox, expansion_ratio: float, feather_px: float) -> Matte:
    """Matte of the generator's square, float32 (side, side).

    expansion_ratio >= 1: outline pushed out by (expansion_ratio - 1) S / 2. feather_px >= 0: width of the ramp; 0 gives
    an antialiased step of one pixel. Numbers out of range raise ValueError.
    """
    shape = MatteShape(expansion_ratio, feather_px)
    return field_matte(face_field(landmarks, box), shape)


def place(matte: Matte, box: CropBox, frame_hw: tuple[int, int]) -> Matte:
    """The square's matte in a frame of zeros, float32 (H, W); what lies outside the frame is dropped."""
    full = np.zeros(frame_hw, np.float32)
    rows, columns = box.inside(frame_hw)
    full[rows, columns] = matte[box_part(box, rows, columns)]
    return full


def box_part(box: CropBox, rows: slice, columns: slice) -> tuple[slice, slice]:
    """The frame's rows and columns `box.inside` returned, counted within the square."""
    return slice(rows.start - box.y0, rows.stop - box.y0), slice(columns.start - box.x0, columns.stop - box.x0)


def matte_limits(
    landmarks: Landmarks | ArrayLike, box: CropBox, expansion_ratio: float, feather_px: float
) -> tuple[str, ...]:
    """In words, what kept the matte from being what the settings ask for; empty when nothing did."""
    shape, marks = MatteShape(expansion_ratio, feather_px), as_landmarks(landmarks)
    return field_limits(marks, face_field(marks, box), shape)


def field_limits(landmarks: Landmarks, field: FaceField, shape: MatteShape) -> tuple[str, ...]:
    """`matte_limits` for a field that is already there."""
    box, outline, feather_px = field.box, field.outline, shape.feather_px
    reach, rim = shape.reach_px(box.side, max(1.0, shape.down_share, shape.side_share)), RIM_SHARE * box.side
    first, last = (box.x0 + rim, box.y0 + rim), (box.x0 + box.side - 1 - rim, box.y0 + box.side - 1 - rim)
    (low_x, low_y), (high_x, high_y) = (outline.min(axis=0) - reach).tolist(), (outline.max(axis=0) + reach).tolist()
    if low_x > last[0] or low_y > last[1] or high_x < first[0] or high_y < first[1]:
        return ("the face lies outside the generated picture: the plate is left as it is",)
    said = []
    below_chin = last[1] - float(landmarks.anchor("chin")[1])
    if shape.reach_px(box.side, shape.down_share) > below_chin:
        where = f"{below_chin:.0f} px below" if below_chin >= 0 else f"{-below_chin:.0f} px above"
        said.append(f"feather ends {where} the chin: the generated picture stops there")
    mouth_y = float(landmarks.region("outer_lip")[:, 1].mean())
    crossings = _crossings(outline, mouth_y)
    if crossings is not None:
        for name, over in (("left", first[0] - crossings[0]), ("right", crossings[1] - last[0])):
            if over > 0:
                said.append(f"matte ends {over:.0f} px inside the {name} cheek: the generated picture stops there")
    ramp_px, mouth_px = _ramp_px(feather_px), max(field.mouth_gap_px, 1.0)
    if shape.reach_px(box.side) + field.mouth_gap_px < MOUTH_FLOOR_AT * ramp_px:
        said.append(f"feather of {feather_px:.0f} px is narrowed to {mouth_px:.0f} px at the mouth, which stays whole")
    for name, gap in zip(("left", "top", "right", "bottom"), field.edge_gaps_px, strict=True):
        room = gap - rim
        if room <= 1:
            said.append(f"the mouth is cut at the {name}: the generated picture stops there")
        elif room < ramp_px:
            said.append(f"feather at the {name} is narrowed to {room:.0f} px: the mouth is that close to the edge")
    return tuple(said)


@dataclass(frozen=True, eq=False)
class ColourRegions:
    """Where colour may be measured in a square, and how far it is to be believed.

    visible: bool (side, side), what lies inside the frame.
    """

    landmarks: Landmarks
    field: FaceField
    visible: Mask

    @classmethod
    def of(cls, landmarks: Landmarks | ArrayLike, box: CropBox, frame_hw: tuple[int, int]) -> ColourRegions:
        marks = as_landmarks(landmarks)
        return cls(marks, face_field(marks, box), visible_part(box, frame_hw))

    @cached_property
    def skin(self) -> Mask:
        """Skin in view, bool (side, side): statistics are taken here and nowhere else."""
        return skin_mask(self.landmarks, self.field.box, self.field) & self.visible

    @cached_property
    def trust(self) -> NDArray[np.float32]:
        """How far each of 41 x 41 cells (fewer in squares under 164 px) is to be believed, float32 0..1: 0 in the
        mouth, open or closed, rising to 1 at .17 S from it, since the skin around it folds; 0 out of view and in the
        outermost cells, which hold original pixels."""
        side, cells = self.field.box.side, self._cells
        small = (cells, cells)
        mouth = cv2.resize(self.field.mouth_grid, small, interpolation=cv2.INTER_LINEAR)
        trust = np.clip((mouth / np.float32(side) - MOUTH_MARGIN_SHARE) / MOVING_SHARE, 0, 1).astype(np.float32)
        trust *= LOWER_FACE_TRUST + (1 - LOWER_FACE_TRUST) * self.still
        trust[0] = trust[-1] = trust[:, 0] = trust[:, -1] = 0
        trust *= self.in_view
        return trust

    @cached_property
    def in_view(self) -> NDArray[np.uint8]:
        """1 in cells of `trust` that lie in the frame, and beside none that does not: one that does has a gradient made
        up of padding."""
        side, cells = self.field.box.side, self._cells
        if self.visible.all():
            return np.ones((cells, cells), np.uint8)
        edges = np.arange(cells) * side // cells
        whole = np.minimum.reduceat(np.minimum.reduceat(self.visible, edges, axis=0), edges, axis=1)
        return np.asarray(cv2.erode(whole.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)

    @cached_property
    def still(self) -> NDArray[np.float32]:
        """1 in cells of `trust` that speech does not move: around the face and above the nose; 0 in cheeks and chin.
        It rises over .08 S across the outline and .05 S below the nose."""
        side, cells = self.field.box.side, self._cells
        outside = cv2.resize(self.field.distance_grid, (cells, cells), interpolation=cv2.INTER_LINEAR) / side
        nose = (float(self.landmarks.region("nose_base")[:, 1].max()) - self.field.box.y0) / side
        above = (nose - (np.arange(cells)[:, None] + 0.5) / cells) / 0.05
        return np.clip(np.maximum((outside + 0.06) / 0.08, above), 0, 1).astype(np.float32)

    @cached_property
    def still_cells(self) -> NDArray[np.uint8]:
        """1 in the cells of `trust` that are to be believed and that speech does not move."""
        return (self.trust * (self.still >= 1) > STILL_TRUST).astype(np.uint8)

    @cached_property
    def chin_cells(self) -> NDArray[np.uint8]:
        """1 in cells of `trust` along the chin's outline: from .08 S inside to .12 S below it, .2 S to either side."""
        box, cells = self.field.box, self._cells
        xs, ys = _centres(box, cells)
        x, y = (self.landmarks.anchor("chin")).tolist()
        outside = cv2.resize(self.field.distance_grid, (cells, cells), interpolation=cv2.INTER_LINEAR) / box.side
        below = (ys > y - 0.12 * box.side)[:, None] & (np.abs(xs - x) < 0.2 * box.side)[None, :]
        return (below & (outside > -0.08) & (outside < 0.12) & (self.in_view > 0)).astype(np.uint8)

    @cached_property
    def off_lips(self) -> NDArray[np.float32]:
        """0 in cells of `trust` on the plate's lips, 1 from .07 S around them on; rises from .02 S."""
        box = self.field.box
        lips = signed_distance(_hull(self.landmarks.region("outer_lip")), *_centres(box, self._cells))
        return smoothstep((lips * np.float32(1 / box.side) - np.float32(0.02)) * np.float32(1 / 0.05))

    @property
    def _cells(self) -> int:
        return min(TRUST_CELLS, max(4, self.field.box.side // 4))

    @property
    def mouth_rise(self) -> tuple[NDArray[np.float32], np.float32]:
        """Signed distance to the mouth, float32 (side, side), px, and 1 over the margin of .02 S around it in which it
        still counts as mouth."""
        return self.field.mouth_distance, np.float32(1 / (MOUTH_MARGIN_SHARE * self.field.box.side))

    @property
    def mouth_columns(self) -> tuple[int, int]:
        """First column of the square in which the mouth counts, and the one after the last."""
        side = self.field.box.side
        left, _, right, _ = self.field.edge_gaps_px
        margin = MOUTH_MARGIN_SHARE * side + 0.5 * side / min(side, MOUTH_CELLS) + 1
        return min(max(int(left - margin), 0), side), min(max(int(side - right + margin), 0), side)

    def black_below(self, cells: NDArray[np.float32]) -> float:
        """Brightness, in levels, below which a mouth's pixel is no skin: .4 of the mean over trusted cells of the face.

        cells: float32 (n, n, 3), means of a picture over the cells of `trust`."""
        size = (len(cells), len(cells))
        distance = cv2.resize(self.field.distance_grid, size, interpolation=cv2.INTER_LINEAR)
        weight = self.trust * (distance < 0)
        grey = cv2.transform(cells, np.array([[0.114, 0.587, 0.299]], np.float32))
        return max(1.0, BLACK_SHARE * float((weight * grey).sum()) / max(float(weight.sum()), 1.0))


def visible_part(box: CropBox, frame_hw: tuple[int, int]) -> Mask:
    """What of the square lies inside the frame, bool (side, side)."""
    visible = np.zeros((box.side, box.side), bool)
    visible[box_part(box, *box.inside(frame_hw))] = True
    return visible


def skin_mask(landmarks: Landmarks | ArrayLike, box: CropBox, field: FaceField | None = None) -> Mask:
    """Skin of the square, bool (side, side): colour statistics are taken here and nowhere else.

    Inside the face's outline by .03 S, more than .04 S off the mouth, open or closed, off eyes, brows and nostrils,
    and 5.8/192 S off the square's border, where the generator shows original pixels.
    """
    marks = as_landmarks(landmarks)
    field = field or face_field(marks, box)
    side = box.side
    skin = ((field.distance < -0.03 * side) & (field.mouth_distance > 0.04 * side)).astype(np.uint8)
    for name, margin, closed in (
        ("left_eye", 0.04, True),
        ("right_eye", 0.04, True),
        ("left_brow", 0.03, False),
        ("right_brow", 0.03, False),
        ("nose_base", 0.035, False),
    ):
        # 1/16 px units; what lies far outside is held near the square, OpenCV draws in 32 bits.
        points = np.clip(marks.region(name) - (box.x0, box.y0), -4 * side, 5 * side)
        corners = np.rint(points * 16).astype(np.int32)[:, None]
        if closed:
            cv2.fillPoly(skin, [corners], (0,), shift=4)
        cv2.polylines(skin, [corners], closed, (0,), max(1, round(2 * margin * side)), shift=4)
    border = min(side // 2, int(np.ceil(side * 5.8 / 192)))
    skin[:border] = skin[-border:] = 0
    skin[:, :border] = skin[:, -border:] = 0
    return skin.astype(bool)


def check_shape_numbers(expansion_ratio: float, feather_px: float) -> None:
    """ValueError unless expansion_ratio is finite and >= 1 and feather_px finite and >= 0."""
    if isinstance(expansion_ratio, bool) or not (isinstance(expansion_ratio, Real) and 1 <= expansion_ratio < np.inf):
        raise ValueError(f"expansion_ratio must be a finite number of at least 1; got {expansion_ratio!r}")
    if isinstance(feather_px, bool) or not (isinstance(feather_px, Real) and 0 <= feather_px < np.inf):
        raise ValueError(f"feather_amount must be a finite number of at least 0 px; got {feather_px!r}")


def _hull(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.convexHull(np.ascontiguousarray(points, np.float32)), np.float32).reshape(-1, 2)


def _to_side(grid: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Bilinear, which keeps straight edges exact; OpenCV's cubic does not reproduce a linear function."""
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _ramp_px(feather_px: float) -> float:
    """Width of a ramp: the feather, but one pixel at feather 0; hypot, so that no step of the slider is dead."""
    return float(np.hypot(feather_px, 1.0))


def _crossings(outline: NDArray[np.float32], y: float) -> tuple[float, float] | None:
    """Leftmost and rightmost x at which the outline crosses the row y."""
    corners = outline.tolist()
    crossed = [
        x0 + (y - y0) / (y1 - y0) * (x1 - x0)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True)
        if (y0 - y) * (y1 - y) < 0
    ]
    return (min(crossed), max(crossed)) if crossed else None
