"""Compositors: the fast ones against slow exact ones, and what each promises about the plate."""

import cv2
import numpy as np
import pytest
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve
from synthetic_face import generated_of, plate_of, points_68

from blending import COMPOSITORS
from blending.mask import face_matte
from blending.poisson import membrane_of_border

POINTS = points_68()
GENERATED, BOX = generated_of(POINTS)
PLATE = np.ascontiguousarray(BOX.extract(plate_of(POINTS)))
MATTE = face_matte(POINTS, BOX, 1.15, 0.15 * BOX.side)
SOFT = [name for name in COMPOSITORS if name != "hard"]


@pytest.mark.parametrize("name", SOFT)
def test_plate_stays_where_the_matte_is_zero_and_equal_pictures_stay(name: str) -> None:
    mixed, used = COMPOSITORS[name](PLATE, GENERATED, MATTE)
    assert used is MATTE
    np.testing.assert_array_equal(mixed[MATTE == 0], PLATE[MATTE == 0])
    np.testing.assert_array_equal(COMPOSITORS[name](PLATE, PLATE, MATTE)[0], PLATE)
    np.testing.assert_array_equal(COMPOSITORS[name](PLATE, GENERATED, np.zeros_like(MATTE))[0], PLATE)
    assert (mixed != PLATE).any()


def test_alpha_is_the_exact_mix_rounded() -> None:
    exact = PLATE + MATTE[..., None].astype(np.float64) * (GENERATED.astype(float) - PLATE)
    np.testing.assert_allclose(COMPOSITORS["alpha"](PLATE, GENERATED, MATTE)[0], exact, atol=0.501)
    np.testing.assert_array_equal(COMPOSITORS["alpha"](PLATE, GENERATED, np.ones_like(MATTE))[0], GENERATED)


def exact_membrane(border: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Laplace's equation as one sparse linear system."""
    height, width = known.shape
    unknown = np.flatnonzero(~known)
    place = np.full(known.size, -1)
    place[unknown] = np.arange(len(unknown))
    system, right = lil_matrix((len(unknown), len(unknown))), np.zeros((len(unknown), 3))
    flat = border.reshape(-1, 3)
    for row, pixel in enumerate(unknown):
        system[row, row] = 4
        for other in (pixel - width, pixel + width, pixel - 1, pixel + 1):
            if place[other] >= 0:
                system[row, place[other]] = -1
            else:
                right[row] += flat[other]
    solved = flat.copy()
    solved[unknown] = spsolve(system.tocsc(), right)
    return solved.reshape(height, width, 3)


@pytest.mark.parametrize("size", [(17, 23), (40, 40), (61, 90)])
def test_poisson_solves_the_equation(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    known = ((y - size[0] / 2) / (0.45 * size[0])) ** 2 + ((x - size[1] / 2) / (0.4 * size[1])) ** 2 > 1
    known[[0, -1]] = known[:, [0, -1]] = True
    smooth = np.dstack([x * 1.0, 20 * np.sin(y / 9), 0.5 * y - x]).astype(np.float32)
    border = smooth + rng.normal(0, 8, (*size, 3)).astype(np.float32)
    solved = membrane_of_border(border, known)
    np.testing.assert_array_equal(solved[known], border[known])
    assert np.abs(solved - exact_membrane(border, known)).max() < 1.0


def test_poisson_takes_the_cast_away_and_does_not_look_beyond_the_matte() -> None:
    cast = np.clip(np.add(PLATE.astype(int), (12, -9, 15)), 0, 255).astype(np.uint8)
    healed = COMPOSITORS["poisson"](PLATE, cast, MATTE)[0]
    assert np.abs(healed.astype(int) - PLATE).mean() < 0.3
    beyond = cv2.erode((MATTE == 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    hair = PLATE.copy()
    hair[beyond] = 0
    spoilt = cast.copy()
    spoilt[beyond] = 255
    again = COMPOSITORS["poisson"](hair, spoilt, MATTE)[0]
    np.testing.assert_allclose(again[~beyond], healed[~beyond], atol=1)


def test_multiband_is_between_alpha_and_plate_in_coarse_structure() -> None:
    """Fine structure follows the matte as under alpha, and the whole mouth is the generated one."""
    mixed = COMPOSITORS["multiband"](PLATE, GENERATED, MATTE)[0]
    whole = cv2.erode((MATTE == 1).astype(np.uint8), np.ones((31, 31), np.uint8)) > 0
    assert whole.any()
    assert np.abs(mixed.astype(int) - GENERATED)[whole].mean() < 1.5
    stripes = (np.indices(MATTE.shape).sum(axis=0) % 2 * 60 + 80).astype(np.uint8)[..., None].repeat(3, axis=2)
    flat = np.full_like(stripes, 110)
    np.testing.assert_allclose(
        COMPOSITORS["multiband"](flat, stripes, MATTE)[0], COMPOSITORS["alpha"](flat, stripes, MATTE)[0], atol=8
    )


def test_hard_is_the_square() -> None:
    mixed, used = COMPOSITORS["hard"](PLATE, GENERATED, MATTE)
    np.testing.assert_array_equal(mixed, GENERATED)
    assert (used == 1).all()
