"""Measures what a model draws: lips against the truth, the mouth's picture, and lips under a sound without a picture.

    python -m models.evaluate --model LS1 --footage train.mp4 --base "clips/library/LS1/05,20s talk evening.mp4"
    python -m models.evaluate --model LS1 --sound speech.wav --base clips/library/LS1/silence.mp4

Footage: frames of time the model was not trained on are drawn over a base (the footage itself, or another clip), and
lip opening and width found in them compared with the footage's own. Over the footage itself the picture is measured
as well, beside controls made of true frames: what a figure is worth shows next to them. Sound alone: how opening goes
with loudness, and whether the mouth is closed in pauses. A program on top of the packages, as the trainer is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from blending.seam import WORK_SIDE, WorkGrid
from blending.types import CropBox, Frame, Landmarks
from clips.audio import SAMPLE_RATE, load_audio
from clips.errors import ClipError
from clips.landmarks import ClipLandmarks, FaceMeshDetector, detect_landmarks
from clips.library import workspace_folder
from clips.timeline import FPS, counted, frame_count, ping_pong
from clips.video import read_frames
from models.errors import ModelError
from models.figures import (
    LipFigures,
    PictureFigures,
    PictureTally,
    frame_levels_db,
    lip_figures,
    mouth_square,
    rounded,
    sound_figures,
)
from models.lip_sync import LipSyncModel, crop_for_network, list_models

WRONG_BY_FRAMES = 37
"""The control with a wrong mouth shows the one of so many frames later; no whole number of words or pauses."""
CONTROLS = ("perfect", "one frame late", "wrong")
SHEET_EVERY, SHEET_COLUMNS = 40, 12


def true_landmarks(footage: Path, frames: range) -> list[Landmarks]:
    """Landmarks of the footage: exact ones where they lie beside it, else detected ones."""
    exact = footage.with_name(f"{footage.stem}.landmarks.npz")
    if exact.is_file():
        with np.load(exact, allow_pickle=False) as truth:
            return [Landmarks(truth["points"][i] - 0.5) for i in frames]
    found = detect_landmarks(read_frames(footage, start=frames.start, count=len(frames)))
    return [found.at(i).to_scheme(68) for i in range(len(frames))]


def opening_and_width(landmarks: Landmarks) -> tuple[float, float]:
    return landmarks.lip_opening, landmarks.lip_width


class LipReader:
    """Finds opening and width in single frames, as if each were a clip of its own."""

    def __init__(self) -> None:
        self._detector = FaceMeshDetector()

    def __call__(self, frame: Frame) -> tuple[float, float]:
        """NaN twice where no face is found."""
        self._detector.reset()
        found = self._detector.detect(frame)
        return opening_and_width(Landmarks(found.points).to_scheme(68)) if found else (np.nan, np.nan)

    def close(self) -> None:
        self._detector.close()


class Drawn:
    """Frames a model drew over a base for a sound, with what the sheet shows of them."""

    def __init__(self, model: LipSyncModel, sound: Path, base: Path, frames: range, *, own: bool) -> None:
        self.features = model.features(load_audio(sound))
        shot = read_frames(base, start=frames.start, count=len(frames)) if own else read_frames(base)
        self.plates = list(shot)
        self.marks: ClipLandmarks = detect_landmarks(self.plates).smoothed()
        self.model, self.frames = model, frames
        self.sheet: list[Frame] = []

    def box(self, place: int) -> CropBox:
        return CropBox.from_landmarks(self.marks.at(ping_pong(place, len(self.plates))))

    def plate(self, place: int) -> Frame:
        return self.plates[ping_pong(place, len(self.plates))]

    def crop(self, place: int) -> Frame:
        """What the model draws at frames[place], the network's square; every 40th is shown."""
        drawn = self.model.generate(self.plate(place), self.box(place), self.features, self.frames[place])
        if place % SHEET_EVERY == SHEET_EVERY // 2:
            self.sheet.append(self._shown(place, drawn))
        return drawn

    def _shown(self, place: int, drawn: Frame) -> Frame:
        """Plate over drawn, whole square and mouth."""
        square, box, side = mouth_square(self.marks.at(ping_pong(place, len(self.plates)))), self.box(place), 240
        pictures = [self.plate(place), box.paste(self.plate(place), drawn)]
        parts = [part.extract(picture) for part in (box, square) for picture in pictures]
        return np.concatenate([cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC) for part in parts])


