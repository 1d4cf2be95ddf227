"""Core clips: which there are, bundled and in the workspace, and what each one holds."""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, Landmarks, to_image
from clips.errors import ClipError
from clips.ffmpeg import check_source
from clips.landmarks import ClipLandmarks
from clips.timeline import FPS
from clips.video import CACHE_BYTES, ClipFrames, VideoInfo, probe

BUNDLED = Path(__file__).parent / "library"
"""Folder of the clips that come with the project: one folder per model."""

SAMPLE_SPEECH = BUNDLED / "LS1" / "sample_speech.wav"
"""Speech that is loaded where nobody has given another one."""

SUFFIX = ".mp4"
LANDMARKS_SUFFIX = ".landmarks.npz"

SAME_LIGHT = 10.0
"""Appearance distance up to which two clips count as shot in the same light."""

Kind = Literal["silence", "talk"]


def default_workspace() -> Path:
    """Folder named by SEAMLINE_WORKSPACE, else ./workspace."""
    return Path(os.environ.get("SEAMLINE_WORKSPACE") or "workspace")


def workspace_folder(text: str) -> Path:
    """For command lines: a folder that is there; argparse shows what is wrong with another one."""
    path = Path(text)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise argparse.ArgumentTypeError(f"expected a folder; {text} {what}; create the folder first")
    return path


def clip_kind(name: str) -> Kind | None:
    """What a clip is for: "silence" in its name, else "talk", in any case; None when neither is: it is ignored."""
    lowered = name.lower()
    return "silence" if "silence" in lowered else "talk" if "talk" in lowered else None


@dataclass(frozen=True)
class CoreClip:
    """One pre-recorded clip of a model. name is the file's name without its ending; files are looked at when asked for.

    Its frames are counted on the timeline of 25 fps, whatever rate the file has.
    """

    name: str
    model: str
    kind: Kind
    path: Path
    landmarks_path: Path

    @property
    def info(self) -> VideoInfo:
        """The video as its frames() come: at 25 fps. Remembered until the file changes. ClipError as `probe`."""
        return at_timeline_rate(probe(self.path))

    @property
    def sha256(self) -> str:
        """Of the file's content, hexadecimal; remembered until its size or time of change differs.

        ClipError when the file is gone.
        """
        stat = check_source(self.path, "video").stat()
        return _sha256(self.path, stat.st_size, stat.st_mtime_ns)

    def frames(self, *, cache_bytes: int = CACHE_BYTES) -> ClipFrames:
        """Random access to the frames at 25 fps."""
        return ClipFrames(self.path, fps=FPS, cache_bytes=cache_bytes)

    @property
    def _preprocess(self) -> str:
        """The command that makes this clip's landmarks."""
        own = "" if self.path.parent.parent == BUNDLED else f' --workspace "{self.landmarks_path.parents[2]}"'
        return f'python preprocess_core_clips.py --model "{self.model}" --clip "{self.name}"{own}'

    def landmarks(self) -> ClipLandmarks:
        """Landmarks as preprocessing found them, one per frame, not smoothed. Remembered until a file changes.

        ClipError when they are missing, damaged or made from another content of the clip.
        """
        cure = f"run `{self._preprocess}`, or remove the clip"
        if not self.landmarks_path.is_file():
            raise ClipError(f"expected landmarks of the clip {self.name!r} of {self.model}; there are none; {cure}")
        landmarks = _landmarks(self.landmarks_path, self.landmarks_path.stat().st_mtime_ns)
        if landmarks.clip_sha256 != self.sha256:
            raise ClipError(
                f"expected landmarks of the clip {self.name!r} of {self.model}; it changed since they were made; {cure}"
            )
        return landmarks

    def appearance_distance(self, other: CoreClip) -> float:
        """How much light and colour differ, in CIELAB units: see `appearance_distance`. Needs both clips' landmarks."""
        mine, theirs = self.landmarks().appearance, other.landmarks().appearance
        if mine is None or theirs is None:
            missing = self if mine is None else other
            raise ClipError(
                f"expected the measured light of the clip {missing.name!r}; its landmarks hold none; "
                f"run `{missing._preprocess} --force`"
            )
        return appearance_distance(mine, theirs)

    def matches_light_of(self, other: CoreClip) -> bool:
        """Whether cutting between the two clips would not show as a change of light: distance <= SAME_LIGHT."""
        return self.appearance_distance(other) <= SAME_LIGHT


def at_timeline_rate(info: VideoInfo) -> VideoInfo:
    """The same video described as it is read at 25 fps."""
    return info if info.fps == FPS and info.regular else info.at(FPS)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=32)
def _landmarks(path: Path, mtime_ns: int) -> ClipLandmarks:
    return ClipLandmarks.load(path)


Item = TypeVar("Item")


