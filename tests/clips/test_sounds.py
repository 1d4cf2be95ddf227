"""Sound as people have it: every common kind is heard the same, and what is broken says how."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from clips.audio import SAMPLE_RATE, hear, load_audio, save_wav
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import SAMPLE_SPEECH
from clips.video import VideoWriter

SECONDS = 1.5

KINDS: dict[str, tuple[str, ...]] = {
    "8 bit.wav": ("-c:a", "pcm_u8"),
    "16 bit.wav": ("-c:a", "pcm_s16le"),
    "24 bit.wav": ("-c:a", "pcm_s24le"),
    "32 bit.wav": ("-c:a", "pcm_s32le"),
    "float.wav": ("-c:a", "pcm_f32le"),
    "double.wav": ("-c:a", "pcm_f64le"),
    "8 kHz.wav": ("-ar", "8000"),
    "22 kHz.wav": ("-ar", "22050"),
    "44 kHz.wav": ("-ar", "44100"),
    "48 kHz.wav": ("-ar", "48000"),
    "96 kHz.wav": ("-ar", "96000"),
    "stereo.wav": ("-af", "pan=stereo|c0=c0|c1=c0"),
    "5.1.wav": ("-af", "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"),
    "constant.mp3": ("-ar", "44100", "-b:a", "128k"),
    "variable.mp3": ("-ar", "44100", "-q:a", "2"),
    "tagged.mp3": ("-ar", "44100", "-b:a", "128k", "-metadata", "title=ü \n[0:1]"),
    "speech.m4a": ("-ar", "48000", "-b:a", "128k"),
    "speech.aac": ("-ar", "48000", "-b:a", "128k"),
    "speech.flac": ("-ar", "48000"),
    "24 bit.flac": ("-ar", "48000", "-sample_fmt", "s32"),
    "speech.ogg": ("-ar", "44100", "-c:a", "libvorbis", "-q:a", "6"),
    "opus.ogg": ("-ar", "48000", "-c:a", "libopus", "-b:a", "96k"),
    "speech.opus": ("-ar", "48000", "-b:a", "96k"),
    "speech.aiff": (),
    "speech.mka": ("-c:a", "flac"),
    "film.mp4": ("-ar", "48000", "-c:a", "aac"),
    "film.mov": ("-c:a", "pcm_s16le"),
    "film.mkv": ("-ar", "48000", "-c:a", "libopus"),
    "film.webm": ("-ar", "48000", "-c:a", "libopus", "-c:v", "libvpx", "-deadline", "realtime"),
}
DELAYS = {"speech.aac": 1024 / 48}
"""ms: raw AAC carries no note of its encoder's delay."""


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return load_audio(SAMPLE_SPEECH)[: round(SECONDS * SAMPLE_RATE)]


@pytest.fixture(scope="module")
def made(speech, tmp_path_factory) -> Path:
    """A folder with a wav and a silent film."""
    folder = tmp_path_factory.mktemp("sounds")
    save_wav(folder / "source.wav", speech)
    with VideoWriter(folder / "silent.mp4", 64, 64, preset="ultrafast") as writer:
        for _ in range(round(SECONDS * 25)):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    return folder


def likeness(heard: np.ndarray, sound: np.ndarray, delay: int) -> float:
    """Best correlation with the sound `delay` samples later, give or take 3 ms."""
    span = min(len(heard) - delay, len(sound)) - 100
    return max(
        float(np.corrcoef(heard[delay + shift + 50 :][:span], sound[50:][:span])[0, 1]) for shift in range(-48, 49, 2)
    )


@pytest.mark.parametrize("name", list(KINDS))
def test_every_common_kind_is_heard(made, speech, name):
    film = ["-i", str(made / "silent.mp4"), "-map", "1:v", "-map", "0:a"] if name.startswith("film") else []
    command = [ffmpeg_exe(), "-v", "error", "-y", "-nostdin", "-i", str(made / "source.wav"), *film, *KINDS[name]]
    subprocess.run([*command, str(made / name)], check=True, capture_output=True)
    heard, notes = hear(made / name)
    assert notes == ()
    assert heard.dtype == np.float32
    assert abs(len(heard) - len(speech)) <= 0.08 * SAMPLE_RATE  # what lossy codecs add: a block at the end
    assert likeness(heard, speech, round(DELAYS.get(name, 0) * SAMPLE_RATE / 1000)) > (0.95 if "8 " in name else 0.98)
    level = np.sqrt(np.mean(heard**2) / np.mean(speech**2))
    assert 0.9 < level < 1.1, "louder or softer than it was"


