"""A person's own video as the base: found once, kept by content, looped, converted; what is wrong with it is said."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_clips_preprocess import StillFace
from test_frame_folders import face_folder

from blending import BlendSettings
from clips import own_video, video
from clips.__main__ import build_parser, main
from clips.audio import SAMPLE_RATE, save_wav
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
from clips.edit_list import RAMP_FRAMES
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.known_videos import load_info
from clips.library import BUNDLED, LANDMARKS_SUFFIX
from clips.own_video import open_own_video, own_video_notes, plain_name
from clips.recipe import read_recipe
from clips.timeline import FPS, ping_pong
from clips.video import VideoWriter, probe, read_frames
from models.lip_sync import LipSyncModel

pytestmark = pytest.mark.usefixtures("one_torch_thread")

LS1 = BUNDLED / "LS1"


class MovedFace(StillFace):
    """The bundled face shrunk by a factor, wherever it stands."""

    def __init__(self, factor: float = 1.0, missing: list[int] | None = None) -> None:
        super().__init__(missing or [])
        self.face = self.face * factor


def film(path: Path, frames: int = 10, fps: Fraction = FPS, scale: int = 1) -> Path:
    """The first frames of the bundled silence clip, at another rate and scaled down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 640 // scale, 640 // scale, fps) as writer:
        for frame in read_frames(LS1 / "silence.mp4", 0, frames):
            writer.write(np.ascontiguousarray(frame[::scale, ::scale]))
    return path