def _find(name: str, listing: dict[str, Item], what: str) -> Item:
    """The item of that name; ClipError that lists the names there are. A name never becomes a path."""
    if name in listing:
        return listing[name]
    if name != Path(name).name or "\\" in name or "\0" in name or name.startswith("."):
        raise ClipError(f"expected the plain name of a {what}, without folders; got {name!r}; {_offer(listing)}")
    lowered = {known.lower(): known for known in listing}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    guess = f"did you mean {lowered[near[0]]!r}? " if near else ""
    raise ClipError(f"no {what} is called {name!r}; {guess}{_offer(listing)}")


def _offer(names: Iterable[str]) -> str:
    known = sorted(names)
    return "there are: " + ", ".join(map(repr, known)) if known else "there are none yet"


class ClipLibrary:
    """The models and their core clips: those bundled, and WORKSPACE/core_clips/MODEL/*.mp4 beside them.

    A model may have clips in both places; the workspace's clip wins where names are equal.
    Landmarks lie beside a bundled clip, and in WORKSPACE/landmarks/MODEL/ for the others.
    """

    def __init__(self, workspace: Path | str | None = None) -> None:
        self.workspace = default_workspace() if workspace is None else Path(workspace)

    def models(self) -> list[str]:
        """Names of the models that have a folder, sorted."""
        return sorted(self._model_folders())

    def clips(self, model: str) -> list[CoreClip]:
        """Clips of a model: silence first, then by name. ClipError for an unknown model, or one without clips."""
        found: dict[str, CoreClip] = {}
        for folder in _find(model, self._model_folders(), "model"):
            for path in sorted(folder.iterdir()):
                kind = clip_kind(path.stem)
                if kind is None or path.suffix.lower() != SUFFIX or path.name.startswith(".") or not path.is_file():
                    continue
                beside = folder if folder.parent == BUNDLED else self.workspace / "landmarks" / model
                found[path.stem] = CoreClip(path.stem, model, kind, path, beside / (path.stem + LANDMARKS_SUFFIX))
        if not found:
            raise ClipError(
                f"expected core clips of the model {model!r}; its folder has no {SUFFIX} file with 'silence' or 'talk' "
                f"in its name; put clips into {self.workspace / 'core_clips' / model}"
            )
        return sorted(found.values(), key=lambda clip: (clip.kind != "silence", clip.name))

    def clip(self, model: str, name: str) -> CoreClip:
        """One clip by its name. ClipError that lists what exists, for a name that does not."""
        return _find(name, {clip.name: clip for clip in self.clips(model)}, f"clip of {model}")

    def _model_folders(self) -> dict[str, list[Path]]:
        """Folders of each model, those of the workspace last."""
        folders: dict[str, list[Path]] = {}
        for root in (BUNDLED, self.workspace / "core_clips"):
            for folder in sorted(root.iterdir()) if root.is_dir() else []:
                if folder.is_dir() and not folder.name.startswith((".", "__")):
                    folders.setdefault(folder.name, []).append(folder)
        return folders


def measure_appearance(
    frame_at: Callable[[int], Frame], landmarks: ClipLandmarks, looks: int = 5
) -> NDArray[np.float32]:
    """Light and colour of a clip, float32 (7,): skin L, a, b; skin L left minus right; background L, a, b.

    Medians in CIELAB (L 0..100) over `looks` evenly spaced frames with a face, then the median over
    them. Skin: the face's hull. Background: beside the face above the chin, NaN where the picture has none.
    """
    usable = np.flatnonzero(landmarks.found)
    chosen = usable[np.linspace(0, len(usable) - 1, min(looks, len(usable))).astype(int)]
    seen = [_appearance(frame_at(int(i)), landmarks.at(int(i))) for i in chosen]
    with np.errstate(invalid="ignore"):
        return np.median(np.stack(seen), axis=0).astype(np.float32)


def _appearance(frame: Frame, landmarks: Landmarks) -> NDArray[np.float32]:
    lab = cv2.cvtColor(to_image(frame), cv2.COLOR_BGR2LAB)
    height, width = frame.shape[:2]
    hull = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(landmarks.points).astype(np.int32)), (1,))
    columns = np.arange(width)
    nose_x = landmarks.region("nose_bridge")[:, 0].mean()
    skin = hull > 0
    left, right = skin & (columns < nose_x), skin & (columns >= nose_x)
    jaw = landmarks.region("jaw")
    margin = 0.35 * np.ptp(jaw[:, 0])  # hair and ears
    away = (columns < jaw[:, 0].min() - margin) | (columns > jaw[:, 0].max() + margin)
    background = np.zeros((height, width), bool)
    background[: max(0, min(height, int(landmarks.anchor("chin")[1])))] = away

    def median(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.median(lab[mask], axis=0) if mask.sum() >= 64 else np.full(3, np.nan, np.float32)

    return np.concatenate([median(skin), [median(left)[0] - median(right)[0]], median(background)]).astype(np.float32)


def appearance_distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Distance of two `measure_appearance` results in CIELAB units: the root of the sum of squares of the
    differences of skin, of its left-right shading and of the background. What is NaN in either is left out."""
    difference = one.astype(np.float64) - other
    return float(np.sqrt(np.nansum(difference**2)))
