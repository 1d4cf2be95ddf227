"""Any finished blend taken apart: the over of what comes out is the blend."""

import numpy as np
import pytest

from blending.composite import COMPOSITORS
from blending.foreground import FOREGROUNDS, foreground_of
from blending.poisson import membrane_of_border


def over(plate, foreground, matte):
    mixed = plate + matte[..., None].astype(np.float64) * (foreground - plate)
    return np.rint(mixed)


def pictures(seed, size=96, strength=60):
    """Plate and generated picture (smooth, with grain, of other colours) and a round soft matte."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    waves = [
        127 + 110 * np.sin(random.uniform(1, 9, 3) * (x * a + y * b)[..., None]) for a, b in random.normal(size=(2, 2))
    ]
    plate, generated = (np.clip(w + random.normal(0, 6, w.shape), 0, 255) for w in waves)
    generated = np.clip(generated + random.uniform(-strength, strength, 3), 0, 255)
    matte = np.clip(2.5 - 6 * np.hypot(x - 0.5, y - 0.5), 0, 1).astype(np.float32)
    return plate.astype(np.uint8), generated.astype(np.uint8), matte


@pytest.mark.parametrize("name", COMPOSITORS)
def test_the_over_of_the_parts_is_the_blend_for_every_compositor(name):
    for seed in range(12):
        plate, generated, matte = pictures(seed)
        result, used = COMPOSITORS[name](plate, generated, matte)
        foreground, share, solved = foreground_of(name, plate, result, generated, used)
        assert solved == (name in ("poisson", "multiband"))
        assert np.abs(over(plate, foreground, share) - result).max() <= (0 if solved else 1)
        assert foreground.min() >= 0
        assert foreground.max() <= 255
        assert (share[used == 0] == 0).all()
        assert (share >= used).all()
        assert share.max() <= 1


def test_what_is_an_over_already_stays_as_it_is():
    plate, generated, matte = pictures(1)
    result, _ = COMPOSITORS["alpha"](plate, generated, matte)
    foreground, share, solved = foreground_of("alpha", plate, result, generated, matte)
    assert not solved
    assert share is matte
    assert np.array_equal(foreground, generated)


def test_any_result_at_all_can_be_taken_apart():
    """The matte is raised where no colour would do, and only as far as is needed."""
    random = np.random.default_rng(5)
    plate, generated, matte = pictures(2)
    result = random.integers(0, 256, plate.shape).astype(np.uint8)
    result[matte == 0] = plate[matte == 0]
    foreground, share, solved = foreground_of("multiband", plate, result, generated, matte)
    assert solved
    assert np.array_equal(over(plate, foreground, share), result)
    assert (share > matte).any()
    middle = (matte == 1) & (share == 1)
    assert middle.any()


def test_a_solved_foreground_is_near_the_true_one_where_the_matte_is_thin():
    """8-bit results over a matte of 1 % are wrong by tens of levels when they are simply divided out."""
    plate, other, matte = pictures(3)
    plate = np.clip(plate, 60, 190).astype(np.uint8)
    y, x = np.mgrid[: len(plate), : len(plate)]
    generated = (plate + 15 + 12 * np.sin(x / 3 + y / 5)[..., None]).astype(np.uint8)
    generated[matte == 1] = other[matte == 1]  # another mouth
    result, used = COMPOSITORS["poisson"](plate, generated, matte)
    foreground, share, solved = foreground_of("poisson", plate, result, generated, used)
    assert solved
    truth = generated + membrane_of_border(plate.astype(np.float32) - generated, matte <= 0)
    thin = (share > 0.003) & (share < 0.05)
    assert thin.sum() > 50
    naive = plate + (result.astype(float) - plate) / np.maximum(share, 1e-6)[..., None]
    off, off_naive = (np.abs(one - np.clip(truth, 0, 255))[thin].mean() for one in (foreground, naive))
    assert off < 0.5 < 2 < off_naive


def test_nothing_to_take_apart():
    plate, generated, _ = pictures(4)
    nothing = np.zeros(plate.shape[:2], np.float32)
    _, share, solved = foreground_of("poisson", plate, plate, generated, nothing)
    assert not solved
    assert not share.any()
    empty = np.zeros((0, 0, 3), np.uint8)
    assert foreground_of("hard", empty, empty, empty, np.zeros((0, 0), np.float32))[0].shape == (0, 0, 3)
    with pytest.raises(ValueError, match=r"compositor must be one of alpha.*; got 'screen'"):
        foreground_of("screen", plate, plate, generated, nothing)
    assert set(FOREGROUNDS) == set(COMPOSITORS)