@pytest.fixture
def own(
    processor: CoreClipsProcessor, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CoreClipsProcessor:
    """The tiny model in a workspace of its own; own videos are looked through by a detector that needs no network."""
    shutil.copytree(workspace / "landmarks", tmp_path / "space" / "landmarks")
    (tmp_path / "space" / "core_clips").symlink_to(workspace / "core_clips")
    monkeypatch.setattr(LipSyncModel, "load", lambda *args, **kwargs: processor.model)  # loaded once
    found: list[StillFace] = []

    def make(*args: object, **kwargs: object) -> object:
        found.append(StillFace(missing=[3, 4]))
        return real(*args, **{**kwargs, "detector": found[-1]})

    real = own_video.make_landmarks
    monkeypatch.setattr(own_video, "make_landmarks", make)
    made = CoreClipsProcessor("tiny", workspace=tmp_path / "space", vad_method="energy", device="cpu")
    made.looked_through = found  # type: ignore[attr-defined]
    return made


def test_a_model_without_core_clips_is_driven_over_a_video_of_ones_own(
    own: CoreClipsProcessor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space" / "checkpoint" / "bare").mkdir(parents=True)
    save_wav(tmp_path / "say.wav", sound(12))
    mine = film(tmp_path / "my talk.mp4", 6)
    command = [
        "render",
        "--workspace",
        str(tmp_path / "space"),
        "--model",
        "bare",
        "--audio",
        str(tmp_path / "say.wav"),
    ]
    command += ["--output", str(tmp_path / "made.mp4")]
    assert main([*command, "--base-video", str(mine)]) == 0
    assert len(list(read_frames(tmp_path / "made.mp4"))) == 12
    for more in ([], ["--clip", "silence"]):
        capsys.readouterr()
        assert main([*command, *more]) == 2
        assert "expected core clips of the model 'bare'" in capsys.readouterr().err


class TurnedFace(StillFace):
    """The bundled face turned in the picture, clockwise above 0."""

    def __init__(self, degrees: float) -> None:
        super().__init__()
        middle, turn = self.face.mean(axis=0), np.radians(degrees)
        self.face = (self.face - middle) @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] + middle


def sound(frames: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(frames / FPS * SAMPLE_RATE)).astype(np.float32)


def test_it_is_found_once_looped_and_left_alone_where_no_face_is(own: CoreClipsProcessor, tmp_path: Path) -> None:
    mine = film(tmp_path / "mine" / "my talk.mp4")
    steps: list[tuple[int, int]] = []
    performance = own.prepare(sound(25), mine, progress=lambda *step: steps.append(step))
    assert steps == [(k, 10) for k in range(1, 11)]
    assert performance.base == "my talk"
    assert [own.shot(performance, k).clip_frame for k in range(25)] == [ping_pong(k, 10) for k in range(25)]
    said = "; ".join(performance.notes)
    assert "my talk: it lasts 0.40 s and is shown there and back over and over" in said
    assert "my talk: no face in frames 3-4: the plate is left as it is there" in said
    for k in (3, 4, 14, 15):
        shot = own.shot(performance, k)
        assert shot.generated is None
        assert "no face was found in this frame" in shot.reason
        assert np.array_equal(own.blend_shot(shot).frame, shot.plate)
    steepness = [own.shot(performance, k).opacity for k in range(5, 10)]
    assert steepness == [*(away / (RAMP_FRAMES + 1) for away in range(1, RAMP_FRAMES + 1)), 1.0, 1.0]
    # Nothing beside the person's file; found again under another name, without looking through it again.
    assert [path.name for path in mine.parent.iterdir()] == ["my talk.mp4"]
    again = shutil.copyfile(mine, tmp_path / "copy.mp4")
    assert own.prepare(sound(5), again).base == "my talk"
    other = CoreClipsProcessor("tiny", workspace=tmp_path / "space", vad_method="energy", device="cpu")
    assert other.prepare(sound(5), again).base == "copy"
    assert len(own.looked_through) == 1  # type: ignore[attr-defined]
    kept = sorted((tmp_path / "space" / "cache" / "landmarks").iterdir())
    sha = own.clip("my talk").sha256
    assert [path.name for path in kept] == [sha + LANDMARKS_SUFFIX, f"{sha}.video.json"]


def test_what_is_known_of_a_video_is_not_found_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = film(tmp_path / "mine.mp4", 4)
    made = tmp_path / "uneven.mp4"
    subprocess.run(
        [
            ffmpeg_exe(), "-v", "error", "-i", mine, "-vf", "setpts='(N+gt(N,1)*5)/25/TB'", "-fps_mode", "vfr", made,
        ],
        check=True,
    )  # fmt: skip
    for source in (mine, made):
        clip = open_own_video(source, tmp_path / "space", "LS1", detector=StillFace())
        first = probe(source)
        again = Path(shutil.copyfile(source, tmp_path / f"again {source.name}"))
        with monkeypatch.context() as patch:
            patch.setattr(video, "_probe", lambda *args: pytest.fail("decoded again"))
            second = open_own_video(again, tmp_path / "space", "LS1")
            info = probe(again)
        assert second.landmarks_path == clip.landmarks_path
        assert (replace(info, path=source), info.times_s) == (first, first.times_s)
        card = clip.landmarks_path.with_name(f"{clip.sha256}.video.json")
        for damage in ("", "[]", "{}", card.read_text()[:-9], card.read_text().replace('"format": 2', '"format": 1')):
            card.write_text(damage)
            assert load_info(card, source) is None


def test_a_render_is_made_again_with_the_video_found_by_its_content(
    own: CoreClipsProcessor, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_wav(tmp_path / "say.wav", sound(12))
    mine = film(tmp_path / "there" / "my talk.mp4", 6)
    common = ["render", "--workspace", str(tmp_path / "space")]
    made, again = tmp_path / "made.mp4", tmp_path / "again.mp4"
    first = ["--model", "tiny", "--audio", str(tmp_path / "say.wav"), "--base-video", str(mine)]
    assert main([*common, *first, "--output", str(made)]) == 0

    def like(*more: str) -> int:
        again.unlink(missing_ok=True)
        capsys.readouterr()
        return main([*common, "--like", str(made), "--output", str(again), *more])

    def as_before() -> bool:
        pairs = zip(read_frames(made), read_frames(again), strict=True)
        return all(np.array_equal(*pair) for pair in pairs) and read_recipe(made) == read_recipe(again)

    assert like() == 0  # where it was
    assert as_before()
    beside = mine.rename(tmp_path / mine.name)
    assert like() == 0  # beside the render, and from then on known to be there
    assert as_before()
    renamed = beside.rename(tmp_path / "there" / "another name.mov")
    beside.write_bytes(b"another video of that name")
    assert like() == 2
    said = capsys.readouterr().err
    assert "made from the video 'my talk' (sha256 " in said
    assert read_recipe(made).clips[0].sha256 in said
    assert "name it with --base-video" in said
    assert like("--base-video", str(renamed)) == 0
    assert as_before()
    assert main([*common, "--like", str(made), "--output", str(tmp_path / "again.mp4"), "--clip", "silence"]) == 0
    film_here = film(tmp_path / "elsewhere" / "my talk.mp4", 6)
    monkeypatch.chdir(film_here.parent)
    shutil.rmtree(renamed.parent)
    assert like() == 0  # in the current folder
    assert as_before()
    capsys.readouterr()
    assert main([*common, "--like", str(made), "--output", str(film_here)]) == 2
    assert "would overwrite my talk.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("degrees", "said"),
    [
        (90, r"turned 91 degrees clockwise; turn the video upright, e.g. ffmpeg -i IN -vf transpose=cclock OUT.mp4"),
        (-89, "degrees counter-clockwise; .*transpose=clock "),
        (178, "degrees clockwise; .*hflip,vflip"),
        (-40, ""),
    ],
)
def test_a_face_that_lies_is_not_called_small(degrees: float, said: str, tmp_path: Path) -> None:
    mine, detector = film(tmp_path / "mine.mp4", 3), TurnedFace(degrees)
    for _ in range(2):  # also when its landmarks are known
        if said:
            with pytest.raises(ClipError, match=rf"mine\.mp4: the face is not upright: it is .*{said}") as refusal:
                open_own_video(mine, tmp_path / "space", "LS1", detector=detector)
            assert "px" not in str(refusal.value)
        else:
            assert open_own_video(mine, tmp_path / "space", "LS1", detector=detector).info.frames == 3


def test_it_never_joins_the_automatic_choice_and_names_do_not_clash(own: CoreClipsProcessor, tmp_path: Path) -> None:
    first = own.add_own_video(film(tmp_path / "silence.mp4", 6))
    second = own.add_own_video(film(tmp_path / "b" / "silence.mp4", 7))
    third = own.add_own_video(film(tmp_path / f"{AUTOMATIC}.mp4", 8))
    assert len({first, second, third, "silence", AUTOMATIC}) == 5
    assert [own.clip(name).info.frames for name in (first, second, third, "silence")] == [6, 7, 8, 100]
    edits, _ = own.edit_list(sound(60))
    assert not {first, second, third} & {cut.clip for cut in edits.cuts}


def test_a_video_of_another_rate_renders_by_time(own: CoreClipsProcessor, tmp_path: Path) -> None:
    mine = film(tmp_path / "fast.mp4", 20, Fraction(50))
    report = own.generate_video(sound(12), tmp_path / "out.mp4", base=mine)
    assert (report.frames, probe(tmp_path / "out.mp4").frames) == (12, 12)
    assert "fast: 50 fps: 20 frames shown as 10 at 25 fps, by time" in report.notes
    source = list(read_frames(mine))
    performance = own.prepare(sound(12), mine)
    assert np.array_equal(own.shot(performance, 3).plate, source[7])  # .14 s, the middle of frame 3


def test_the_result_may_not_replace_the_base(own: CoreClipsProcessor, tmp_path: Path) -> None:
    mine = film(tmp_path / "mine.mp4", 3)
    with pytest.raises(ClipError, match=r"overwrite mine\.mp4"):
        own.generate_video(sound(3), mine, base=mine)


def test_one_frame_is_enough_and_said(own: CoreClipsProcessor, tmp_path: Path) -> None:
    mine = film(tmp_path / "still.mp4", 1)
    report = own.generate_video(sound(4), tmp_path / "out.mp4", base=mine)
    assert (report.frames, report.blended_frames) == (4, 4)
    assert "still: it has one frame: only the lower face moves" in report.notes


def test_what_cannot_be_a_base_is_refused_in_words(tmp_path: Path) -> None:
    mine = film(tmp_path / "mine.mp4", 4)
    with pytest.raises(ClipError, match=r"mine\.mp4: expected a face; none was found in 4 frames"):
        open_own_video(mine, tmp_path / "a", "LS1", detector=StillFace(missing=range(4)))
    assert not (tmp_path / "a").exists()
    with pytest.raises(ClipError, match=r"at least 32 px wide; that in mine\.mp4 has 2\d px; film it larger"):
        open_own_video(mine, tmp_path / "b", "LS1", detector=MovedFace(0.1))
    with pytest.raises(ClipError, match="cannot be opened"):
        open_own_video(tmp_path / "none.mp4", tmp_path / "c", "LS1")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ClipError, match=r"landmarks that can be written to.*choose another workspace"):
        open_own_video(mine, tmp_path / "file", "LS1", detector=StillFace())


