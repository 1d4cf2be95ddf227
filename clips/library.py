"""Core clips: which there are, bundled and in the workspace, and what each one holds."""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, Landmarks, to_image
from clips.errors import ClipError
from clips.ffmpeg import check_source
from clips.frame_folders import folder_content, folder_signature, is_frame_folder
from clips.landmarks import ClipLandmarks
from clips.timeline import FPS
from clips.video import ClipFrames, FrameCache, VideoInfo, probe

BUNDLED = Path(__file__).parent / "library"
"""Folder of the clips that come with the project: one folder per model."""

SAMPLE_SPEECH = BUNDLED / "LS1" / "sample_speech.wav"
"""Speech that is loaded where nobody has given another one."""

SUFFIX = ".mp4"
OTHER_VIDEOS = (".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
LANDMARKS_SUFFIX = ".landmarks.npz"

SAME_LIGHT = 10.0
"""Appearance distance up to which two clips count as shot in the same light."""

Kind = Literal["silence", "talk"]


def default_workspace() -> Path:
    """Folder named by SEAMLINE_WORKSPACE, else ./workspace."""
    return Path(os.environ.get("SEAMLINE_WORKSPACE") or "workspace")


def workspace_folder(text: str) -> Path:
    """For command lines: a folder that is there, or for "", their default, `default_workspace`, which may not be there
    yet; argparse shows what is wrong with another one."""
    path = Path(text) if text else default_workspace()
    if os.path.isdir(path) or (not text and not os.path.exists(path)):
        return path
    what, cure = ("is a file", "name a folder") if os.path.exists(path) else ("does not exist", "create it first")
    said_by = "" if text or "SEAMLINE_WORKSPACE" not in os.environ else ", named by SEAMLINE_WORKSPACE,"
    raise argparse.ArgumentTypeError(f"expected a folder; {path}{said_by} {what}; {cure}")


def new_workspace_folder(text: str) -> Path:
    """As `workspace_folder`; a folder that is missing in one that is there is taken, to be made."""
    path = Path(text)
    if text and not os.path.lexists(path) and os.path.isdir(path.absolute().parent):
        return path
    return workspace_folder(text)


def clip_kind(name: str) -> Kind | None:
    """What a clip is for: "silence" in its name, else "talk", in any case; None when neither is: it is ignored."""
    lowered = name.lower()
    return "silence" if "silence" in lowered else "talk" if "talk" in lowered else None


@dataclass(frozen=True)
class CoreClip:
    """One pre-recorded clip of a model. name is the file's name without its ending; files are looked at when asked for.

    path: an mp4, or a folder of extracted frames (`clips.frame_folders`); both are read alike. Its frames are counted
    on the timeline of 25 fps, whatever rate the file has. remark: why this source was taken, if not the only one.
    """

    name: str
    model: str
    kind: Kind
    path: Path
    landmarks_path: Path
    remark: str = ""

    @property
    def info(self) -> VideoInfo:
        """The video as its frames() come: at 25 fps. Remembered until the file changes. ClipError as `probe`."""
        return at_timeline_rate(probe(self.path))

    @property
    def sha256(self) -> str:
        """Of the content of the file, or of a folder's frames, .lms files and rate, hexadecimal; remembered until a
        size or time of change differs.

        ClipError when it is gone or cannot be read.
        """
        if is_frame_folder(self.path):
            return _folder_sha256(self.path, folder_signature(self.path))
        return file_sha256(check_source(self.path, "video"))

    def frames(self, *, cache: FrameCache | None = None) -> ClipFrames:
        """Random access to the frames at 25 fps."""
        return ClipFrames(self.path, fps=FPS, cache=cache)

    @property
    def _preprocess(self) -> str:
        """The command that makes this clip's landmarks."""
        if self.landmarks_path.parent.parent.name != "landmarks" and self.path.parent.parent != BUNDLED:
            return f'python -m clips render --base-video "{self.path}"'
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


def file_sha256(path: Path) -> str:
    """Of a file's content, hexadecimal; remembered until its size or time of change differs."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ClipError(
            f"expected to read {path}; it cannot be opened ({error.strerror}); change its permissions, or remove it"
        ) from error


@lru_cache(maxsize=64)
def _folder_sha256(path: Path, signature: tuple[tuple[str, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for file, (name, size, mtime_ns) in zip(folder_content(path), signature, strict=True):
        whole.update(f"{name}\0{_sha256(file, size, mtime_ns)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


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
    """The models and their core clips: those bundled, WORKSPACE/core_clips/MODEL/*.mp4 beside them, and the frame
    folders WORKSPACE/dataset/MODEL/core_clips/CLIP.

    A model may have clips in all three; the workspace's clip wins where names are equal, and an mp4 over the frames
    extracted from it, unless it cannot be read.
    Landmarks lie beside a bundled clip, and in WORKSPACE/landmarks/MODEL/ for the others.
    """

    def __init__(self, workspace: Path | str | None = None) -> None:
        self.workspace = default_workspace() if workspace is None else Path(workspace)

    def models(self) -> list[str]:
        """Names of the models that have a folder, sorted."""
        return sorted(self._model_folders())

    def clips(self, model: str) -> list[CoreClip]:
        """Clips of a model: silence first, then by name. ClipError for an unknown model, or one without clips."""
        found = self.any_clips(model)
        if not found:
            folder = self.workspace / "core_clips" / model
            ignored = "".join(f"; {one}" for one in self.strays(model)[:3])
            raise ClipError(
                f"expected core clips of the model {model!r}; there is no {SUFFIX} file with 'silence' or 'talk' in "
                f"its name; put clips into {folder}, or use a video of your own{ignored}"
            )
        return found

    def any_clips(self, model: str) -> list[CoreClip]:
        """As `clips`; [] for a model that was trained or put into checkpoint/ and has no clips yet."""
        folders = _find(model, self._known_models(), "model")
        landmarks = self.workspace / "landmarks" / model
        found: dict[str, CoreClip] = {}
        for path in chain.from_iterable(map(_entries, folders)):
            kind = clip_kind(path.stem)
            if kind is None or not _is_clip_file(path):
                continue
            beside = path.parent if path.parent.parent == BUNDLED else landmarks
            found[path.stem] = CoreClip(path.stem, model, kind, path, beside / (path.stem + LANDMARKS_SUFFIX))
        for path in _entries(self._frame_folders(model)):
            kind = clip_kind(path.name)
            remark = _why_frames(found.get(path.name))
            if kind is not None and is_frame_folder(path) and remark is not None and not _no_clip_name(path.name):
                marks = landmarks / (path.name + LANDMARKS_SUFFIX)
                found[path.name] = CoreClip(path.name, model, kind, path, marks, remark)
        return sorted(found.values(), key=lambda clip: (clip.kind != "silence", clip.name))

    def strays(self, model: str) -> list[str]:
        """In words, what lies in the model's folders or right above them, looks like a clip and is taken for none."""
        places = [*_find(model, self._known_models(), "model"), self._frame_folders(model)]
        said = [word for path in chain.from_iterable(map(_entries, places)) if (word := _why_not(path))]
        for path in _entries(self.workspace / "core_clips"):
            if path.is_file() and path.suffix.lower() in (SUFFIX, *OTHER_VIDEOS):
                said.append(f"{path.name!r} is ignored: it lies beside the models' folders; move it into one of them")
        return said

    def clip(self, model: str, name: str) -> CoreClip:
        """One clip by its name. ClipError that lists what exists, for a name that does not."""
        return _find(name, {clip.name: clip for clip in self.clips(model)}, f"clip of {model}")

    def _known_models(self) -> dict[str, list[Path]]:
        """`_model_folders`, and an empty list for each other model that has a checkpoint."""
        trained = [folder for folder in _entries(self.workspace / "checkpoint") if folder.is_dir()]
        return {folder.name: [] for folder in trained} | self._model_folders()

    def _model_folders(self) -> dict[str, list[Path]]:
        """Folders of each model with clips as files, those of the workspace last; an empty list for a model that has
        clips as frame folders only."""
        folders: dict[str, list[Path]] = {}
        for root in (BUNDLED, self.workspace / "core_clips"):
            for folder in _entries(root):
                if folder.is_dir() and not folder.name.startswith("__"):
                    folders.setdefault(folder.name, []).append(folder)
        for dataset in _entries(self.workspace / "dataset"):
            if dataset.name not in folders and any(map(is_frame_folder, _entries(dataset / "core_clips"))):
                folders[dataset.name] = []
        return folders

    def _frame_folders(self, model: str) -> Path:
        return self.workspace / "dataset" / model / "core_clips"


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted, without hidden names; nothing for a folder that is missing or cannot be opened."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _is_clip_file(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and path.is_file() and not _no_clip_name(path.stem)


def _no_clip_name(name: str) -> str:
    """In words, why no clip can have this name; "" where one can: landmarks are named after it, and edit lists, recipes
    and the page hold it as text."""
    most = 255 - len(LANDMARKS_SUFFIX)
    if len(os.fsencode(name)) > most:
        return f"its name is too long for its landmarks to be named after it; shorten it to {most} bytes"
    return "its name is no text (not UTF-8); rename it" if re.search("[\ud800-\udfff]", name) else ""


_NO_KIND = "neither 'silence' nor 'talk' is in its name"


def _why_frames(other: CoreClip | None) -> str | None:
    """Why a frame folder is taken, "" where no file has its name; None where that file is taken instead."""
    if other is None:
        return ""
    try:
        other.info  # noqa: B018  reading it is the test
    except ClipError as error:
        return f"the frames extracted from it are used, since {error}"
    return None


def _why_not(path: Path) -> str:
    """In words, why something in a model's folder is no clip; "" for what is one and for what nobody takes for one."""
    if path.is_dir():
        kind = clip_kind(path.name)
        if is_frame_folder(path):
            why = _no_clip_name(path.name) if kind else _NO_KIND
            return f"{path.name!r} is ignored: {why}" if why else ""
        inside = [one.name for one in _entries(path) if _is_clip_file(one)]
        return f"{inside[0]!r} is ignored: it lies in the folder {path.name!r}; move it up" if inside else ""
    if path.suffix.lower() in OTHER_VIDEOS:
        return (
            f"{path.name!r} is ignored: clips are {SUFFIX} files; export it as one, or render with it as --base-video"
        )
    if path.suffix.lower() != SUFFIX:
        return ""
    if not path.is_file():
        return f"{path.name!r} is ignored: it points to a file that is not there"
    why = _no_clip_name(path.stem) if clip_kind(path.stem) else _NO_KIND
    return f"{path.name!r} is ignored: {why}" if why else ""


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
