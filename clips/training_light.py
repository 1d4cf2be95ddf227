"""The light a model was trained in: measured from its footage, kept in its card, compared with clips.

    python -m clips training-light --model ME --footage me.mp4 [more.mp4 ...]

The trainer writes it for new models; the command adds it to a card that has none, or brings it up to date, and leaves
every other line of the card as it is.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from blending.types import Landmarks
from clips.clip_light import SKIN, frame_light, median_light
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.landmarks import LANDMARK_DETECTORS
from clips.library import appearance_distance, workspace_folder
from clips.video import ClipFrames

KEY = "appearance"
"""Of the card: footage name to seven numbers, see `clips.clip_light.frame_light`."""

LOOKS = 9
"""Evenly spaced frames that a video is judged by: four takes in one light differ by .8 at most."""


def footage_light(path: Path) -> list[float]:
    """Light and colour of a video as `frame_light`, medians over LOOKS frames that show a face, rounded to .1.

    ClipError: no video, no face in any of them.
    """
    detector = LANDMARK_DETECTORS["facemesh"]()
    seen = []
    try:
        with ClipFrames(path) as frames:
            for index in np.unique(np.linspace(0, len(frames) - 1, LOOKS).astype(int)):
                face = detector.detect(frames[int(index)])
                if face is not None:
                    seen.append(frame_light(frames[int(index)], Landmarks(face.points)))
    finally:
        detector.close()
    if not seen:
        raise ClipError(f"expected a face in {path.name}; none was found in {LOOKS} frames spread over it")
    return [round(float(value), 1) for value in median_light(np.stack(seen))]


BUNDLED_MODELS = Path(__file__).parents[1] / "models" / "library"


def find_card(model: str, workspace: Path) -> Path | None:
    """The card of a model, the workspace's before a bundled one; None where it has none. Needs no torch."""
    if model != Path(model).name:
        return None
    places = [folder / model / "card.yaml" for folder in (workspace / "checkpoint", BUNDLED_MODELS)]
    return next((place for place in places if place.is_file()), None)


def training_light(model: str, workspace: Path) -> dict[str, NDArray[np.float64]]:
    """What a model's card says of its training light, by footage; {} where it says nothing. ClipError for a card that
    cannot be read, and for nonsense in it."""
    path = find_card(model, workspace)
    if path is None:
        return {}
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as e:
        raise ClipError(f"model card {path} cannot be read as YAML; mend or remove it") from e
    entries = card.get(KEY, {}) if isinstance(card, dict) else {}
    try:
        light = {str(name): np.array(values, np.float64) for name, values in entries.items()}
        if any(values.shape != (7,) for values in light.values()):
            raise ValueError
    except (AttributeError, TypeError, ValueError) as e:
        raise ClipError(
            f"model card of {model}: {KEY} must give seven numbers for each footage; got {entries!r}; write it anew: "
            f"python -m clips training-light --model {model} --footage FILES"
        ) from e
    return light


def distance_to_training(light: NDArray[np.floating], training: Mapping[str, NDArray[np.float64]]) -> float:
    """How far a clip's light on the face is from the nearest footage's, CIELAB units; NaN without any. The background
    does not count: the network sees the face."""
    distances = [appearance_distance(np.asarray(light)[SKIN], one[SKIN]) for one in training.values()]
    return min(distances, default=float("nan"))


def with_card_light(text: str, light: Mapping[str, Sequence[float]]) -> str:
    """The card's text with its training light set; every other line stays as it is."""
    lines = [f"{KEY}:", *(f"  {_quoted(name)}: [{', '.join(map(str, values))}]" for name, values in light.items())]
    rest = re.sub(rf"^{KEY}:.*\n(?:[ \t]+.*\n|-.*\n)*", "", text if text.endswith("\n") else text + "\n", flags=re.M)
    return rest + "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def add_commands(commands: Any) -> None:
    """Register `training-light` with the command line of clips."""
    parser = commands.add_parser("training-light", help="measure the light of a model's footage into its card")
    parser.add_argument("--model", required=True, help="name of the model")
    parser.add_argument("--footage", nargs="+", type=Path, required=True, help="the videos it was trained on")
    parser.add_argument("--workspace", type=workspace_folder, default="", help="a SyncTalk_2D folder")
    parser.set_defaults(run=training_light_command)


def training_light_command(args: argparse.Namespace) -> int:
    """Measure, and rewrite the card; it must exist and its folder be writable. ClipError."""
    card = find_card(args.model, args.workspace)
    if card is None:
        raise ClipError(
            f"expected the card of the model {args.model!r}; there is none in {args.workspace / 'checkpoint'}; "
            "write a card.yaml beside its checkpoint first, with a line `mode: ave`"
        )
    if not os.access(card.parent, os.W_OK):
        raise ClipError(f"nothing may be written into {card.parent}; change its permissions")
    light = {path.name: footage_light(path) for path in args.footage}
    text = with_card_light(card.read_text(encoding="utf-8"), light)
    with atomic_file(card) as partial:
        partial.write_text(text, encoding="utf-8")
    for name, values in light.items():
        print(f"{name}: skin L a b {values[:3]}, left less right {values[3]}, background L a b {values[4:]}")
    print(f"wrote {card}")
    return 0
