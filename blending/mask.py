"""Landmarks to matte: how far each pixel of the generator's square is from the face's outline, and what alpha follows.

With S the side of the square, d the signed distance to the outline (negative inside), e = (expansion - 1) S / 2 and
f the feather in px:

    alpha = max(smoothstep((e - d) / f), mouth guard) * rim ramps

The feather runs inward from the expanded outline, so alpha is .5 at the true jaw when f = 2 e. The rim ramps are the
*reach guard*: they start 4/328 S inside the square, because the generator's outermost 4 of 328 px are original pixels,
so alpha is 0 on the square's border whatever the settings. The mouth guard keeps the generated mouth whole under a
wide feather: 1 over the mouth, also when it opens, 0 from the nearest point of the outline on. Every term only grows
with expansion and only falls with the feather.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blending.types import CropBox, Landmarks, Matte, as_landmarks

RIM_SHARE = 4 / 328
"""Part of the square's side, at each edge, that holds original pixels."""

GRID_CELLS = 96
"""Distances are computed on at most this many cells a side and interpolated: 2.6 px apart at S = 250."""

MOUTH_MARGIN_SHARE = 0.02
"""The mouth guard reaches this much of S further."""

MOUTH_FLOOR = 0.97
"""Alpha over the mouth never falls below this, except where the square's own border cuts it."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FaceField:
    """What the matte of one face needs and no setting changes.

    distance, mouth_distance: float32 (side, side), px, signed distance to the face's outline and to `mouth_region`
    (negative inside). mouth_gap_px: shortest way from the mouth to the outline. edge_gaps_px: from the mouth to the
    left, top, right and bottom border pixel of the square, negative where it reaches over it.
    """

    box: CropBox
    distance: NDArray[np.float32]
    mouth_distance: NDArray[np.float32]
    mouth_gap_px: float
    edge_gaps_px: tuple[float, float, float, float]


def smoothstep(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """3 t^2 - 2 t^3 with t held in 0..1; exactly 0 below 0 and 1 above 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def face_outline(landmarks: Landmarks) -> NDArray[np.float32]:
    """Convex hull of jaw, brows and lips, float32 (K, 2), px, in drawing order; ValueError when it has no area."""
    regions = ("jaw", "left_brow", "right_brow", "outer_lip")
    hull = _hull(np.concatenate([landmarks.region(name) for name in regions]))
    area = cv2.contourArea(hull - hull.mean(axis=0))
    if len(hull) < 3 or area < 1:
        raise ValueError(f"landmarks must outline a face; got an outline of {area:.2f} square pixels")
    return hull


def signed_distance(polygon: NDArray[np.float32], xs: NDArray, ys: NDArray) -> NDArray[np.float32]:
    """Exact distance in px from each point (x, y) of a grid to a convex polygon, negative inside, (len(ys), len(xs)).

    polygon: (K, 2) with K >= 1, either winding; with fewer than 3 points or no area nothing is inside.
    """
    centre = polygon.mean(axis=0, dtype=np.float64)
    corners = (polygon - centre).astype(np.float32)
    across, down = ((np.asarray(v, np.float64) - c).astype(np.float32) for v, c in ((xs, centre[0]), (ys, centre[1])))
    nearest2 = np.full((len(down), len(across)), np.inf, np.float32)
    left_of_all, right_of_all = np.ones_like(nearest2, bool), np.ones_like(nearest2, bool)
    for (x0, y0), (dx, dy) in zip(corners, np.roll(corners, -1, axis=0) - corners, strict=True):
        px, py = across - x0, (down - y0)[:, None]
        along = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, np.float32(1e-12)), 0, 1)
        np.minimum(nearest2, (px - along * dx) ** 2 + (py - along * dy) ** 2, out=nearest2)
        turn = py * dx - px * dy
        left_of_all &= turn > 0
        right_of_all &= turn < 0
    distance = np.sqrt(nearest2)
    return np.where(left_of_all | right_of_all, -distance, distance)


def mouth_region(landmarks: Landmarks) -> NDArray[np.float32]:
    """Hull of the lips and of where an opening mouth takes them, float32 (K, 2), px: halfway to the chin. On pairs of
    closed and wide open mouths the lower lip falls by .11 S at most, of .22 S to the chin."""
    lips, chin = landmarks.region("outer_lip"), landmarks.anchor("chin")
    centre = lips.mean(axis=0)
    bottom = lips[np.argmin(((lips - chin) ** 2).sum(axis=1))]
    opened = centre + 0.6 * (lips - centre) + 0.4 * (bottom - centre) + 0.5 * (chin - bottom)
    return _hull(np.concatenate([lips, opened.astype(np.float32)]))


def face_field(landmarks: Landmarks | ArrayLike, box: CropBox) -> FaceField:
    """Distances of every pixel of the square to outline and mouth; ValueError for landmarks without an outline."""
    marks = as_landmarks(landmarks)
    outline, mouth = face_outline(marks), mouth_region(marks)
    cells = min(box.side, GRID_CELLS)
    centres = (np.arange(cells) + 0.5) * (box.side / cells) - 0.5
    xs, ys = box.x0 + centres, box.y0 + centres
    gap_px = min(cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in mouth)
    (left, top), (right, bottom) = mouth.min(axis=0).tolist(), mouth.max(axis=0).tolist()
    return FaceField(
        box,
        _to_side(signed_distance(outline, xs, ys), box.side),
        _to_side(signed_distance(mouth, xs, ys), box.side),
        max(0.0, float(gap_px)),
        (left - box.x0, top - box.y0, box.x0 + box.side - 1 - right, box.y0 + box.side - 1 - bottom),
    )


