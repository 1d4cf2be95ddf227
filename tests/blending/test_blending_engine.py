"""Blender and blend_faces: identity, untouched plate, live settings, edges, bad input, a golden."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68, points_of

from blending import (
    COLOUR_METHODS,
    COMPOSITORS,
    Blender,
    BlendResult,
    BlendSettings,
    CropBox,
    blend_faces,
    create_face_mask,
)
from blending.adaptive import _cell_differences as cell_differences
from blending.composite import _over as over
from blending.engine import warm_up
from blending.mask import _finish_matte as finish_matte
from blending.membrane import _correct as correct
from blending.poisson import _relax as relax
from blending.registration import _gauss_newton as gauss_newton
from blending.registration import measure_registration
from blending.texture import _add as add_texture

POINTS = points_68()
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)
GOLDEN = Path(__file__).parent.parent / "goldens" / "blend_default.png"


def settings(**values: object) -> BlendSettings:
    return BlendSettings.parse(values)


@pytest.mark.parametrize("colour", COLOUR_METHODS)
@pytest.mark.parametrize("compositor", COMPOSITORS)
@pytest.mark.parametrize("amount", [0.35, 1.0])
def test_plate_over_itself_is_itself(colour: str, compositor: str, amount: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, PLATE.shape, dtype=np.uint8)
    blender = Blender(settings(colour=colour, compositor=compositor, colour_amount=amount))
    for plate in (PLATE, noise, np.full_like(PLATE, 77)):
        outcome = blender.blend(plate, BOX.extract(plate), BOX, POINTS)
        np.testing.assert_array_equal(outcome.frame, plate)
        np.testing.assert_array_equal(outcome.generated_matched, BOX.extract(plate))


@pytest.mark.parametrize("colour", COLOUR_METHODS)
@pytest.mark.parametrize("compositor", COMPOSITORS)
def test_plate_is_untouched_where_the_matte_is_zero(colour: str, compositor: str) -> None:
    rng = np.random.default_rng(3)
    blender = Blender(settings(colour=colour, compositor=compositor))
    for centre in ((160, 120), (10, 300), (310, 5), (160, 260)):
        points = points_68(centre=centre)
        generated = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
        plate = PLATE.copy()
        outcome = blender.blend(plate, generated, None, points)
        np.testing.assert_array_equal(plate, PLATE)
        untouched = outcome.matte == 0
        assert untouched.any()
        np.testing.assert_array_equal(outcome.frame[untouched], PLATE[untouched])
        assert (outcome.frame != PLATE).any()


@pytest.mark.parametrize("colour", COLOUR_METHODS)
def test_generated_is_shown_where_the_matte_is_one(colour: str) -> None:
    outcome = Blender(settings(colour=colour)).blend(PLATE, GENERATED, BOX, POINTS)
    pasted = BOX.paste(PLATE, outcome.generated_matched)
    whole = outcome.matte == 1
    assert whole.sum() > 2000
    np.testing.assert_array_equal(outcome.frame[whole], pasted[whole])


def test_hard_pastes_the_whole_square_and_alone_is_free_of_the_reach_guard() -> None:
    outcome = Blender(settings(compositor="hard", colour="none")).blend(PLATE, GENERATED, BOX, POINTS)
    np.testing.assert_array_equal(outcome.frame, BOX.paste(PLATE, GENERATED))
    assert outcome.matte.sum() == BOX.side**2
    assert outcome.limits == ()


@pytest.mark.parametrize(
    "change",
    [
        {"expansion_ratio": 1.16}, {"feather_amount": 31}, {"feather_unit": "px"}, {"adapt": "off"},
        {"compositor": "hard"},
        {"compositor": "poisson"}, {"compositor": "multiband"}, {"colour": "none"}, {"colour": "histogram"},
        {"colour": "covariance"}, {"colour": "mean_std"}, {"colour_amount": 0.95}, {"registration": "off"},
        {"texture": 0.9},
        {"outward_share": 0.05}, {"down_share": 1.3}, {"side_share": 0.95},
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_changes_the_picture(change: dict) -> None:
    before = Blender().blend(PLATE, GENERATED, BOX, POINTS)
    after = Blender(settings(**change)).blend(PLATE, GENERATED, BOX, POINTS)
    assert (before.frame != after.frame).any()


@pytest.mark.parametrize("colour", [name for name in COLOUR_METHODS if name != "none"])
def test_more_colour_amount_is_nearer_to_the_plate(colour: str) -> None:
    distances = []
    for amount in np.linspace(0, 1, 6):
        outcome = Blender(settings(colour=colour, colour_amount=amount)).blend(PLATE, GENERATED, BOX, POINTS)
        distances.append(np.abs(outcome.frame.astype(int) - PLATE)[outcome.matte > 0].mean())
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < 0.6 * distances[0]


def test_result_depends_on_the_arguments_only() -> None:
    warm, other = Blender(), points_68(roll=0.2)
    first = warm.blend(PLATE, GENERATED, BOX, POINTS)
    warm.blend(PLATE, GENERATED, None, other)
    again = warm.blend(PLATE, GENERATED, BOX, POINTS)
    warm.reset()
    fresh = warm.blend(PLATE, GENERATED, BOX, POINTS)
    for outcome in (again, fresh):
        np.testing.assert_array_equal(outcome.frame, first.frame)
        np.testing.assert_array_equal(outcome.matte, first.matte)


@pytest.mark.parametrize("scheme", [68, 110, 478])
@pytest.mark.parametrize("side", [40, 168, 328])
def test_every_scheme_and_size_of_square_blends(scheme: int, side: int) -> None:
    generated = cv2.resize(GENERATED, (side, side), interpolation=cv2.INTER_AREA)
    outcome = Blender(settings(adapt="off")).blend(PLATE, generated, None, points_of(scheme))
    assert outcome.generated_matched.shape == (outcome.box.side, outcome.box.side, 3)
    assert outcome.matte.dtype == np.float32
    assert outcome.matte.shape == PLATE.shape[:2]
    assert outcome.feather_px == pytest.approx(0.15 * outcome.box.side)
    assert (outcome.frame != PLATE).any()


@pytest.mark.parametrize("centre", [(160, 2000), (-900, 100), (1e5, 1e5)])
def test_square_outside_the_frame_leaves_the_plate_and_says_so(centre: tuple[float, float]) -> None:
    outcome = Blender().blend(PLATE, GENERATED, None, points_68(centre=centre))
    np.testing.assert_array_equal(outcome.frame, PLATE)
    assert not outcome.matte.any()
    assert outcome.limits == ("the generated picture lies outside the frame: the plate is left as it is",)


def test_square_over_the_edge_says_how_much_and_little_skin_leaves_the_colour() -> None:
    over = Blender().blend(PLATE, GENERATED, None, points_68(centre=(0, 120)))
    assert any(said.endswith("% of the generated picture lies outside the frame") for said in over.limits)
    assert (over.frame != PLATE).any()
    away = Blender(settings(colour="mean_std", registration="off")).blend(
        PLATE, GENERATED, CropBox(220, 220, 90), POINTS
    )
    np.testing.assert_array_equal(away.generated_matched, CropBox(0, 0, 90).resize(GENERATED))
    assert any("colour is left as it is: 0 skin pixels" in said for said in away.limits)


def test_colour_statistics_leave_out_what_lies_outside_the_frame() -> None:
    """What the frame's edge only repeats is no skin: spoiling it in the generated square changes nothing in view."""
    points = points_68(centre=(20, 120))
    box = CropBox.from_landmarks(points)
    generated = cv2.resize(GENERATED, (box.side, box.side))
    spoiled = generated.copy()
    spoiled[:, : -box.x0] = (255, 0, 255)
    found = [measure_registration(PLATE, picture, box, points) for picture in (generated, spoiled)]
    assert found[0] == found[1]
    chosen = settings(registration="off")
    clean, dirty = (Blender(chosen).blend(PLATE, picture, box, points) for picture in (generated, spoiled))
    assert box.x0 < -20
    assert (clean.matte > 0.5).sum() > 2000
    np.testing.assert_array_equal(clean.frame, dirty.frame)


