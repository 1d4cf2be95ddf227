"""Videos: describe, read frame-exactly, write. The one decoder and the one encoder of the project.

A folder of extracted frames (see `clips.frame_folders`) is read like a video file.

Colour: the decoder honours the file's matrix and range tags. The encoder converts explicitly to
BT.601 limited range and tags that. Chroma is replicated on reading and averaged over 2 x 2 on
writing, so that a picture nobody touched keeps its chroma through any number of generations.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, check_frame
from clips.audio import SAMPLE_RATE, write_wav
from clips.damage import DECODE_ALIKE, damage_note, find_damage, is_damage
from clips.errors import ClipError
from clips.ffmpeg import (
    READ_LOCAL_FILES_ONLY,
    FfmpegProcess,
    atomic_file,
    check_source,
    error_tail,
    ffmpeg_exe,
    input_url,
    scratch_in,
    writing,
)
from clips.frame_folders import folder_signature, is_frame_folder, read_frame_folder, read_picture
from clips.metadata import escape_metadata, replace_in_header
from clips.timeline import COMMON_RATES, FPS, counted, frame_count

CACHE_BYTES = 192 * 2**20
"""What a ClipFrames keeps decoded by default: 163 frames of 640 x 640 px."""

ENCODER_THREADS = 3
"""x264's: what it takes on two cores. Fixed, since its file depends on the number: the same frames give the same file
on every machine."""

LOOK_EVERY_S = 0.05
"""How often is looked whether ffmpeg has ended, and whether somebody wants it stopped."""

# Containers whose index makes ffmpeg's seek frame-exact; others are read from the start.
_SEEKABLE = {"mov", "matroska"}
_FRAMECRC = ("-map", "0:V:0", "-enc_time_base", "demux", "-fps_mode", "passthrough", "-f", "framecrc", "-")
# Matrices by their tag, as ffmpeg's scaler names them; "gbr" is RGB and has none.
_SCALER_MATRIX = {
    "smpte170m": "smpte170m",
    "bt470bg": "bt470",
    "bt709": "bt709",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}
_HDR_TRANSFERS = {"smpte2084": "HDR (PQ)", "arib-std-b67": "HDR (HLG)"}


@dataclass(frozen=True)
class VideoInfo:
    """What a video file or a frame folder holds, as it is displayed (after rotation); pixels are square.

    frames: number of frames that decode; fps: exact if regular (every frame lasts 1/fps), else the
    mean; colour_matrix: the tag ("smpte170m", "bt709", ..) or None; rotation: degrees the file
    asks the player to turn it by, already applied to width and height; times_s: when each frame
    is shown, from 0, followed by the end of the last one. pictures: of a frame folder, the file of each
    frame. damaged: near which frames the file cannot be decoded; what comes there, up to the next key
    frame, is what the decoder makes up. notes: what is wrong with the file and what is shown instead, in words.
    """

    path: Path
    width: int
    height: int
    frames: int
    fps: Fraction
    duration_s: float
    has_sound: bool
    pixel_format: str
    colour_matrix: str | None
    rotation: int
    container: str = ""
    regular: bool = True
    times_s: tuple[Fraction, ...] = field(default=(), repr=False, compare=False)
    pictures: tuple[Path, ...] = field(default=(), repr=False, compare=False)
    damaged: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.width, self.height

    def at(self, fps: Fraction) -> VideoInfo:
        """The video as it is read at another rate: frames, fps and times of that rate."""
        frames = len(self.source_indices(fps))
        times = tuple(k / Fraction(fps) for k in range(frames + 1))
        return replace(self, frames=frames, fps=Fraction(fps), duration_s=float(times[-1]), regular=True, times_s=times)

    def source_indices(self, fps: Fraction | None) -> range | NDArray[np.intp]:
        """Which frame of the file is on the screen in the middle of each frame at `fps`.

        None, or the rate the file has, is every frame once. Exact: fractions, no drift.
        """
        if fps is None or (fps == self.fps and self.regular):
            return range(self.frames)
        if fps <= 0:
            raise ValueError(f"fps must be above 0; got {fps}")
        total = max(1, int(self.times_s[-1] * fps + Fraction(1, 2)))
        if self.regular:  # the loop below in one go: an hour took 2 s in it
            ratio = self.fps / Fraction(fps) / 2
            places = (2 * np.arange(total, dtype=np.int64) + 1) * ratio.numerator // ratio.denominator
            return np.minimum(places, self.frames - 1).astype(np.intp)
        indices = np.empty(total, np.intp)
        shown = 0
        for k in range(total):
            middle = Fraction(2 * k + 1, 2) / fps
            while shown < self.frames - 1 and self.times_s[shown + 1] <= middle:
                shown += 1
            indices[k] = shown
        return indices


def probe(path: Path | str) -> VideoInfo:
    """Describe a video file; its frames are counted by decoding it once (about 1 ms per frame, then remembered).
    A folder with full_body_img/N.jpg is described as the video of these frames.

    ClipError: missing, empty, not a video, truncated, no frame that decodes, HDR, pixels that are not square; a
    frame folder as `read_frame_folder`.
    """
    if "\0" not in str(path) and is_frame_folder(Path(path)):
        return _probe_folder(Path(path), folder_signature(Path(path)))
    path = check_source(path, "video")
    stat = path.stat()
    known = _recalled.get((path, stat.st_size, stat.st_mtime_ns))
    return known or _probe(path, stat.st_size, stat.st_mtime_ns)


_recalled: dict[tuple[Path, int, int], VideoInfo] = {}


def recall(info: VideoInfo) -> None:
    """Let `probe` answer with this until the file changes: what it said of the same content before."""
    stat = info.path.stat()
    _recalled[info.path, stat.st_size, stat.st_mtime_ns] = info


@lru_cache(maxsize=64)
def _probe_folder(path: Path, signature: Hashable) -> VideoInfo:
    folder = read_frame_folder(path)
    times = tuple(k / folder.fps for k in range(len(folder.pictures) + 1))
    return VideoInfo(
        path=path, width=folder.size_wh[0], height=folder.size_wh[1], frames=len(folder.pictures), fps=folder.fps,
        duration_s=float(times[-1]), has_sound=False, pixel_format="jpeg", colour_matrix=None, rotation=0,
        container="frames", times_s=times, pictures=folder.pictures, notes=folder.notes,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _probe(path: Path, size: int, mtime_ns: int) -> VideoInfo:
    said = subprocess.run(
        [
            ffmpeg_exe(), "-hide_banner", "-nostats", "-nostdin", *READ_LOCAL_FILES_ONLY, "-i", input_url(path),
            *_FRAMECRC,
        ],
        capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    head = said.stderr.replace(input_url(path), "").split("Output #0")[0]  # a name may hold any words
    stream = re.search(r"Stream #0:\d+.*?: Video: (?!.*\(attached pic\))(.*)", head)
    if stream is None and "Input #0" in head:
        raise ClipError(f"expected a video file; {path.name} has no picture track; choose a video")
    table, damaged = find_damage(path, _FRAMECRC) if is_damage(said.stderr) else (said.stdout, ())
    rows = [line.split(",") for line in table.splitlines() if line and line[0] != "#"]
    if stream is None or said.returncode != 0 or not rows:
        reason = "" if stream is None else " that can be decoded"
        raise ClipError(
            f"expected a video file{reason}; {path.name} cannot be read ({error_tail(said.stderr, 2)}); "
            "it may be cut off: export or copy it again"
        )
    track = stream.group(1)
    shape = re.search(r"#dimensions 0: (\d+)x(\d+)", said.stdout)
    time_base = re.search(r"#tb 0: (\d+/\d+)", said.stdout)
    if shape is None or time_base is None:
        raise ClipError(f"expected a video file; {path.name} has no usable picture track; export it again as mp4")
    _refuse_what_would_look_wrong(path, track)
    times, fps, regular = _frame_times([(int(row[2]), int(row[3])) for row in rows], Fraction(time_base.group(1)))
    turn = re.search(r"(?i)display ?matrix: rotation of (-?[\d.]+) degrees", head)
    pixel_format, matrix = _colour_tags(track)
    container = re.search(r"Input #0, ([^,]+)", head)
    return VideoInfo(
        path=path, width=int(shape.group(1)), height=int(shape.group(2)), frames=len(rows), fps=fps,
        duration_s=float(times[-1]), has_sound=re.search(r"Stream #0:\d+.*?: Audio: ", head) is not None,
        pixel_format=pixel_format, colour_matrix=matrix,
        rotation=round(float(turn.group(1))) % 360 if turn else 0,
        container=container.group(1) if container else "", regular=regular, times_s=times,
        damaged=damaged, notes=(damage_note(damaged, len(rows)),) if damaged else (),
    )  # fmt: skip


def _refuse_what_would_look_wrong(path: Path, track: str) -> None:
    """ClipError for pictures that this decoder would show with wrong colours or stretched."""
    for transfer, name in _HDR_TRANSFERS.items():
        if transfer in track:
            raise ClipError(
                f"expected a standard (SDR) video; {path.name} is {name}; export it as SDR, BT.709, or switch HDR off"
            )
    aspect = re.search(r"\[SAR (\d+):(\d+)", track)
    if aspect and aspect.group(1) != aspect.group(2):
        raise ClipError(
            f"expected square pixels; {path.name} has pixels of {aspect.group(1)}:{aspect.group(2)}; "
            "export it with square pixels"
        )


def _colour_tags(track: str) -> tuple[str, str | None]:
    """Pixel format and matrix tag from ffmpeg's line about the track, e.g. `yuv420p(tv, smpte170m/bt709/bt709)`."""
    match = re.search(r", (?P<format>[a-z][a-z0-9]+)(?:\((?P<tags>[^)]*)\))?, \d+x\d+", track)
    if match is None:
        return "unknown", None
    for tag in (match.group("tags") or "").split(", "):
        matrix = tag.split("/")[0]
        if matrix in _SCALER_MATRIX or matrix == "gbr":
            return match.group("format"), matrix
    return match.group("format"), None


