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
from clips.arrange import join_mismatches, speech_edit_list
from clips.audio import SAMPLE_RATE, hear
from clips.best_clips import best_clips
from clips.describe import check_upright, render_notes
from clips.dissolve import mix, mixed_result, mixed_shot
from clips.edit_files import check_edits
from clips.edit_list import Cut, EditList, Source, single_clip, speech_segments
from clips.edit_settings import EditSettings
from clips.errors import ClipError
from clips.joins import ClipPoses, PoseMismatch
from clips.landmarks import ClipLandmarks
from clips.library import ClipLibrary, CoreClip, default_workspace, file_sha256
from clips.own_video import open_own_video, own_video_notes
from clips.parsing_masks import ParsingMasks, find_parsing
from clips.quality import STANDARD
from clips.seam_floor import measure_floor
from clips.thumbnails import clip_thumbnails
from clips.timeline import FrameRange, frame_count
from clips.video import ClipFrames, FrameCache

if TYPE_CHECKING:
    from clips.render import Progress, RenderReport
    from models.lip_sync import Features, LipSyncModel

AUTOMATIC = "core clips"
"""Name of the base that chooses among all fitting clips by speech and silence."""

GENERATED_CACHE_BYTES = 64 << 20
PLATE_CACHE_BYTES = 128 << 20
"""Of all clips together: four runs of 24 frames of 640 px, what a render looks at where two clips join."""
RESTING_PICTURE_BYTES = 32 << 20
MAX_SOUND_S = 3600

REGISTRATION_SIGMA_FRAMES = 1.5
REGISTRATION_REACH = 6
"""Frames on either side that smoothing looks at: four times sigma, beyond which a Gaussian counts nothing."""
REGISTRATIONS_KEPT = 4096
FLOORS_KEPT = 64

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
    should know about the sound and the choice of clips, in words. damage: those of them that tell of a sound that is
    used in part. sound_file, sound_sha256: name and hash of the file the sound came
    in, None for samples.
    """

    wav: NDArray[np.float32]
    features: Features
    edits: EditList
    base: str
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    key: object = field(default_factory=object)
    sound_file: str | None = None
    sound_sha256: str | None = None

    @property
    def frames(self) -> int:
        return self.edits.frames


@dataclass(frozen=True, eq=False)
class Shot:
    """What stands at output frame `index` of a performance before the blend.

    generated is None where the plate stays as it is; reason says why. opacity: of the blend, below 1 where it
    ramps towards a silence. masks: the clip's parsing masks, None without any; read only by a blend that uses them.
    sides, share: of a dissolve, the shots that go and come, and how much is shown of the latter; see `clips.dissolve`.
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
    sides: tuple[Shot, ...] = ()
    share: float = 1.0

    @property
    def unblended(self) -> Frame:
        """The generated square pasted over the plate as it is; the plate itself where there is none."""
        if self.sides:
            return mix(self.sides[0].unblended, self.sides[1].unblended, self.share)
        return self.plate if self.generated is None else self.box.paste(self.plate, self.generated)


