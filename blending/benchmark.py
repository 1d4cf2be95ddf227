"""python -m blending.benchmark: every way to blend, on footage whose truth is known.

    python -m blending.benchmark --footage talk.mp4 [--landmarks talk.landmarks.npz] [--sheet sheet.png]

A simulated generator (blending/simulated.py) spoils the lower face of each clip at strengths 1 to 3; every compositor
runs with every colour method, beside the documented pipeline, cv2.seamlessClone and the oracle, whose colour is right
to begin with. Without --footage the bundled talk clips are used. A program on top of the packages, as models/train.py:
it alone in blending/ reads footage and writes files. It records; nothing is gated on time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from blending import COLOUR_METHODS, COMPOSITORS, Blender, BlendSettings, match_color_histogram
from blending.metrics import Flicker, Truth, mouth_fidelity
from blending.registration import Registration, measure_registration, smooth_registrations
from blending.seam import WorkGrid
from blending.simulated import STRENGTHS, SimulatedShot, donor_runs, simulated_shots
from blending.types import CropBox, Frame, Landmarks
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.landmarks import ClipLandmarks, detect_landmarks
from clips.library import ClipLibrary
from clips.presets import load_preset
from clips.video import read_frames

BUNDLED_MODEL = "LS1"
FRAMES, RUNS = 6, 3
JUDGED_EVERY = 2
TIMED_SHOTS = 3
TIMED_CALLS = 11
CALLS_IN_A_ROW = 3
TIMED_SIZES = {"720p": ((720, 1280), 177), "1080p": ((1080, 1920), 266)}
"""Frame width and height, and the side of the square in it."""

DOCUMENTED_EXPANSION = 1.15
DOCUMENTED_BLUR_PX = 31

DOCUMENTED, HARD, CLONE = "documented pipeline", "hard paste", "seamlessClone normal"
OURS, ORACLE, BOTH_JAWS = "defaults, registered", "oracle colour", ", both jaws"
NAMES = ("seam", "neck", "ring", "skin", "lips", "vis", "mouth", "flicker")

CLOSE_UP = 2
HEAT_FULL = 2.0
"""The seam value that is drawn in the heatmap's brightest colour."""


class Outcome(NamedTuple):
    """A blended frame, and the generated square (any size) after its colour correction."""

    frame: Frame
    matched: Frame


Blend = Callable[[SimulatedShot, Registration | None, Frame], Outcome]
"""Of a shot, its registration (None: not known) and a copy of its plate, which may be written into."""


@dataclass(frozen=True)
class Method:
    """One row of the table. registers: it uses a registration, measured over the shot or else on the frame alone."""

    name: str
    blend: Blend
    registers: bool = False


@dataclass(frozen=True, eq=False)
class Footage:
    """A run of consecutive frames, those k later whose faces are taken over, and the landmarks of both."""

    name: str
    plates: list[Frame]
    donors: list[Frame]
    landmarks: list[Landmarks]
    donor_landmarks: list[Landmarks]
    start: int
    k: int

    def shots(self, strength: int) -> Iterator[SimulatedShot]:
        return simulated_shots(self.plates, self.donors, self.landmarks, self.donor_landmarks, strength)


@dataclass(frozen=True)
class Row:
    """What was measured of one method: means over clips, strengths and frames; mouth is the correlation of the lips
    with the generated ones; ms per frame by size."""

    name: str
    seam: float
    neck: float
    ring: float
    skin: float
    lips: float
    vis: float
    mouth: float
    flicker: float
    ms: dict[str, float] = field(default_factory=dict)