def field_matte(field: FaceField, expansion_ratio: float, feather_px: float) -> Matte:
    """Matte of the square, float32 (side, side), by the closed form above; 0 on its outermost pixels."""
    side, ramp_px = field.box.side, _ramp_px(feather_px)
    reach = np.float32((expansion_ratio - 1) * side / 2)
    alpha = smoothstep((reach - field.distance) / np.float32(ramp_px))
    np.maximum(alpha, _mouth_guard(field), out=alpha)
    left, top, right, bottom = _edge_ramps(field, ramp_px)
    alpha *= (left * right[::-1])[None, :]
    alpha *= (top * bottom[::-1])[:, None]
    return alpha


def face_matte(landmarks: Landmarks | ArrayLike, box: CropBox, expansion_ratio: float, feather_px: float) -> Matte:
    """Matte of the generator's square, float32 (side, side).

    expansion_ratio >= 1: outline pushed out by (expansion_ratio - 1) S / 2. feather_px >= 0: width of the ramp; 0 gives
    an antialiased step of one pixel. Numbers out of range raise ValueError.
    """
    check_shape_numbers(expansion_ratio, feather_px)
    return field_matte(face_field(landmarks, box), expansion_ratio, feather_px)


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
    check_shape_numbers(expansion_ratio, feather_px)
    marks = as_landmarks(landmarks)
    return field_limits(marks, face_field(marks, box), expansion_ratio, feather_px)


def field_limits(landmarks: Landmarks, field: FaceField, expansion_ratio: float, feather_px: float) -> tuple[str, ...]:
    """`matte_limits` for a field that is already there."""
    box, outline = field.box, face_outline(landmarks)
    reach, rim = (expansion_ratio - 1) * box.side / 2, RIM_SHARE * box.side
    first, last = (box.x0 + rim, box.y0 + rim), (box.x0 + box.side - 1 - rim, box.y0 + box.side - 1 - rim)
    (low_x, low_y), (high_x, high_y) = (outline.min(axis=0) - reach).tolist(), (outline.max(axis=0) + reach).tolist()
    if low_x > last[0] or low_y > last[1] or high_x < first[0] or high_y < first[1]:
        return ("the face lies outside the generated picture: the plate is left as it is",)
    said = []
    below_chin = last[1] - float(landmarks.anchor("chin")[1])
    if reach > below_chin:
        where = f"{below_chin:.0f} px below" if below_chin >= 0 else f"{-below_chin:.0f} px above"
        said.append(f"feather ends {where} the chin: the generated picture stops there")
    mouth_y = float(landmarks.region("outer_lip")[:, 1].mean())
    crossings = _crossings(outline, mouth_y)
    if crossings is not None:
        for name, over in (("left", first[0] - crossings[0]), ("right", crossings[1] - last[0])):
            if over > 0:
                said.append(f"matte ends {over:.0f} px inside the {name} cheek: the generated picture stops there")
    ramp_px, mouth_px = _ramp_px(feather_px), max(field.mouth_gap_px, 1.0)
    if smoothstep(np.array((reach + field.mouth_gap_px) / ramp_px, np.float32)) < MOUTH_FLOOR:
        said.append(f"feather of {feather_px:.0f} px is narrowed to {mouth_px:.0f} px at the mouth, which stays whole")
    for name, gap in zip(("left", "top", "right", "bottom"), field.edge_gaps_px, strict=True):
        room = gap - rim
        if room <= 1:
            said.append(f"the mouth is cut at the {name}: the generated picture stops there")
        elif room < ramp_px:
            said.append(f"feather at the {name} is narrowed to {room:.0f} px: the mouth is that close to the edge")
    return tuple(said)


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
    if not (isinstance(expansion_ratio, Real) and 1 <= expansion_ratio < np.inf):
        raise ValueError(f"expansion_ratio must be a finite number of at least 1; got {expansion_ratio!r}")
    if not (isinstance(feather_px, Real) and 0 <= feather_px < np.inf):
        raise ValueError(f"feather_amount must be a finite number of at least 0 px; got {feather_px!r}")


def _hull(points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.convexHull(np.ascontiguousarray(points, np.float32)), np.float32).reshape(-1, 2)


def _to_side(grid: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Bilinear, which keeps straight edges exact; OpenCV's cubic does not reproduce a linear function."""
    return np.asarray(cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _ramp_px(feather_px: float) -> float:
    """Width of a ramp: the feather, but one pixel at feather 0; hypot, so that no step of the slider is dead."""
    return float(np.hypot(feather_px, 1.0))


def _mouth_guard(field: FaceField) -> NDArray[np.float32]:
    margin = MOUTH_MARGIN_SHARE * field.box.side
    fall_px = max(field.mouth_gap_px - margin, 1.0)
    return smoothstep((np.float32(fall_px + margin) - field.mouth_distance) / np.float32(fall_px))


def _edge_ramps(field: FaceField, ramp_px: float) -> list[NDArray[np.float32]]:
    """Left, top, right and bottom ramp, (side,), counted from their own edge; each has risen to 1 before the mouth."""
    inward = np.arange(field.box.side, dtype=np.float32) - np.float32(RIM_SHARE * field.box.side)
    rooms = [max(gap - RIM_SHARE * field.box.side, 1.0) for gap in field.edge_gaps_px]
    return [smoothstep(inward / np.float32(min(ramp_px, room))) for room in rooms]


def _crossings(outline: NDArray[np.float32], y: float) -> tuple[float, float] | None:
    """Leftmost and rightmost x at which the outline crosses the row y."""
    after = np.roll(outline, -1, axis=0)
    crossing = (outline[:, 1] - y) * (after[:, 1] - y) < 0
    if not crossing.any():
        return None
    a, b = outline[crossing].astype(float), after[crossing].astype(float)
    xs = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return float(xs.min()), float(xs.max())
