"""The studio for programs: named endpoints for gradio_client, and plain HTTP routes for what the page lists and keeps.

Everything that comes in is checked here, whatever type it claims to have: Gradio passes on what it was sent.
"""

from __future__ import annotations

import inspect
import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

import cv2
import gradio as gr
from gradio.utils import get_upload_folder

from blending import BlendSettings, seam_score
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.header import read_header
from clips.library import SAMPLE_SPEECH, ClipLibrary
from clips.presets import load_preset
from clips.quality import STANDARD, quality_named
from clips.render import RenderCancelled
from clips.timeline import FPS, FrameRange
from models.errors import ModelError
from studio.access import person_of
from studio.cache import hand_out, without_cache_paths
from studio.clip_rows import clip_table
from studio.history import EVERYBODY
from studio.limits import MAX_CALL_S, MAX_SOUND_BYTES
from studio.renders import Renders, RenderState
from studio.sessions import Session, Sessions
from studio.sweep import sweep

RENDER_QUEUE = "render"
"""One renderer at a time: the page's button belongs to the same group."""
AT_ONCE = 2
"""Previews, sweeps and verifications that run beside each other."""

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Settings = dict[str, Any]


def add_endpoints(page: gr.Blocks, sessions: Sessions, renders: Renders) -> None:
    """Adds /preview, /render, /sweep and /verify to a page."""
    api = Endpoints(sessions, renders)
    with page:
        gr.api(_told(api.preview), api_name="preview", concurrency_limit=AT_ONCE, concurrency_id="pictures")
        gr.api(_told_steps(api.render), api_name="render", concurrency_limit=1, concurrency_id=RENDER_QUEUE)
        gr.api(_told(api.sweep), api_name="sweep", concurrency_limit=AT_ONCE, concurrency_id="pictures")
        gr.api(_told(api.verify), api_name="verify", concurrency_limit=AT_ONCE, concurrency_id="pictures")


