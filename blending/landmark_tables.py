"""Which point is where, in each landmark scheme. Only `blending.types` reads these tables.

68 is iBUG 300-W, 110 the SyncTalk_2D contour model, 478 mediapipe FaceMesh with iris. Left and
right are as seen in the picture.

How 68 is derived from 478 was chosen by measuring: for every iBUG point the vertex, or the point
on a mesh edge, with the smallest mean distance to the exact points of a rendered actor over nine
clips and four light and pose conditions, then made symmetric. 110 shares those points wherever
both schemes mark the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

Terms = tuple[tuple[int, float], ...]


def _line(*indices: int) -> tuple[int, ...]:
    return indices


def _run(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _one(index: int) -> Terms:
    return ((index, 1.0),)


def _mix(a: int, weight_a: float, b: int) -> Terms:
    return ((a, weight_a), (b, 1.0 - weight_a))


# iBUG 68 from FaceMesh, in iBUG order.
_JAW_17 = (162, 227, 137, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 366, 447, 389)
_UPPER_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_NOSE_68: tuple[Terms, ...] = (
    _mix(168, 0.75, 6),
    _one(197),
    _one(5),
    _one(4),
    _mix(60, 0.5, 166),
    _one(97),
    _one(2),
    _one(326),
    _mix(290, 0.5, 392),
)
_EYES_68: tuple[Terms, ...] = (
    _one(33),
    _one(160),
    _one(158),
    _mix(133, 0.5, 112),
    _mix(153, 0.75, 22),
    _mix(144, 0.75, 23),
    _mix(362, 0.5, 341),
    _one(385),
    _one(387),
    _one(263),
    _mix(373, 0.75, 253),
    _mix(380, 0.75, 252),
)
_LIPS: tuple[Terms, ...] = (
    _one(61),
    _mix(39, 0.75, 73),
    _mix(37, 0.75, 72),
    _mix(0, 0.75, 11),
    _mix(267, 0.75, 302),
    _mix(269, 0.75, 303),
    _one(291),
    _mix(405, 0.75, 314),
    _one(314),
    _one(17),
    _one(84),
    _mix(181, 0.75, 84),
    _mix(62, 0.5, 76),
    _one(82),
    _one(13),
    _one(312),
    _mix(292, 0.5, 306),
    _one(317),
    _one(14),
    _one(87),
)


def _contour_33() -> tuple[Terms, ...]:
    """The 33-point contour: jaw points at even places, cubic midpoints (-1, 9, 9, -1)/16 between."""
    contour: list[Terms] = []
    for k, vertex in enumerate(_JAW_17):
        contour.append(_one(vertex))
        if k == len(_JAW_17) - 1:
            break
        before, after = max(k - 1, 0), min(k + 2, len(_JAW_17) - 1)
        contour.append(
            ((_JAW_17[before], -1 / 16), (vertex, 9 / 16), (_JAW_17[k + 1], 9 / 16), (_JAW_17[after], -1 / 16))
        )
    return tuple(contour)


def _ones(indices: Sequence[int]) -> tuple[Terms, ...]:
    return tuple(_one(index) for index in indices)


_LEFT_BROW_TIP: tuple[Terms, ...] = (_mix(70, 0.5, 46),)
_RIGHT_BROW_TIP: tuple[Terms, ...] = (_mix(300, 0.5, 276),)

DERIVED_FROM_478: dict[int, tuple[Terms, ...]] = {
    68: _ones(_JAW_17) + _ones(_UPPER_BROWS) + _NOSE_68 + _EYES_68 + _LIPS,
    110: (
        _contour_33()
        + _LEFT_BROW_TIP
        + _ones((63, 105, 66, 107, 55, 65, 52, 53))
        + _RIGHT_BROW_TIP
        + _ones((293, 334, 296, 336, 285, 295, 282, 283))
        + _ones((195, 197, 6, 168))
        + _ones((193, 198, 129, 98, 99, 2, 328, 327, 358, 420, 417))
        + _ones((33, 160, 159, 158, 133, 153, 145, 144, 468, 468, 471, 469))
        + _ones((263, 387, 386, 385, 362, 380, 374, 373, 473, 473, 476, 474))
        + _LIPS
    ),
}

_NOSE_FROM_110: tuple[Terms, ...] = (
    _one(54), _one(52), ((54, 0.03), (52, -1.13), (51, 2.09), (60, 0.01)),
    ((54, 0.03), (52, -1.99), (51, 2.85), (60, 0.11)),
)  # fmt: skip
"""The 110 end where the bridge does: the tip is continued from there, as fitted on every fifth frame of the bundled
clips, where it is .1 % of the outer-eye distance off."""

DERIVED_FROM_110: tuple[Terms, ...] = (
    *map(_one, range(0, 33, 2)), *map(_one, range(33, 38)), *map(_one, range(46, 41, -1)), *_NOSE_FROM_110,
    *map(_one, (*range(58, 63), 66, 67, 69, 70, 71, 73, 82, 81, 79, 78, 85, 83, *range(90, 110))),
)  # fmt: skip
"""The 68 out of the 110, each point a weighted sum."""

REGIONS: dict[int, dict[str, tuple[int, ...]]] = {
    68: {
        "jaw": _run(0, 16),
        "left_brow": _run(17, 21),
        "right_brow": _run(22, 26),
        "nose_bridge": _run(27, 30),
        "nose_base": _run(31, 35),
        "left_eye": _run(36, 41),
        "right_eye": _run(42, 47),
        "outer_lip": _run(48, 59),
        "inner_lip": _run(60, 67),
    },
    110: {
        "jaw": _run(0, 32),
        "left_brow": _run(33, 41),
        "right_brow": _run(42, 50),
        "nose_bridge": _line(54, 53, 52, 51),
        "nose_base": _line(57, 58, 59, 60, 61, 62, 63),
        "left_eye": _run(66, 73),
        "right_eye": _run(78, 85),
        "outer_lip": _run(90, 101),
        "inner_lip": _run(102, 109),
    },
    478: {
        "jaw": _line(
            127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
            377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
        ),
        "left_brow": _line(70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
        "right_brow": _line(336, 296, 334, 293, 300, 276, 283, 282, 295, 285),
        "nose_bridge": _line(168, 6, 197, 195, 5, 4),
        "nose_base": _line(98, 97, 2, 326, 327),
        "left_eye": _line(33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        "right_eye": _line(362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
        "outer_lip": _line(
            61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146
        ),
        "inner_lip": _line(
            78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95
        ),
    },
}  # fmt: skip

ANCHORS: dict[int, dict[str, Terms]] = {
    68: {
        "chin": _one(8),
        "left_eye_outer": _one(36),
        "right_eye_outer": _one(45),
        "left_lip_corner": _one(48),
        "right_lip_corner": _one(54),
        "upper_inner_lip": _one(62),
        "lower_inner_lip": _one(66),
        "crop_left": _mix(0, 0.5, 1),
        "crop_right": _mix(15, 0.5, 16),
        "crop_top": _one(28),
    },
    110: {
        "chin": _one(16),
        "left_eye_outer": _one(66),
        "right_eye_outer": _one(78),
        "left_lip_corner": _one(90),
        "right_lip_corner": _one(96),
        "upper_inner_lip": _one(104),
        "lower_inner_lip": _one(108),
        "crop_left": _one(1),
        "crop_right": _one(31),
        "crop_top": _one(52),
    },
    478: {
        "chin": _one(152),
        "left_eye_outer": _one(33),
        "right_eye_outer": _one(263),
        "left_lip_corner": _one(61),
        "right_lip_corner": _one(291),
        "upper_inner_lip": _one(13),
        "lower_inner_lip": _one(14),
        "crop_left": DERIVED_FROM_478[110][1],
        "crop_right": DERIVED_FROM_478[110][31],
        "crop_top": DERIVED_FROM_478[110][52],
    },
}
