"""A generator with known flaws and a known truth, made from footage alone: what methods of blending are judged by.

Frame t + k of a clip is laid onto frame t and its lower face taken over: that is the truth T, a frame with another
mouth. The generator's square is cut from T and spoilt by colour, contrast, shading, blur, misalignment and noise at
strength 1, 2 or 3; a blend that undoes all of it gives T back. Pure: pictures and landmarks in, pictures out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.align import similarity
from blending.colour import from_lab, to_lab
from blending.mask import signed_distance, smoothstep
from blending.types import CropBox, Frame, Image, Landmarks, check_frame, to_frame, to_image

NETWORK_SIDE = 328
"""Side of the generator's square in px, as the 320 px network has it."""

RIM_PX = 4
"""Original pixels at each of its edges."""

HULL_SCALE = 0.97
HULL_SOFTNESS_SHARE = 0.03
CLEAR_RIM_SHARE = 0.05

CONTRAST_CENTRE = (55.0, 12.0, 12.0)
NOISE_MEMORY = 0.7
DIRECTION_JITTER_RAD = 0.15


@dataclass(frozen=True)
class Flaws:
    """What is wrong with the generator.

    offset_lab: added. contrast: about L 55, a 12, b 12. gamma: on L / 100. shading: amplitude in L of an oblique ramp
    and a low sine. blur_px, shift_px: at 328 px. zoom: scale about the middle. bilateral: share of an edge-keeping
    smoothing, the lost grain. noise: standard deviation in LAB of a colour that changes from frame to frame, AR(.7).
    """

    offset_lab: tuple[float, float, float]
    contrast: float
    gamma: float
    shading: float
    blur_px: float
    shift_px: float
    zoom: float
    bilateral: float
    noise: float


STRENGTHS: dict[int, Flaws] = {
    1: Flaws((3, 1.5, -1.5), 1.04, 1.04, 2, 0.5, 0.7, 1.003, 0.3, 0.4),
    2: Flaws((6, 3, -3), 1.08, 1.08, 4, 0.9, 1.5, 1.006, 0.6, 0.8),
    3: Flaws((-10, 6, 5), 0.88, 1.12, 7, 1.5, 3, 1.012, 0.9, 1.5),
}


@dataclass(frozen=True, eq=False)
class SimulatedShot:
    """One frame: plate and truth, uint8 (H, W, 3); generated and oracle, uint8 (328, 328, 3): the square with all
    flaws, and with those of geometry and sharpness only; landmarks of the plate and of the truth, which is also what
    the generator draws."""

    plate: Frame
    truth: Frame
    generated: Frame
    oracle: Frame
    box: CropBox
    landmarks: Landmarks
    generated_landmarks: Landmarks


@dataclass(frozen=True, eq=False)
class Wander:
    """What changes from frame to frame: colour in LAB, float32 (T, 3), and the shift's direction in rad, (T,)."""

    colour_lab: NDArray[np.float32]
    direction_rad: NDArray[np.float64]


