"""Colour methods: what each promises, the fast histogram against the slow one, the documented function."""

import cv2
import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import match_histograms
from synthetic_face import generated_of, plate_of, points_68

from blending import COLOUR_METHODS, match_color_histogram
from blending.colour import from_lab, match_colour, recoloured, to_lab
from blending.mask import ColourRegions
from blending.membrane import cell_means, colour_error
from blending.types import to_frame, to_image

POINTS = points_68()
PLATE_FRAME = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)
PLATE = BOX.extract(PLATE_FRAME)
REGIONS = ColourRegions.of(POINTS, BOX, PLATE_FRAME.shape[:2])
SKIN = REGIONS.skin
CORRECTING = [name for name in COLOUR_METHODS if name != "none"]
STATISTICAL = [name for name in CORRECTING if name != "membrane"]


def corrected(method: str, generated: np.ndarray, plate: np.ndarray, amount: float = 1.0) -> np.ndarray:
    return COLOUR_METHODS[method](generated, plate, REGIONS, amount)


def lab_of(frame: np.ndarray) -> np.ndarray:
    return to_lab(to_image(frame))


@pytest.mark.parametrize("method", COLOUR_METHODS)
def test_equal_pictures_stay_bit_exact(method: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, PLATE.shape, dtype=np.uint8)
    for frame in (PLATE, noise, np.zeros_like(PLATE), np.full_like(PLATE, 255)):
        for amount in (0.4, 1.0):
            np.testing.assert_array_equal(corrected(method, frame, frame, amount), frame)


def test_a_shift_in_lab_is_right_for_every_8_bit_colour() -> None:
    levels = np.arange(0, 256, 3, dtype=np.uint8)
    cube = to_image(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, len(levels), 3))
    lab = to_lab(cube)
    np.testing.assert_array_equal(recoloured(cube, lab, lab), cube)
    shifted = recoloured(cube, lab, lab + np.float32([3, 2, -2]))
    exact = lab2rgb(np.add(rgb2lab(cube[..., ::-1]), [3, 2, -2]))[..., ::-1]
    inside = (exact > 0.02).all(axis=2) & (exact < 0.98).all(axis=2)
    assert np.abs(shifted - exact)[inside].max() < 2 / 255