def _frame_times(stamps: Sequence[tuple[int, int]], tick: Fraction) -> tuple[tuple[Fraction, ...], Fraction, bool]:
    """Start of each frame and end of the last, in s from 0; the rate; whether it is regular.

    stamps: (time stamp, duration) of each frame in ticks.
    """
    starts = [pts - stamps[0][0] for pts, _ in stamps]
    if len(starts) == 1:  # any rate would fit: it lasts as long as its file says
        lasts = stamps[0][1] * tick
        near = [rate for rate in COMMON_RATES if abs(lasts - 1 / rate) < tick]
        rate = FPS if lasts <= 0 or FPS in near else near[0] if near else 1 / lasts
        return (Fraction(0), 1 / rate), rate, True
    mean_step = Fraction(starts[-1], len(starts) - 1)
    if mean_step <= 0:
        mean_step = Fraction(1, 1) / (FPS * tick)
    mean = 1 / (mean_step * tick)
    candidates = [mean] if mean.denominator <= 1001 else []
    for rate in [*COMMON_RATES, *candidates]:
        # Regular within the rounding of the stamps: the frames are where the rate puts them.
        if all(abs(start - k / (rate * tick)) < 1 for k, start in enumerate(starts)):
            return tuple(k / rate for k in range(len(starts) + 1)), rate, True
    last = Fraction(stamps[-1][1]) if stamps[-1][1] > 0 else mean_step
    ends = [Fraction(start) for start in starts] + [starts[-1] + last]
    return tuple(end * tick for end in ends), mean.limit_denominator(100_000), False


