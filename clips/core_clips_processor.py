"""CoreClipsProcessor: speech, a model, clips and settings in; frames or a finished video out.

The blend of output frame i is a pure function of (edit list, sound, settings, i): the preview of a
frame is the render of that frame, in whatever order frames are asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from blending import (
    Blender,
    BlendResult,
    BlendSettings,
    CropBox,
    Landmarks,
    Registration,
    measure_registration,
    smooth_registrations,
)
from blending.layers import BlendLayers, blend_layers
from blending.types import Frame
from clips.audio import SAMPLE_RATE, load_audio
from clips.edit_list import Cut, EditList, Source, single_clip, speech_edit_list, speech_segments
from clips.errors import ClipError
from clips.landmarks import ClipLandmarks
from clips.library import ClipLibrary, CoreClip, default_workspace
from clips.parsing_masks import ParsingMasks, find_parsing
from clips.seam_floor import measure_floor
from clips.timeline import frame_count
from clips.vad import find_speech
from clips.video import ClipFrames

if TYPE_CHECKING:
    from clips.render import RenderReport
    from models.lip_sync import LipSyncModel

AUTOMATIC = "core clips"
"""Name of the base that chooses among all fitting clips by speech and silence."""

GENERATED_CACHE_BYTES = 64 << 20
CLIP_CACHE_BYTES = 96 << 20
MAX_SOUND_S = 3600

REGISTRATION_SIGMA_FRAMES = 1.5
REGISTRATION_REACH = 6
"""Frames on either side that smoothing looks at: four times sigma, beyond which a Gaussian counts nothing."""
REGISTRATIONS_KEPT = 4096

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The last few values by key, within a number of entries; safe to use from several threads."""

    def __init__(self, entries: int) -> None:
        self._entries, self._kept, self._lock = entries, OrderedDict[Hashable, Value](), threading.Lock()

    def known(self, key: Hashable) -> Value | None:
        """The value of a key where it is kept."""
        with self._lock:
            return self._kept.get(key)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)
        return value


@dataclass(frozen=True, eq=False)
class Performance:
    """A sound laid over clips: everything a frame depends on but the settings.

    wav: float32 (samples,) mono 16 kHz. features: (rows, D) of the model. notes: what a person
    should know about the choice of clips, in words.
    """

    wav: NDArray[np.float32]
    features: NDArray[np.float32]
    edits: EditList
    base: str
    notes: tuple[str, ...] = ()
    key: object = field(default_factory=object)

    @property
    def frames(self) -> int:
        return self.edits.frames


@dataclass(frozen=True, eq=False)
class Shot:
    """What stands at output frame `index` of a performance before the blend.

    generated is None where the plate stays as it is; reason says why. opacity: of the blend, below 1 where it
    ramps towards a silence. masks: the clip's parsing masks, None without any; read only by a blend that uses them.
    """

    performance: Performance
    index: int
    cut: Cut
    clip_frame: int
    plate: Frame
    box: CropBox
    landmarks: Landmarks
    generated: Frame | None
    reason: str = ""
    opacity: float = 1.0
    masks: ParsingMasks | None = None

    @property
    def unblended(self) -> Frame:
        """The generated square pasted over the plate as it is; the plate itself where there is none."""
        return self.plate if self.generated is None else self.box.paste(self.plate, self.generated)


