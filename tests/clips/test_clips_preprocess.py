"""preprocess_core_clips.py: what is new or changed, interruption, --verify, exit codes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips.errors import ClipError
from clips.landmarks import Detection, FaceMeshDetector, read_lms
from clips.library import BUNDLED, ClipLibrary
from clips.own_video import open_own_video
from clips.preprocess import _is_upside_down, main, preprocess_clip, report_table, verify_clip
from clips.video import VideoWriter, read_frames

ROOT = Path(__file__).parents[2]
HARD = ROOT / ".." / "shared" / "actor" / "hard"
LS1 = BUNDLED / "LS1"


class StillFace:
    """A detector that always finds the bundled face, at once; on the frames in `missing` it finds none."""

    def __init__(self, missing: Sequence[int] = (), jump_at: int | None = None, confidence: float = 0.9) -> None:
        self.missing, self.jump_at, self.confidence = set(missing), jump_at, confidence
        self.face = ClipLibrary().clip("LS1", "silence").landmarks().points[0]
        self.seen = -1

    def detect(self, frame: np.ndarray) -> Detection | None:
        self.seen += 1
        if self.seen in self.missing:
            return None
        moved = self.face + (200 if self.jump_at is not None and self.seen >= self.jump_at else 0)
        return Detection(moved.astype(np.float32), self.confidence)

    def reset(self) -> None:
        self.seen = -1

    def close(self) -> None:
        """Nothing to free."""


def short_clip(path: Path, source: str = "silence", start: int = 0, frames: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 640, 640) as writer:
        for frame in read_frames(LS1 / f"{source}.mp4", start, frames):
            writer.write(frame)
    return path


@pytest.fixture
def library(tmp_path: Path) -> ClipLibrary:
    """A workspace with the model Ada: silence and talk, 4 frames each."""
    short_clip(tmp_path / "core_clips" / "Ada" / "silence.mp4")
    short_clip(tmp_path / "core_clips" / "Ada" / "2s talk.mp4", "02,08s talk", 20)
    return ClipLibrary(tmp_path)


def run(*arguments: str | Path, workspace: Path) -> subprocess.CompletedProcess[str]:
    # No ffmpeg and no ffprobe on PATH.
    environment = {**os.environ, "PATH": str(workspace), "SEAMLINE_WORKSPACE": str(workspace)}
    command = [sys.executable, str(ROOT / "preprocess_core_clips.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=workspace, timeout=120)


def test_a_face_that_lies_is_told_and_not_called_small(library: ClipLibrary) -> None:
    clip, lying = library.clip("Ada", "silence"), StillFace()
    lying.face = lying.face[:, ::-1] * np.float32([1, -1]) + np.float32([0, 640])
    preprocess_clip(clip, detector=lying)
    report = verify_clip(clip)
    assert any("turned 89 degrees counter-clockwise" in reason for reason in report.reasons), report.reasons
    assert not any("smaller" in reason for reason in report.reasons)


@pytest.mark.parametrize("source", ["silence", "05,20s talk evening"])
def test_a_face_upside_down_is_found_as_it_lies_and_told(source: str, tmp_path: Path) -> None:
    """The detector finds an upright face in it, which is not there, and is fairly sure of it."""
    path = tmp_path / "core_clips" / "Ada" / "down talk.mp4"
    path.parent.mkdir(parents=True)
    with VideoWriter(path, 640, 640) as writer:
        for frame in read_frames(LS1 / f"{source}.mp4", 0, 12):
            writer.write(np.ascontiguousarray(frame[::-1, ::-1]))
    clip, upright = ClipLibrary(tmp_path).clip("Ada", "down talk"), ClipLibrary().clip("LS1", source).landmarks()
    preprocess_clip(clip)
    assert np.abs(639 - clip.landmarks().points - upright.points[:12]).max() < 0.03 * upright.face_size_px
    report = verify_clip(clip)
    assert any(re.search(r"turned 1(79|80) degrees .* -vf hflip,vflip", one) for one in report.reasons), report.reasons
    assert report.face_size_px == pytest.approx(upright.face_size_px, rel=0.05)
    assert 0 < report.jitter_pct < 2
    with pytest.raises(ClipError, match=r"down talk\.mp4: the face is not upright: .* hflip,vflip"):
        open_own_video(path, tmp_path, "Ada")


def test_no_bundled_clip_is_taken_for_upside_down() -> None:
    with closing(FaceMeshDetector()) as detector:
        for clip in ClipLibrary().clips("LS1"):
            assert not _is_upside_down(clip, clip.landmarks(), detector), clip.name


def test_only_what_is_new_or_changed_by_content_is_processed(library: ClipLibrary) -> None:
    silence, talk = library.clips("Ada")
    faces = StillFace()
    done: list[tuple[int, int]] = []
    assert preprocess_clip(silence, detector=faces, progress=lambda *step: done.append(step))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not preprocess_clip(silence, detector=faces)
    made = silence.landmarks_path.read_bytes()
    os.utime(silence.path)  # touched, not changed
    assert not preprocess_clip(silence, detector=faces)
    assert preprocess_clip(silence, detector=faces, force=True)
    assert silence.landmarks_path.read_bytes() == made
    shutil.copyfile(talk.path, silence.path)
    assert preprocess_clip(silence, detector=faces)
    assert not preprocess_clip(silence, detector=faces)
    silence.landmarks_path.write_bytes(made[:500])  # damaged
    assert preprocess_clip(silence, detector=faces)


def test_an_interruption_keeps_what_is_finished_and_leaves_no_partial_file(library: ClipLibrary) -> None:
    silence, talk = library.clips("Ada")
    faces = StillFace()
    preprocess_clip(silence, detector=faces)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preprocess_clip(talk, detector=faces, progress=stop)
    assert [path.name for path in silence.landmarks_path.parent.iterdir()] == ["silence.landmarks.npz"]
    assert not preprocess_clip(silence, detector=faces)
    assert preprocess_clip(talk, detector=faces)


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        (StillFace(missing=[1, 2]), "no face in 2 frames (1-2)"),
        (StillFace(jump_at=2), "the face jumps at frame 2"),
        (StillFace(confidence=0.4), "confidence below 0.6"),
    ],
)
def test_verify_names_the_reason(faces: StillFace, reason: str, library: ClipLibrary) -> None:
    clip = library.clip("Ada", "silence")
    preprocess_clip(clip, detector=faces)
    report = verify_clip(clip)
    assert not report.passed
    assert reason in "; ".join(report.reasons)
    assert report_table([report]).splitlines()[1].split("  ")[-1] == "FAIL: " + "; ".join(report.reasons)


def test_verify_of_a_still_face_passes(library: ClipLibrary) -> None:
    clip = library.clip("Ada", "silence")
    preprocess_clip(clip, detector=StillFace())
    report = verify_clip(clip)
    assert report.passed
    assert (report.frames, report.found_pct, report.step_pct) == (4, 100.0, 0.0)
    assert report_table([report]).endswith("ok")


def test_a_clip_without_a_face_is_refused_and_leaves_no_file(library: ClipLibrary) -> None:
    clip = library.clip("Ada", "silence")
    with pytest.raises(ClipError, match="clip 'silence' of Ada: expected a face"):
        preprocess_clip(clip, detector=StillFace(missing=range(4)))
    assert not clip.landmarks_path.parent.exists()


def test_the_bundled_model_passes_on_the_command_line(tmp_path: Path) -> None:
    said = run("--model", "LS1", "--verify", "--output", "plot.png", workspace=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    table, statistics, ranking, advice, wrote = said.stdout[said.stdout.index("model ") :].strip().split("\n\n")
    assert len(table.splitlines()) == 6
    assert all(line.endswith("  ok") for line in table.splitlines()[1:])
    assert [line.split()[0] for line in statistics.splitlines()[1:6]] == [
        "silence",
        "02,08s",
        "04,16s",
        "05,20s",
        "07,20s",
    ]
    places = [line.split(". ")[1].split("  ")[0] for line in ranking.splitlines()[1:6]]
    assert (places[0], places[-1]) == ("silence", "05,20s talk evening")
    assert "training light" in ranking
    # Only of the evening clip there is something to say: its size, its light, and that the model never saw it.
    assert [line.split(": ")[0] for line in advice.splitlines()] == ["05,20s talk evening"] * 3
    assert [word in advice for word in ("8 % smaller", "other light than 'silence'", "unlike the training")] == [
        True
    ] * 3
    assert wrote == "wrote plot.png"
    assert cv2.imread(str(tmp_path / "plot.png")).shape[1] == 1600


def test_the_command_line_processes_skips_and_writes_lms(library: ClipLibrary) -> None:
    workspace = library.workspace
    first = run("--model", "Ada", "--write-lms", workspace=workspace)
    assert (first.returncode, first.stderr) == (0, "")
    assert "4/4 frames" in first.stdout
    lms = workspace / "dataset" / "Ada" / "core_clips" / "2s talk" / "landmarks"
    assert sorted(path.name for path in lms.iterdir()) == ["0.lms", "1.lms", "2.lms", "3.lms"]
    exact = library.clip("Ada", "2s talk").landmarks().at(3).to_scheme(110).points
    assert np.abs(read_lms(lms / "3.lms").points - exact).max() <= 0.51
    second = run("--model", "Ada", "--clip", "silence", workspace=workspace)
    assert second.returncode == 0
    assert second.stdout == "Ada / silence  up to date\n"


def test_one_bad_clip_does_not_stop_the_others(library: ClipLibrary) -> None:
    folder = library.workspace / "core_clips" / "Ada"
    (folder / "a broken talk.mp4").write_bytes(b"no video at all")
    with VideoWriter(folder / "b wall talk.mp4", 320, 240) as writer:
        for _ in range(2):
            writer.write(np.full((240, 320, 3), 90, np.uint8))
    said = run("--model", "Ada", "--verify", workspace=library.workspace)
    assert said.returncode == 2
    errors = said.stderr.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith("error: ")
    assert "a broken talk.mp4" in errors[0]
    assert "expected a face" in errors[1]
    assert "Ada    silence" in said.stdout
    assert "2s talk" in said.stdout


def test_a_gap_in_the_middle_fails_with_the_reason(tmp_path: Path) -> None:
    path = HARD / "no face in the middle talk.mp4"
    if not path.is_file():
        pytest.skip("the actor's hard clips are not beside this checkout")
    folder = tmp_path / "core_clips" / "Hard"
    folder.mkdir(parents=True)
    with VideoWriter(folder / path.name, 640, 640) as writer:  # frames 40-59 show only the wall
        for frame in read_frames(path, 37, 26):
            writer.write(frame)
    said = run("--model", "Hard", "--verify", workspace=tmp_path)
    assert said.returncode == 1
    assert said.stderr == ""
    assert "FAIL: no face in 20 frames (3-22)" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "LS2"], "did you mean 'LS1'"),
        (["--model", "../LS1"], "without folders"),
        (["--model", "LS1", "--clip", "silense"], "did you mean 'silence'"),
        (["--clip", "nothing like it"], "there are: "),
        (["--output", "plot.png"], "add --verify"),
        (["--verify", "--output", "plot.txt"], "must end in one of .png"),
    ],
)
def test_unknown_names_are_one_line_and_exit_2(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--workspace", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert says in said.err
    assert said.err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a child process")
def test_ctrl_c_keeps_the_finished_clip_and_the_next_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "core_clips" / "Ada"
    short_clip(folder / "a talk.mp4")
    shutil.copyfile(LS1 / "07,20s talk.mp4", folder / "b long talk.mp4")
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "preprocess_core_clips.py"), "--workspace", str(tmp_path), "--model", "Ada"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    assert child.stdout is not None
    assert "a talk" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert said.strip() == "stopped; finished clips are kept, run again to go on"
    made = tmp_path / "landmarks" / "Ada"
    assert [path.name for path in made.iterdir()] == ["a talk.landmarks.npz"]
    library = ClipLibrary(tmp_path)
    assert not preprocess_clip(library.clip("Ada", "a talk"), detector=StillFace())
    assert preprocess_clip(library.clip("Ada", "b long talk"), detector=StillFace())