def _decode_from(info: VideoInfo, start: int, count: int, size_wh: tuple[int, int] | None = None) -> Iterator[Frame]:
    """Frames start .. start + count - 1 of the file through a pipe; ffmpeg ends with the generator. size_wh: make them
    that small, each pixel the mean of what it covers."""
    if info.pictures:
        for picture in map(read_picture, info.pictures[start : start + count]):
            small = picture if size_wh is None else cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
            yield np.asarray(small, np.uint8)
        return
    matrix = info.colour_matrix or ("smpte170m" if info.height < 720 else "bt709")
    width, height = size_wh or info.size_wh
    scaled, how = ("", "neighbor") if size_wh is None else (f"{width}:{height}:", "area")
    tagged = f"in_color_matrix={_SCALER_MATRIX[matrix]}:" if matrix in _SCALER_MATRIX else ""
    seek: list[str] = []
    skip = start
    if start and info.container in _SEEKABLE and not info.damaged:
        # Between two frames, so that rounding to microseconds cannot move the cut.
        middle = (info.times_s[start - 1] + info.times_s[start]) / 2
        seek, skip = ["-ss", f"{float(middle):.6f}"], 0
    arguments = [
        "-nostdin", *(DECODE_ALIKE if info.damaged else ()), *READ_LOCAL_FILES_ONLY, *seek,
        "-i", input_url(info.path), "-map", "0:V:0",
        "-fps_mode", "passthrough", "-frames:v", str(skip + count),
        # Nearest chroma and exact rounding: within 1 level of OpenCV's conversion (2 without accurate_rnd).
        "-vf", f"scale={scaled}{tagged}out_range=pc:flags={how}+accurate_rnd+full_chroma_int,format=bgr24",
        "-f", "rawvideo", "-",
    ]  # fmt: skip
    with FfmpegProcess(arguments) as ffmpeg:
        pipe = ffmpeg.process.stdout
        assert pipe is not None
        for index in range(skip + count):
            frame = np.empty((height, width, 3), np.uint8)
            if pipe.readinto(frame.data.cast("B")) != frame.nbytes:  # type: ignore[attr-defined]
                ffmpeg.process.wait()
                raise ClipError(
                    f"expected {counted(info.frames, 'frame')} in {info.path.name}; reading stopped at frame "
                    f"{start - skip + index} ({ffmpeg.tail()}); the file changed or is damaged: copy it again"
                )
            if index >= skip:
                yield frame