def header(samples: int, declared: int, *, format_tag: int = 1, bits: int = 16, rate: int = 16_000) -> bytes:
    """A wav header that declares `declared` bytes, and so many samples of silence."""
    block = bits // 8
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", min(declared + 36, 2**32 - 1), b"WAVE", b"fmt ", 16, format_tag,
                       1, rate, rate * block, block, bits, b"data", declared)  # fmt: skip
    return head + bytes(samples * block)


WHOLE = header(8000, 16_000)
NAN_SAMPLES = header(0, 4000, format_tag=3, bits=32) + np.full(1000, np.nan, "<f4").tobytes()
INFINITE = header(0, 4000, format_tag=3, bits=32) + np.full(1000, np.inf, "<f4").tobytes()

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.wav": (b"", "empty (0 bytes)"),
    "header only.wav": (header(0, 0), "holds no samples"),
    "half a header.wav": (WHOLE[:30], "cannot be read"),
    "no data.wav": (WHOLE[:44], "holds no samples"),
    "one byte.wav": (WHOLE[:45], "cannot be read"),
    "text.mp3": (b"Dear all, the recording follows.\n" * 50, "cannot be read"),
    "page.mp3": (b"<!DOCTYPE html><html><body>404</body></html>", "cannot be read"),
    "noise.m4a": (bytes(range(256)) * 20, "cannot be read"),
    "zeros.mp3": (bytes(20_000), "cannot be read"),
    "nan.wav": (NAN_SAMPLES, "holds NaN or infinity"),
    "infinite.wav": (INFINITE, "holds NaN or infinity"),
    "no channels.wav": (WHOLE[:22] + b"\0\0" + WHOLE[24:], "cannot be read"),
    "no rate.wav": (WHOLE[:24] + bytes(8) + WHOLE[32:], "cannot be read"),
    "unknown codec.wav": (WHOLE[:20] + b"\xee\xee" + WHOLE[22:], "cannot be read"),
    "playlist.m3u8": (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n", "is a playlist"),
    "stream.mpd": (b'<?xml version="1.0"?>\n<MPD type="dynamic"><Period/></MPD>', "is a playlist"),
    "list.txt": (b"ffconcat version 1.0\nfile 'source.wav'\n", "is a playlist"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_is_broken_says_how(tmp_path, name):
    content, said = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipError) as refusal:
        load_audio(tmp_path / name)
    message = str(refusal.value)
    assert said in message
    assert name in message
    assert message.startswith("expected")
    assert ";" in message, "no cure"
    assert "\n" not in message


def test_a_film_without_sound_says_so(made):
    with pytest.raises(ClipError, match=r"silent\.mp4 has no sound track"):
        load_audio(made / "silent.mp4")


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac", "ogg", "webm", "wav"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
def test_a_cut_off_file_gives_its_beginning_or_an_answer(made, speech, tmp_path, suffix, part):
    """Never an exception of another kind, never sound that was not there."""
    whole = tmp_path / f"whole.{suffix}"
    codec = ("-c:a", "libopus") if suffix == "webm" else ()
    command = [ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(made / "source.wav"), "-ar", "48000", *codec]
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    content = whole.read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(content[: int(part * len(content))])
    try:
        heard = load_audio(tmp_path / f"cut.{suffix}")
    except ClipError as refusal:
        assert "again" in str(refusal)  # noqa: PT017  either outcome is right
        return
    assert len(heard) <= len(speech) + 0.08 * SAMPLE_RATE
    assert np.isfinite(heard).all()
    if len(heard) > 0.3 * SAMPLE_RATE:
        assert likeness(heard, speech, 0) > 0.9


@pytest.mark.parametrize("declared", [2**32 - 1, 2**31, 10**9])
def test_a_huge_declared_length_is_what_is_there(tmp_path, declared):
    (tmp_path / "huge.wav").write_bytes(header(8000, declared))
    assert len(load_audio(tmp_path / "huge.wav")) == 8000


def test_a_small_file_that_lasts_for_days_is_not_unpacked(tmp_path):
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "1000",
         str(tmp_path / "long.flac")], check=True,
    )  # fmt: skip
    assert (tmp_path / "long.flac").stat().st_size < 500_000
    assert len(load_audio(tmp_path / "long.flac", limit_s=20)) == 20 * SAMPLE_RATE


