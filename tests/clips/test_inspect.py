"""test_face_blending.py: measures, findings, the sheet, and what it says to bad input."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blending.seam import SeamScore
from blending.types import Landmarks
from clips.chart import WIDTH_PX
from clips.face_measures import clip_findings, face_size, frame_findings, measure_clip, stats_report
from clips.face_plot import MEASURES, ROW_PX, face_plot
from clips.inspect import SAMPLE_SPEECH, main, write_sheet
from clips.library import ClipLibrary
from clips.sheet import SHEET_GREY, SHEET_WIDTH_PX, View, _compared, _seam_words

pytestmark = pytest.mark.usefixtures("one_torch_thread")

REPO = Path(__file__).parents[2]
EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def clips():
    return {clip.name: clip for clip in ClipLibrary().clips("LS1")}


@pytest.fixture(scope="module")
def measures(clips):
    return {name: measure_clip(clip) for name, clip in clips.items()}


# Measures


def test_face_size_scales_with_the_picture_and_ignores_roll_and_place(clips):
    points = clips["silence"].landmarks().at(0).points.astype(np.float64)
    width, height = face_size(Landmarks(points))
    for degrees, scale, shift in ((20, 1, (0, 0)), (-35, 2.5, (40, -90)), (0, 0.5, (1000, 3))):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        moved = scale * (points - 320) @ np.array([[c, s], [-s, c]]) + 320 + shift
        assert face_size(Landmarks(moved)) == pytest.approx((scale * width, scale * height), rel=1e-3)


def test_face_size_agrees_between_schemes(clips):
    marks = clips["silence"].landmarks().at(0)
    for scheme in (68, 110):
        assert face_size(marks.to_scheme(scheme)) == pytest.approx(face_size(marks), rel=0.05)


def test_bundled_clips_have_no_odd_frames(measures):
    for one in measures.values():
        assert frame_findings(one) == []


def test_a_wrong_frame_is_found_and_named(measures):
    one = measures["silence"]
    height, width, found = one.face_height_px.copy(), one.jaw_width_px.copy(), one.found.copy()
    height[38:45] = height[38]
    height[41] *= 1.15
    width[67:75] = width[67]
    width[[70, 71]] *= 0.9
    found[[5, 6, 7, 90]] = False
    findings = frame_findings(replace(one, face_height_px=height, jaw_width_px=width, found=found, jitter_pct=1.4))
    assert len(findings) == 4
    assert "no face in frames 5-7, 90" in findings[0]
    assert findings[1].startswith("jaw width jumps by up to 10 % in frames 70-71")
    assert findings[2].startswith("face height jumps by up to 15 % in frame 41")
    assert "jitter by more than 1 %" in findings[3]


def test_the_smaller_evening_face_is_the_only_clip_that_stands_out(measures):
    for name, one in measures.items():
        findings = clip_findings(one, [other for other in measures.values() if other is not one])
        if name == EVENING:
            assert len(findings) == 1
            assert findings[0].startswith("face 8 % smaller than in the other clips")
        else:
            assert findings == []
    assert clip_findings(measures["silence"], []) == []


def test_another_shape_of_face_stands_out(measures):
    one = measures["silence"]
    turned = replace(one, jaw_width_px=one.jaw_width_px * 0.9)
    assert clip_findings(turned, [one])[0].startswith("jaw 10 % narrower for its height")


def test_report_holds_every_clip_and_all_of_them(measures):
    lines = stats_report(list(measures.values())).splitlines()
    for name, one in measures.items():
        row = next(line for line in lines if line.startswith(name))
        for value in (np.median(one.jaw_width_px), np.median(one.face_height_px)):
            assert f"{value:.1f} (" in row
        assert f"{np.median(one.ratio):.3f} (" in row
        assert row.endswith(f"{one.jitter_px:.2f}      {one.jitter_pct:.2f}")
    assert "all 5 clips             566" in stats_report(list(measures.values()))
    assert len({len(line) for line in lines[:8]}) == 1, "the table is aligned"


def test_report_of_one_clip_still_compares_it_with_all(measures):
    report = stats_report(list(measures.values()), EVENING)
    assert "silence" not in report
    assert "all 5 clips" in report
    assert f"{EVENING}: face 8 % smaller" in report
    assert stats_report(list(measures.values()), "silence").endswith("nothing stands out")


def test_the_plot_shows_the_faces_shapes_and_nothing_of_the_clips_plot(measures):
    everything = list(measures.values())
    plot = face_plot("LS1", everything)
    assert plot.shape[1] == WIDTH_PX
    assert np.array_equal(plot, face_plot("LS1", everything))
    assert face_plot("LS1", everything, EVENING).shape[0] < plot.shape[0] - 3 * ROW_PX
    wide = replace(everything[0], jaw_width_px=everything[0].jaw_width_px * np.linspace(1, 1.05, 100))
    changed = (face_plot("LS1", [wide, *everything[1:]]) != plot).any(axis=(0, 2))
    jaw, height, ratio = MEASURES
    assert changed[jaw:height].any()
    assert changed[ratio:].any()
    assert not changed[height:ratio].any()
    for odd in (
        replace(wide, found=np.arange(100) == 7, jitter_pct=float("nan")),
        replace(wide, jaw_width_px=np.ones(1), face_height_px=np.ones(1), found=np.ones(1, bool)),
    ):
        assert face_plot("LS1", [odd]).shape[1] == WIDTH_PX


# The sheet


@pytest.mark.parametrize(
    ("hard", "blended", "floor", "said"),
    [
        (2.1, 0.4, 0.19, ""),
        (0.32, 0.34, 0.15, r"differ by less than the clip's own noise makes \(0\.15\)"),
        (0.34, 0.32, 0.15, "neither is better"),
        (0.3, 0.6, 0.15, "worse than the hard paste"),
        (0.3, 0.6, None, ""),
    ],
)
def test_scores_are_read_against_the_clips_noise(hard, blended, floor, said):
    scores = [SeamScore(score, np.zeros(1), {"neck": score, "right_cheek": 0}, None) for score in (hard, blended)]
    notes = "; ".join(_compared(*scores, floor))
    assert re.search(said, notes)
    assert bool(notes) == bool(said)
    noise = ", 0.15 the clip's own noise" if floor == 0.15 else ""
    if floor != 0.19:
        assert _seam_words(scores[0], floor) == f"seam score {hard:.2f}, most at the neck (0 is no seam{noise})"


@pytest.fixture(scope="module")
def sheet(processor, tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "made on demand" / "sheet.png"
    assert write_sheet(processor, "silence", 12, SAMPLE_SPEECH, path) == path
    return cv2.imread(str(path))


def test_sheet_is_a_neutral_sheet_with_nothing_at_its_edge(sheet):
    assert sheet.shape[1] == SHEET_WIDTH_PX
    for edge in (sheet[:16], sheet[-8:], sheet[:, :16].swapaxes(0, 1), sheet[:, -16:].swapaxes(0, 1)):
        assert (edge == SHEET_GREY).all()
    assert len(set(SHEET_GREY)) == 1


def test_sheet_has_three_rows_of_pictures(sheet):
    """Bands of rows in which a picture begins at the left margin: 3, 5 and 3 panels."""
    column = (sheet[:, 32] != SHEET_GREY).any(axis=1)
    starts = np.flatnonzero(np.diff(column.astype(int)) == 1)
    stops = np.flatnonzero(np.diff(column.astype(int)) == -1)
    assert [int(b - a) for a, b in zip(starts, stops, strict=True) if b - a > 100] == [640, 372, 640]


def test_view_lies_inside_the_frame_and_places_points_where_they_show():
    frame = np.zeros((100, 160, 3), np.uint8)
    frame[90, 150] = 255
    for centre in ((150, 90), (0, 0), (80, 50)):
        view = View.around(*centre, 60, (100, 160), 480)
        assert 0 <= view.x0 <= 100
        assert 0 <= view.y0 <= 40
        assert view.show(frame).shape == (480, 480, 3)
    view = View.around(150, 90, 60, (100, 160), 480)
    x, y = view.place(np.array([[150, 90]]))[0] / 16
    shown = view.show(frame)[..., 0].astype(float)
    rows, columns = np.indices(shown.shape)
    assert (columns * shown).sum() / shown.sum() == pytest.approx(x, abs=0.1)
    assert (rows * shown).sum() / shown.sum() == pytest.approx(y, abs=0.1)
    assert View.around(50, 50, 500, (100, 160), 300).side == 100


def test_command_chooses_an_open_mouth_and_names_its_file(workspace, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--model", "tiny", "--clip", EVENING, "--workspace", str(workspace)]) == 0
    written = list((tmp_path / "outputs").iterdir())
    assert len(written) == 1
    assert capsys.readouterr().out == f"wrote {Path('outputs') / written[0].name}\n"
    frame = int(written[0].stem.removeprefix(f"tiny_{EVENING}_frame"))
    assert 0 <= frame < 130
    assert cv2.imread(str(written[0])).shape[1] == SHEET_WIDTH_PX


# Bad input


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "nobody", "--stats"], "no model is called 'nobody'"),
        (["--model", "nobody"], "no model is called 'nobody'"),
        (["--model", "../tiny"], "without folders"),
        (["--clip", "../silence"], "without folders"),
        (["--clip", "silense", "--stats"], "did you mean 'silence'"),
        (["--frame", "100"], "has frames 0 .. 99; got --frame 100"),
        (["--frame", "-1"], "has frames 0 .. 99; got --frame -1"),
        (["--output", "sheet.doc"], "must end in one of .png"),
        (["--output", "sheet"], "must end in one of .png"),
        (["--output", "folder.png", "--frame", "1"], "is a folder"),
        (["--audio", "missing.wav"], "cannot be opened"),
        (["--audio", "text.wav"], "cannot be read"),
        (["--stats", "--frame", "3"], "leave out --frame"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(workspace, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.wav").write_text("not a sound", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    assert main(["--model", "tiny", "--workspace", str(workspace), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.png", "text.wav"]


# The thin door


def test_the_documented_command_prints_statistics():
    done = subprocess.run(
        [sys.executable, "test_face_blending.py", "--model", "LS1", "--stats"],
        cwd=REPO, env=os.environ | {"PATH": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "jaw width px" in done.stdout
    assert f"{EVENING}: face 8 % smaller" in done.stdout


def test_pytest_finds_nothing_in_the_documented_command():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "test_face_blending.py"],
        cwd=REPO, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5, done.stdout
    assert "no tests collected" in done.stdout