def drawn_lips(drawn: Drawn) -> NDArray[np.float32]:
    """Opening and width (T, 2) found in the frames drawn."""
    reader = LipReader()
    lips = [reader(drawn.box(i).paste(drawn.plate(i), drawn.crop(i))) for i in range(len(drawn.frames))]
    reader.close()
    return np.array(lips, np.float32)


def over_itself(
    drawn: Drawn, truth: Sequence[Landmarks], tallies: dict[str, PictureTally]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Opening and width (T, 2) in drawn and in true frames, the latter found the same way; adds to the tallies.

    The controls are true mouths in the frame's square: its own through the network's resolution ("perfect"), the one
    before ("one frame late"), and one of a second and a half later ("wrong").
    """
    reader = LipReader()
    size, count = drawn.model.size, len(drawn.frames)
    squares = [crop_for_network(drawn.plates[i], drawn.box(i), size) for i in range(count)]
    found = []
    for i, marks in enumerate(truth):
        plate, box = drawn.plates[i], drawn.box(i)
        crops = {
            "drawn": drawn.crop(i),
            "perfect": squares[i],
            "one frame late": squares[max(i - 1, 0)],
            "wrong": squares[(i + WRONG_BY_FRAMES) % count],
        }
        grid = WorkGrid(box, box, WORK_SIDE)
        sectors = grid.sectors(drawn.marks.at(i).to_scheme(68))
        inside = grid.square(inset_px=4)
        regions = {
            "cheeks": (sectors["left_cheek"] | sectors["right_cheek"]) & inside,
            "neck": sectors["neck"] & inside,
        }
        for name, crop in crops.items():
            made = box.paste(plate, crop)
            tallies[name].add_mouth(plate, made, marks)
            if name in ("drawn", "perfect"):
                error = grid.work_paste(plate, box.resize(crop)).astype(np.float32) - grid.work(plate)
                tallies[name].add_error(error, regions)
        found.append((reader(box.paste(plate, crops["drawn"])), reader(plate)))
    reader.close()
    for tally in tallies.values():
        tally.cut()
    pair = np.array(found, np.float32)
    return pair[:, 0], pair[:, 1]


def held_out(model: LipSyncModel, footage: Path, share: float) -> range:
    """Frames of the footage the model was not trained on: by its card, else the last `share`."""
    kept = model.card.get("frames", {}).get(footage.stem)
    if kept:
        return range(int(kept["trained_on"]), int(kept["trained_on"]) + int(kept["held_out"]))
    total = sum(1 for _ in read_frames(footage))
    return range(total - round(total * share), total)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluate", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--model", default="LS1")
    parser.add_argument("--footage", nargs="+", type=Path, default=[], help="takes with sound")
    parser.add_argument("--sound", nargs="+", type=Path, default=[], help="sounds without a picture; needs --base")
    parser.add_argument("--base", type=Path, help="draw over this clip instead of the footage's own frames")
    parser.add_argument(
        "--holdout", type=float, default=0.12, help="share at the end, for footage the card does not know"
    )
    parser.add_argument("--sheet", type=Path, help="write sample crops: plate over drawn, then both mouths")
    parser.add_argument("--workspace", type=workspace_folder, default="")
    parser.add_argument(
        "--write-card", metavar="ENTRY", help="keep the pooled figures in the model's card under this name"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        evaluate(args)
    except (ModelError, ClipError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


def evaluate(args: argparse.Namespace) -> None:
    if not args.footage and not args.sound:
        raise ValueError("--footage or --sound must be given; got neither")
    if args.sound and args.base is None:
        raise ValueError("--sound must come with --base, the clip to draw over; got none")
    model = LipSyncModel.load(args.model, args.workspace)
    sheet: list[Frame] = []
    entry: dict[str, Any] = {}
    if args.footage:
        entry |= _evaluate_footage(model, args, sheet)
    if args.sound:
        entry |= _evaluate_sound(model, args, sheet)
    if args.sheet and sheet:
        cv2.imwrite(str(args.sheet), np.concatenate(sheet[:SHEET_COLUMNS], axis=1))
    if args.write_card:
        path = list_models(args.workspace)[args.model].checkpoint.parent / "card.yaml"
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        card.setdefault("figures", {})[args.write_card] = entry
        path.write_text(yaml.safe_dump(card, sort_keys=False, width=110), encoding="utf-8")


def _evaluate_footage(model: LipSyncModel, args: argparse.Namespace, sheet: list[Frame]) -> dict[str, Any]:
    lips, seen, truth = [], [], []
    tallies = {name: PictureTally() for name in ("drawn", *CONTROLS)}
    for footage in args.footage:
        frames = held_out(model, footage, args.holdout)
        marks = true_landmarks(footage, frames)
        truth.append(np.array([opening_and_width(one) for one in marks], np.float32))
        beside = footage.with_suffix(".wav")
        sound = beside if beside.is_file() else footage
        drawn = Drawn(model, sound, args.base or footage, frames, own=args.base is None)
        if args.base:
            lips.append(drawn_lips(drawn))
        else:
            own, true = over_itself(drawn, marks, tallies)
            lips.append(own)
            seen.append(true)
        sheet += drawn.sheet
        print(_line(footage.stem, lip_figures(lips[-1], truth[-1])), flush=True)
    pooled = lip_figures(np.concatenate(lips), np.concatenate(truth))
    print(_line("all", pooled))
    entry = rounded(vars(pooled))
    if seen:
        measured = lip_figures(np.concatenate(seen), np.concatenate(truth))
        print(_line("true frames", measured))
        entry["lips_of_true_frames"] = rounded(vars(measured))
        figures = {name: tally.figures() for name, tally in tallies.items()}
        for name, one in figures.items():
            print(_picture_line(name, one))
        entry["mouth_picture"] = {name: rounded(vars(one)) for name, one in figures.items()}
    return entry


def _evaluate_sound(model: LipSyncModel, args: argparse.Namespace, sheet: list[Frame]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for sound in args.sound:
        wav = load_audio(sound)
        frames = range(frame_count(len(wav), SAMPLE_RATE))
        drawn = Drawn(model, sound, args.base, frames, own=False)
        figures = sound_figures(drawn_lips(drawn), frame_levels_db(wav, len(frames), SAMPLE_RATE // int(FPS)))
        sheet += drawn.sheet
        print(
            f"{sound.stem}: {counted(figures.speaking, 'frame')} of speech, opening against loudness r "
            f"{figures.opening_energy_r:.3f}, opening against width r {figures.opening_width_r:.3f}; "
            f"{counted(figures.paused, 'frame')} in pauses, closed {figures.closed_share:.0%}",
            flush=True,
        )
        entry[sound.stem] = rounded(vars(figures))
    return entry


def _line(name: str, figures: LipFigures) -> str:
    return (
        f"{name:14} {figures.frames:4} frames  opening r {figures.opening_r:.3f}  width r {figures.width_r:.3f}  "
        f"best offset {figures.best_offset:+d}  closed {figures.closed_share:.0%} "
        f"(95 % under {figures.closed_gap_p95:.3f})"
    )


def _picture_line(name: str, figures: PictureFigures) -> str:
    flicker = "  ".join(f"{where} {value:.2f}" for where, value in figures.flicker.items())
    return (
        f"{name:14} mouth {figures.mouth_psnr_db:.2f} dB  teeth overlap {figures.teeth_iou:.2f} "
        f"area {figures.teeth_share:.2f}{'  flicker ' + flicker if flicker else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())