class CoreClipsProcessor:
    """Drives one model's core clips with speech.

    model_name: a model of the library or the workspace; one without core clips of its name takes people's own videos
    only. workspace: None
    is `default_workspace()`. settings: defaults of the blend. editing: how speech is found and clips are cut; None
    takes the defaults with vad_method. best_clips: core-clips mode drives only so many talk clips, those with the best
    landmarks (`clips.best_clips`); None: all. runtime: what runs the network, see
    `models.runtime.make_runtime`. picture_cache_bytes: memory for encoded plate frames; None takes the model's default.
    Raises ClipError or ModelError when the model or its clips cannot be used.
    """

    def __init__(
        self,
        model_name: str,
        *,
        workspace: Path | None = None,
        settings: BlendSettings | None = None,
        vad_method: str = "silero",
        editing: EditSettings | None = None,
        best_clips: int | None = None,
        device: str = "auto",
        runtime: str = "auto",
        picture_cache_bytes: int | None = None,
    ) -> None:
        from models.lip_sync import LipSyncModel

        self.model_name = model_name
        self.settings = settings or BlendSettings()
        self.editing = editing or EditSettings.parse({"vad": vad_method})
        self.best_clips = best_clips
        workspace = default_workspace() if workspace is None else workspace
        cache: dict[str, Any] = {} if picture_cache_bytes is None else {"cache_bytes": picture_cache_bytes}
        self.model: LipSyncModel = LipSyncModel.load(model_name, workspace, device=device, runtime=runtime, **cache)
        self.clips: dict[str, CoreClip] = {clip.name: clip for clip in ClipLibrary(workspace).any_clips(model_name)}
        self._own: dict[str, CoreClip] = {}
        self.workspace = workspace
        self._frames: dict[str, ClipFrames] = {}
        self._plates = FrameCache(PLATE_CACHE_BYTES)
        self._parsing: dict[str, tuple[ParsingMasks | None, str]] = {}
        self._registrations = Recent[Registration](REGISTRATIONS_KEPT)
        self._floors = Recent[float | None](FLOORS_KEPT)
        self._floors_begun: set[str] = set()
        self._measuring = threading.Lock()
        self._landmarks: dict[str, tuple[ClipLandmarks, ClipLandmarks]] = {}
        self._lock = threading.Lock()
        self._generated = Recent[Frame](GENERATED_CACHE_BYTES // (3 * (self.model.size + 8) ** 2))
        self._blender = Recent[Blender](4)
        self._mismatches = Recent[PoseMismatch](2)

    def prepare(
        self,
        audio: Path | str | NDArray[np.float32],
        base: str | Path = AUTOMATIC,
        *,
        edits: EditList | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Performance:
        """Lay a sound (a file, or mono 16 kHz float samples) over the clips.

        base: AUTOMATIC, or the name of the one clip to use from its first frame on, or the Path of a person's own video
        (see `add_own_video`, which progress is for). edits: a list to use instead of one made for the base. ClipError
        for a file without sound, a sound of more than an hour, an unknown base or edits that do not fit; ValueError for
        samples of another shape or NaN.
        """
        path = Path(audio) if isinstance(audio, str | Path) else None
        if path is not None:
            wav, damage = hear(path, MAX_SOUND_S + 1)
        else:
            wav, damage = np.asarray(audio, np.float32), ()
        if wav.ndim != 1 or len(wav) == 0 or not np.isfinite(wav).all():
            raise ValueError(f"audio must be finite samples of shape (T,), T > 0; got shape {wav.shape}")
        if len(wav) > MAX_SOUND_S * SAMPLE_RATE:
            raise ClipError(
                f"the sound lasts more than {MAX_SOUND_S // 60} minutes; at most that much can be rendered: cut it up"
            )
        if isinstance(base, Path):
            base = self.add_own_video(base, progress=progress)
        if edits is None:
            edits, notes = self.edit_list(wav, base)
        else:
            notes = self.notes_on(edits, len(wav))
        features = self.model.features(wav, path)
        notes = (*damage, *notes, *render_notes([*self.clips.values(), *self._own.values()], edits))
        return Performance(
            wav, features, edits, base, notes, damage,
            sound_file=path.name if path else None, sound_sha256=file_sha256(path) if path else None,
        )  # fmt: skip

    def add_own_video(
        self, path: Path, *, called: str | None = None, progress: Callable[[int, int], None] | None = None
    ) -> str:
        """Make a person's own video usable as a base; returns the name by which this processor's `prepare` knows it:
        one content has one name here, and maybe another one in another processor. called: the name wished for, in
        the place of the file's. ClipError and progress as `open_own_video`."""
        clip = open_own_video(path, self.workspace, self.model_name, progress=progress)
        with self._lock:
            name = next((known for known, own in self._own.items() if own.landmarks_path == clip.landmarks_path), "")
            if not name:
                taken = {AUTOMATIC, *self.clips, *self._own}
                wished = called or clip.name
                name = wished if wished not in taken else f"{wished} {clip.sha256[:6]}"
            if name not in self._own or not self._own[name].path.exists():
                self._own[name] = replace(clip, name=name)
                self._frames.pop(name, None)
        return name

    def edit_list(self, wav: NDArray[np.float32], base: str = AUTOMATIC) -> tuple[EditList, tuple[str, ...]]:
        """Cuts for a sound, and notes in words. Raises ClipError for an unknown base."""
        frames = frame_count(len(wav), SAMPLE_RATE)
        if base != AUTOMATIC:
            clip = self.clip(base)
            check_upright(clip)
            edits = single_clip(_source(clip), frames)
            notes = tuple(f"{base}: {note}" for note in own_video_notes(clip)) if base in self._own else ()
            return edits, notes + self._parsing_notes([clip]) + _held_notes(edits)
        chosen, notes = self._automatic_clips()
        notes += self._parsing_notes(chosen)
        how = self.editing
        speech = how.find_speech(wav)
        if not speech:
            notes = (*notes, "no speech was found in the sound: the silence clip is shown unchanged")
        segments = speech_segments(speech, SAMPLE_RATE, frames, least_edge=how.least_edge_frames)
        edits = speech_edit_list(
            [_source(clip) for clip in chosen], segments, mismatch=self.mismatch(chosen),
            dissolve_frames=how.dissolve_frames, ramp_frames=how.ramp_frames, seed=how.seed,
        )  # fmt: skip
        return edits, notes + _held_notes(edits)

    def mismatch(self, clips: Sequence[CoreClip]) -> PoseMismatch:
        """How much joins between these clips show, measured once."""
        return self._mismatches.get(
            tuple(clip.name for clip in clips), lambda: PoseMismatch([self._poses(clip) for clip in clips])
        )

    def joins(self, edits: EditList) -> list[float]:
        """How much each join of a list of this processor's clips shows: see `clips.joins`."""
        used = [self.clip(name) for name in dict.fromkeys(cut.clip for cut in edits.cuts)]
        return join_mismatches(edits, [_source(clip) for clip in used], self.mismatch(used))

    def _poses(self, clip: CoreClip) -> ClipPoses:
        return ClipPoses.of(self.landmarks_of(clip.name)[1], clip_thumbnails(clip, self.workspace))

    def notes_on(self, edits: EditList, samples: int) -> tuple[str, ...]:
        """Notes on a list from outside. ClipError unless it fits the clips, all of one size, and the sound."""
        known = self.known_clips()
        lengths = {name: len(self.clip(name).landmarks()) for name in {cut.clip for cut in edits.cuts} & set(known)}
        check_edits(edits, dict.fromkeys(known, 0) | lengths, frame_count(samples, SAMPLE_RATE))
        used = [self.clip(name) for name in sorted(lengths)]
        for clip in used:
            check_upright(clip)
        other = [clip for clip in used if clip.landmarks().size_wh != used[0].landmarks().size_wh]
        if other:
            raise ClipError(
                f"the edit list must use clips of one frame size; {other[0].name!r} and {used[0].name!r} differ"
            )
        return ("cut by the given edit list", *self._parsing_notes(used))

    def _parsing_notes(self, clips: Iterable[CoreClip]) -> tuple[str, ...]:
        return tuple(said for clip in clips if (said := self.parsing_of(clip.name)[1]))

    def parsing_of(self, name: str) -> tuple[ParsingMasks | None, str]:
        """A clip's parsing masks, looked for once, and what to say of them; see `find_parsing`."""
        with self._lock:
            if name not in self._parsing:
                own = name in self._own  # its name is the person's, and no folder of the data set
                self._parsing[name] = (None, "") if own else find_parsing(self.workspace, self.clip(name))
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

    def known_clips(self) -> list[str]:
        """Names that `prepare` takes as a base, but for the automatic choice: the model's clips, then videos added."""
        return [*self.clips, *self._own]

    def clip(self, name: str) -> CoreClip:
        if name in self._own:
            return self._own[name]
        if name not in self.clips:  # perhaps it came since
            self.clips = {clip.name: clip for clip in ClipLibrary(self.workspace).any_clips(self.model_name)}
        if name not in self.clips:
            known = ", ".join(repr(clip.name) for clip in ClipLibrary(self.workspace).clips(self.model_name))
            raise ClipError(f"clip {name!r} does not exist for {self.model_name}; there are: {known}")
        return self.clips[name]

    def clips_changed(self) -> None:
        """Look for the clips anew. What is kept by a clip's name is forgotten: another one may have it now."""
        clips = {clip.name: clip for clip in ClipLibrary(self.workspace).any_clips(self.model_name)}
        with self._lock:
            self.clips = clips
            for kept in (self._frames, self._parsing, self._landmarks):
                kept.clear()
            self._mismatches, self._floors = Recent[PoseMismatch](2), Recent[float | None](FLOORS_KEPT)
            self._floors_begun.clear()

    def _automatic_clips(self) -> tuple[Sequence[CoreClip], tuple[str, ...]]:
        """Clips that can be cut together: those of one size, in the light of the silence clip (of the first clip
        when there is none), and of these the best by landmarks."""
        everything, unusable = [], []
        for clip in self.clips.values() or ClipLibrary(self.workspace).clips(self.model_name):
            try:
                check_upright(clip)
                clip.appearance_distance(clip)  # needs landmarks and the light measured with them
                everything.append(clip)
            except ClipError as e:
                unusable.append((clip.name, e))
        if not everything:
            raise unusable[0][1]
        lead = everything[0]
        fitting = [clip for clip in everything if clip.landmarks().size_wh == lead.landmarks().size_wh]
        notes = tuple(f"{name} is left out, since it is not ready: {error}" for name, error in unusable)
        notes += _left_out(set(everything) - set(fitting), "frame size", lead)
        same_size, fitting = fitting, [clip for clip in fitting if clip.matches_light_of(lead)]
        notes += _left_out(set(same_size) - set(fitting), "light", lead)
        fitting, worse = best_clips(fitting, self.best_clips)
        notes += worse
        if lead.kind != "silence":
            notes = ("there is no silence clip: talk clips are shown unchanged in pauses", *notes)
        elif all(clip.kind == "silence" for clip in fitting):
            notes = (*notes, "there is no talk clip beside it: the silence clip is driven under speech")
        return fitting, notes

    def frames_of(self, name: str) -> ClipFrames:
        """Random access to a clip's frames, opened once."""
        with self._lock:
            if name not in self._frames:
                self._frames[name] = self.clip(name).frames(cache=self._plates)
            return self._frames[name]

    def rest(self) -> None:
        """Give back what only makes the next frames quicker: waiting decoders, and plates and their encodings but for
        the last. Frames stay what they are, and can be asked for meanwhile."""
        with self._lock:
            opened = list(self._frames.values())
        for frames in opened:
            frames.rest()
        self._plates.shrink(0)
        self.model.pictures.shrink(RESTING_PICTURE_BYTES)

    def landmarks_of(self, name: str) -> tuple[ClipLandmarks, ClipLandmarks]:
        """A clip's landmarks as detected and smoothed zero-phase, read once."""
        with self._lock:
            if name not in self._landmarks:
                raw = self.clip(name).landmarks()
                self._landmarks[name] = (raw, raw.smoothed())
            return self._landmarks[name]

    def shot(self, performance: Performance, index: int) -> Shot:
        """Plate, square, landmarks and generated picture of output frame `index`; in a dissolve, of both clips."""
        shot = self._cut_shot(performance, performance.edits.at(index), index)
        dissolve = performance.edits.dissolve_at(index)
        if dissolve is None:
            return shot
        going, share = dissolve
        return mixed_shot(self._cut_shot(performance, going, index), shot, share)

    def _cut_shot(self, performance: Performance, cut: Cut, index: int) -> Shot:
        """The shot of one cut at output frame `index`, within the cut or going on after it."""
        number = cut.going_on(index)
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
            generated=self._generated.get((performance.key, index, cut.place.start), draw),
            opacity=_opacity(performance.edits, raw, cut, index),
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
        if shot.sides:
            going, coming = (self.blend_shot(side, settings) for side in shot.sides)
            return mixed_result(shot, going, coming)
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
                near = self._cut_shot(shot.performance, shot.cut, index)
                if near.generated is None:
                    break
                measured.insert(0 if step < 0 else len(measured), self._registration(near))
                before += step < 0
        return smooth_registrations(measured, REGISTRATION_SIGMA_FRAMES)[before]

    def _registration(self, shot: Shot) -> Registration:
        generated = shot.generated
        assert generated is not None
        return self._registrations.get(
            (shot.performance.key, shot.index, shot.cut.place.start),
            lambda: measure_registration(shot.plate, generated, shot.box, shot.landmarks),
        )

    def generate_video(
        self,
        audio: Path | str | NDArray[np.float32] | Performance,
        output: Path | str,
        settings: BlendSettings | None = None,
        progress: Callable[[Progress], None] | None = None,
        *,
        quality: str = STANDARD,
        base: str | Path = AUTOMATIC,
        edits: EditList | None = None,
        unblended: Path | str | None = None,
        cancel: threading.Event | None = None,
        frames: FrameRange | None = None,
    ) -> RenderReport:
        """Render the whole sound, or these of its frames, to an mp4 with sound, encoded once; see
        `clips.render.render`."""
        from clips.pipeline import cancellable, stop_when
        from clips.render import check_outputs, render

        sources = [Path(audio)] if isinstance(audio, str | Path) else []
        sources += [base] if isinstance(base, Path) else []
        check_outputs(Path(output), Path(unblended) if unblended else None, keep=sources)
        if isinstance(audio, Performance):
            performance = audio
        else:
            performance = cancellable(lambda: self.prepare(audio, base, edits=edits), stop_when(cancel))
        return render(
            self, performance, Path(output), settings or self.settings, quality=quality, progress=progress,
            unblended=Path(unblended) if unblended else None, cancel=cancel, frames=frames,
        )  # fmt: skip


def _left_out(clips: Iterable[CoreClip], what: str, lead: CoreClip) -> tuple[str, ...]:
    names = sorted(clip.name for clip in clips)
    return (f"left out, since their {what} differs from that of {lead.name}: {'; '.join(names)}",) if names else ()


def _held_notes(edits: EditList) -> tuple[str, ...]:
    names = sorted({cut.clip for cut in edits.cuts if cut.span == 1 and len(cut.place) > 1})
    return (f"held as a still, since it has one frame only: {'; '.join(names)}",) if names else ()


def _opacity(edits: EditList, landmarks: ClipLandmarks, cut: Cut, index: int) -> float:
    """Opacity of the blend at output frame `index` of a cut: 1, or a ramp towards a silence or beside a frame without
    a face."""
    if index not in cut.place:  # going on under a dissolve
        return 1.0
    for away in range(1, edits.ramp_frames + 1):
        beside = [i for i in (index - away, index + away) if i in cut.place]
        if not all(landmarks.found[cut.clip_frame(i)] for i in beside):
            return min(edits.opacity(index), away / (edits.ramp_frames + 1))
    return edits.opacity(index)


def _source(clip: CoreClip) -> Source:
    return Source(clip.name, clip.kind, len(clip.landmarks().found))
