"""Clips as SyncTalk_2D extracts them, JPEG frames and .lms files, through the reader of the mp4s."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_clips_preprocess import StillFace, short_clip
from test_clips_video import number_of, numbered

from clips.describe import clip_notes, describe_clip
from clips.errors import ClipError
from clips.landmarks import write_lms
from clips.library import BUNDLED, ClipLibrary, CoreClip
from clips.preprocess import main, preprocess_clip, report_table, up_to_date_landmarks, verify_clip
from clips.video import ClipFrames, FrameCache, probe, read_frames

LS1 = BUNDLED / "LS1"


def write_folder(path: Path, numbers: range | list[int], *, fps: str | None = "25.0", frames: str = "") -> Path:
    """A clip folder whose frame N says N; info.txt as SyncTalk_2D writes it."""
    (path / "full_body_img").mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(path / "full_body_img" / f"{number}.jpg"), numbered(number), [cv2.IMWRITE_JPEG_QUALITY, 95])
    if fps is not None:
        count = frames or str(len(numbers))
        text = f"Source: x.mp4\nFPS: {fps}\nFrames: {count}\nDuration: 1.00s\nLandmarks detected: 9/9\n"
        (path / "info.txt").write_text(text)
    return path


def face_folder(workspace: Path, frames: int = 6, *, model: str = "Ada", name: str = "2s talk") -> CoreClip:
    """Real frames with real 110-point .lms files, made from the bundled clip's landmarks."""
    folder = workspace / "dataset" / model / "core_clips" / name
    (folder / "full_body_img").mkdir(parents=True)
    for index, frame in enumerate(read_frames(LS1 / "02,08s talk.mp4", 0, frames)):
        cv2.imwrite(str(folder / "full_body_img" / f"{index}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
    marks = ClipLibrary().clip("LS1", "02,08s talk").landmarks()
    for written in write_lms(folder / "landmarks", marks)[frames:]:
        written.unlink()
    (folder / "info.txt").write_text(f"Source: x\nFPS: 25\nFrames: {frames}\nDuration: 1\nLandmarks detected: 6\n")
    return ClipLibrary(workspace).clip(model, name)


def test_a_folder_reads_like_a_video(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a talk", range(30))  # 10.jpg follows 9.jpg, not 1.jpg
    info = probe(path)
    assert (info.frames, info.fps, info.size_wh, info.notes, info.has_sound) == (30, Fraction(25), (96, 64), (), False)
    assert [number_of(frame) for frame in read_frames(path)] == list(range(30))
    assert [number_of(frame) for frame in read_frames(path, 8, 4)] == [8, 9, 10, 11]
    with ClipFrames(path, cache=FrameCache(0)) as frames:
        assert len(frames) == 30
        assert [number_of(frames[k]) for k in (29, 0, 24, 23)] == [29, 0, 24, 23]
        assert not frames[3].flags.writeable
        assert np.array_equal(frames[7], next(iter(read_frames(path, 7, 1))))


@pytest.mark.parametrize(
    ("text", "rate"), [("29.97", Fraction(30000, 1001)), ("23.976024", Fraction(24000, 1001)), ("50", 50), ("30/1", 30)]
)  # fmt: skip
def test_the_rate_of_info_txt_counts(text: str, rate: Fraction, tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a talk", range(31), fps=text)
    assert probe(path).fps == rate
    shown = [number_of(frame) for frame in read_frames(path, fps=Fraction(25))]
    assert shown == [
        min(30, int((k + Fraction(1, 2)) / 25 * rate)) for k in range(int(31 / rate * 25 + Fraction(1, 2)))
    ]


@pytest.mark.parametrize(
    ("fps", "frames", "says"),
    [
        (None, "", "no info.txt says its rate: 25"),
        ("fast", "", "gives no usable FPS: 25"),
        ("0", "", "gives no usable FPS"),
        ("1/0", "", "gives no usable FPS"),
        ("25", "12", "counts 12 frames, the folder has 5"),
    ],
)
def test_an_info_txt_that_says_little_is_told(fps: str | None, frames: str, says: str, tmp_path: Path) -> None:
    info = probe(write_folder(tmp_path / "a talk", range(5), fps=fps, frames=frames))
    assert info.fps == 25
    assert len(info.notes) == 1
    assert says in info.notes[0]


def test_gaps_damage_and_strays_are_told_and_time_is_kept(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a talk", [n for n in range(60) if n not in (20, 21, 40)])
    frames = path / "full_body_img"
    whole = (frames / "50.jpg").read_bytes()
    (frames / "50.jpg").write_bytes(whole[: len(whole) // 2])  # a decoder would fill it up with grey
    (frames / "51.jpg").write_bytes(b"no picture")
    for stray in ("notes.txt", "7.jpg.bak", "a.jpg", "07.jpg", ".DS_Store"):
        (frames / stray).write_bytes(whole)
    info = probe(path)
    assert [number_of(frame) for frame in read_frames(path)] == [
        {20: 19, 21: 19, 40: 39, 50: 49, 51: 49}.get(n, n) for n in range(60)
    ]
    said = "; ".join(info.notes)
    assert "frames 20-21, 40 of its folder are missing: the frame before is held" in said
    assert "frames 50-51 of its folder are damaged" in said
    assert "no numbered frames: 'a.jpg', '07.jpg', '7.jpg.bak', .." in said
    assert ".DS_Store" not in said
    assert "counts 57 frames, the folder has 60" in said


def test_numbers_may_begin_at_one_or_later(tmp_path: Path) -> None:
    one = write_folder(tmp_path / "one", range(1, 9))
    assert probe(one).notes == ()
    assert [number_of(frame) for frame in read_frames(one)] == list(range(1, 9))
    later = probe(write_folder(tmp_path / "later", range(100, 105)))
    assert (later.frames, later.notes) == (5, ("its frames are numbered from 100 on",))


def test_unusable_folders_are_refused_with_the_cure(tmp_path: Path) -> None:
    write_folder(tmp_path / "empty", [])
    holes = write_folder(tmp_path / "holes", [0, 1, 2, 9])
    mixed = write_folder(tmp_path / "mixed", range(3))
    cv2.imwrite(str(mixed / "full_body_img" / "2.jpg"), np.zeros((10, 10, 3), np.uint8))
    broken = write_folder(tmp_path / "broken", range(3))
    for file in (broken / "full_body_img").iterdir():
        file.write_bytes(b"")
    for path, says in (
        (tmp_path / "empty", "there are none"),
        (holes, r"6 of 10 are missing or damaged \(3-8\)"),
        (mixed, "number 0 has 96 x 64 px, number 2 10 x 10"),
        (broken, "none of 3 can be read"),
    ):
        with pytest.raises(ClipError, match=rf"{says}.*extract them again"):
            probe(path)


def test_a_frame_that_vanishes_while_it_is_open_is_a_clip_error(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "a talk", range(30))
    with ClipFrames(path) as frames:
        assert number_of(frames[0]) == 0
        (path / "full_body_img" / "28.jpg").unlink()
        with pytest.raises(ClipError, match=r"28\.jpg"):
            frames[28]
    assert probe(path).frames == 30  # the gap is seen, not the memory of it
    assert "frame 28" in probe(path).notes[0]


def test_the_hash_notices_frames_extracted_again(tmp_path: Path) -> None:
    clip = face_folder(tmp_path)
    first = clip.sha256
    picture = clip.path / "full_body_img" / "3.jpg"
    os.utime(picture)
    assert clip.sha256 == first  # touched, not changed
    marked = clip.path / "landmarks" / "2.lms"
    before = marked.read_text()
    marked.write_text(before.replace(before.splitlines()[0], "1 1", 1))
    assert clip.sha256 != first
    marked.write_text(before)
    assert clip.sha256 == first
    picture.write_bytes((clip.path / "full_body_img" / "4.jpg").read_bytes())
    changed = clip.sha256
    assert changed != first
    (clip.path / "full_body_img" / "5.jpg").unlink()
    assert clip.sha256 not in (first, changed)


def test_lms_files_that_fit_are_used_and_said(tmp_path: Path) -> None:
    clip = face_folder(tmp_path)
    faces = StillFace()
    assert preprocess_clip(clip, detector=faces)
    assert faces.seen == -1  # nothing was detected
    landmarks = clip.landmarks()
    exact = ClipLibrary().clip("LS1", "02,08s talk").landmarks().at(4).to_scheme(110).points
    assert landmarks.points.shape == (6, 110, 2)
    assert np.abs(landmarks.points[4] - exact).max() <= 0.51
    assert landmarks.detector == "lms110"
    assert up_to_date_landmarks(clip) is not None
    report = verify_clip(clip)
    assert "landmarks from its .lms files of 110 points" in report.notes
    assert report_table([report]).splitlines()[1].split()[7] == "-"  # nobody knows their confidence
    assert describe_clip(clip)[1] == "  ready: landmarks out of .lms files"


def test_frames_for_which_no_face_was_found_are_known_by_their_repeated_lms(tmp_path: Path) -> None:
    clip = face_folder(tmp_path, 20)
    marks = clip.path / "landmarks"
    for number in (7, 8):
        shutil.copyfile(marks / "6.lms", marks / f"{number}.lms")
    (marks / "15.lms").unlink()
    preprocess_clip(clip, detector=StillFace())
    assert np.flatnonzero(~clip.landmarks().found).tolist() == [7, 8, 15]
    assert "no .lms file shows a face in frames 7-8, 15" in "; ".join(clip_notes(clip))


@pytest.mark.parametrize("fault", ["none", "few", "mixed", "outside"])
def test_lms_files_that_do_not_fit_are_left_for_detection(fault: str, tmp_path: Path) -> None:
    clip = face_folder(tmp_path)
    marks = clip.path / "landmarks"
    match fault:
        case "none":
            shutil.rmtree(marks)
        case "few":
            for number in (1, 2, 3):
                (marks / f"{number}.lms").write_text("nothing")
        case "mixed":
            (marks / "1.lms").write_text("".join((marks / "1.lms").read_text().splitlines(keepends=True)[:68]))
        case "outside":
            for file in marks.iterdir():
                file.write_text("".join(f"{900 + k} {900 + k % 7}\n" for k in range(110)))
    preprocess_clip(clip, detector=StillFace())
    assert (clip.landmarks().detector, clip.landmarks().points.shape) == ("facemesh", (6, 478, 2))
    said = "; ".join(clip_notes(clip))
    assert {
        "none": "landmarks detected: it has no .lms files",
        "few": "landmarks detected: only 3 of 6 frames have a usable .lms file",
        "mixed": "some of its .lms files have 68 points, others 110",
        "outside": "only 0 of 6 frames",
    }[fault] in said


def test_68_points_are_taken_too(tmp_path: Path) -> None:
    clip = face_folder(tmp_path)
    marks = ClipLibrary().clip("LS1", "02,08s talk").landmarks()
    for number in range(6):
        lines = "".join(f"{x:.0f} {y:.0f}\n" for x, y in marks.at(number).to_scheme(68).points)
        (clip.path / "landmarks" / f"{number}.lms").write_text(lines)
    preprocess_clip(clip, detector=StillFace())
    assert (clip.landmarks().detector, clip.landmarks().points.shape) == ("lms68", (6, 68, 2))
    assert verify_clip(clip).face_size_px == pytest.approx(marks.face_size_px, rel=0.05)


def test_the_mp4_is_preferred_unless_it_cannot_be_read(tmp_path: Path) -> None:
    face_folder(tmp_path)
    mp4 = short_clip(tmp_path / "core_clips" / "Ada" / "2s talk.mp4", "02,08s talk")
    library = ClipLibrary(tmp_path)
    assert [(clip.name, clip.path, clip.remark) for clip in library.clips("Ada")] == [("2s talk", mp4, "")]
    mp4.write_bytes(b"broken")
    (clip,) = library.clips("Ada")
    assert clip.path == tmp_path / "dataset" / "Ada" / "core_clips" / "2s talk"
    assert "the frames extracted from it are used, since expected a video file; 2s talk.mp4" in clip_notes(clip)[0]


def test_a_model_may_have_frame_folders_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    face_folder(tmp_path, name="AD2_talk_4s")
    (tmp_path / "dataset" / "Ada" / "core_clips" / "silence" / "parsing").mkdir(parents=True)  # no frames: no clip
    library = ClipLibrary(tmp_path)
    assert library.models() == ["Ada", "LS1"]
    assert main(["--model", "Ada", "--verify", "--workspace", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "its name says 4s, its file lasts 0.24 s" in said
    assert main(["--model", "Ada", "--write-lms", "--workspace", str(tmp_path)]) == 0
    assert "its own landmark files are left alone" in capsys.readouterr().out


def test_the_same_pictures_give_the_same_frames_from_a_folder_and_a_video(tmp_path: Path) -> None:
    clip = face_folder(tmp_path)
    source = list(read_frames(LS1 / "02,08s talk.mp4", 0, 6))
    with clip.frames() as frames:
        for index in range(6):  # JPEG at quality 95
            assert np.abs(frames[index].astype(int) - source[index]).mean() < 2