@pytest.mark.parametrize("method", STATISTICAL)
def test_skin_gets_the_plates_mean_and_spread(method: str) -> None:
    matched = lab_of(corrected(method, GENERATED, PLATE))
    before, wanted = lab_of(GENERATED)[SKIN], lab_of(PLATE)[SKIN]
    assert np.abs(before.mean(axis=0) - wanted.mean(axis=0)).max() > 3
    np.testing.assert_allclose(matched[SKIN].mean(axis=0), wanted.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(matched[SKIN].std(axis=0), wanted.std(axis=0), rtol=0.06)


@pytest.mark.parametrize("method", STATISTICAL)
def test_statistics_come_from_the_skin_only(method: str) -> None:
    spoiled_plate, spoiled = PLATE.copy(), GENERATED.copy()
    spoiled_plate[~SKIN] = (255, 0, 0)
    spoiled[~SKIN] = 0
    np.testing.assert_array_equal(
        corrected(method, spoiled, spoiled_plate)[SKIN], corrected(method, GENERATED, PLATE)[SKIN]
    )


@pytest.mark.parametrize("method", COLOUR_METHODS)
def test_flat_pictures_are_matched_without_nonsense(method: str) -> None:
    flat, other = np.full_like(PLATE, 90), np.full_like(PLATE, 110)
    matched = corrected(method, flat, other)
    assert np.abs(matched.astype(int) - (flat if method == "none" else other)).max() <= 1


@pytest.mark.parametrize("turned", [False, True])
def test_covariance_gives_the_plates_covariance_with_the_least_movement(turned: bool) -> None:
    """Skin whose channels are mixed by a known symmetric map is mapped back by its inverse."""
    mix = np.array([[1.1, 0.1, 0.0], [0.1, 0.9, 0.05], [0.0, 0.05, 1.2]]) if turned else np.diag([1.1, 0.9, 1.2])
    lab = lab_of(PLATE)
    mean = lab[SKIN].mean(axis=0)
    mixed = to_frame(from_lab(((lab - mean) @ mix.T + mean + [4, -3, 5]).astype(np.float32)))
    matched = lab_of(corrected("covariance", mixed, PLATE))
    np.testing.assert_allclose(np.cov(matched[SKIN].T), np.cov(lab[SKIN].T), atol=0.25)
    assert np.abs(matched[SKIN] - lab[SKIN]).mean() < 0.12 * np.abs(lab_of(mixed)[SKIN] - lab[SKIN]).mean()


def test_membrane_undoes_cast_contrast_and_shading_also_in_the_mouth() -> None:
    """A plate spoilt by known flaws comes back, the mouth, which has no say, included."""
    side = BOX.side
    ramp = np.linspace(-1, 1, side, dtype=np.float32)[None, :, None]
    spoilt = np.clip(np.rint((PLATE - 128.0) * 0.9 + 128 + (9, -6, 12) + 6 * ramp), 0, 255).astype(np.uint8)
    mouth = REGIONS.field.mouth_distance < -2
    inner = np.s_[10:-10, 10:-10]
    for where, before_least, after_most in ((np.ones_like(mouth), 8, 1.2), (mouth, 6, 2.5)):
        before, after = (
            np.abs(p.astype(float) - PLATE)[inner][where[inner]] for p in (spoilt, corrected("membrane", spoilt, PLATE))
        )
        assert before.mean() > before_least
        assert after.mean() < after_most


def test_membrane_follows_no_mouth_and_no_texture() -> None:
    """A drawn mouth beside a closed one and lost grain are no error of colour."""
    opened = GENERATED.copy()
    plain = corrected("membrane", GENERATED, PLATE)
    mouth = REGIONS.field.mouth_distance < 0
    spoilt_plate = PLATE.copy()
    spoilt_plate[mouth] = (20, 240, 20)
    assert np.abs(corrected("membrane", opened, spoilt_plate).astype(int) - plain).max() <= 1
    soft = cv2.GaussianBlur(PLATE, (0, 0), 1.5)
    assert np.abs(corrected("membrane", soft, PLATE).astype(int) - soft)[SKIN].mean() < 1


def test_membranes_field_is_bilinear_between_cells() -> None:
    """The compiled kernel against the slow picture-wide formula, off the mouth."""
    cells = len(REGIONS.trust)
    error = colour_error(cell_means(GENERATED, cells), cell_means(PLATE, cells), REGIONS.trust)
    field = cv2.resize(error.field, (BOX.side, BOX.side), interpolation=cv2.INTER_LINEAR)
    slow = GENERATED + field + GENERATED.astype(np.float32) @ error.linear.T
    slow = np.clip(np.floor(slow + 0.5), 0, 255)
    off = REGIONS.field.mouth_distance > 0.03 * BOX.side
    fast = corrected("membrane", GENERATED, PLATE)
    assert np.abs(fast[off] - slow[off]).max() <= 1
    assert (fast[off] != slow[off]).mean() < 0.01


def test_too_little_in_view_leaves_the_colour_and_says_so() -> None:
    nothing = ColourRegions.of(POINTS, BOX, (BOX.y0 + 9, BOX.x0 + 9))
    for method, what in (("membrane", "comparable cells"), ("mean_std", "skin pixels")):
        same, said = match_colour(method, GENERATED, PLATE, nothing, 1.0)
        assert same is GENERATED
        assert len(said) == 1
        assert what in said[0]
    assert match_colour("membrane", GENERATED, PLATE, REGIONS, 1.0)[1] == ()


def test_histogram_agrees_with_scikit_image() -> None:
    matched = lab_of(match_color_histogram(GENERATED, PLATE))
    slow = match_histograms(lab_of(GENERATED), lab_of(PLATE), channel_axis=-1)
    slow = lab_of(to_frame(from_lab(slow.astype(np.float32))))
    assert np.abs(matched - slow).mean() < 0.25
    assert np.percentile(np.abs(matched - slow), 99) < 2
    assert np.abs(lab_of(GENERATED) - slow).mean() > 2


def test_selection_from_a_large_picture_matches_like_all_of_it() -> None:
    large, target = (cv2.resize(p, (900, 700), interpolation=cv2.INTER_LINEAR) for p in (GENERATED, PLATE))
    matched, small = match_color_histogram(large, target), match_color_histogram(GENERATED, PLATE)
    np.testing.assert_array_equal(match_color_histogram(target, target), target)
    np.testing.assert_allclose(lab_of(matched).mean(axis=(0, 1)), lab_of(small).mean(axis=(0, 1)), atol=0.2)


def test_matched_quantiles_are_the_references() -> None:
    matched, reference = lab_of(match_color_histogram(GENERATED, PLATE)), lab_of(PLATE)
    share = np.linspace(0.02, 0.98, 25)
    for channel in range(3):
        got, wanted = (np.quantile(p[..., channel], share) for p in (matched, reference))
        assert np.abs(got - wanted).mean() < 0.35


def test_documented_function_keeps_equal_pictures_and_takes_sizes_that_differ() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    for frame in (PLATE_FRAME, noise, np.zeros((5, 4, 3), np.uint8)):
        matched = match_color_histogram(frame, frame)
        assert matched.dtype == np.uint8
        np.testing.assert_array_equal(matched, frame)
    assert match_color_histogram(GENERATED, PLATE_FRAME).shape == GENERATED.shape


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_mask_of_any_kind_chooses_the_statistics(kind: type) -> None:
    mask = (SKIN * 255).astype(kind) if kind is np.uint8 else SKIN.astype(kind)
    matched = match_color_histogram(GENERATED, PLATE, mask)
    expected = corrected("histogram", GENERATED, PLATE)
    # The engine's method smooths its shifts, the documented function follows the histogram to the letter.
    assert np.abs(matched[SKIN].astype(int) - expected[SKIN]).max() <= 1
    assert (matched != match_color_histogram(GENERATED, PLATE)).any()
    np.testing.assert_array_equal(match_color_histogram(PLATE, PLATE, mask), PLATE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PLATE[..., 0], PLATE), "source must be uint8"),
        ((PLATE, PLATE / 255), "reference must be uint8"),
        ((PLATE, PLATE, SKIN[1:]), "mask must have the height and width"),
        ((PLATE, PLATE_FRAME, SKIN), "mask must have the height and width"),
        ((PLATE, PLATE, np.zeros(SKIN.shape)), "mask must choose at least one pixel"),
        ((PLATE, PLATE, np.full(SKIN.shape, np.nan)), "mask must choose at least one pixel"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_color_histogram(*arguments)


@pytest.mark.parametrize("method", CORRECTING)
def test_black_of_the_mouth_stays_black(method: str) -> None:
    dark = GENERATED.copy()
    rows, columns = np.nonzero(REGIONS.field.mouth_distance < -6)
    cavity = slice(rows.min(), rows.min() + 8), slice(columns.min() + 8, columns.min() + 28)
    assert REGIONS.field.mouth_distance[cavity].max() < 0
    dark[cavity] = 4
    matched = corrected(method, dark, PLATE)
    assert np.abs(matched[cavity].astype(int) - 4).max() <= 2
    assert np.abs(matched[SKIN].astype(int) - GENERATED[SKIN]).mean() > 5


def test_teeth_outside_the_skins_range_keep_their_contrast() -> None:
    teeth = GENERATED.copy()
    teeth[120:124, 80:84] = 240
    teeth[120:124, 84:88] = 225
    matched = cv2.cvtColor(match_color_histogram(teeth, PLATE, SKIN), cv2.COLOR_BGR2GRAY)
    step = float(matched[122, 82]) - float(matched[122, 86])
    assert 8 < step < 22
