"""The reach guard on ten thousand random settings, faces and squares; hold-outs, parsing, both jaws, shares."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68

from blending import Blender, BlendSettings, CropBox, Landmarks
from blending.mask import MatteShape, face_field, face_outline, field_matte, signed_distance
from blending.parsing import plate_mask_from_parsing

POINTS = points_68()
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)
FRAME_HW = PLATE.shape[:2]


def test_alpha_is_zero_on_the_squares_border_for_ten_thousand_blends() -> None:
    rng = np.random.default_rng(7)
    seen = reached = 0
    for _ in range(2000):
        points = points_68(
            centre=tuple(rng.uniform(-20, 120, 2)), size=float(rng.uniform(12, 90)), roll=float(rng.uniform(-0.8, 0.8)),
            yaw=float(rng.uniform(-1, 1)), mouth=float(rng.uniform(0, 1)),
        )  # fmt: skip
        side = int(rng.integers(8, 72))
        corner = points.mean(axis=0) - side / 2 + rng.uniform(-0.6, 0.6, 2) * side
        opened = points_68(centre=tuple(points.mean(axis=0)), size=60, mouth=1.0) if rng.random() < 0.3 else None
        field = face_field(points, CropBox(int(corner[0]), int(corner[1]), side), opened)
        for _ in range(5):
            chosen = BlendSettings(
                expansion_ratio=rng.uniform(1, 1.3), feather_amount=rng.uniform(0, 60),
                feather_unit=str(rng.choice(["adaptive", "px"])), outward_share=rng.choice([0, 1, rng.uniform()]),
                down_share=rng.choice([0, 2, rng.uniform(0, 2)]), side_share=rng.choice([0, 2, rng.uniform(0, 2)]),
            )  # fmt: skip
            matte = field_matte(field, chosen.matte_shape(side))
            assert max(matte[0].max(), matte[-1].max(), matte[:, 0].max(), matte[:, -1].max()) == 0, (field.box, chosen)
            assert matte.min() >= 0
            assert matte.max() <= 1
            seen += 1
            reached += matte.max() > 0.5
    assert seen == 10_000
    assert reached > 6000


@pytest.mark.parametrize("compositor", ["alpha", "poisson", "multiband"])
def test_the_guard_holds_in_finished_frames_over_every_edge(compositor: str) -> None:
    blender = Blender(
        BlendSettings(compositor=compositor, outward_share=1, down_share=2, side_share=2, expansion_ratio=1.3)
    )
    for centre in ((160, 120), (5, 120), (315, 120), (160, 0), (160, 300), (0, 0), (319, 319)):
        points = points_68(centre=centre)
        box = CropBox.from_landmarks(points)
        result = blender.blend(PLATE, GENERATED, box, points)
        rows, columns = box.inside(FRAME_HW)
        outside = np.ones(FRAME_HW, bool)
        outside[
            max(box.y0 + 1, 0) : max(box.y0 + box.side - 1, 0), max(box.x0 + 1, 0) : max(box.x0 + box.side - 1, 0)
        ] = False
        np.testing.assert_array_equal(result.frame[outside], PLATE[outside])
        assert not result.matte[outside].any()
        seen = rows.stop > rows.start and columns.stop > columns.start
        assert result.patch.shape[:2] == ((rows.stop - rows.start, columns.stop - columns.start) if seen else (0, 0))


def reach_px(shape: MatteShape, way: tuple[float, float]) -> float:
    """How far from the face's centre the matte is above one half, in a direction."""
    points = points_68(size=150)
    box = CropBox(0, 0, 320)
    matte = field_matte(face_field(points, box), shape)
    centre = face_outline(Landmarks(points)).mean(axis=0)
    steps = np.arange(0, 150, 0.5)
    places = np.rint(centre + steps[:, None] * way).astype(int)
    return float(steps[matte[places[:, 1], places[:, 0]] > 0.5].max())


def test_shares_move_the_matte_where_they_say() -> None:
    plain = MatteShape(1.15, 20)
    down, aside = (0.0, 1.0), (1.0, 0.0)
    for share in (0.0, 0.5, 2.0):
        moved = (share - 1) * 0.15 * 320 / 2
        low = MatteShape(1.15, 20, down_share=share)
        assert reach_px(low, down) - reach_px(plain, down) == pytest.approx(moved, abs=5)
        assert reach_px(low, aside) == pytest.approx(reach_px(plain, aside), abs=2.5)
        wide = MatteShape(1.15, 20, side_share=share)
        assert reach_px(wide, aside) - reach_px(plain, aside) == pytest.approx(moved, abs=5)
        assert reach_px(wide, down) == pytest.approx(reach_px(plain, down), abs=2.5)
    for way in (down, aside):
        assert reach_px(MatteShape(1.15, 20, 1.0), way) - reach_px(plain, way) == pytest.approx(20, abs=2)