class Endpoints:
    """What programs can call. Each method checks its own input; ValueError, ClipError, ModelError tell the fault."""

    def __init__(self, sessions: Sessions, renders: Renders) -> None:
        self._sessions, self._renders = sessions, renders

    def preview(
        self,
        audio: gr.FileData | None = None,
        model: str = "LS1",
        base: str = AUTOMATIC,
        frame: int = 0,
        settings: Settings | None = None,
        preset: str = "default",
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """One output frame as a lossless PNG, bit for bit as the render has it before encoding, and what is known.

        Parameters:
            audio: any sound, or a video with sound, of at most 10 minutes and 200 MB; None takes the sample speech
            model: name of a model
            base: "core clips", or the name of the one clip to use
            frame: output frame, counted from 0 at 25 per second
            settings: blend settings by name, over those of the preset
            preset: name of a preset
        """
        blend = self._settings(settings, preset, model, base)
        session = self._session(audio, model, base)
        index = _whole("frame", frame, 0, session.performance.frames - 1)
        shot = session.processor.shot(session.performance, index)
        result = session.processor.blend_shot(shot, blend)
        told: dict[str, Any] = {
            "frame": index, "frames": session.performance.frames, "clip": shot.cut.clip, "clip_frame": shot.clip_frame,
            "driven": shot.generated is not None, "limits": list(result.limits), "settings": blend.model_dump(),
            "score": None, "unblended_score": None, "notes": list(session.performance.notes),
        }  # fmt: skip
        if shot.generated is not None:
            seen = (shot.box, shot.landmarks)
            told["score"] = round(seam_score(shot.plate, result.frame, result.generated_matched, *seen).score, 4)
            told["unblended_score"] = round(seam_score(shot.plate, shot.unblended, shot.generated, *seen).score, 4)
        return _picture(result.frame, "preview.png"), told

    def render(
        self,
        audio: gr.FileData | None = None,
        model: str = "LS1",
        base: str = AUTOMATIC,
        settings: Settings | None = None,
        preset: str = "default",
        start_s: float = 0.0,
        stop_s: float | None = None,
        quality: str = STANDARD,
        request: gr.Request | None = None,
    ) -> Iterator[tuple[gr.FileData | None, gr.FileData | None, dict[str, Any]]]:
        """The video, the unblended video to compare with, and a report; until it is done, the report tells frames done.

        Parameters:
            audio: any sound, or a video with sound, of at most 10 minutes and 200 MB; None takes the sample speech
            model: name of a model
            base: "core clips", or the name of the one clip to use
            settings: blend settings by name, over those of the preset
            preset: name of a preset
            start_s: second of the sound to start at
            stop_s: second to stop at; None renders to the end
            quality: draft, standard, high or lossless
        """
        blend = self._settings(settings, preset, model, base)
        session = self._session(audio, model, base, person_of(request))
        frames = frame_range(start_s, stop_s, session.performance.frames)
        quality_named(_text("quality", quality))
        for state in self._renders.run(session, blend, frames=frames, quality=quality):
            if state.report is None:
                yield None, None, progress_of(state)
                continue
            report = state.report
            told = {
                "done": state.done, "total": state.total, "id": state.id, "frames": report.frames,
                "first_frame": frames.start, "blended_frames": report.blended_frames,
                "seconds": round(report.seconds, 2), "seam_mean": report.seam_mean, "seam_worst": report.seam_worst,
                "worst_frame": report.worst_frame, "settings": blend.model_dump(), "notes": list(report.notes),
            }  # fmt: skip
            yield *(_answer(path) for path in (report.path, state.unblended) if path is not None), told

    def sweep(
        self,
        audio: gr.FileData | None = None,
        model: str = "LS1",
        base: str = AUTOMATIC,
        frame: int = 0,
        down: str = "expansion_ratio",
        across: str = "feather_amount",
        down_values: list[Any] | None = None,
        across_values: list[Any] | None = None,
        settings: Settings | None = None,
        preset: str = "default",
    ) -> tuple[gr.FileData, list[dict[str, Any]]]:
        """A contact sheet of one frame over two settings, and each tile's values, seam score and place on the sheet.

        Parameters:
            audio: any sound, or a video with sound, of at most 10 minutes and 200 MB; None takes the sample speech
            model: name of a model
            base: "core clips", or the name of the one clip to use
            frame: output frame with speech, counted from 0 at 25 per second
            down: name of the setting that changes from row to row
            across: name of the setting that changes from column to column
            down_values: 2 to 5 values; None spreads 5 over the range
            across_values: 2 to 5 values; None spreads 5 over the range
            settings: the other blend settings by name, over those of the preset
            preset: name of a preset
        """
        blend = self._settings(settings, preset, model, base)
        names = [_text("down", down), _text("across", across)]
        session = self._session(audio, model, base)
        index = _whole("frame", frame, 0, session.performance.frames - 1)
        made = sweep(session, index, blend, (names[0], down_values), (names[1], across_values))
        return _picture(made.sheet, "sweep.png"), [tile.describe() for tile in made.tiles]

    def verify(self, model: str = "LS1", clip: str = "") -> list[dict[str, Any]]:
        """How fit each core clip is: figures, whether it passed, the reasons, and notes.

        Parameters:
            model: name of a model
            clip: name of one clip; "" is all of them
        """
        library = ClipLibrary(self._sessions.workspace)
        library.clips(_text("model", model))
        if _text("clip", clip, empty=True):
            library.clip(model, clip)
        return [row for row in clip_table(self._sessions.workspace, model) if not clip or row["name"] == clip]

    def _session(self, audio: object, model: object, base: object, owner: str = EVERYBODY) -> Session:
        """A session of the call's own, which nobody else can find."""
        sound = check_sound(audio)
        session = self._sessions.make(_text("model", model), sound, _text("base", base), owner=owner)
        length_s = session.performance.frames / float(FPS)
        if length_s > MAX_CALL_S:  # a file whose header does not tell
            raise ValueError(f"audio may last {MAX_CALL_S / 60:g} minutes; got {length_s / 60:.1f}: send a part of it")
        return session

    def _settings(self, settings: object, preset: object, model: object, base: object) -> BlendSettings:
        """The preset's settings with those of the call over them."""
        model, base = _text("model", model), _text("base", base)
        clips = {clip.name for clip in ClipLibrary(self._sessions.workspace).clips(model)}
        if base != AUTOMATIC and base not in clips:
            ClipLibrary(self._sessions.workspace).clip(model, base)  # raises: there are ..
        start = load_preset(
            _text("preset", preset), self._sessions.workspace, model=model, clip=base if base in clips else None
        )
        if settings is None:
            return start
        if not isinstance(settings, Mapping):
            raise ValueError(f"settings must be names with values; got {type(settings).__name__}")
        return BlendSettings.parse(start.model_dump() | dict(settings))


def check_sound(audio: object) -> Path:
    """The uploaded file of a call; the sample speech for None. ValueError or ClipError unless it is a sound that was
    uploaded, of at most MAX_SOUND_BYTES and MAX_CALL_S."""
    if audio is None:
        return SAMPLE_SPEECH
    path = audio.get("path") if isinstance(audio, Mapping) else getattr(audio, "path", None)
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError("audio must be an uploaded file; send it with gradio_client's handle_file(..)")
    real = Path(path).resolve()
    if not real.is_relative_to(Path(get_upload_folder()).resolve()) or not real.is_file():
        raise ValueError("audio must be an uploaded file; this one was not uploaded, or is gone: upload it again")
    size = real.stat().st_size
    if size > MAX_SOUND_BYTES:
        raise ValueError(f"audio may have {MAX_SOUND_BYTES >> 20} MB; got {size / 2**20:.0f} MB")
    duration_s = read_header(real).duration_s
    if duration_s is not None and duration_s > MAX_CALL_S:
        raise ValueError(f"audio may last {MAX_CALL_S / 60:g} minutes; got {duration_s / 60:.1f}: send a part of it")
    return real


def frame_range(start_s: object, stop_s: object, frames: int) -> FrameRange:
    """Frames from a start to a stop in seconds, each at the nearest frame; ValueError outside of the sound."""
    start_s = _number("start_s", start_s)
    stop = frames if stop_s is None else round(_number("stop_s", stop_s) * float(FPS))
    start = round(start_s * float(FPS))
    if not 0 <= start < stop <= frames:
        end_s = frames / float(FPS)
        raise ValueError(
            f"start_s and stop_s must lie in 0 .. {end_s:g} s with a frame between them; got {start_s:g} and "
            f"{'the end' if stop_s is None else f'{stop_s:g}'}"
        )
    return FrameRange(start, stop)


def progress_of(state: RenderState) -> dict[str, Any]:
    """A running render as JSON values."""
    left_s = round(state.seconds_left, 1) if state.done else None
    return {"done": state.done, "total": state.total, "waiting": state.waiting, "seconds_left": left_s}


def _text(name: str, value: object, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty) or len(value) > 300:
        shown = f"{len(value)} characters" if isinstance(value, str) else type(value).__name__
        raise ValueError(f"{name} must be a name; got {shown}")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e6:
        raise ValueError(f"{name} must be a number; got {repr(value)[:60]}")
    return float(value)


def _whole(name: str, value: object, first: int, last: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or not first <= value <= last:
        raise ValueError(f"{name} must be a whole number in {first} .. {last}; got {repr(value)[:60]}")
    if value != int(value):
        raise ValueError(f"{name} must be a whole number in {first} .. {last}; got {repr(value)[:60]}")
    return int(value)


def _picture(frame: Any, name: str) -> gr.FileData:
    """A PNG under an unguessable folder of the cache."""
    path = Path(get_upload_folder()) / secrets.token_hex(16) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())
    return gr.FileData(path=str(path), mime_type="image/png", orig_name=name)


def _answer(video: Path) -> gr.FileData:
    path = hand_out(video, Path(get_upload_folder()))
    return gr.FileData(path=str(path), mime_type="video/mp4", orig_name=video.name)


def _said(error: Exception) -> gr.Error:
    """What a caller reads. What nobody foresaw is told without its inside."""
    if isinstance(error, ClipError | ModelError | ValueError):
        return gr.Error(without_cache_paths(str(error)), print_exception=False)
    if isinstance(error, RenderCancelled):
        return gr.Error("the render was cancelled; nothing was written", print_exception=False)
    return gr.Error(f"the studio could not do this ({type(error).__name__}); see its log", print_exception=True)


def _told(work: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    @wraps(work)
    def told(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        try:
            return work(*args, **kwargs)
        except Exception as e:
            raise _said(e) from e

    return _typed(told, work)


def _told_steps(work: Callable[Parameters, Iterator[Returned]]) -> Callable[Parameters, Iterator[Returned]]:
    @wraps(work)
    def told(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Iterator[Returned]:
        try:
            yield from work(*args, **kwargs)
        except Exception as e:
            raise _said(e) from e

    return _typed(told, work)


def _typed(told: Callable[Parameters, Returned], work: Callable[..., Any]) -> Callable[Parameters, Returned]:
    """Gives a function the signature that Gradio reads: no annotations as text, and what a generator yields."""
    hints, signature = get_type_hints(work), inspect.signature(work)
    returns = hints["return"]
    if get_origin(returns) is Iterator:
        returns = get_args(returns)[0]
    typed = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    told.__signature__ = signature.replace(parameters=typed, return_annotation=returns)  # type: ignore[attr-defined]
    return told
