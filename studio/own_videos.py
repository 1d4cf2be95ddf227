"""Videos that people upload to stand under the face once: theirs alone, no core clips, kept while they are used."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from clips.errors import ClipError
from clips.library import OTHER_VIDEOS, SUFFIX, CoreClip
from clips.own_video import open_own_video, own_video_notes
from clips.preprocess import verify_clip
from studio.bases import OWN_VIDEO
from studio.cache import cache_folder
from studio.clip_rows import unusable_row, verified_row
from studio.preparing import IntakeState, Preparing, in_steps
from studio.preset_shelf import plain_name, same_name
from studio.uploaded_video import check_video, told_of

MOST = 20
"""Videos of one person at a time."""


class OwnVideos:
    """WORKSPACE/cache/own_videos/PERSON/RANDOM/NAME (own video).mp4; the cache forgets what is unused, see
    `studio.cache`. Each lies in a folder of its own: a path never leads to another video later.

    shared: one person alone can reach the studio. preparing: where uploads wait for each other. busy: whether a render
    runs, which reads videos until it ends.
    """

    def __init__(
        self,
        workspace: Path,
        *,
        shared: bool = True,
        preparing: Preparing | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._workspace, self.shared, self._busy = workspace, shared, busy
        self._preparing = preparing or Preparing()

    def bases(self, owner: str) -> list[str]:
        """Names of the person's videos as bases, sorted."""
        return sorted(self._files(owner))

    def find(self, owner: str, base: str) -> Path:
        """The file of a base; ClipError where this person has none of that name. It counts as used now."""
        files = self._files(owner)
        if base not in files:
            raise ClipError(f"there is no {base!r} any more; add your video again in the Clips view")
        path = files[base]
        with suppress(OSError):  # of another account: it is kept by its age then
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        return path

    def check(self, owner: str, name: object) -> str:
        """The base that a video will be; ClipError unless the name may be and is free."""
        name = plain_name(name, "video")
        if name.endswith(OWN_VIDEO):
            name = plain_name(name.removesuffix(OWN_VIDEO), "video")
        files = self._files(owner)
        base = name + OWN_VIDEO
        for other in files:
            if same_name(base, other):
                raise ClipError(
                    f"you have a video {other.removesuffix(OWN_VIDEO)!r} already; give this one another name"
                )
        if len(files) >= MOST:
            raise ClipError(f"you have {len(files)} videos here; remove one before adding another")
        return base

    def add(self, source: Path, owner: str, name: str, shown: str, suffix: str, model: str) -> Iterator[IntakeState]:
        """Check a video and find its face; yields states, the last with the base and its table row. Takes the source.

        suffix: ending of the person's file. Closing the generator stops it. ClipError, with the file called `shown`:
        see `check_video` and `open_own_video`. On any error, and when it is stopped, nothing is left.
        """
        base = self.check(owner, name)
        check_video(source, shown, only_mp4=False)
        yield IntakeState()
        yield from self._preparing.turn()
        try:
            base = self.check(owner, name)
            yield from self._add(source, owner, base, shown, suffix, model)
        finally:
            self._preparing.done()

    def _add(self, source: Path, owner: str, base: str, shown: str, suffix: str, model: str) -> Iterator[IntakeState]:
        key = secrets.token_hex(8)
        draft = self._folder(owner) / f".{key}"
        suffix = suffix.lower() if suffix.lower() in (SUFFIX, *OTHER_VIDEOS) else SUFFIX
        path = draft / f"{base}{suffix}"
        try:
            draft.mkdir(parents=True)
            shutil.copyfile(source, path)
            try:
                yield from in_steps(lambda tell: open_own_video(path, self._workspace, model, progress=tell))
            except ClipError as e:
                raise told_of(e, shown, path) from e
            draft.rename(draft.with_name(key))
        except OSError as e:
            raise ClipError(f"{shown} cannot be stored ({e.strerror}); free some space in the workspace") from e
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        row = self._row(draft.with_name(key) / path.name, model)
        frames = row["frames"]
        assert isinstance(frames, int)
        yield IntakeState(frames, frames, clip=base, row=row)

    def remove(self, owner: str, base: object) -> None:
        """Delete a person's video. ClipError where there is none of that name, and while a render runs."""
        if not isinstance(base, str):
            raise ClipError(f"the name of a video must be text; got {type(base).__name__}")
        path = self.find(owner, base)
        if self._busy():
            raise ClipError("a render runs and may need this video; try again when it is done")
        try:
            path.unlink()
            path.parent.rmdir()
        except OSError as e:
            raise ClipError(f"{base!r} cannot be removed ({e.strerror})") from e

    def rows(self, owner: str, model: str) -> list[dict[str, object]]:
        """One row of JSON values for each of the person's videos, as `clip_table` has them, by name."""
        return [self._row(path, model) for _, path in sorted(self._files(owner).items())]

    def _row(self, path: Path, model: str) -> dict[str, object]:
        what = {"name": path.stem, "kind": "own", "origin": "own", "parsing": "none"}
        try:
            clip = open_own_video(path, self._workspace, model)
        except ClipError as e:
            return {**unusable_row(CoreClip(path.stem, model, "talk", path, path), str(e)), **what}
        row = verified_row(verify_clip(clip))
        notes = [*row["notes"], *own_video_notes(clip)]  # type: ignore[misc]
        return {**row, **what, "notes": list(dict.fromkeys(notes))}

    def _folder(self, owner: str) -> Path:
        person = "everybody" if self.shared else hashlib.sha256(owner.encode()).hexdigest()[:32]
        return cache_folder(self._workspace, "own_videos") / person

    def _files(self, owner: str) -> dict[str, Path]:
        """The person's videos by base."""
        folder = self._folder(owner)
        found = [path for path in folder.glob("*/*") if not path.parent.name.startswith(".")] if folder.is_dir() else []
        return {path.stem: path for path in found if path.stem.endswith(OWN_VIDEO) and path.is_file()}