def test_a_small_face_is_told(tmp_path: Path) -> None:
    clip = open_own_video(film(tmp_path / "m.mp4", 60, scale=4), tmp_path, "LS1", detector=MovedFace(0.25))
    assert own_video_notes(clip) == (f"the face is small ({clip.landmarks().face_size_px:.0f} px): "
                                     "film it larger for a sharp mouth",)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "plain"),
    [("my talk.mp4", "my talk"), ("a\nb.mp4", "a b"), ("...mp4", "video"), ("a\\b.mp4", "a b"), ("..\\x.mov", "x")],
)  # fmt: skip
def test_names_become_plain(name: str, plain: str) -> None:
    assert plain_name(Path(name)) == plain


@pytest.mark.parametrize(
    "name", ['it\'s "mine" ü 漢.mp4', "two\nlines.mp4", "-y %03d [0].mp4", "rotation of 90 degrees.mp4"]
)
def test_any_name_is_taken_literally(name: str, own: CoreClipsProcessor, tmp_path: Path) -> None:
    mine = film(tmp_path / name, 3)
    assert probe(mine).rotation == 0
    performance = own.prepare(sound(4), mine)
    assert performance.frames == 4
    assert "\n" not in performance.base
    assert {path.name for path in tmp_path.iterdir()} == {name, "space"}


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_turned_phone_video_is_upright_in_frames_landmarks_and_render(
    degrees: int, turns: int, own: CoreClipsProcessor, tmp_path: Path
) -> None:
    lying = tmp_path / "lying.mp4"
    with VideoWriter(lying, 640, 480) as writer:
        for frame in read_frames(LS1 / "silence.mp4", 0, 4):
            upright = frame[:, 80:560] if turns % 2 else frame[80:560]
            writer.write(np.ascontiguousarray(np.rot90(upright, -turns)))
    turned = tmp_path / "turned.mp4"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-display_rotation", str(degrees), "-i", lying, "-c", "copy", turned], check=True
    )
    size = (480, 640) if turns % 2 else (640, 480)
    assert probe(turned).size_wh == size
    own.generate_video(sound(5), tmp_path / "out.mp4", BlendSettings(), base=turned)
    assert probe(tmp_path / "out.mp4").size_wh == size
    assert own.clip("turned").landmarks().size_wh == size
    first = next(iter(read_frames(LS1 / "silence.mp4", 0, 1)))
    upright = first[:, 80:560] if turns % 2 else first[80:560]
    rendered = next(iter(read_frames(tmp_path / "out.mp4", 0, 1)))
    assert np.abs(rendered[:100].astype(int) - upright[:100]).mean() < 3  # above the face: the plate, upright


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_ten_bit_sources_keep_their_colours(codec: str, own: CoreClipsProcessor, tmp_path: Path) -> None:
    eight = film(tmp_path / "eight.mp4", 4)
    ten = tmp_path / "ten.mp4"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-i", eight, "-c:v", codec, "-crf", "4", "-pix_fmt", "yuv420p10le", ten],
        check=True, capture_output=True,
    )  # fmt: skip
    assert probe(ten).pixel_format == "yuv420p10le"
    pairs = zip(read_frames(eight), read_frames(ten), strict=True)
    assert all(np.abs(a.astype(int) - b).mean() < 1.5 for a, b in pairs)
    assert own.generate_video(sound(3), tmp_path / "out.mp4", base=ten).frames == 3