def simulated_shots(
    plates: Sequence[Frame],
    donors: Sequence[Frame],
    landmarks: Sequence[Landmarks],
    donor_landmarks: Sequence[Landmarks],
    strength: int,
) -> Iterator[SimulatedShot]:
    """Shots of consecutive frames; donors are the frames k later (`donor_runs`). Same arguments, same pictures.

    ValueError for an unknown strength, sequences of differing lengths, and donors of another size than their plates.
    """
    flaws = checked_strength(strength)
    lengths = {len(plates), len(donors), len(landmarks), len(donor_landmarks)}
    if len(lengths) != 1:
        raise ValueError(f"plates, donors and their landmarks must be equally many; got {sorted(lengths)}")
    wander = wander_of(strength, len(plates))
    for index, (plate, donor, marks, donor_marks) in enumerate(
        zip(plates, donors, landmarks, donor_landmarks, strict=True)
    ):
        box = CropBox.from_landmarks(marks)
        truth, drawn = truth_frame(plate, marks, donor, donor_marks, box)
        size_wh = (NETWORK_SIDE, NETWORK_SIDE)
        clean = np.asarray(cv2.resize(box.extract(truth), size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)
        moved = softened_and_moved(to_image(clean), flaws, float(wander.direction_rad[index]))
        coloured = miscoloured(moved, flaws, wander.colour_lab[index])
        yield SimulatedShot(plate, truth, _in_rim(clean, coloured), _in_rim(clean, moved), box, marks, drawn)


def donor_runs(landmarks: Sequence[Landmarks], count: int, runs: int = 3) -> tuple[int, list[int]]:
    """(k, starts): in each run of `count` consecutive frames t, frame t + k has nearly the pose of t but another mouth.

    One k per clip, 3 <= k <= T/2, and up to `runs` runs that do not overlap, best first. They maximise the run's mean
    change of the mouth (opening and width over eye distance) over its mean misfit of eyes, bridge, temples and nose
    base after alignment (squared, in 1 % of eye distance, plus a floor). ValueError unless the clip has at least
    count + 3 frames, and 6.
    """
    total = len(landmarks)
    if count < 1 or total < max(6, count + 3):
        raise ValueError(f"landmarks must cover at least {max(6, count + 3)} frames for a run of {count}; got {total}")
    mouths = np.array([(marks.lip_opening, marks.lip_width) for marks in landmarks])
    poses = np.stack([np.concatenate([stable_points(marks), marks.region("nose_base")]) for marks in landmarks])
    shapes = poses @ (1, 1j)
    shapes -= shapes.mean(axis=1, keepdims=True)
    energy = (np.abs(shapes) ** 2).sum(axis=1)
    eyes2 = np.array([marks.eye_distance_px for marks in landmarks]) ** 2
    window, best = np.ones(count) / count, (-1.0, 0, [0])
    for k in range(3, min(total // 2, total - count) + 1):
        # What the best similarity leaves of one shape laid onto another has a closed form in complex numbers.
        shared = np.abs((shapes[:-k].conj() * shapes[k:]).sum(axis=1)) ** 2
        misfit2 = (energy[:-k] - shared / energy[k:]) / (eyes2[:-k] * shapes.shape[1])
        change = np.abs(mouths[k:] - mouths[:-k]).sum(axis=1)
        scores = np.convolve(change, window, "valid") / (100 * np.convolve(misfit2, window, "valid") + 0.01)
        starts: list[int] = []
        for start in np.argsort(-scores, kind="stable"):
            if len(starts) < runs and all(abs(start - other) >= count for other in starts):
                starts.append(int(start))
        best = max(best, (float(scores[starts].mean()), k, starts), key=lambda one: one[0])
    return best[1], best[2]


def truth_frame(
    plate: Frame, landmarks: Landmarks, donor: Frame, donor_landmarks: Landmarks, box: CropBox
) -> tuple[Frame, Landmarks]:
    """The plate with the donor's lower face, and the donor's landmarks as they lie in it.

    The donor is laid on by the similarity of the stable points. Its lower-face hull, scaled by .97, softened by .03 S
    and 0 within .05 S of the square's border, is what is taken over; elsewhere the plate stays bit-exact.
    """
    check_frame(plate, "plate")
    check_frame(donor, "donor")
    if plate.shape != donor.shape:
        raise ValueError(f"donor must have the size of plate, {plate.shape[:2]}; got {donor.shape[:2]}")
    matrix = similarity(stable_points(donor_landmarks), stable_points(landmarks))
    drawn = Landmarks(donor_landmarks.points @ matrix[:, :2].T + matrix[:, 2])
    rows, columns = box.inside((plate.shape[0], plate.shape[1]))
    to_box = matrix - [[0, 0, columns.start], [0, 0, rows.start]]
    size_wh = columns.stop - columns.start, rows.stop - rows.start
    laid_on = cv2.warpAffine(donor, to_box, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    xs, ys = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)
    softness = HULL_SOFTNESS_SHARE * box.side
    alpha = smoothstep(0.5 - signed_distance(_lower_face(drawn), xs, ys) / np.float32(2 * softness))
    last_x, last_y = box.x0 + box.side - 1, box.y0 + box.side - 1
    across, down = (np.minimum(c - a, b - c) for c, a, b in ((xs, box.x0, last_x), (ys, box.y0, last_y)))
    inward = np.minimum(across[None, :], down[:, None]).astype(np.float32)
    alpha *= smoothstep((inward - np.float32(CLEAR_RIM_SHARE * box.side)) / np.float32(softness))
    truth, base = plate.copy(), plate[rows, columns].astype(np.float32)
    truth[rows, columns] = np.rint(base + alpha[..., None] * (np.asarray(laid_on, np.float32) - base)).astype(np.uint8)
    return truth, drawn


def stable_points(landmarks: Landmarks) -> NDArray[np.float32]:
    """Points that speech does not move: eyes, nose bridge, two temple points a side; 20 of the 68."""
    marks = landmarks.to_scheme(68) if landmarks.scheme == 478 else landmarks
    jaw = marks.region("jaw")
    named = [marks.region(name) for name in ("left_eye", "right_eye", "nose_bridge")]
    return np.concatenate([*named, jaw[:2], jaw[-2:]])


def wander_of(strength: int, count: int) -> Wander:
    """Frame-to-frame changes of a strength, the same for every clip: seeded by the strength alone, and the first n of a
    longer run are the run of n."""
    flaws = checked_strength(strength)
    rng = np.random.default_rng((328, strength))
    start = rng.uniform(0, 2 * np.pi)
    steps = rng.normal(0, 1, (count, 4))
    colour = np.empty((count, 3))
    state = steps[0, :3] if count else np.zeros(3)
    for index in range(count):
        if index:
            state = NOISE_MEMORY * state + np.sqrt(1 - NOISE_MEMORY**2) * steps[index, :3]
        colour[index] = flaws.noise * state
    return Wander(colour.astype(np.float32), start + DIRECTION_JITTER_RAD * steps[:, 3])


def softened_and_moved(image: Image, flaws: Flaws, direction_rad: float) -> Image:
    """Grain and sharpness lost, then scaled about the middle and shifted; (328, 328, 3), 0..1."""
    smooth = np.asarray(cv2.bilateralFilter(image, 9, 0.08, 3), np.float32)
    soft = image + np.float32(flaws.bilateral) * (smooth - image)
    soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), flaws.blur_px), np.float32)
    middle = (len(image) - 1) / 2
    x, y = flaws.shift_px * np.cos(direction_rad), flaws.shift_px * np.sin(direction_rad)
    matrix = np.array([[flaws.zoom, 0, (1 - flaws.zoom) * middle + x], [0, flaws.zoom, (1 - flaws.zoom) * middle + y]])
    size_wh = image.shape[1], image.shape[0]
    moved = cv2.warpAffine(soft, matrix, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(moved, 0, 1).astype(np.float32)


def miscoloured(image: Image, flaws: Flaws, wander_lab: NDArray[np.float32]) -> Image:
    """Contrast, gamma, offset, shading and the frame's own colour, in CIELAB; (328, 328, 3), 0..1."""
    lab, centre = to_lab(image), np.array(CONTRAST_CENTRE, np.float32)
    lab = centre + np.float32(flaws.contrast) * (lab - centre)
    lab[..., 0] = 100 * (np.clip(lab[..., 0], 0, 100) / 100) ** flaws.gamma
    lab += np.array(flaws.offset_lab, np.float32) + wander_lab
    lab[..., 0] += np.float32(flaws.shading) * _shade(len(image))
    return from_lab(lab)


def checked_strength(strength: int) -> Flaws:
    """The flaws of a strength; ValueError for one that does not exist."""
    if strength not in STRENGTHS:
        raise ValueError(f"strength must be one of {', '.join(map(str, STRENGTHS))}; got {strength!r}")
    return STRENGTHS[strength]


def _shade(side: int) -> NDArray[np.float32]:
    """An oblique ramp and a sine of one and a half periods, at most 1 in size, (side, side)."""
    down, across = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    ramp, wave = 0.8 * across + 0.6 * down, np.sin(1.5 * np.pi * (0.6 * across - 0.8 * down))
    return (0.5 * ramp + 0.3 * wave).astype(np.float32)


def _lower_face(landmarks: Landmarks) -> NDArray[np.float32]:
    """Hull of jaw and nose base scaled by .97 about its middle, (K, 2)."""
    points = np.concatenate([landmarks.region("jaw"), landmarks.region("nose_base")])
    hull = np.asarray(cv2.convexHull(points), np.float32).reshape(-1, 2)
    middle = hull.mean(axis=0)
    return middle + np.float32(HULL_SCALE) * (hull - middle)


def _in_rim(clean: Frame, spoilt: Image) -> Frame:
    """The spoilt square with the rim of original pixels around it."""
    outcome = clean.copy()
    inner = slice(RIM_PX, len(clean) - RIM_PX)
    outcome[inner, inner] = to_frame(spoilt)[inner, inner]
    return outcome