def documented_pipeline(plate: Frame, generated: Frame, box: CropBox, landmarks: Landmarks) -> Outcome:
    """The recipe this engine replaces: the face's hull x 1.15 with a 31-px blur as mask, LAB histogram matching and a
    float blend, all on the whole frame."""
    pasted = box.paste(plate, generated)
    matched = match_color_histogram(pasted, plate)
    mask = np.zeros(plate.shape[:2], np.float32)
    middle = landmarks.points.mean(axis=0)
    outline = cv2.convexHull(middle + DOCUMENTED_EXPANSION * (landmarks.points - middle))
    cv2.fillConvexPoly(mask, np.rint(outline).astype(np.int32), (1.0,))
    alpha = cv2.GaussianBlur(mask, (DOCUMENTED_BLUR_PX, DOCUMENTED_BLUR_PX), DOCUMENTED_BLUR_PX / 2)[:, :, None]
    blended = matched.astype(np.float32) * alpha + plate.astype(np.float32) * (1 - alpha)
    return Outcome(np.clip(blended, 0, 255).astype(np.uint8), box.extract(matched))


def seamless_clone(plate: Frame, generated: Frame, box: CropBox, landmarks: Landmarks) -> Outcome:
    """cv2.seamlessClone, normal, on the visible part of the square, 5 % inside its border, within the face's hull."""
    rows, columns = box.inside((plate.shape[0], plate.shape[1]))
    patch = np.ascontiguousarray(box.paste(plate, generated)[rows, columns])
    mask = np.zeros(patch.shape[:2], np.uint8)
    outline = cv2.convexHull(np.rint(landmarks.points).astype(np.int32)) - [columns.start, rows.start]
    cv2.fillConvexPoly(mask, outline, (255,))
    inset = max(2, round(0.05 * box.side))
    mask[:inset] = mask[-inset:] = 0
    mask[:, :inset] = mask[:, -inset:] = 0
    blended = plate.copy()
    if mask.any():
        x, y, width, height = cv2.boundingRect(mask)
        base = np.ascontiguousarray(plate[rows, columns])
        cloned = cv2.seamlessClone(patch, base, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
        blended[rows, columns] = cloned
    return Outcome(blended, np.ascontiguousarray(box.extract(blended)))


def engine_method(name: str, settings: BlendSettings, *, oracle: bool = False, both_jaws: bool = False) -> Method:
    """The engine with these settings. oracle: it is given the square without colour flaws. both_jaws: it is told the
    landmarks of the generated face."""
    blender = Blender(settings)

    def blend(shot: SimulatedShot, registration: Registration | None, out: Frame) -> Outcome:
        generated, drawn = shot.oracle if oracle else shot.generated, shot.generated_landmarks if both_jaws else None
        result = blender.blend(
            out, generated, shot.box, shot.landmarks, registration=registration, generated_landmarks=drawn, out=out
        )
        return Outcome(out, result.generated_matched)

    return Method(name, blend, settings.registration == "on")


def methods() -> list[Method]:
    """Baselines, every compositor with every colour method without registration, the defaults with it, the oracle."""

    def in_place(pipeline: Callable[[Frame, Frame, CropBox, Landmarks], Outcome]) -> Blend:
        return lambda shot, _, out: pipeline(out, shot.generated, shot.box, shot.landmarks)

    default = BlendSettings()
    plain, registered = (default.model_copy(update={"registration": switch}) for switch in ("off", "on"))
    found = [
        Method(DOCUMENTED, in_place(documented_pipeline)),
        Method(HARD, in_place(lambda plate, square, box, _: Outcome(box.paste(plate, square), square))),
        Method(CLONE, in_place(seamless_clone)),
    ]
    for compositor in COMPOSITORS:
        for colour in COLOUR_METHODS:
            settings = plain.model_copy(update={"compositor": compositor, "colour": colour})
            found.append(engine_method(f"{compositor} + {colour}", settings))
    found += [
        engine_method(OURS, registered),
        engine_method(OURS + BOTH_JAWS, registered, both_jaws=True),
        engine_method(ORACLE, plain.model_copy(update={"colour": "none"}), oracle=True),
    ]
    uncoloured = registered.model_copy(update={"colour": "none"})
    for suffix in ("", BOTH_JAWS):
        name = f"{ORACLE}, registered{suffix}"
        found.append(engine_method(name, uncoloured, oracle=True, both_jaws=bool(suffix)))
    return found


def load_footage(path: Path, landmarks: ClipLandmarks, frames: int) -> list[Footage]:
    """Up to RUNS runs of `frames` frames whose donors fit best; shorter ones, and one only, of a short clip."""
    marks = [landmarks.at(index) for index in range(len(landmarks))]
    count = min(frames, max(1, len(marks) // 3))
    k, starts = donor_runs(marks, count, RUNS if len(marks) >= 4 * RUNS * count else 1)
    found = []
    for start in starts:
        plates, donors = (list(read_frames(path, first, count)) for first in (start, start + k))
        of_plates, of_donors = (marks[first : first + count] for first in (start, start + k))
        found.append(Footage(path.stem, plates, donors, of_plates, of_donors, start, k))
    return found


def bundled_footage(frames: int) -> list[Footage]:
    """The bundled talk clips."""
    clips = [clip for clip in ClipLibrary().clips(BUNDLED_MODEL) if clip.kind == "talk"]
    return [run for clip in clips for run in load_footage(clip.path, clip.landmarks().smoothed(), frames)]


def judge(method: Method, footage: Sequence[Footage]) -> Row:
    """Errors, fidelity of the mouth and flicker of one method over all clips, strengths and frames."""
    found: list[tuple[float, ...]] = []
    flicker: list[float] = []
    for clip in footage:
        for strength in STRENGTHS:
            shots = list(clip.shots(strength))
            motion = Flicker()
            for index, (shot, registration) in enumerate(zip(shots, _registrations(method, shots), strict=True)):
                outcome = method.blend(shot, registration, shot.plate.copy())
                motion.add(shot.plate, outcome.frame, shot.box, shot.landmarks, shot.generated_landmarks)
                if index % JUDGED_EVERY:
                    continue
                truth = Truth(shot.truth, shot.box, shot.landmarks, shot.generated_landmarks)
                error = truth.error(outcome.frame)
                mouth = mouth_fidelity(outcome.frame, outcome.matched, shot.box, shot.generated_landmarks)
                found.append((*astuple(error), error.vis, mouth.correlation))
            flicker.append(motion.value)
    seam, neck, ring, skin, lips, vis, mouth = np.mean(found, axis=0).tolist()
    return Row(method.name, seam, neck, ring, skin, lips, vis, mouth, float(np.mean(flicker)))


def _registrations(method: Method, shots: Sequence[SimulatedShot]) -> list[Registration | None]:
    """As a render has them: measured on each frame, smoothed over the shot."""
    if not method.registers:
        return [None] * len(shots)
    measured = [measure_registration(shot.plate, shot.generated, shot.box, shot.landmarks) for shot in shots]
    return list(smooth_registrations(measured))


def timed_ms(methods: Sequence[Method], shots: Sequence[SimulatedShot]) -> list[float]:
    """Median time of a frame for each method, over shots in turn, registration included, after one call that warms
    everything up.

    The methods take turns, so that each meets the same load of the machine; those that take under a fiftieth of the
    slowest have CALLS_IN_A_ROW turns at once. The engine writes into the frame it is given, as a render does; the copy
    it needs is not counted.
    """
    spent: list[list[float]] = [[_once(method, shots[0])] for method in methods]
    slowest = max(times[0] for times in spent)
    for times in spent:
        times.clear()
    for call in range(max(TIMED_CALLS, len(shots))):
        for method, times in zip(methods, spent, strict=True):
            for _ in range(CALLS_IN_A_ROW if times and times[0] < slowest / 50 else 1):
                times.append(_once(method, shots[(call + 1) % len(shots)]))
    return [statistics.median(times) for times in spent]


def _once(method: Method, shot: SimulatedShot) -> float:
    """Milliseconds of one frame."""
    frame = shot.plate.copy()
    started = time.perf_counter()
    method.blend(shot, None, frame)
    return 1000 * (time.perf_counter() - started)


def at_size(shot: SimulatedShot, frame_wh: tuple[int, int], side: int) -> SimulatedShot:
    """The shot in a frame of another size, scaled so that its square is `side` px wide and in the middle."""
    scale = side / shot.box.side
    middle = np.array([shot.box.x0, shot.box.y0]) + (shot.box.side - 1) / 2
    shift = (np.array(frame_wh) - 1) / 2 - scale * middle
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    plate, truth = (
        np.asarray(cv2.warpAffine(f, matrix, frame_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)
        for f in (shot.plate, shot.truth)
    )
    marks, drawn = (Landmarks(m.points * scale + shift) for m in (shot.landmarks, shot.generated_landmarks))
    corner = np.rint(scale * (np.array([shot.box.x0, shot.box.y0]) - 0.5) + shift + 0.5).astype(int)
    return replace(
        shot, plate=plate, truth=truth, box=CropBox(int(corner[0]), int(corner[1]), side), landmarks=marks,
        generated_landmarks=drawn,
    )  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown, one line per method, in the order given."""
    sizes = list(TIMED_SIZES)
    head = ["method", *NAMES, *(f"ms {size}" for size in sizes), f"x faster than documented, {sizes[-1]}"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    documented = next(row for row in rows if row.name == DOCUMENTED).ms[sizes[-1]]
    for row in rows:
        figures = [f"{getattr(row, name):.{3 if name == 'mouth' else 2}f}" for name in NAMES]
        times = [f"{row.ms[size]:.2f}" for size in sizes]
        lines.append("| " + " | ".join([row.name, *figures, *times, f"{documented / row.ms[sizes[-1]]:.1f}"]) + " |")
    return "\n".join(lines)


def targets(rows: Sequence[Row], jaws: str = "") -> list[str]:
    """What the defaults with registration should reach, each with its figure. jaws: "" or BOTH_JAWS."""
    named = {row.name: row for row in rows}
    ours, documented, hard = named[OURS + jaws], named[DOCUMENTED], named[HARD]
    oracles = [named[ORACLE], named[f"{ORACLE}, registered{jaws}"]]
    rivals = [row for row in rows if row.name in (CLONE, "alpha + mean_std", "poisson + none")]
    rival = min(rivals, key=lambda row: row.vis)
    checks = [
        ("vis over the documented pipeline's", ours.vis / documented.vis, "<=", 1 / 3),
        (f"vis over that of {rival.name}, the best of the classic ones", ours.vis / rival.vis, "<=", 0.8),
        ("neck", ours.neck, "<=", 0.15),
        *((f"neck over that of {one.name}", ours.neck / max(one.neck, 1e-6), "<=", 1.1) for one in oracles),
        ("correlation of the lips with the generated ones", ours.mouth, ">=", 0.99),
        ("flicker over the hard paste's", ours.flicker / max(hard.flicker, 1e-6), "<=", 1.0),
    ]
    return [
        f"{name}: {value:.3f} (wanted {sign} {wanted:.2f}) "
        + ("reached" if (value <= wanted if sign == "<=" else value >= wanted) else "MISSED")
        for name, value, sign, wanted in checks
    ]


def sheet(clip: Footage) -> Frame:
    """Contact sheet of a clip's middle frame at 2x around neck and jaw: per strength a row of pictures and one of
    heatmaps against the truth; columns plate, truth, hard paste, documented pipeline, preset classic, defaults."""
    known = {method.name: method for method in methods()}
    shown = [known[HARD], known[DOCUMENTED], engine_method("preset classic", load_preset("classic")), known[OURS]]
    bands = []
    for strength in STRENGTHS:
        shots = list(clip.shots(strength))
        middle = len(shots) // 2
        shot = shots[middle]
        truth = Truth(shot.truth, shot.box, shot.landmarks, shot.generated_landmarks)
        pictures = [("plate", shot.plate), ("truth", shot.truth)]
        for method in shown:
            registration = _registrations(method, shots)[middle]
            pictures.append((method.name, method.blend(shot, registration, shot.plate.copy()).frame))
        view = _close_up(shot)
        close = [
            _labelled(_enlarged(view.extract(frame), CLOSE_UP * view.side), f"{name}, strength {strength}")
            for name, frame in pictures
        ]
        heats = []
        for name, frame in pictures:
            heat = _heat_in_frame(truth.heatmap(frame), shot)
            vis = truth.error(frame).vis
            heats.append(_labelled(_enlarged(view.extract(heat), CLOSE_UP * view.side), f"{name}: vis {vis:.2f}"))
        bands += [np.hstack(close), np.hstack(heats)]
    return np.vstack(bands)


def _close_up(shot: SimulatedShot) -> CropBox:
    side = round(1.1 * shot.box.side)
    x, y = shot.landmarks.anchor("chin")
    return CropBox(round(float(x) - side / 2), round(float(y) - 0.6 * side), side)


def _heat_in_frame(heat: NDArray[np.float32], shot: SimulatedShot) -> Frame:
    grid = WorkGrid.around(shot.box)
    levels = np.clip(heat * (255 / HEAT_FULL), 0, 255).astype(np.uint8)
    coloured = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.uint8)
    return grid.roi.paste(np.zeros_like(shot.plate), coloured)


def _enlarged(picture: Frame, side: int) -> Frame:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def _labelled(picture: Frame, text: str) -> Frame:
    strip = np.full((28, picture.shape[1], 3), 60, np.uint8)
    cv2.putText(strip, text, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (240, 240, 240), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def run(footage: Sequence[Footage]) -> list[Row]:
    """All methods on all clips, one thread; sizes are timed on the first clip at strength 2."""
    cv2.setNumThreads(1)
    first = list(footage[0].shots(2))[:TIMED_SHOTS]
    sizes = {name: [at_size(shot, *size) for shot in first] for name, size in TIMED_SIZES.items()}
    every = methods()
    times = {name: timed_ms(every, shots) for name, shots in sizes.items()}
    rows = []
    for index, method in enumerate(every):
        print(f"  {method.name}", file=sys.stderr, flush=True)
        row = judge(method, footage)
        rows.append(replace(row, ms={name: found[index] for name, found in times.items()}))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m blending.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--footage", type=Path, help="a video with one face; default: the bundled talk clips")
    parser.add_argument("--landmarks", type=Path, help="its landmark file (.npz); default: they are detected")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"consecutive frames per run, default {FRAMES}")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet here (.png)")
    parser.add_argument("--output", type=Path, help="write the table here, too (.md)")
    args = parser.parse_args(argv)
    try:
        print(report(args))
    except (ClipError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(args: argparse.Namespace) -> str:
    """Runs everything that is asked for and returns what is printed."""
    if args.frames < 2:
        raise ValueError(f"--frames must be at least 2, or nothing can flicker; got {args.frames}")
    if args.landmarks and not args.footage:
        raise ValueError("--landmarks must come with the --footage they belong to")
    if args.footage:
        found = ClipLandmarks.load(args.landmarks) if args.landmarks else detect_landmarks(read_frames(args.footage))
        footage = load_footage(args.footage, found.smoothed(), args.frames)
    else:
        footage = bundled_footage(args.frames)
    if args.sheet:
        _write(args.sheet, cv2.imencode(".png", sheet(footage[0]))[1].tobytes())
    rows = run(footage)
    names = dict.fromkeys(clip.name for clip in footage)
    taken = "; ".join(_told([clip for clip in footage if clip.name == name]) for name in names)
    lines = [
        f"Mean over strengths {', '.join(map(str, STRENGTHS))}. {taken}. One thread.",
        "",
        table(rows),
        "",
    ]
    for jaws in ("", BOTH_JAWS):
        lines += [f"{OURS}{jaws}:", "", *(f"- {line}" for line in targets(rows, jaws)), ""]
    text = "\n".join(lines).rstrip()
    if args.output:
        _write(args.output, (text + "\n").encode())
    return text


def _told(runs: Sequence[Footage]) -> str:
    starts = ", ".join(str(run.start) for run in runs)
    return f"{runs[0].name}: {len(runs[0].plates)} frames from {starts}, mouths of {runs[0].k} frames later"


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as partial:
        partial.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
