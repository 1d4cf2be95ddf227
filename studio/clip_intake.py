"""A model's clips as people change them: added, renamed, removed; whole or not at all."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clips.errors import ClipError
from clips.library import LANDMARKS_SUFFIX, SUFFIX, ClipLibrary, CoreClip, clip_kind
from clips.preprocess import make_landmarks
from clips.presets import preset_folders
from studio.bases import OWN_VIDEO, is_own_video
from studio.clip_rows import clip_table
from studio.preparing import IntakeState, Preparing, in_steps
from studio.preset_shelf import plain_name, same_name
from studio.uploaded_video import check_video, told_of


class ClipIntake:
    """Adds, renames and removes clips of WORKSPACE/core_clips/MODEL/; bundled ones stay as they are.

    preparing: where uploads wait for each other. busy: whether a render runs, which reads clips until it ends.
    """

    def __init__(
        self, workspace: Path, preparing: Preparing | None = None, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._library, self._preparing, self._busy = ClipLibrary(workspace), preparing or Preparing(), busy
        self._coming: set[tuple[str, str]] = set()
        self._placing = threading.RLock()

    def check(self, model: object, name: object, *, kind: str = "talk", but: str = "") -> str:
        """The name under which a clip will be stored; ClipError unless it may be.

        A name with neither "talk" nor "silence" in it gets `kind`, since core clips without are ignored. but: the name
        it has now.
        """
        if not isinstance(model, str):
            raise ClipError(f"the model must be a name; got {type(model).__name__}")
        known = [clip.name for clip in self._library.any_clips(model)]
        name = plain_name(name, "clip")
        if name.lower().endswith(SUFFIX):
            name = plain_name(name[: -len(SUFFIX)], "clip")
        if clip_kind(name) is None:
            name = plain_name(f"{name} {kind}", "clip")
        if is_own_video(name):
            raise ClipError(f"the name of a clip must not end in {OWN_VIDEO.strip()!r}; leave that out")
        for other in known:
            if other != but and same_name(name, other):
                raise ClipError(f"{model} has a clip {other!r} already; give this one another name")
        with self._placing:
            coming = [other for of, other in self._coming if of == model]
        if any(same_name(name, other) for other in coming):
            raise ClipError(f"a clip {name!r} is being added to {model} right now; give this one another name")
        return name

    def add(self, source: Path, model: str, name: str, shown: str = "the file") -> Iterator[IntakeState]:
        """Copy, check and preprocess a video; yields states, the last with the clip's name and its table row.

        Closing the generator stops it. ClipError, with the file called `shown`: see `check_video`; no face, no room. On
        any error, and when it is stopped, nothing is left.
        """
        with self._reserved(model, name) as free:
            check_video(source, shown, only_mp4=True)
            yield IntakeState()
            yield from self._preparing.turn()
            try:
                yield from self._add(source, model, free, shown)
            finally:
                self._preparing.done()

    @contextmanager
    def _reserved(self, model: str, name: str) -> Iterator[str]:
        with self._placing:
            name = self.check(model, name)
            self._coming.add((model, name))
        try:
            yield name
        finally:
            with self._placing:
                self._coming.discard((model, name))

    def _add(self, source: Path, model: str, name: str, shown: str) -> Iterator[IntakeState]:
        folder = self._library.workspace / "core_clips" / model
        marks_folder = self._library.workspace / "landmarks" / model
        hidden = f".{secrets.token_hex(6)}"
        kind = clip_kind(name)
        assert kind is not None
        draft = CoreClip(name, model, kind, folder / f"{hidden}.part.mp4", marks_folder / f"{hidden}{LANDMARKS_SUFFIX}")
        final = CoreClip(name, model, kind, folder / f"{name}{SUFFIX}", marks_folder / (name + LANDMARKS_SUFFIX))
        made = [path for path in (folder.parent, folder, marks_folder.parent, marks_folder) if not path.exists()]
        placed = [draft.path, draft.landmarks_path]
        try:
            for path in (folder, marks_folder):
                path.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, draft.path)
            try:
                yield from in_steps(lambda progress: make_landmarks(draft, progress=progress))
            except ClipError as e:
                raise told_of(e, shown, draft.path) from e
            with self._placing:
                if final.path.exists():
                    raise ClipError(f"{model} has a clip {name!r} already; give this one another name")
                placed += [final.landmarks_path]
                draft.landmarks_path.replace(final.landmarks_path)
                draft.path.replace(final.path)  # last: the clip is there when all of it is
                placed = []
        except OSError as e:
            raise ClipError(f"{shown} cannot be stored ({e.strerror}); free some space in the workspace") from e
        finally:
            for path in placed:
                path.unlink(missing_ok=True)
            for path in reversed(made if placed else []):
                with suppress(OSError):  # not empty: somebody else uses it by now
                    path.rmdir()
        row = next(row for row in clip_table(self._library.workspace, model) if row["name"] == name)
        yield IntakeState(final.info.frames, final.info.frames, clip=name, row=row)

    def rename(self, model: object, name: object, new: object) -> tuple[str, str]:
        """Give a clip of the workspace another name; returns it as it is stored, and what else went with it, in words.

        Its landmarks, its folder of the data set (parsing masks, landmark files) and its presets go along. ClipError
        for a name that cannot be or is taken, a clip that is bundled, a render that runs. On any error nothing changed.
        """
        with self._placing:
            clip = self._changeable(model, name)
            if not isinstance(new, str) or new.strip() in (clip.name, clip.name + SUFFIX):
                raise ClipError(f"the clip is called {clip.name!r} already; give it another name")
            new = self.check(clip.model, new, kind=clip.kind, but=clip.name)
            folders = [
                (old, old.with_name(new), what)
                for old, what in zip(self._folders(clip), ("its folder of the data set", "its presets"), strict=True)
                if old.is_dir()
            ]
            for _, taken, what in folders:
                if taken.exists() and not same_name(new, clip.name):
                    raise ClipError(f"{what} cannot go along: there is one called {new!r} already; choose another name")
            marks = clip.landmarks_path.with_name(new + LANDMARKS_SUFFIX)
            moves = [(old, to) for old, to, _ in folders] + [(clip.path, clip.path.with_name(new + clip.path.suffix))]
            copied = clip.landmarks_path.is_file() and not marks.exists()
            done: list[tuple[Path, Path]] = []
            try:
                if clip.landmarks_path.is_file():  # there under both names meanwhile: at no time has the clip none
                    shutil.copy2(clip.landmarks_path, marks)
                for old, to in moves:
                    old.rename(to)
                    done.append((old, to))
            except OSError as e:
                for old, to in reversed(done):
                    to.rename(old)
                if copied:
                    marks.unlink(missing_ok=True)
                raise ClipError(f"{clip.name!r} cannot be renamed ({e.strerror}); nothing was changed") from e
            if marks != clip.landmarks_path and not _same_file(marks, clip.landmarks_path):
                clip.landmarks_path.unlink(missing_ok=True)
            self._thumbnails(clip).unlink(missing_ok=True)  # made anew under the new name
        along = " and ".join(what for _, _, what in folders)
        return new, f"{along[0].upper()}{along[1:]} went along." if along else ""

    def remove(self, model: object, name: object) -> str:
        """Delete a clip of the workspace with its landmarks; returns what is left of it, in words.

        ClipError for one that is bundled, the model's only one, a render that runs, a file that cannot be deleted.
        """
        with self._placing:
            clip = self._changeable(model, name)
            if len(self._library.clips(clip.model)) == 1:
                raise ClipError(f"{clip.name!r} is the only clip of {clip.model}; add another one before removing it")
            try:
                clip.path.unlink()
            except OSError as e:
                raise ClipError(f"{clip.name!r} cannot be removed ({e.strerror}); it is still there") from e
            for made in (clip.landmarks_path, self._thumbnails(clip)):
                made.unlink(missing_ok=True)
            folder, presets = self._folders(clip)
            left = [f"its presets stay for a clip of the same name ({len(list(presets.glob('*.yaml')))})"] * any(
                presets.glob("*.yaml")
            )
            left += ["its folder of the data set stays as it is"] * folder.is_dir()
            again = next((one for one in self._library.clips(clip.model) if one.name == clip.name), None)
            if again is not None:
                what = "bundled clip" if again.path.is_file() else "folder of frames"
                left.append(f"the {what} of the same name is shown in its place")
        words = "; ".join(left)
        return f"{words[0].upper()}{words[1:]}." if words else ""

    def _changeable(self, model: object, name: object) -> CoreClip:
        """A clip that lies in the workspace as an mp4; ClipError that says why another one stays as it is."""
        for what, text in (("model", model), ("clip", name)):
            if not isinstance(text, str):
                raise ClipError(f"the {what} must be a name; got {type(text).__name__}")
        clip = self._library.clip(str(model), str(name))
        if clip.path.is_dir():
            raise ClipError(f"{clip.name!r} is a folder of frames of your data set; change it there")
        if clip.path.parent != self._library.workspace / "core_clips" / clip.model:
            raise ClipError(f"{clip.name!r} comes with Seamline and stays as it is")
        if self._busy():
            raise ClipError("a render runs and may need this clip; try again when it is done")
        return clip

    def _folders(self, clip: CoreClip) -> tuple[Path, Path]:
        """The clip's folder of the data set and that of its presets, there or not."""
        workspace = self._library.workspace
        return workspace / "dataset" / clip.model / "core_clips" / clip.name, preset_folders(
            workspace, clip.model, clip.name
        )[-1]

    def _thumbnails(self, clip: CoreClip) -> Path:
        return self._library.workspace / "thumbnails" / clip.model / f"{clip.name}.npz"


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file: on a disk that does not tell case."""
    return other.exists() and one.samefile(other)