def read_frames(
    path: Path | str, start: int = 0, count: int | None = None, *, fps: Fraction | None = None
) -> Iterator[Frame]:
    """Frames start .. start + count - 1 (None: to the end), uint8 (H, W, 3) BGR, one at a time.

    fps None counts the file's own frames; a rate converts by time (`VideoInfo.source_indices`).
    Closing the generator ends ffmpeg. ClipError as `probe`, and when the file ends early;
    ValueError for a start or count outside the video.
    """
    info = probe(path)
    indices = info.source_indices(fps)
    stop = len(indices) if count is None else start + count
    if not 0 <= start <= stop <= len(indices):
        raise ValueError(
            f"start and count must lie within the {counted(len(indices), 'frame')} of {info.path.name}; "
            f"got {start} and {count}"
        )
    return _read_indices(info, indices[start:stop])


def read_thumbnails(path: Path | str, size_wh: tuple[int, int], *, fps: Fraction | None = None) -> NDArray[np.uint8]:
    """All frames of a video at a small size, uint8 (N, h, w, 3) BGR; several times faster than reading them whole.
    fps and errors as `read_frames`."""
    info = probe(path)
    small = np.stack(list(_decode_from(info, 0, info.frames, size_wh)))
    return small[np.asarray(info.source_indices(fps))]


def _read_indices(info: VideoInfo, indices: range | NDArray[np.intp]) -> Iterator[Frame]:
    """Frames at non-decreasing places of the file; places that repeat give copies."""
    if len(indices) == 0:
        return
    first, last = int(indices[0]), int(indices[-1])
    decoder = _decode_from(info, first, last - first + 1)
    try:
        position, frame = first - 1, None
        for index in indices:
            fresh = index > position
            while position < index:
                frame, position = next(decoder), position + 1
            assert frame is not None
            yield frame if fresh else frame.copy()
    finally:
        decoder.close()  # type: ignore[attr-defined]


