"""The renders of a workspace, newest first: found again after a restart, with score, settings and a small picture.

The recipe (model, base, settings) is read from the video itself; what is known only when a render is done (scores,
sound, whose it is) lies beside it in renders/.history/NAME.json.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from blending import BlendSettings
from clips.errors import ClipError
from clips.ffmpeg import READ_LOCAL_FILES_ONLY, atomic_file, ffmpeg_exe, input_url
from clips.header import Header, read_header
from clips.recipe import RECIPE_TAG
from clips.render import RenderReport
from clips.timeline import FPS

UNBLENDED = " unblended"
THUMBNAIL_PX = 120
EVERYBODY = ""
"""Owner of what was rendered at the command line, or where one person alone can reach the studio."""


class About(BaseModel):
    """What is kept of a render beside its video; None where it is not known. range: first frame and the one after the
    last, counted from the start of the sound, as worst_frame is. seam_unblended: seam score of the unblended paste.
    face: left, top and side of the generated square in the worst frame, in px. owner: see `RenderHistory`."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
    owner: str = EVERYBODY
    model: str | None = None
    base: str | None = None
    sound: str | None = None
    quality: str | None = None
    frames: int | None = None
    range: tuple[int, int] | None = None
    blended_frames: int | None = None
    render_seconds: float | None = None
    seam_mean: float | None = None
    seam_worst: float | None = None
    worst_frame: int | None = None
    seam_unblended: float | None = None
    face: tuple[int, int, int] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One finished render. What is not known is None; notes say why, in words."""

    id: str
    path: Path
    unblended: Path | None
    date: datetime
    about: About
    recipe: Mapping[str, Any] | None
    notes: tuple[str, ...]

    def describe(self) -> dict[str, object]:
        """As JSON values for the page."""
        recipe, known = self.recipe or {}, self.about
        return {
            "id": self.id,
            "name": self.path.name,
            "date": self.date.isoformat(timespec="seconds"),
            "model": _text(recipe.get("model")) or known.model,
            "base": _text(recipe.get("base")) or known.base,
            "sound": known.sound,
            "seam": known.seam_mean,
            "seam_worst": known.seam_worst,
            "worst_frame": known.worst_frame,
            "seam_unblended": known.seam_unblended,
            "face": known.face,
            "frames": known.frames,
            "range": known.range,
            "seconds": None if known.frames is None else float(known.frames / FPS),
            "quality": _text(recipe.get("quality")) or known.quality,
            "settings": recipe.get("settings"),
            "unblended": self.unblended is not None,
            "notes": list(self.notes),
        }


class RenderHistory:
    """Lists WORKSPACE/renders. shared: one person alone can reach the studio, who sees every render; otherwise each
    person sees their own and those made at the command line."""

    def __init__(self, workspace: Path, *, shared: bool = True) -> None:
        self.folder, self._thumbnails = workspace / "renders", workspace / "cache" / "thumbnails"
        self._shared = shared

    def record(self, report: RenderReport, about: About) -> str:
        """Keep what a finished render's file does not hold, with the report's figures; returns the render's id."""
        figures = {
            "frames": report.frames, "blended_frames": report.blended_frames,
            "render_seconds": round(report.seconds, 2), "seam_mean": report.seam_mean, "seam_worst": report.seam_worst,
            "worst_frame": report.worst_frame, "notes": report.notes,
        }  # fmt: skip
        with atomic_file(self._about_path(report.path)) as partial:
            partial.write_text(about.model_copy(update=figures).model_dump_json(indent=1), encoding="utf-8")
        return _id(report.path)

    def entries(self, owner: str = EVERYBODY) -> list[Entry]:
        """What this person may see, newest first."""
        found = []
        for path in self._videos():
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append(self._entry(path))
        return sorted((e for e in found if self._may_see(e, owner)), key=lambda e: (e.date, e.id), reverse=True)

    def get(self, id: object, owner: str = EVERYBODY) -> Entry:
        """One of them; ClipError when it is gone or somebody else's."""
        for path in self._videos():
            if _id(path) == id and self._may_see(entry := self._entry(path), owner):
                return entry
        raise ClipError("this render is no longer there; reload the page to see which are")

    def settings(self, id: object, owner: str = EVERYBODY) -> dict[str, object]:
        """Settings to put back onto the page, checked. ClipError where the video holds none, or none that fit."""
        entry = self.get(id, owner)
        if entry.recipe is None:
            raise ClipError(f"{entry.path.name} holds no settings; {'; '.join(entry.notes)}")
        try:
            return BlendSettings.parse(entry.recipe.get("settings", {})).model_dump()
        except ValueError as e:
            raise ClipError(f"the settings in {entry.path.name} do not fit this version of Seamline: {e}") from e

    def recipe(self, id: object, owner: str = EVERYBODY) -> str:
        """The recipe to download: what the video holds and how it scored, as JSON text."""
        entry = self.get(id, owner)
        if entry.recipe is None:
            raise ClipError(f"{entry.path.name} holds no recipe; {'; '.join(entry.notes)}")
        told = entry.about.model_dump(exclude={"owner"}, exclude_none=True)
        return json.dumps({**entry.recipe, "render": told}, ensure_ascii=False, indent=2) + "\n"

    def delete(self, id: object, owner: str = EVERYBODY) -> None:
        """Remove a render with its unblended video and what was kept of it. What belongs to everybody can be removed
        only where one person alone can reach the studio."""
        entry = self.get(id, owner)
        if not self._shared and entry.about.owner != owner:
            raise ClipError(f"{entry.path.name} was not rendered by you; remove the file from the workspace's renders/")
        try:
            for path in (entry.path, entry.unblended, self._about_path(entry.path), self._thumbnail_path(entry.path)):
                if path is not None:
                    path.unlink(missing_ok=True)
        except OSError as e:
            raise ClipError(f"{entry.path.name} cannot be removed ({e.strerror}); close it where it is open") from e

    def thumbnail(self, id: object, owner: str = EVERYBODY) -> Path:
        """A JPEG of the worst frame, or of the middle where that is not known; kept in the cache."""
        entry = self.get(id, owner)
        path = self._thumbnail_path(entry.path)
        if not path.is_file():
            self._draw(entry, path)
        return path

    def _draw(self, entry: Entry, path: Path) -> None:
        header = _header(entry.path)
        at_s = (header.duration_s or 0.0) / 2
        if entry.about.worst_frame is not None:
            first = 0 if entry.about.range is None else entry.about.range[0]
            at_s = float((entry.about.worst_frame - first + 0.5) / FPS)
        # ffmpeg itself and not ClipFrames, which counts all frames first: 1 ms for each of an hour.
        with atomic_file(path) as partial:
            said = subprocess.run(
                [
                    ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error", *READ_LOCAL_FILES_ONLY,
                    "-ss", f"{max(0.0, at_s - 0.5 / float(FPS)):.3f}", "-i", input_url(entry.path), "-frames:v", "1",
                    "-vf", f"scale=-2:{THUMBNAIL_PX}:flags=area", "-q:v", "4", "-f", "mjpeg",
                    "-y", str(partial.absolute()),
                ],
                capture_output=True, timeout=30,
            )  # fmt: skip
            if said.returncode != 0 or not partial.is_file() or partial.stat().st_size == 0:
                raise ClipError(f"{entry.path.name} shows no picture; it is damaged: remove it or render it again")

    def _videos(self) -> list[Path]:
        """Blended videos; one without its blended partner stands for itself."""
        if not self.folder.is_dir():
            return []
        paths = [
            path for path in self.folder.glob("*.mp4")
            if not path.name.startswith(".") and path.is_file() and not path.is_symlink()
        ]  # fmt: skip
        stems = {path.stem for path in paths}
        return [p for p in paths if not (p.stem.endswith(UNBLENDED) and p.stem.removesuffix(UNBLENDED) in stems)]

    def _entry(self, path: Path) -> Entry:
        about, notes = self._about(path)
        recipe = None
        try:
            header = _header(path)
            recipe = _recipe(header)
            if recipe is None:
                notes.append("no settings are stored in it: another program made it, or changed it")
            if about.frames is None and header.duration_s is not None:
                about = about.model_copy(update={"frames": round(header.duration_s * FPS)})
        except ClipError as e:
            notes.append(str(e))
        partner = path.with_name(f"{path.stem}{UNBLENDED}.mp4")
        date = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        return Entry(
            _id(path), path, partner if partner.is_file() else None, date, about, recipe, (*notes, *about.notes)
        )

    def _about(self, path: Path) -> tuple[About, list[str]]:
        """What was kept of a render, and a note where nothing was."""
        try:
            return About.model_validate_json(self._about_path(path).read_bytes()), []
        except FileNotFoundError:
            return About(), ["its seam score is not known: it was rendered at the command line"]
        except (OSError, ValidationError):
            return About(), ["its seam score is not known: what was kept of it cannot be read"]

    def _may_see(self, entry: Entry, owner: str) -> bool:
        return self._shared or entry.about.owner in (EVERYBODY, owner)

    def _about_path(self, path: Path) -> Path:
        return self.folder / ".history" / f"{path.stem}.json"

    def _thumbnail_path(self, path: Path) -> Path:
        return self._thumbnails / f"{_id(path)}-{path.stat().st_mtime_ns if path.exists() else 0:x}.jpg"


def _id(path: Path) -> str:
    """A render's name in addresses: of its file's name, so that it stays over restarts and is never a path."""
    return hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _recipe(header: Header) -> dict[str, Any] | None:
    """The recipe in a video's own metadata, None where it has none that can be read."""
    with suppress(ValueError):
        recipe = json.loads(header.tags.get(RECIPE_TAG, ""))
        if isinstance(recipe, dict) and "settings" in recipe:
            return recipe
    return None


def _text(value: object) -> str | None:
    """A name as the recipe or the record holds it; a mapping is asked for its name."""
    named = value.get("name") if isinstance(value, Mapping) else value
    return named if isinstance(named, str) else None


def _header(path: Path) -> Header:
    stat = path.stat()
    return _remembered(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _remembered(path: Path, size: int, mtime_ns: int) -> Header:
    return read_header(path)