@pytest.mark.parametrize(
    ("plate", "generated", "message"),
    [
        (PLATE[..., 0], GENERATED, r"plate must be uint8 \(H, W, 3\), BGR; got uint8 \(320, 320\)"),
        (np.dstack([PLATE, PLATE[..., :1]]), GENERATED, r"got uint8 \(320, 320, 4\)"),
        (PLATE / 255, GENERATED, "plate must be uint8 .* got float64"),
        (PLATE[:0], GENERATED, "plate must be uint8"),
        ("plate.png", GENERATED, "plate must be .* got str"),
        (PLATE, GENERATED[:50], "generated must be square"),
        (PLATE, GENERATED.astype(np.float32), "generated must be uint8 .* got float32"),
    ],
)
def test_bad_pictures_are_named(plate: object, generated: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Blender().blend(plate, generated, BOX, POINTS)


def test_blend_faces_is_over_by_the_documented_mask() -> None:
    pasted = BOX.paste(PLATE, GENERATED)
    blended = blend_faces(PLATE, pasted, POINTS, feather_amount=20, expansion_ratio=1.2)
    matte = create_face_mask(POINTS, PLATE.shape, 1.2, feather_amount=20)[..., None].astype(np.float64)
    np.testing.assert_allclose(blended, (1 - matte) * PLATE + matte * pasted, atol=0.501)
    np.testing.assert_array_equal(blend_faces(PLATE, PLATE, POINTS), PLATE)
    np.testing.assert_array_equal(blend_faces(PLATE, pasted, POINTS + 5000), PLATE)
    with pytest.raises(ValueError, match="generated_frame must have the size of original"):
        blend_faces(PLATE, pasted[:100], POINTS)


def test_px_feather_agrees_between_engine_and_documented_function() -> None:
    chosen = settings(feather_unit="px", feather_amount=22, colour="none", registration="off", down_share=1, texture=0)
    outcome = Blender(chosen).blend(PLATE, GENERATED, BOX, POINTS)
    assert outcome.feather_px == 22
    np.testing.assert_array_equal(outcome.matte, create_face_mask(POINTS, PLATE.shape, feather_amount=22))
    np.testing.assert_array_equal(outcome.frame, blend_faces(PLATE, BOX.paste(PLATE, GENERATED), POINTS, 22))


def test_golden(tmp_path: Path) -> None:
    """Default blend of the synthetic face beside its matte; on failure the difference x 16 is written."""
    outcome = Blender().blend(PLATE, GENERATED, BOX, POINTS)
    matte = np.repeat(np.rint(outcome.matte * 255).astype(np.uint8)[..., None], 3, axis=2)
    shown = cv2.resize(np.hstack([outcome.frame, matte]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    expected = cv2.imread(str(GOLDEN))
    difference = np.abs(shown.astype(int) - expected)
    if difference.max() > 1:
        seen = tmp_path / "blend_default_diff.png"
        cv2.imwrite(str(seen), np.vstack([shown, expected, np.clip(difference * 16, 0, 255).astype(np.uint8)]))
        pytest.fail(f"differs by up to {difference.max()} levels; new, golden and difference x 16: {seen}")


def test_result_composes_the_frame_only_when_asked_and_the_patch_is_the_square() -> None:
    outcome = Blender().blend(PLATE, GENERATED, BOX, POINTS)
    assert "frame" not in vars(outcome)
    np.testing.assert_array_equal(outcome.frame[outcome.rows, outcome.columns], outcome.patch)
    np.testing.assert_array_equal(outcome.matte[outcome.rows, outcome.columns], outcome.patch_matte)
    assert outcome.frame is outcome.frame
    assert (outcome.patch.shape[0], outcome.corner) == (BOX.side, (BOX.y0, BOX.x0))
    whole = BlendResult(PLATE, np.zeros(PLATE.shape[:2], np.float32), lambda: ("silence",), BOX, 3.0, GENERATED)
    assert whole.frame is PLATE
    assert whole.matte.shape == PLATE.shape[:2]


def test_out_is_written_in_place() -> None:
    expected = Blender().blend(PLATE, GENERATED, BOX, POINTS).frame
    own, other = PLATE.copy(), np.zeros_like(PLATE)
    assert Blender().blend(own, GENERATED, BOX, POINTS, out=own).frame is own
    assert Blender().blend(PLATE, GENERATED, BOX, POINTS, out=other).frame is other
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(other, expected)
    away = np.zeros_like(PLATE)
    Blender().blend(PLATE, GENERATED, None, points_68(centre=(160, 2000)), out=away)
    np.testing.assert_array_equal(away, PLATE)
    with pytest.raises(ValueError, match="out must have the size of plate"):
        Blender().blend(PLATE, GENERATED, BOX, POINTS, out=PLATE[:10].copy())


@pytest.mark.parametrize("compositor", [name for name in COMPOSITORS if name != "hard"])
def test_opacity_ramps_from_the_plate_to_the_blend(compositor: str) -> None:
    blender = Blender(settings(compositor=compositor))
    steps = [blender.blend(PLATE, GENERATED, BOX, POINTS, opacity=o) for o in (0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_array_equal(steps[0].frame, PLATE)
    np.testing.assert_array_equal(steps[-1].frame, blender.blend(PLATE, GENERATED, BOX, POINTS).frame)
    np.testing.assert_allclose(steps[2].matte, 0.5 * steps[-1].matte, atol=1e-6)
    away = [np.abs(step.frame.astype(int) - PLATE).mean() for step in steps]
    assert (np.diff(away) > 0).all()


@pytest.mark.parametrize("opacity", [-0.1, 1.1, np.nan, True, "1"])
def test_bad_opacity_is_named(opacity: object) -> None:
    with pytest.raises(ValueError, match="opacity must be a number of 0 to 1"):
        Blender().blend(PLATE, GENERATED, BOX, POINTS, opacity=opacity)


@pytest.mark.parametrize("compositor", COMPOSITORS)
@pytest.mark.parametrize("colour", COLOUR_METHODS)
@pytest.mark.parametrize("box", [CropBox(150, 150, 8), CropBox(-500, -400, 1100), CropBox(100, 60, 31)])
def test_tiny_and_huge_squares_blend_or_leave_the_plate(compositor: str, colour: str, box: CropBox) -> None:
    generated = np.random.default_rng(0).integers(0, 256, (2000 if box.side > 1000 else 8,) * 2 + (3,), dtype=np.uint8)
    outcome = Blender(settings(compositor=compositor, colour=colour)).blend(PLATE, generated, box, POINTS)
    np.testing.assert_array_equal(outcome.frame[outcome.matte == 0], PLATE[outcome.matte == 0])
    assert outcome.matte.max() <= 1
    assert np.isfinite(outcome.matte).all()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.full((68, 2), np.nan), "landmarks must be finite"),
        (POINTS[:60], "landmarks must have shape"),
        (np.column_stack([np.linspace(0, 300, 68)] * 2), "landmarks must outline a face"),
        (np.full((68, 2), 100.0), "landmarks must outline a face"),
    ],
    ids=["nan", "count", "line", "point"],
)
def test_degenerate_faces_are_named(points: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Blender().blend(PLATE, GENERATED, BOX, points)


def test_read_only_and_strided_pictures_are_taken() -> None:
    expected = Blender().blend(PLATE, GENERATED, BOX, POINTS).frame
    plate, generated = PLATE.copy(), GENERATED.copy()
    plate.setflags(write=False)
    generated.setflags(write=False)
    np.testing.assert_array_equal(Blender().blend(plate, generated, BOX, POINTS).frame, expected)
    wide = np.zeros((320, 700, 3), np.uint8)
    wide[:, 10:650:2] = PLATE
    np.testing.assert_array_equal(Blender().blend(wide[:, 10:650:2], GENERATED, BOX, POINTS).frame, expected)


def test_result_tells_what_was_chosen_and_what_it_cost() -> None:
    outcome = Blender(settings(down_share=2.0)).blend(PLATE, GENERATED, BOX, POINTS)
    reach = 0.15 * BOX.side / 2
    assert outcome.chosen["reach_px"] == pytest.approx(reach)
    assert outcome.chosen["reach_below_px"] == pytest.approx(2 * reach)
    stages = ["geometry", "registration", "resample", "colour", "match", "matte", "texture", "composite"]
    assert list(outcome.cost_ms) == stages
    assert min(outcome.cost_ms.values()) >= 0


def test_blending_takes_little_memory_and_keeps_none() -> None:
    """At 1080 x 1920 with a square of 266 px: less than 15 MB on top, whatever the frame, and none that stays."""
    points = points_68(centre=(540, 900), size=259)
    plate = plate_of(points, (1920, 1080))
    box = CropBox.from_landmarks(points)
    generated = cv2.resize(np.ascontiguousarray(box.extract(plate)), (328, 328))
    blender = Blender()
    blender.blend(plate, generated, box, points)
    tracemalloc.start()
    try:
        for _ in range(3):
            blender.blend(plate, generated, box, points)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for shift in range(5):
            blender.blend(plate, generated, box, points + np.float32(shift))
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(box.side - 266) < 4
    assert peak - before < 15e6
    assert after - before < 1e6


def test_warm_up_leaves_nothing_to_compile() -> None:
    warm_up()
    kernels = [over, correct, gauss_newton, finish_matte, relax, add_texture, cell_differences]
    before = [len(kernel.signatures) for kernel in kernels]
    for compositor in COMPOSITORS:
        Blender(settings(compositor=compositor)).blend(PLATE, GENERATED, BOX, POINTS)
    assert [len(kernel.signatures) for kernel in kernels] == before
    assert min(before) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (1, 2, 300)}, "box must be a CropBox or None; got tuple"),
        ({"box": np.array([1, 2, 300])}, "box must be a CropBox or None; got ndarray"),
        ({"registration": "smoothed"}, "registration must be a Registration or None; got str"),
        ({"landmarks": "abc"}, "landmarks must have shape"),
        ({"landmarks": POINTS * 1e30}, "landmarks must lie within 1e.06 px of the origin"),
        ({"landmarks": POINTS.astype(complex)}, "landmarks must be real numbers; got complex"),
        ({"out": np.broadcast_to(PLATE, PLATE.shape)}, "out must be writable"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change: dict, message: str) -> None:
    values = {"plate": PLATE, "generated": GENERATED, "box": BOX, "landmarks": POINTS} | change
    with pytest.raises(ValueError, match=message):
        Blender().blend(**values)


def test_settings_as_a_mapping_are_sent_to_parse() -> None:
    with pytest.raises(ValueError, match=r"settings must be BlendSettings; got dict: see BlendSettings\.parse"):
        Blender({"texture": 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["1", None, True, 1.5])
def test_boxes_are_whole_numbers(value: object) -> None:
    with pytest.raises(ValueError, match="CropBox x0 must be a whole number of pixels"):
        CropBox(value, 0, 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [None, 5, "ab"])
def test_shapes_that_are_none_are_named(shape: object) -> None:
    with pytest.raises(ValueError, match="image_shape must be"):
        create_face_mask(POINTS, shape)  # type: ignore[arg-type]