class CoreClipsProcessor:
    """Drives one model's core clips with speech.

    model_name: a model of the library or the workspace, with core clips of the same name. workspace: None
    is `default_workspace()`. settings: defaults of the blend. runtime: what runs the network, see
    `models.runtime.make_runtime`. Raises ClipError or ModelError when the model
    or its clips cannot be used.
    """

    def __init__(
        self,
        model_name: str,
        *,
        workspace: Path | None = None,
        settings: BlendSettings | None = None,
        vad_method: str = "silero",
        device: str = "auto",
        runtime: str = "auto",
    ) -> None:
        from models.lip_sync import LipSyncModel

        self.model_name = model_name
        self.settings = settings or BlendSettings()
        self.vad_method = vad_method
        workspace = default_workspace() if workspace is None else workspace
        self.model: LipSyncModel = LipSyncModel.load(model_name, workspace, device=device, runtime=runtime)
        self.clips: dict[str, CoreClip] = {clip.name: clip for clip in ClipLibrary(workspace).clips(model_name)}
        self._workspace = workspace
        self._frames: dict[str, ClipFrames] = {}
        self._parsing: dict[str, tuple[ParsingMasks | None, str]] = {}
        self._registrations = Recent[Registration](REGISTRATIONS_KEPT)
        self._floors = Recent[float | None](len(self.clips))
        self._floors_begun: set[str] = set()
        self._measuring = threading.Lock()
        self._landmarks: dict[str, tuple[ClipLandmarks, ClipLandmarks]] = {}
        self._lock = threading.Lock()
        self._generated = Recent[Frame](GENERATED_CACHE_BYTES // (3 * (self.model.size + 8) ** 2))
        self._blender = Recent[Blender](4)

    def prepare(self, audio: Path | str | NDArray[np.float32], base: str = AUTOMATIC) -> Performance:
        """Lay a sound (a file, or mono 16 kHz float samples) over the clips.

        base: AUTOMATIC, or the name of the one clip to use from its first frame on. ClipError for a file without
        sound, a sound of more than an hour or an unknown base; ValueError for samples of another shape or NaN.
        """
        path = Path(audio) if isinstance(audio, str | Path) else None
        wav = load_audio(path) if path is not None else np.asarray(audio, np.float32)
        if wav.ndim != 1 or len(wav) == 0 or not np.isfinite(wav).all():
            raise ValueError(f"audio must be finite samples of shape (T,), T > 0; got shape {wav.shape}")
        if len(wav) > MAX_SOUND_S * SAMPLE_RATE:
            minutes = len(wav) / SAMPLE_RATE / 60
            raise ClipError(f"the sound lasts {minutes:.0f} minutes; at most {MAX_SOUND_S // 60} can be rendered")
        edits, notes = self.edit_list(wav, base)
        features = self.model.features(wav, path)
        return Performance(wav, features, edits, base, notes)

    def edit_list(self, wav: NDArray[np.float32], base: str = AUTOMATIC) -> tuple[EditList, tuple[str, ...]]:
        """Cuts for a sound, and notes in words. Raises ClipError for an unknown base."""
        frames = frame_count(len(wav), SAMPLE_RATE)
        if base != AUTOMATIC:
            clip = self.clip(base)
            return single_clip(_source(clip), frames), self._parsing_notes([clip])
        chosen, notes = self._automatic_clips()
        notes += self._parsing_notes(chosen)
        speech = find_speech(wav, method=self.vad_method)
        if not speech:
            notes = (*notes, "no speech was found in the sound: the silence clip is shown unchanged")
        segments = speech_segments(speech, SAMPLE_RATE, frames)
        return speech_edit_list([_source(clip) for clip in chosen], segments), notes

    def _parsing_notes(self, clips: Iterable[CoreClip]) -> tuple[str, ...]:
        return tuple(said for clip in clips if (said := self.parsing_of(clip.name)[1]))

    def parsing_of(self, name: str) -> tuple[ParsingMasks | None, str]:
        """A clip's parsing masks, looked for once, and what to say of them; see `find_parsing`."""
        with self._lock:
            if name not in self._parsing:
                self._parsing[name] = find_parsing(self._workspace, self.clip(name))
            return self._parsing[name]

    @property
    def has_parsing(self) -> bool:
        """Whether any clip of the model has parsing masks."""
        return any(self.parsing_of(name)[0] is not None for name in self.clips)

    def floor_of(self, name: str) -> float | None:
        """Seam score that the clip's own noise makes, measured when it is first asked for (about a second); None
        without a face."""
        with self._measuring:
            return self._floors.get(name, lambda: measure_floor(self.clip(name), self.landmarks_of(name)[1]))

    def known_floor(self, name: str) -> float | None:
        """`floor_of` where it is known already; otherwise None, and it is measured in the background."""
        if name not in self._floors_begun:
            self._floors_begun.add(name)
            threading.Thread(target=self._measure_floor, args=(name,), name="seam floor", daemon=True).start()
        return self._floors.known(name)

    def _measure_floor(self, name: str) -> None:
        # A clip that cannot be read is told by whoever shows its frames; here it only has no floor.
        with suppress(ClipError):
            self.floor_of(name)

    def clip(self, name: str) -> CoreClip:
        if name not in self.clips:
            known = ", ".join(map(repr, self.clips))
            raise ClipError(f"clip {name!r} does not exist for {self.model_name}; there are: {known}")
        return self.clips[name]

    def _automatic_clips(self) -> tuple[Sequence[CoreClip], tuple[str, ...]]:
        """Clips that can be cut together: those of one size, in the light of the silence clip (of the first clip
        when there is none)."""
        everything, unusable = [], []
        for clip in self.clips.values():
            try:
                clip.landmarks()
                everything.append(clip)
            except ClipError as e:
                unusable.append((clip.name, e))
        if not everything:
            raise unusable[0][1]
        lead = everything[0]
        fitting = [clip for clip in everything if clip.landmarks().size_wh == lead.landmarks().size_wh]
        notes: tuple[str, ...] = ()
        if unusable:
            notes = (f"left out, since they have no landmarks: {'; '.join(name for name, _ in unusable)}",)
        notes += _left_out(set(everything) - set(fitting), "frame size", lead)
        same_size, fitting = fitting, [clip for clip in fitting if clip.matches_light_of(lead)]
        notes += _left_out(set(same_size) - set(fitting), "light", lead)
        if lead.kind != "silence":
            notes = ("there is no silence clip: talk clips are shown unchanged in pauses", *notes)
        elif all(clip.kind == "silence" for clip in fitting):
            notes = (*notes, "there is no talk clip beside it: the silence clip is driven under speech")
        return fitting, notes

    def frames_of(self, name: str) -> ClipFrames:
        """Random access to a clip's frames, opened once."""
        with self._lock:
            if name not in self._frames:
                self._frames[name] = self.clip(name).frames(cache_bytes=CLIP_CACHE_BYTES)
            return self._frames[name]

    def landmarks_of(self, name: str) -> tuple[ClipLandmarks, ClipLandmarks]:
        """A clip's landmarks as detected and smoothed zero-phase, read once."""
        with self._lock:
            if name not in self._landmarks:
                raw = self.clip(name).landmarks()
                self._landmarks[name] = (raw, raw.smoothed())
            return self._landmarks[name]

    def shot(self, performance: Performance, index: int) -> Shot:
        """Plate, square, landmarks and generated picture of output frame `index`."""
        cut = performance.edits.at(index)
        number = cut.clip_frame(index)
        plate = self.frames_of(cut.clip)[number]
        raw, smoothed = self.landmarks_of(cut.clip)
        marks = smoothed.at(number)
        box = CropBox.from_landmarks(marks)
        shot = Shot(performance, index, cut, number, plate, box, marks, None)
        if not cut.driven:
            return replace(shot, reason="silence: the clip is shown unchanged")
        if not raw.found[number]:
            return replace(shot, reason="no face was found in this frame: it is left unchanged")

        def draw() -> Frame:
            drawn = self.model.generate(plate, box, performance.features, index)
            drawn.setflags(write=False)  # it is shared by all who ask for this frame
            return drawn

        return replace(
            shot,
            generated=self._generated.get((performance.key, index), draw),
            opacity=performance.edits.opacity(index),
            masks=self.parsing_of(cut.clip)[0],
        )

    def generate_frame(self, performance: Performance, index: int) -> Frame:
        """The plain fallback: the generated square pasted over the plate, unblended. uint8 (H, W, 3)."""
        return self.shot(performance, index).unblended

    def _generate_frame_with_blending(
        self, performance: Performance, index: int, settings: BlendSettings | None = None
    ) -> BlendResult:
        """Output frame `index` blended by `settings` (the processor's own when None), with its proof."""
        return self.blend_shot(self.shot(performance, index), settings)

    def blend_shot(self, shot: Shot, settings: BlendSettings | None = None) -> BlendResult:
        """The blend of one shot: what preview and render both call."""
        settings = settings or self.settings
        if shot.generated is None:
            rows, columns = shot.box.inside((shot.plate.shape[0], shot.plate.shape[1]))
            patch = shot.plate[rows, columns]
            return BlendResult(
                patch, np.zeros(patch.shape[:2], np.float32), lambda: (shot.reason,), shot.box,
                settings.feather_px(shot.box.side), shot.box.extract(shot.plate), shot.plate,
                (rows.start, columns.start),
            )  # fmt: skip
        blender = self._blender.get((settings, threading.get_ident()), lambda: Blender(settings))
        return blender.blend(shot.plate, shot.generated, shot.box, shot.landmarks, **self._taken(shot, settings))

    def blend_layers(self, shot: Shot, settings: BlendSettings) -> BlendLayers | None:
        """What a blend of the shot with compositor alpha is mixed from, None where nothing is: see BlendLayers."""
        rows, columns = shot.box.inside((shot.plate.shape[0], shot.plate.shape[1]))
        if shot.generated is None or rows.start == rows.stop or columns.start == columns.stop:
            return None
        return blend_layers(
            settings, shot.plate, shot.generated, shot.box, shot.landmarks, **self._taken(shot, settings)
        )

    def _taken(self, shot: Shot, settings: BlendSettings) -> dict[str, Any]:
        """What a blend takes from around its frame: registration, parsing mask and opacity."""
        used = shot.masks if settings.use_parsing == "on" else None
        return {
            "registration": self._smoothed_registration(shot) if settings.registration == "smoothed" else None,
            "parsing": None if used is None else used.at(shot.clip_frame),
            "opacity": shot.opacity,
        }

    def _smoothed_registration(self, shot: Shot) -> Registration:
        """The mean of the registrations around a frame under a zero-phase Gaussian, within its cut and no further than
        the next frame without a face. Each frame is measured once: what a render passes is there for its neighbours."""
        measured, before = [self._registration(shot)], 0
        for step in (-1, 1):
            for away in range(1, REGISTRATION_REACH + 1):
                index = shot.index + step * away
                if index not in shot.cut.place:
                    break
                near = self.shot(shot.performance, index)
                if near.generated is None:
                    break
                measured.insert(0 if step < 0 else len(measured), self._registration(near))
                before += step < 0
        return smooth_registrations(measured, REGISTRATION_SIGMA_FRAMES)[before]

    def _registration(self, shot: Shot) -> Registration:
        generated = shot.generated
        assert generated is not None
        return self._registrations.get(
            (shot.performance.key, shot.index),
            lambda: measure_registration(shot.plate, generated, shot.box, shot.landmarks),
        )

    def generate_video(
        self,
        audio: Path | str | NDArray[np.float32] | Performance,
        output: Path | str,
        settings: BlendSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        base: str = AUTOMATIC,
        unblended: Path | str | None = None,
        cancel: threading.Event | None = None,
    ) -> RenderReport:
        """Render the whole sound to an mp4 with sound, encoded once; see `clips.render.render`."""
        from clips.render import check_outputs, render

        sound = (Path(audio),) if isinstance(audio, str | Path) else ()
        check_outputs(Path(output), Path(unblended) if unblended else None, keep=sound)
        performance = audio if isinstance(audio, Performance) else self.prepare(audio, base)
        return render(
            self, performance, Path(output), settings or self.settings,
            progress=progress, unblended=Path(unblended) if unblended else None, cancel=cancel,
        )  # fmt: skip


def _left_out(clips: Iterable[CoreClip], what: str, lead: CoreClip) -> tuple[str, ...]:
    names = sorted(clip.name for clip in clips)
    return (f"left out, since their {what} differs from that of {lead.name}: {'; '.join(names)}",) if names else ()


def _source(clip: CoreClip) -> Source:
    return Source(clip.name, clip.kind, len(clip.landmarks().found))
