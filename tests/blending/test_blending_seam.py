"""The seam score: nothing for nothing, more for worse, in the right place."""

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68, points_of

from blending import Blender, BlendSettings, CropBox, seam_score
from blending.seam import SECTORS, tint

POINTS = points_68()
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)


def blended(**values: object) -> np.ndarray:
    return Blender(BlendSettings.parse(values)).blend(PLATE, GENERATED, BOX, POINTS).frame


@pytest.mark.parametrize("scheme", [68, 110, 478])
def test_untouched_plate_has_no_seam(scheme: int) -> None:
    scored = seam_score(PLATE, PLATE, GENERATED, BOX, points_of(scheme))
    assert scored.score == 0
    assert not scored.heatmap.any()
    assert scored.sectors == dict.fromkeys(SECTORS, 0.0)
    assert tint(PLATE, PLATE, BOX, points_of(scheme)) == 0


def test_paste_is_worse_than_blend_and_colour_helps() -> None:
    hard, plain, matched = (
        seam_score(PLATE, blended(**values), GENERATED, BOX, POINTS).score
        for values in ({"compositor": "hard", "colour": "none"}, {"colour": "none"}, {"colour": "mean_std"})
    )
    assert hard > 2 * plain
    assert plain > matched > 0


def test_seam_grows_with_the_colour_step() -> None:
    scores = []
    for step in (0, 4, 8, 16):
        generated = np.clip(BOX.extract(PLATE).astype(int) + step, 0, 255).astype(np.uint8)
        scores.append(seam_score(PLATE, BOX.paste(PLATE, generated), generated, BOX, POINTS).score)
    assert scores[0] == 0
    assert (np.diff(scores) > 0.1).all()


@pytest.mark.parametrize("sector", SECTORS)
def test_seam_is_found_where_it_is(sector: str) -> None:
    """A short edge drawn into the blend, which neither plate nor generator has, shows in its own sector."""
    chin = POINTS[8]
    middle = {
        "left_cheek": (chin[0] - 0.3 * BOX.side, BOX.y0 + 0.3 * BOX.side),
        "right_cheek": (chin[0] + 0.3 * BOX.side, BOX.y0 + 0.3 * BOX.side),
        "chin": (chin[0], chin[1] - 0.09 * BOX.side),
        "neck": (chin[0], chin[1] + 0.1 * BOX.side),
    }[sector]
    x, y = (round(float(v)) for v in middle)
    seamed = PLATE.copy()
    seamed[y - 4 : y + 4, x - 5 : x + 5] = np.clip(seamed[y - 4 : y + 4, x - 5 : x + 5].astype(int) + 25, 0, 255)
    scored = seam_score(PLATE, seamed, BOX.extract(PLATE), BOX, POINTS)
    assert max(scored.sectors, key=scored.sectors.__getitem__) == sector
    row, column = np.unravel_index(np.argmax(scored.heatmap), scored.heatmap.shape)
    scale = scored.roi.side / len(scored.heatmap)
    assert abs((column + 0.5) * scale - 0.5 + scored.roi.x0 - x) < 10
    assert abs((row + 0.5) * scale - 0.5 + scored.roi.y0 - y) < 10


def test_heatmap_covers_the_square_and_its_surroundings() -> None:
    scored = seam_score(PLATE, blended(), GENERATED, BOX, POINTS)
    assert scored.roi == CropBox(
        BOX.x0 - round(0.3 * BOX.side), BOX.y0 - round(0.3 * BOX.side), BOX.side + 2 * round(0.3 * BOX.side)
    )
    assert scored.heatmap.dtype == np.float32
    assert scored.heatmap.shape[0] == scored.heatmap.shape[1]
    assert abs(len(scored.heatmap) - 1.6 * 192) < 3
    assert set(scored.sectors) == set(SECTORS)
    values = np.sort(scored.heatmap.ravel())
    assert values[-1] >= scored.score > 0


def test_what_the_generator_explains_is_no_seam() -> None:
    """A dark stroke of the generated picture, shown whole, is not counted; the same stroke from nowhere is."""
    stroked = BOX.extract(PLATE).copy()
    cv2.line(stroked, (60, 60), (60, 90), (20, 20, 20), 3)
    shown = BOX.paste(PLATE, stroked)
    explained = seam_score(PLATE, shown, stroked, BOX, POINTS)
    from_nowhere = seam_score(PLATE, shown, BOX.extract(PLATE), BOX, POINTS)
    assert explained.score < 0.001
    assert from_nowhere.score > 0.3


@pytest.mark.parametrize("side", [8, 60, 185, 700])
def test_score_of_any_size_over_the_edge(side: int) -> None:
    box = CropBox(-side // 3, 200, side)
    points = points_68(centre=(box.x0 + side / 2, box.y0), size=max(side, 20))
    generated = np.full((side, side, 3), 128, np.uint8)
    scored = seam_score(PLATE, box.paste(PLATE, generated), generated, box, points)
    assert np.isfinite(scored.heatmap).all()
    assert np.isfinite(scored.score)
    assert np.isfinite(tint(PLATE, box.paste(PLATE, generated), box, points))


def test_a_busy_plate_hides_a_seam() -> None:
    rng = np.random.default_rng(0)
    busy = np.clip(PLATE + cv2.GaussianBlur(rng.normal(0, 40, PLATE.shape), (0, 0), 1.2), 0, 255).astype(np.uint8)
    calm = cv2.GaussianBlur(PLATE, (0, 0), 4)
    scores = []
    for plate in (busy, calm):
        seamed = plate.copy()
        seamed[180:190, 90:110] = np.clip(plate[180:190, 90:110].astype(int) + 12, 0, 255)
        scores.append(seam_score(plate, seamed, BOX.extract(plate), BOX, POINTS).score)
    assert scores[1] > 1.3 * scores[0]


def test_edge_of_the_frame_is_no_seam() -> None:
    points = points_68(centre=(10, 120))
    box = CropBox.from_landmarks(points)
    assert seam_score(PLATE, PLATE, np.zeros((50, 50, 3), np.uint8), box, points).score == 0


def test_tint_measures_colour_and_goes_with_matching() -> None:
    assert tint(PLATE, blended(colour="none"), BOX, POINTS) > 3 * tint(PLATE, blended(), BOX, POINTS)


def test_bad_pictures_are_named() -> None:
    with pytest.raises(ValueError, match="blended must have the size of plate"):
        seam_score(PLATE, PLATE[:100], GENERATED, BOX, POINTS)
    with pytest.raises(ValueError, match="generated must be square"):
        seam_score(PLATE, PLATE, GENERATED[:50], BOX, POINTS)
    with pytest.raises(ValueError, match="generated must be uint8"):
        seam_score(PLATE, PLATE, GENERATED / 255, BOX, POINTS)