@pytest.mark.parametrize("size_wh", [(639, 640), (640, 639), (639, 639)])
def test_odd_sizes_are_padded_and_said(size_wh: tuple[int, int], own: CoreClipsProcessor, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mp4"
    width, height = size_wh
    subprocess.run(
        [
            ffmpeg_exe(), "-v", "error", "-i", film(tmp_path / "even.mp4", 3),
            "-vf", f"crop={width}:{height}:0:0:exact=1", "-c:v", "libx264", "-pix_fmt", "yuv444p", odd,
        ],
        check=True,
    )  # fmt: skip
    assert probe(odd).size_wh == size_wh
    report = own.generate_video(sound(3), tmp_path / "out.mp4", base=odd)
    assert probe(tmp_path / "out.mp4").size_wh == (640, 640)
    assert any("odd size: renders have 640 x 640 px" in note for note in report.notes)
    plate = own.shot(own.prepare(sound(3), odd), 0).plate
    rendered = next(iter(read_frames(tmp_path / "out.mp4")))
    assert plate.shape[:2] == (height, width)
    assert np.abs(rendered[:100, :width].astype(int) - plate[:100]).mean() < 3


def test_a_folder_of_frames_may_be_the_base(own: CoreClipsProcessor, tmp_path: Path) -> None:
    folder = face_folder(tmp_path, 5).path
    report = own.generate_video(sound(8), tmp_path / "out.mp4", base=folder)
    assert (report.frames, report.blended_frames) == (8, 8)
    assert "2s talk: landmarks from its .lms files of 110 points" in report.notes
    performance = own.prepare(sound(8), folder)
    assert [own.shot(performance, k).clip_frame for k in range(8)] == [0, 1, 2, 3, 4, 3, 2, 1]


# The other bases


def test_only_the_best_clips_are_driven(own: CoreClipsProcessor, speech: np.ndarray) -> None:
    everything = own
    fitting = sorted(
        (clip for name, clip in own.clips.items() if "talk" in name and "evening" not in name),
        key=lambda clip: clip.landmarks().jitter_pct,
    )
    everything.best_clips = 1
    edits, notes = everything.edit_list(speech)
    assert {cut.clip for cut in edits.cuts if cut.driven} == {fitting[0].name}
    assert {cut.clip for cut in edits.cuts if not cut.driven} == {"silence"}
    told = next(note for note in notes if "only the best 1 by landmarks" in note)
    assert all(clip.name in told for clip in fitting[1:])
    everything.best_clips = 3
    edits, notes = everything.edit_list(speech)
    assert len({cut.clip for cut in edits.cuts if cut.driven}) > 1
    assert not any("by landmarks" in note for note in notes)
    everything.best_clips = 0
    with pytest.raises(ValueError, match="at least 1; got 0"):
        everything.edit_list(speech)


def test_a_clip_that_loses_the_face_ranks_below_one_that_jitters(own: CoreClipsProcessor, speech: np.ndarray) -> None:
    best = own.clip("02,08s talk")
    marks = best.landmarks()
    found = marks.found.copy()
    found[20:25] = False
    replace(marks, found=found).save(best.landmarks_path)
    own.best_clips = 2
    edits, notes = own.edit_list(speech)
    assert "02,08s talk" not in {cut.clip for cut in edits.cuts}
    assert any("no face in 5 frames" in note for note in notes)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_the_count_on_the_command_line_is_a_whole_number(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["render", "--audio", "a", "--output", "b", "--best-clips", text])
    assert "whole number" in capsys.readouterr().err or text == "-1"
