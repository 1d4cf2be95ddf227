"""Measures how well a model's lips follow the sound, on time it was not trained on.

    python -m models.evaluate --model LS1 --footage train.mp4 --base "clips/library/LS1/05,20s talk evening.mp4"

Frames are drawn from a base (the footage itself, or another clip), landmarks found in them, and lip
opening and width compared with the footage's own. A program on top of the packages, as the trainer is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from blending.types import CropBox, Frame, Landmarks
from clips.audio import load_audio
from clips.errors import ClipError
from clips.landmarks import FaceMeshDetector, detect_landmarks
from clips.library import default_workspace, workspace_folder
from clips.timeline import ping_pong
from clips.video import read_frames
from models.errors import ModelError
from models.lip_sync import LipSyncModel, list_models

CLOSED_TRUTH = 0.02
"""Inner-lip gap over the outer-eye distance under which the true mouth counts as closed."""
CLOSED_DRAWN = 0.04
OFFSETS = range(-4, 5)


@dataclass(frozen=True)
class LipFigures:
    """opening_r, width_r: correlation with the truth. best_offset: frames by which the drawn opening
    follows best (positive = late). closed_share: of the frames whose true mouth is closed, how many are
    drawn with a gap under 4 % of the outer-eye distance."""

    frames: int
    opening_r: float
    width_r: float
    best_offset: int
    closed_share: float


def measure(drawn: NDArray[np.floating], truth: NDArray[np.floating]) -> LipFigures:
    """Figures of drawn against true (T, 2) opening and width; NaN rows (no face found) are left out."""
    found = np.isfinite(drawn).all(axis=1)
    a, b = drawn[found], truth[found]
    by_offset = {
        k: _correlation(drawn[max(k, 0) : len(drawn) + min(k, 0), 0], truth[max(-k, 0) : len(truth) - max(k, 0), 0])
        for k in OFFSETS
    }
    closed = b[:, 0] < CLOSED_TRUTH
    share = float((a[closed, 0] < CLOSED_DRAWN).mean()) if closed.any() else float("nan")
    best = max(by_offset, key=lambda k: by_offset[k])
    return LipFigures(int(found.sum()), _correlation(a[:, 0], b[:, 0]), _correlation(a[:, 1], b[:, 1]), best, share)


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    found = np.isfinite(a) & np.isfinite(b)
    if found.sum() < 3 or np.std(a[found]) == 0 or np.std(b[found]) == 0:
        return 0.0
    return float(np.corrcoef(a[found], b[found])[0, 1])


def true_lips(footage: Path, frames: range) -> NDArray[np.float32]:
    """Opening and width (T, 2) of the footage: exact landmarks where they lie beside it, else detected ones."""
    exact = footage.with_name(f"{footage.stem}.landmarks.npz")
    if exact.is_file():
        with np.load(exact, allow_pickle=False) as truth:
            marks = [Landmarks(truth["points"][i] - 0.5) for i in frames]
    else:
        found = detect_landmarks(read_frames(footage))
        marks = [found.at(i).to_scheme(68) for i in frames]
    return np.array([[m.lip_opening, m.lip_width] for m in marks], np.float32)


def drawn_lips(
    model: LipSyncModel, footage: Path, frames: range, base: Path | None, sheet: list[Frame]
) -> NDArray[np.float32]:
    """Opening and width (T, 2) found in frames the model drew for the footage's sound.

    base: None draws over the footage's own frames, else over another clip from its first frame on,
    there and back. NaN where no face was found. Every 40th drawn crop goes to `sheet`.
    """
    features = model.features(
        load_audio(footage.with_suffix(".wav") if footage.with_suffix(".wav").is_file() else footage)
    )
    source = base or footage
    plates = list(read_frames(source)) if base else list(read_frames(source, start=frames.start, count=len(frames)))
    marks = detect_landmarks(plates).smoothed()
    detector = FaceMeshDetector()
    lips = np.full((len(frames), 2), np.nan, np.float32)
    for place, index in enumerate(frames):
        number = ping_pong(place, len(plates))
        plate = plates[number]
        box = CropBox.from_landmarks(marks.at(number))
        drawn = model.generate(plate, box, features, index)
        detector.reset()
        found = detector.detect(box.paste(plate, drawn))
        if found is not None:
            face = Landmarks(found.points).to_scheme(68)
            lips[place] = face.lip_opening, face.lip_width
        if place % 40 == 20:
            sheet.append(np.concatenate([cv2.resize(box.extract(plate), drawn.shape[:2]), drawn]))
    detector.close()
    return lips


def held_out(model: LipSyncModel, footage: Path, share: float) -> range:
    """Frames of the footage the model was not trained on: by its card, else the last `share`."""
    kept = model.card.get("frames", {}).get(footage.stem)
    if kept:
        return range(int(kept["trained_on"]), int(kept["trained_on"]) + int(kept["held_out"]))
    total = sum(1 for _ in read_frames(footage))
    return range(total - round(total * share), total)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluate", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--model", default="LS1")
    parser.add_argument("--footage", nargs="+", type=Path, required=True, help="takes with sound")
    parser.add_argument("--base", type=Path, help="draw over this clip instead of the footage's own frames")
    parser.add_argument(
        "--holdout", type=float, default=0.12, help="share at the end, for footage the card does not know"
    )
    parser.add_argument("--sheet", type=Path, help="write sample crops: plate over drawn")
    parser.add_argument("--workspace", type=workspace_folder, default=default_workspace())
    parser.add_argument(
        "--write-card", metavar="ENTRY", help="keep the pooled figures in the model's card under this name"
    )
    args = parser.parse_args(argv)
    try:
        return evaluate(args)
    except (ModelError, ClipError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


def evaluate(args: argparse.Namespace) -> int:
    model = LipSyncModel.load(args.model, args.workspace)
    drawn, truth, sheet = [], [], list[Frame]()
    for footage in args.footage:
        frames = held_out(model, footage, args.holdout)
        truth.append(true_lips(footage, frames))
        drawn.append(drawn_lips(model, footage, frames, args.base, sheet))
        print(_line(footage.stem, measure(drawn[-1], truth[-1])), flush=True)
    pooled = measure(np.concatenate(drawn), np.concatenate(truth))
    print(_line("all", pooled))
    if args.sheet and sheet:
        cv2.imwrite(str(args.sheet), np.concatenate(sheet[:12], axis=1))
    if args.write_card:
        path = list_models(args.workspace)[args.model].checkpoint.parent / "card.yaml"
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        figures = {key: round(value, 3) for key, value in vars(pooled).items()}
        card.setdefault("figures", {})[args.write_card] = figures
        path.write_text(yaml.safe_dump(card, sort_keys=False, width=110), encoding="utf-8")
    return 0


def _line(name: str, figures: LipFigures) -> str:
    return (
        f"{name:12} {figures.frames:4} frames  opening r {figures.opening_r:.3f}  width r {figures.width_r:.3f}  "
        f"best offset {figures.best_offset:+d}  closed {figures.closed_share:.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
