"""The decoder and the encoder: frame-exact, colour-exact, and nothing left behind."""

from __future__ import annotations

import resource
import subprocess
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips.audio import SAMPLE_RATE, load_audio, save_wav
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import BUNDLED
from clips.video import ClipFrames, FrameCache, VideoWriter, bgr_to_i420, probe, read_frames

SILENCE = BUNDLED / "LS1" / "silence.mp4"
UNTAGGED = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2"
Ffmpeg = Callable[..., None]

# The 24 patches of a ColorChecker, sRGB.
PATCHES_RGB = np.array(
    [
        (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
        (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
        (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
        (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
    ],
    np.uint8,
)  # fmt: skip


@pytest.fixture
def ffmpeg() -> Ffmpeg:
    def run(*arguments: str | Path) -> None:
        command = [ffmpeg_exe(), "-v", "error", "-y", "-nostdin", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)

    return run


def patches(side: int = 64) -> np.ndarray:
    chart = PATCHES_RGB[:, ::-1].reshape(4, 6, 3)
    return chart.repeat(side, axis=0).repeat(side, axis=1)


def patch_error(frame: np.ndarray, side: int = 64) -> int:
    centres = frame[side // 2 :: side, side // 2 :: side].astype(int)
    return int(np.abs(centres - PATCHES_RGB[:, ::-1].reshape(4, 6, 3)).max())


def numbered(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A frame that says its number: 10 black or white blocks, and grey that moves."""
    frame = np.full((height, width, 3), 60 + index % 100, np.uint8)
    for bit in range(10):
        frame[:32, 8 * bit : 8 * bit + 8] = 255 * (index >> bit & 1)
    return frame


def number_of(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(10) if frame[12:20, 8 * bit + 2 : 8 * bit + 6].mean() > 128)


def write_numbered(path: Path, frames: int, fps: Fraction = Fraction(25), **options: object) -> Path:
    with VideoWriter(path, 96, 64, fps, **options) as writer:  # type: ignore[arg-type]
        for index in range(frames):
            writer.write(numbered(index))
    return path


def test_probe_describes_the_bundled_clip() -> None:
    info = probe(SILENCE)
    assert (info.size_wh, info.frames, info.fps, info.duration_s) == ((640, 640), 100, Fraction(25), 4.0)
    assert (info.has_sound, info.pixel_format, info.colour_matrix, info.rotation) == (False, "yuv420p", "smpte170m", 0)


def test_random_access_is_bit_equal_to_reading_in_order() -> None:
    in_order = list(read_frames(SILENCE))
    assert len(in_order) == 100
    with ClipFrames(SILENCE, cache=FrameCache(0)) as frames:  # one run kept: most places need a seek
        for index in (99, 0, 24, 23, 25, 70, 3, 98, 48, 47):
            assert np.array_equal(frames[index], in_order[index]), index
    for start, count in ((1, 1), (17, 3), (50, 50), (99, 1), (40, 0)):
        part = list(read_frames(SILENCE, start, count))
        assert len(part) == count
        assert all(np.array_equal(frame, in_order[start + k]) for k, frame in enumerate(part))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_every_frame_is_found_by_its_number_in_any_container(
    suffix: str, rate: Fraction, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    tone = np.sin(np.arange(4 * SAMPLE_RATE) * 0.1).astype(np.float32) * 0.1
    path = write_numbered(tmp_path / "made.mp4", 90, rate, sound=tone, gop=37)
    if suffix != ".mp4":
        ffmpeg("-i", path, "-c", "copy", tmp_path / f"copied{suffix}")
        path = tmp_path / f"copied{suffix}"
    info = probe(path)
    assert (info.frames, info.fps, info.has_sound) == (90, rate, True)
    assert [number_of(frame) for frame in read_frames(path)] == list(range(90))
    for start in (1, 36, 37, 38, 73, 89):
        assert number_of(next(iter(read_frames(path, start, 1)))) == start


def test_a_cut_without_re_encoding_starts_where_the_player_starts(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    whole = write_numbered(tmp_path / "whole.mp4", 90, gop=90)
    ffmpeg("-ss", "1.2", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")  # frames 0-29 are inside, but hidden
    info = probe(tmp_path / "cut.mp4")
    numbers = [number_of(frame) for frame in read_frames(info.path)]
    assert len(numbers) == info.frames < 90
    assert numbers == list(range(numbers[0], 90))
    assert number_of(next(iter(read_frames(info.path, 20, 1)))) == numbers[20]


@pytest.mark.parametrize("rate", [Fraction(50), Fraction(30), Fraction(24), Fraction(30000, 1001), Fraction(12)])
def test_other_rates_are_converted_by_time(rate: Fraction, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "made.mp4", 120, rate)
    target = Fraction(25)
    shown = [number_of(frame) for frame in read_frames(path, fps=target)]
    duration = 120 / rate
    assert len(shown) == int(duration * target + Fraction(1, 2))
    for k, source in enumerate(shown):  # the frame on the screen in the middle of output frame k
        assert source <= (k + Fraction(1, 2)) / target * rate < source + 1
    with ClipFrames(path, fps=target, cache=FrameCache(0)) as frames:
        assert len(frames) == len(shown)
        assert [number_of(frames[k]) for k in (len(shown) - 1, 0, 31, 7)] == [shown[k] for k in (-1, 0, 31, 7)]


def test_uneven_frame_times_are_followed(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    made = write_numbered(tmp_path / "made.mp4", 40)
    # Frames 0-19 at 25 fps, then each shown three times as long.
    ffmpeg("-i", made, "-vf", "setpts='if(lt(N,20),N,20+3*(N-20))/25/TB'", "-fps_mode", "vfr", tmp_path / "vfr.mp4")
    info = probe(tmp_path / "vfr.mp4")
    assert (info.frames, info.regular) == (40, False)
    shown = [number_of(frame) for frame in read_frames(info.path, fps=Fraction(25))]
    assert shown[:80] == [*range(20), *(20 + k // 3 for k in range(60))][: len(shown)]
    assert len(shown) >= 78


def test_rotation_is_applied(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    made = write_numbered(tmp_path / "made.mp4", 3)
    ffmpeg("-display_rotation", "90", "-i", made, "-c", "copy", tmp_path / "turned.mp4")
    info = probe(tmp_path / "turned.mp4")
    assert (info.size_wh, info.rotation) == ((64, 96), 90)
    upright = next(iter(read_frames(made, 1, 1)))
    turned = next(iter(read_frames(info.path, 1, 1)))
    assert np.abs(np.rot90(upright).astype(int) - turned).mean() < 2


def test_random_access_from_many_threads() -> None:
    expected = {index: frame.sum() for index, frame in enumerate(read_frames(SILENCE))}
    wrong: list[int] = []
    with ClipFrames(SILENCE, cache=FrameCache(2 * 24 * 640 * 640 * 3)) as frames:

        def look(seed: int) -> None:
            for index in np.random.default_rng(seed).integers(0, 100, 5):
                if frames[int(index)].sum() != expected[int(index)]:
                    wrong.append(int(index))

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert frames._cache.kept_bytes <= 2 * 24 * 640 * 640 * 3
    assert wrong == []


def test_frames_of_a_clip_cannot_be_changed_and_end_where_they_end() -> None:
    with ClipFrames(SILENCE) as frames:
        with pytest.raises(ValueError, match="read-only"):
            frames[0][0, 0] = 1
        for index in (100, -1):
            with pytest.raises(IndexError, match=r"0 \.\. 99"):
                frames[index]
        assert len(frames[95:]) == 5
    with pytest.raises(ValueError, match="within the 100 frames"):
        read_frames(SILENCE, 90, 20)


def test_closing_the_generator_ends_ffmpeg() -> None:
    frames = read_frames(SILENCE)
    next(iter(frames))
    ffmpeg_process = frames.gi_frame.f_locals["decoder"].gi_frame.f_locals["ffmpeg"].process  # type: ignore[attr-defined]
    assert ffmpeg_process.poll() is None
    frames.close()  # type: ignore[attr-defined]
    assert ffmpeg_process.poll() is not None


def test_patches_survive_the_round_trip_in_ffmpeg_and_opencv(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "patches.mp4"
    with VideoWriter(path, 384, 256) as writer:
        for _ in range(13):
            writer.write(patches())
    assert max(patch_error(frame) for frame in read_frames(path)) <= 1
    ffmpeg("-i", path, "-frames:v", "1", "-sws_flags", "accurate_rnd+full_chroma_int", tmp_path / "by_ffmpeg.png")
    assert patch_error(cv2.imread(str(tmp_path / "by_ffmpeg.png"))) <= 2
    # OpenCV reads every file about 1 level too dark (its scaler truncates), so a few values come out 3 off.
    by_opencv = cv2.VideoCapture(str(path)).read()[1]
    off = np.abs(by_opencv[32::64, 32::64].astype(int) - patches()[32::64, 32::64])
    assert off.max() <= 3
    assert (off <= 2).mean() >= 0.95


@pytest.mark.parametrize(
    ("matrix", "pixel_format", "tagged"),
    [
        ("bt709", "yuv420p", True), ("bt709", "yuvj420p", True), ("smpte170m", "yuv444p", True),
        ("bt470bg", "yuv420p10le", True), ("bt2020nc", "yuv420p", True), ("smpte170m", "yuv420p", False),
    ],
)  # fmt: skip
def test_matrix_and_range_of_a_file_are_honoured(
    matrix: str, pixel_format: str, tagged: bool, tmp_path: Path, ffmpeg: Ffmpeg
) -> None:
    cv2.imwrite(str(tmp_path / "patches.png"), patches())
    scaler = {"bt470bg": "bt470", "bt2020nc": "bt2020"}.get(matrix, matrix)
    full = pixel_format == "yuvj420p"
    tags = ["-colorspace", matrix, "-color_range", "pc" if full else "tv"] if tagged else []
    untag = [] if tagged else ["-bsf:v", UNTAGGED]
    ffmpeg(
        "-loop", "1", "-i", tmp_path / "patches.png", "-frames:v", "2",
        "-vf", f"scale=out_color_matrix={scaler}:out_range={'pc' if full else 'tv'}:flags=accurate_rnd+full_chroma_int,"
        f"format={pixel_format}", "-c:v", "libx264", "-crf", "4", *tags, *untag, tmp_path / "tagged.mp4",
    )  # fmt: skip
    assert probe(tmp_path / "tagged.mp4").colour_matrix == (matrix if tagged else None)
    assert patch_error(next(iter(read_frames(tmp_path / "tagged.mp4")))) <= 2


def test_an_untagged_hd_file_is_taken_as_bt709(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    cv2.imwrite(str(tmp_path / "patches.png"), patches(180))
    ffmpeg(
        "-i", tmp_path / "patches.png", "-vf", "scale=out_color_matrix=bt709:flags=accurate_rnd,format=yuv420p",
        "-c:v", "libx264", "-crf", "4", "-bsf:v", UNTAGGED, tmp_path / "hd.mp4",
    )  # fmt: skip
    assert probe(tmp_path / "hd.mp4").colour_matrix is None
    assert patch_error(next(iter(read_frames(tmp_path / "hd.mp4"))), 180) <= 2


def test_chroma_of_an_untouched_picture_does_not_drift() -> None:
    first = bgr_to_i420(next(iter(read_frames(SILENCE, 50, 1))))
    again = first
    for _ in range(5):
        again = bgr_to_i420(cv2.cvtColor(again, cv2.COLOR_YUV2BGR_I420))
    # Values outside the RGB cube are clipped once; then nothing moves.
    assert np.abs(again.astype(int) - first).max() <= 2
    assert np.abs(again.astype(int) - first).mean() < 0.05


def test_bgr_to_i420_is_bt601_with_averaged_chroma() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    planes = bgr_to_i420(frame)
    blue, green, red = (frame[..., c].reshape(16, 2, 24, 2).mean(axis=(1, 3)) for c in range(3))
    u = 128 + (-37.797 * red - 74.203 * green + 112 * blue) / 255
    v = 128 + (112 * red - 93.786 * green - 18.214 * blue) / 255
    assert np.abs(planes[32:40].reshape(16, 24) - u).max() <= 1
    assert np.abs(planes[40:].reshape(16, 24) - v).max() <= 1
    assert np.array_equal(planes[:32], cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420)[:32])


def test_sound_and_metadata_are_muxed_in_step(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    sound = np.zeros(3 * SAMPLE_RATE, np.float32)
    sound[SAMPLE_RATE : SAMPLE_RATE + 4000] = 0.4 * np.sin(np.arange(4000) * 0.3)
    path = write_numbered(tmp_path / "made.mp4", 75, sound=sound, metadata={"synopsis": '{"a": 1}'})
    heard = load_audio(path)
    assert len(heard) == len(sound)
    assert np.corrcoef(heard, sound)[0, 1] > 0.98
    ffmpeg("-i", path, "-f", "ffmetadata", tmp_path / "tags.txt")
    assert 'synopsis={"a": 1}' in (tmp_path / "tags.txt").read_text().replace("\\", "")
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")  # +faststart
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def test_a_short_sound_is_padded_and_a_sound_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "short.mp4", 1, sound=np.full(160, 0.1, np.float32))
    assert len(load_audio(path)) == 640
    stereo = write_numbered(tmp_path / "from_file.mp4", 10, sound=path)
    assert probe(stereo).has_sound


def test_odd_sizes_are_padded_with_the_last_pixels(tmp_path: Path) -> None:
    frame = np.full((33, 47, 3), 90, np.uint8)
    frame[-1] = frame[:, -1] = 200
    with VideoWriter(tmp_path / "odd.mp4", 47, 33, crf=4) as writer:
        writer.write(frame)
    assert probe(tmp_path / "odd.mp4").size_wh == (48, 34)
    read = next(iter(read_frames(tmp_path / "odd.mp4")))
    assert np.abs(read[:32, 46:].astype(int) - 200).max() <= 6
    assert np.abs(read[32:].astype(int) - 200).max() <= 6


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def broken() -> None:
        with VideoWriter(tmp_path / "out.mp4", 96, 64) as writer:
            writer.write(numbered(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    with pytest.raises(ClipError, match="no frame was written"), VideoWriter(tmp_path / "out.mp4", 96, 64):
        pass
    with pytest.raises(ClipError, match="ffmpeg stopped"):
        write_numbered(tmp_path / "out.mp4", 50, preset="no such preset")
    assert list(tmp_path.iterdir()) == []
    silent = write_numbered(tmp_path / "silent.mp4", 2)
    with pytest.raises(ClipError, match="ffmpeg stopped"):
        write_numbered(tmp_path / "out.mp4", 50, sound=silent)
    assert list(tmp_path.iterdir()) == [silent]


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "out.mp4", 2)
    before = path.read_bytes()
    with pytest.raises(ClipError):
        write_numbered(path, 50, preset="no such preset")
    assert path.read_bytes() == before


def test_a_full_disk_is_a_clip_error_and_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 384, 3)).astype(np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with VideoWriter(tmp_path / "big.mp4", 384, 256, crf=1) as writer:
            for _ in range(60):
                writer.write(noise)

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # ffmpeg inherits it: no file grows beyond
    try:
        with pytest.raises(ClipError, match="disk space"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_frames_that_do_not_fit_are_the_callers_mistake(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 96, 64) as writer:
        with pytest.raises(ValueError, match="96 x 64 px; got 64 x 96"):
            writer.write(np.zeros((96, 64, 3), np.uint8))
        with pytest.raises(ValueError, match="uint8"):
            writer.write(np.zeros((64, 96, 3), np.float32))  # type: ignore[arg-type]
        writer.write(numbered(0))
    with pytest.raises(ValueError, match="not open"):
        writer.write(numbered(0))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "folder", "truncated", "sound", "nul"])
def test_what_is_no_video_is_refused_with_the_cure(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    match kind:
        case "empty":
            path.touch()
        case "text":
            path.write_text("this is no video\n" * 50)
        case "folder":
            path.mkdir()
        case "truncated":
            path.write_bytes(SILENCE.read_bytes()[:200_000][::-1])
        case "sound":
            path = tmp_path / "sound.wav"
            save_wav(path, np.zeros(1600))
        case "nul":
            path = Path("a\0b.mp4")
    with pytest.raises(ClipError, match="expected") as refusal:
        probe(path)
    assert any(cure in str(refusal.value) for cure in ("check the name", "again", "choose", "name a file"))
    with pytest.raises(ClipError):
        read_frames(path)


def test_hdr_and_stretched_pixels_are_refused(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    made = write_numbered(tmp_path / "made.mp4", 3)
    ffmpeg("-i", made, "-vf", "setparams=color_trc=arib-std-b67", tmp_path / "hlg.mp4")
    with pytest.raises(ClipError, match="HLG"):
        probe(tmp_path / "hlg.mp4")
    ffmpeg("-i", made, "-vf", "setsar=16/15", tmp_path / "wide.mp4")
    with pytest.raises(ClipError, match="square pixels"):
        probe(tmp_path / "wide.mp4")