LONG_KINDS = {
    "pcm.wav": (), "constant.mp3": ("-ar", "44100"), "variable.mp3": ("-ar", "44100", "-q:a", "2"),
    "begun.m4a": ("-ar", "48000", "-movflags", "+faststart"), "raw.aac": ("-ar", "48000"), "pcm.flac": (),
    "vorbis.ogg": ("-c:a", "libvorbis", "-ar", "44100"), "speech.opus": ("-ar", "48000"), "film.webm": ("-ar", "48000"),
    "pcm.aiff": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def long_sounds(tmp_path_factory) -> Path:
    """The whole sample, 7.2 s, in the common kinds."""
    folder = tmp_path_factory.mktemp("long sounds")
    for name, how in LONG_KINDS.items():
        command = [ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(SAMPLE_SPEECH), *how, str(folder / name)]
        subprocess.run(command, check=True)
        assert hear(folder / name)[1] == (), name
    return folder


def test_a_good_file_gives_no_note(made, long_sounds, tmp_path):
    """Joined to pictures that last longer, tagged at its end, with a cover, or with a length that nobody filled in."""
    sound, film = str(made / "source.wav"), tmp_path / "film.jpg"
    say = [ffmpeg_exe(), "-v", "error", "-y", "-nostdin"]
    subprocess.run([*say, "-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", str(film)], check=True)
    for name in ("cover.mp3", "cover.m4a", "cover.flac"):
        command = [
            *say,
            "-i",
            sound,
            "-i",
            str(film),
            "-map",
            "0",
            "-map",
            "1",
            "-c:v",
            "mjpeg",
            "-disposition:v",
            "attached_pic",
        ]
        subprocess.run(
            [*command, "-metadata", "title=Decoding error\n[x] CRC mismatch", str(tmp_path / name)], check=True
        )
    for name in ("longer.mp4", "longer.mkv", "longer.avi", "longer.ts"):
        command = [*say, "-i", sound, "-f", "lavfi", "-i", "testsrc=s=64x64:d=4", "-c:a", "aac", "-b:a", "128k"]
        subprocess.run([*command, str(tmp_path / name)], check=True)
    for kind in ("wav", "flac", "mp3", "webm"):
        piped = subprocess.run([*say, "-i", sound, "-f", kind, "-"], check=True, capture_output=True).stdout
        (tmp_path / f"piped.{kind}").write_bytes(piped)
    (tmp_path / "switched off.wav").write_bytes(header(20_000, 0))
    (tmp_path / "wrong by its header.wav").write_bytes(header(20_000, 40_044))
    mp3 = (long_sounds / "constant.mp3").read_bytes()
    (tmp_path / "tagged.mp3").write_bytes(mp3 + b"TAG" + b"x" * 125)
    (tmp_path / "lyrics.mp3").write_bytes(mp3 + b"LYRICSBEGIN" + b"z" * 500 + b"000511LYRICS200TAG" + b"x" * 125)
    (tmp_path / "padded.mp3").write_bytes(mp3 + bytes(3000))
    (tmp_path / "joined.ogg").write_bytes(2 * (long_sounds / "vorbis.ogg").read_bytes())
    film.unlink()
    assert {path.name: note for path in tmp_path.iterdir() for note in hear(path)[1]} == {}


@pytest.mark.parametrize("name", list(LONG_KINDS))
def test_a_cut_off_file_says_how_much_of_it_is_used(long_sounds, tmp_path, name):
    content = (long_sounds / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    samples, (note,) = hear(tmp_path / name)
    seconds = len(samples) / SAMPLE_RATE
    assert 2.4 < seconds < 4.4
    assert f"the sound {name} is damaged soon after " in note
    assert f" is used, {seconds:.1f} s" in note
    assert "again" in note
    assert 0.5 * seconds < float(note.split("soon after ")[1].split(" s")[0]) <= seconds + 0.05
    assert np.array_equal(samples, load_audio(tmp_path / name))
    if name not in ("raw.aac", "vorbis.ogg", "speech.opus"):  # these do not say how long they are
        assert "of the 7.2 s that it should last" in note


@pytest.mark.parametrize("name", [name for name in LONG_KINDS if not name.startswith("pcm") or name == "pcm.flac"])
def test_garbage_inside_is_told_with_its_place(long_sounds, tmp_path, name):
    """Not in a wav or aiff: any bytes are samples there."""
    content = bytearray((long_sounds / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(3).bytes(3000)
    (tmp_path / name).write_bytes(content)
    samples, (note,) = hear(tmp_path / name)
    assert len(samples) > 6.5 * SAMPLE_RATE
    assert 2 < float(note.split("soon after ")[1].split(" s")[0]) < 4.5
    assert f" is used, {len(samples) / SAMPLE_RATE:.1f} s" in note


def test_what_lies_behind_the_limit_is_not_asked_for(long_sounds):
    assert hear(long_sounds / "constant.mp3", limit_s=2)[1] == ()