class FrameCache:
    """Runs of decoded frames, of one clip or of several: what was used last within limit_bytes, at least one run."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be 0 or more; got {limit_bytes}")
        self.limit_bytes, self.kept_bytes = limit_bytes, 0
        self._runs: OrderedDict[tuple[object, int], list[Frame]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, owner: object, number: int) -> list[Frame] | None:
        """A clip's run of that number, None where it is not kept."""
        with self._lock:
            run = self._runs.get((owner, number))
            if run is not None:
                self._runs.move_to_end((owner, number))
            return run

    def put(self, owner: object, number: int, run: list[Frame]) -> None:
        with self._lock:
            self._runs[owner, number] = run
            self.kept_bytes += _bytes_of(run)
            self._drop_over(self.limit_bytes)

    def shrink(self, to_bytes: int) -> None:
        """Drop the longest unused until the rest fits, but for one run."""
        with self._lock:
            self._drop_over(to_bytes)

    def forget(self, owner: object) -> None:
        """Drop a clip's runs."""
        with self._lock:
            for key in [key for key in self._runs if key[0] is owner]:
                self.kept_bytes -= _bytes_of(self._runs.pop(key))

    def _drop_over(self, limit_bytes: int) -> None:
        while self.kept_bytes > limit_bytes and len(self._runs) > 1:
            self.kept_bytes -= _bytes_of(self._runs.popitem(last=False)[1])


def _bytes_of(run: list[Frame]) -> int:
    return sum(frame.nbytes for frame in run)


class ClipFrames(Sequence[Frame]):
    """Random access to the frames of a video: `frames[i]`, bit-equal to `read_frames`, whatever the order.

    Decodes runs of CHUNK frames and keeps the last used in cache, its own by default. fps as in `read_frames`. The
    arrays are read-only, since they are shared. Safe to use from several threads. rest() ends the decoder that waits
    for the next run; close() also drops what is cached.
    """

    CHUNK = 24

    def __init__(self, path: Path | str, *, fps: Fraction | None = None, cache: FrameCache | None = None) -> None:
        self.info = probe(path)
        self._indices = self.info.source_indices(fps)
        self._cache = FrameCache() if cache is None else cache
        self._lock = threading.Lock()
        self._decoder: Iterator[Frame] | None = None
        self._decoder_at = -1

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | Sequence[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"frame index must be 0 .. {len(self) - 1}; got {index}")
        chunk, place = divmod(int(self._indices[index]), self.CHUNK)
        with self._lock:
            run = self._cache.get(self, chunk)
            if run is None:
                run = self._decode(chunk)
                self._cache.put(self, chunk, run)
            return run[place]

    def _decode(self, chunk: int) -> list[Frame]:
        start = chunk * self.CHUNK
        if self._decoder is None or self._decoder_at != chunk:
            self._end_decoder()
            self._decoder = _decode_from(self.info, start, self.info.frames - start)
        self._decoder_at = chunk + 1
        try:
            frames = [next(self._decoder) for _ in range(min(self.CHUNK, self.info.frames - start))]
        except BaseException:
            self._end_decoder()
            raise
        for frame in frames:
            frame.setflags(write=False)
        if start + len(frames) == self.info.frames:
            self._end_decoder()
        return frames

    def _end_decoder(self) -> None:
        if self._decoder is not None:
            self._decoder.close()  # type: ignore[attr-defined]
            self._decoder = None

    def rest(self) -> None:
        """End the waiting decoder, a process of 65 MB; frames can still be asked for afterwards, a seek later."""
        with self._lock:
            self._end_decoder()

    def close(self) -> None:
        """`rest`, and drop what is cached."""
        self.rest()
        self._cache.forget(self)

    def __enter__(self) -> ClipFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# U and V of BT.601 (ITU-R), limited range, from B, G, R and 1.
_CHROMA_FROM_BGR = (
    np.array([[112.0, -74.203, -37.797, 128 * 255], [-18.214, -93.786, 112.0, 128 * 255]], np.float32) / 255
)