@pytest.mark.parametrize("name", ["outward_share", "down_share", "side_share"])
def test_shares_only_let_the_matte_grow_and_every_step_is_alive(name: str) -> None:
    field = face_field(POINTS, BOX)
    highest = 1.0 if name == "outward_share" else 2.0
    mattes = [field_matte(field, MatteShape(1.15, 25, **{name: share})) for share in np.linspace(0, highest, 9)]
    for before, after in pairwise(mattes):
        assert (after >= before - 1e-6).all()
        assert (after - before).max() > 0.02


def test_both_jaws_are_held_when_the_generated_one_is_known() -> None:
    dropped = POINTS.copy()
    dropped[4:13, 1] += 14
    dropped[48:68, 1] += 6
    before = Blender(BlendSettings(down_share=1)).blend(PLATE, GENERATED, BOX, POINTS)
    after = Blender(BlendSettings(down_share=1)).blend(PLATE, GENERATED, BOX, POINTS, generated_landmarks=dropped)
    assert (after.matte >= before.matte - 1e-6).all()
    xs, ys = np.arange(FRAME_HW[1]), np.arange(FRAME_HW[0])
    for points in (POINTS, dropped):
        inside = signed_distance(face_outline(Landmarks(points)), xs, ys) < -6
        inside[: BOX.y0 + 40] = False
        assert after.matte[inside & (np.abs(xs - 160) < 25)[None, :]].min() > 0.5
    chin = Landmarks(POINTS).anchor("chin")
    row, column = round(float(chin[1])) + 8, round(float(chin[0]))
    assert after.matte[row, column] > before.matte[row, column] + 0.2


def test_hold_outs_keep_the_plate_and_are_told() -> None:
    painted = np.zeros(FRAME_HW, np.float32)
    painted[150:, :160] = 1
    painted[150:, 160:] = 0.5
    free = Blender().blend(PLATE, GENERATED, BOX, POINTS)
    held = Blender().blend(PLATE, GENERATED, BOX, POINTS, hold_out=painted)
    np.testing.assert_array_equal(held.frame[150:, :160], PLATE[150:, :160])
    np.testing.assert_allclose(held.matte, free.matte * (1 - painted), atol=1e-6)
    assert any(said.startswith("hold-out keeps the plate in ") for said in held.limits)
    as_bool = Blender().blend(PLATE, GENERATED, BOX, POINTS, hold_out=painted == 1)
    np.testing.assert_array_equal(as_bool.matte[150:, :160], 0)
    np.testing.assert_array_equal(as_bool.matte[:, 160:], free.matte[:, 160:])


def test_parsing_keeps_clothes_and_background_softly_and_can_be_switched_off() -> None:
    parsing = np.full((*FRAME_HW, 3), (255, 0, 0), np.uint8)
    parsing[170:] = (0, 0, 255)
    parsing[:, :60] = 255
    parsing[:, 60:80] = (0, 255, 0)
    parsing[200, 150] = (1, 0, 254)
    mask = plate_mask_from_parsing(parsing)
    assert mask.sum() == 320 * 60 + 150 * 240 - 1
    free = Blender().blend(PLATE, GENERATED, BOX, POINTS)
    kept = Blender().blend(PLATE, GENERATED, BOX, POINTS, parsing=mask)
    np.testing.assert_array_equal(kept.frame[mask], PLATE[mask])
    assert any(said.startswith("parsing mask keeps the plate in ") for said in kept.limits)
    column = kept.matte[155:172, 160]
    assert (np.diff(column) <= 1e-6).all()
    assert ((column > 0.02) & (column < 0.98)).sum() >= 3
    off = Blender(BlendSettings(use_parsing="off")).blend(PLATE, GENERATED, BOX, POINTS, parsing=mask)
    np.testing.assert_array_equal(off.frame, free.frame)
    assert off.limits == free.limits
    with pytest.raises(ValueError, match="parsing must be uint8"):
        plate_mask_from_parsing(parsing[..., 0])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((10, 10), np.float32), r"hold-out must be a bool or float array of shape \(320, 320\); got"),
        (np.full(FRAME_HW, np.nan, np.float32), "hold-out must lie in 0 .. 1"),
        (np.full(FRAME_HW, 2.0, np.float32), "hold-out must lie in 0 .. 1; got 2.0"),
        (np.zeros(FRAME_HW, np.uint8), "got uint8"),
        ("mask.png", "got str"),
    ],
    ids=["size", "nan", "range", "type", "text"],
)
def test_bad_hold_outs_are_named(mask: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Blender().blend(PLATE, GENERATED, BOX, POINTS, hold_out=mask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outward_share": 1.1}, "outward_share must be"),
        ({"down_share": -0.1}, "down_share must be"),
        ({"side_share": np.nan}, "side_share must be"),
        ({"feather_px": -1}, "feather_amount must be"),
    ],
)
def test_bad_shapes_are_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatteShape(**change)


def test_the_outline_is_convex_and_holds_the_jaw() -> None:
    outline = face_outline(Landmarks(POINTS))
    assert cv2.isContourConvex(outline)
