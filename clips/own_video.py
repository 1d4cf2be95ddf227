"""A person's own video as the base: its face is found once, and kept by content in the workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from clips.describe import lying_words
from clips.errors import ClipError
from clips.ffmpeg import check_folder
from clips.known_videos import last_place, load_info, save_info
from clips.landmarks import FaceDetector
from clips.library import LANDMARKS_SUFFIX, OTHER_VIDEOS, SUFFIX, CoreClip
from clips.preprocess import MIN_FACE_SIZE_PX, make_landmarks, up_to_date_landmarks
from clips.timeline import FPS, counted
from clips.video import probe, recall

SMALLEST_FACE_PX = 32.0
"""Side of the generator's square below which a mouth has too few pixels to be drawn into."""

SHORT_S = 2.0
"""A base shorter than this turns back so often that it shows."""


def open_own_video(
    path: Path,
    workspace: Path,
    model: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    detector: FaceDetector | None = None,
) -> CoreClip:
    """The video (or folder of frames) as a clip of the model with landmarks, which are made where there are none yet.

    They are kept in WORKSPACE/cache/landmarks under the hash of the content, with what `probe` found, so that the
    second time is at once under whatever name. progress(done, total): frames. ClipError: no video, no face in it, one
    that lies on its side or is smaller than SMALLEST_FACE_PX, a workspace that cannot be written to.
    """
    clip = CoreClip(plain_name(path), model, "talk", path, landmarks_path=path)
    kept = _kept(workspace, clip.sha256, LANDMARKS_SUFFIX)
    clip = replace(clip, landmarks_path=kept)
    described = _kept(workspace, clip.sha256, ".video.json")
    known = load_info(described, path)
    if known is not None:
        recall(known)
    if up_to_date_landmarks(clip) is None:
        check_folder(kept.parent, "landmarks")
        try:
            make_landmarks(clip, progress=progress, detector=detector)
        except ClipError as error:
            raise ClipError(f"{path.name}: {error}") from error
    moved = known is None or last_place(described) != path.absolute()
    if moved and not probe(path).pictures:
        with suppress(ClipError):  # a workspace that can only be read: it is described anew the next time
            save_info(probe(path), described)
    if lying := lying_words(clip.landmarks()):
        raise ClipError(f"{path.name}: {lying}")
    size = clip.landmarks().face_size_px
    if size < SMALLEST_FACE_PX:
        raise ClipError(
            f"expected a face whose lower half is at least {SMALLEST_FACE_PX:g} px wide; that in {path.name} has "
            f"{size:.0f} px; film it larger, or do not scale the video down"
        )
    return clip


def find_own_video(name: str, sha256: str, workspace: Path, folders: Iterable[Path]) -> Path | None:
    """A video (or folder of frames) of this content: where it was when it was last a base, or in one of the folders
    under this name, with whatever ending. None where it is in none of these places."""
    return next((path for path in _places(name, sha256, workspace, folders) if content_sha256(path) == sha256), None)


def content_sha256(path: Path) -> str | None:
    """By which a video is known (`CoreClip.sha256`); None for what is not there or cannot be read."""
    try:
        return CoreClip(path.name, "", "talk", path, landmarks_path=path).sha256
    except (ClipError, OSError):
        return None


def _places(name: str, sha256: str, workspace: Path, folders: Iterable[Path]) -> Iterator[Path]:
    """Where a video may be that was a base under this name."""
    known = last_place(_kept(workspace, sha256, ".video.json"))
    if known is not None:
        yield known
    names = {name, name.removesuffix(f" {sha256[:6]}")}  # as where another clip had its name already
    for folder in folders:
        for path in sorted(folder.iterdir()) if os.access(folder, os.R_OK) else ():
            if plain_name(path) in names and (path.is_dir() or path.suffix.lower() in (SUFFIX, *OTHER_VIDEOS)):
                yield path


def _kept(workspace: Path, sha256: str, suffix: str) -> Path:
    """The file of what is known of a video by its content."""
    return workspace / "cache" / "landmarks" / f"{sha256}{suffix}"


def plain_name(path: Path) -> str:
    """What a video is called on the page and in file names: its name without ending, control signs and slashes."""
    return re.sub(r"[\x00-\x1f\x7f/\\]+", " ", path.stem).strip(" .") or "video"


def own_video_notes(clip: CoreClip) -> tuple[str, ...]:
    """What to expect of a video as the base, in words: too short, a small face, another rate."""
    info, size = probe(clip.path), clip.landmarks().face_size_px
    frames = clip.info.frames
    notes = []
    if frames == 1:
        notes.append("it has one frame: only the lower face moves")
    elif frames < SHORT_S * FPS:
        notes.append(f"it lasts {frames / float(FPS):.2f} s and is shown there and back over and over")
    if size < MIN_FACE_SIZE_PX:
        notes.append(f"the face is small ({size:.0f} px): film it larger for a sharp mouth")
    if not info.regular or info.fps != FPS:
        rate = f"{float(info.fps):.5g} fps" if info.regular else "frames of uneven length"
        notes.append(f"{rate}: {counted(info.frames, 'frame')} shown as {frames} at {FPS} fps, by time")
    return tuple(notes)