def bgr_to_i420(frame: Frame) -> NDArray[np.uint8]:
    """BGR (H, W, 3), H and W even -> planar Y, U, V as uint8 (H * 3/2, W); BT.601, limited range.

    Luma as OpenCV. Chroma from the mean of each 2 x 2 pixels, where OpenCV takes one of the four
    (which aliases on hair and on the edges of a composite).
    """
    height, width = frame.shape[:2]
    planes = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420), np.uint8)
    half = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes[height:] = np.concatenate(cv2.split(cv2.transform(half, _CHROMA_FROM_BGR))).reshape(height // 2, width)
    return planes


class VideoWriter:
    """Writes frames to an mp4: H.264, yuv420p, +faststart, sound as AAC in the same pass.

    Colour is BT.601 limited range, tagged (matrix smpte170m; primaries and transfer bt709, since a
    browser would shift saturated colours by converting other primaries). A width or height that is
    odd is padded by one column or row with its last pixels, as yuv420p needs even sizes.
    sound: float32 (T,) mono 16 kHz, padded with silence to the frames it stands for, or a file
    whose first sound track is taken as it is. crf 0 is lossless: the file gives back `bgr_to_i420` of each frame.
    metadata: values of standard MP4 tags by ffmpeg's names ("comment", "synopsis", ..), of any length. check: called
    while ffmpeg finishes the file; what it raises stops that.

    Use as a context manager. The file appears under its name only when it is complete; on any
    error ffmpeg is killed and nothing is left. ClipError: ffmpeg fails, disk full, no frame written.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        fps: Fraction = FPS,
        *,
        sound: Path | str | NDArray[np.float32] | None = None,
        crf: int = 16,
        preset: str = "veryfast",
        gop: int = 12,
        metadata: Mapping[str, str] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"width and height must be at least 1 px; got {width} x {height}")
        if fps <= 0:
            raise ValueError(f"fps must be above 0; got {fps}")
        self.path = Path(path)
        self.frames_written = 0
        self._size_wh = (width, height)
        self._fps = Fraction(fps)
        self._sound = sound
        self._metadata = dict(metadata or {})
        self._check = check
        self._encode = [
            "-c:v", "libx264", "-preset", preset, "-crf", str(crf), "-g", str(gop), "-pix_fmt", "yuv420p",
            "-threads", str(ENCODER_THREADS),
            "-movflags", "+faststart", "-f", "mp4", "-y",
        ]  # fmt: skip
        self._open = ExitStack()
        self._ffmpeg: FfmpegProcess | None = None
        self._partial: Path | None = None
        self._late: tuple[bytes, bytes] | None = None

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            self._partial = stack.enter_context(atomic_file(self.path))
            inputs, mapping = self._inputs(stack)
            width, height = (size + size % 2 for size in self._size_wh)
            self._ffmpeg = FfmpegProcess(
                [
                    # Of the input: as options of the output, primaries and transfer are not written (ffmpeg 9).
                    "-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "bt709",
                    "-color_range", "tv", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{width}x{height}",
                    "-framerate", str(self._fps), "-i", "-", *inputs, "-map", "0:v", *mapping, *self._encode,
                    str(self._partial.absolute()),
                ],
                write=True,
            )  # fmt: skip
            stack.enter_context(self._ffmpeg)
            self._open = stack.pop_all()
        return self

    def _inputs(self, stack: ExitStack) -> tuple[list[str], list[str]]:
        """Sound and metadata as further inputs of ffmpeg, and what is done with them. Both go through scratch files:
        a command line is limited to 32 768 characters on Windows and 131 072 per argument elsewhere."""
        inputs: list[str] = []
        mapping: list[str] = []
        if self._sound is not None:
            source = self._sound_file(stack, self._sound)
            inputs += [*READ_LOCAL_FILES_ONLY, "-i", input_url(source)]
            # 48 kHz: what every player takes; a 16 kHz AAC track also caps the bit rate below what speech needs.
            mapping += ["-map", "1:a:0", "-c:a", "aac", "-b:a", "160k", "-ar", "48000"]
        if self._metadata:
            tags = stack.enter_context(scratch_in(self.path.parent, ".txt")).path
            text = "".join(f"{key}={escape_metadata(value)}\n" for key, value in self._metadata.items())
            with writing(self.path):
                tags.write_text(f";FFMETADATA1\n{text}", encoding="utf-8")
            mapping += ["-map_metadata", str(1 + (self._sound is not None))]
            inputs += ["-f", "ffmetadata", "-i", input_url(tags)]
        return inputs, mapping

    def _sound_file(self, stack: ExitStack, sound: Path | str | NDArray[np.float32]) -> Path:
        """The sound as a file; samples are written to a scratch file, with silence up to the end of their frames."""
        if not isinstance(sound, np.ndarray):
            return check_source(sound, "sound")
        covered = -(-frame_count(len(sound), SAMPLE_RATE, self._fps) * SAMPLE_RATE // self._fps)
        source = stack.enter_context(scratch_in(self.path.parent, ".wav")).path
        with writing(self.path):
            write_wav(source, sound, max(0, int(covered) - len(sound)))
        return source

    def write(self, frame: Frame) -> None:
        """Append one frame, uint8 (height, width, 3) BGR. ClipError when ffmpeg has given up."""
        if self._ffmpeg is None:
            raise ValueError("frames must be written inside `with VideoWriter(...)`; the writer is not open")
        check_frame(frame, "frame")
        if (frame.shape[1], frame.shape[0]) != self._size_wh:
            raise ValueError(
                f"frame must be {self._size_wh[0]} x {self._size_wh[1]} px; got {frame.shape[1]} x {frame.shape[0]}"
            )
        odd_w, odd_h = frame.shape[1] % 2, frame.shape[0] % 2
        if odd_w or odd_h:
            frame = np.asarray(cv2.copyMakeBorder(frame, 0, odd_h, 0, odd_w, cv2.BORDER_REPLICATE), np.uint8)
        pipe = self._ffmpeg.process.stdin
        assert pipe is not None
        try:
            pipe.write(bgr_to_i420(frame).data)
        except OSError as error:
            raise self._failure() from error
        self.frames_written += 1

    def fill(self, placeholder: str, value: str) -> None:
        """Have `value` stand where `placeholder`, which occurs once, stands in the metadata: for what is known only
        when the last frame is written. ASCII, of one length; else ValueError."""
        if len(placeholder.encode("ascii")) != len(value.encode("ascii")):
            raise ValueError(f"value must be as long as the placeholder, {len(placeholder)}; got {len(value)}")
        self._late = (placeholder.encode(), value.encode())

    def _failure(self) -> ClipError:
        assert self._ffmpeg is not None
        with suppress(subprocess.TimeoutExpired):
            self._ffmpeg.process.wait(timeout=10)
        return ClipError(
            f"cannot write {self.path.name}: ffmpeg stopped after {counted(self.frames_written, 'frame')} "
            f"({self._ffmpeg.tail()}); check free disk space and the sound file, then render again"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ffmpeg = self._ffmpeg
        assert ffmpeg is not None
        if kind is None:
            try:
                self._finish(ffmpeg)
            except BaseException as failure:
                self._close(type(failure), failure, failure.__traceback__)
                raise
        self._close(kind, error, trace)

    def _finish(self, ffmpeg: FfmpegProcess) -> None:
        """Wait for the trailer; ClipError unless a complete file with at least one frame came out."""
        if self.frames_written == 0:
            raise ClipError(f"cannot write {self.path.name}: no frame was written; render at least one frame")
        try:
            assert ffmpeg.process.stdin is not None
            ffmpeg.process.stdin.close()
        except OSError as error:
            raise self._failure() from error
        while True:
            with suppress(subprocess.TimeoutExpired):
                ended = ffmpeg.process.wait(timeout=LOOK_EVERY_S)
                break
            if self._check is not None:
                self._check()
        if ended != 0:
            raise self._failure()
        if self._late is not None:
            assert self._partial is not None
            replace_in_header(self._partial, *self._late)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._open = self._open, ExitStack()
        try:
            stack.__exit__(kind, error, trace)
        finally:
            self._ffmpeg = None
