"""The benchmark, run small: every row is there, the order of the methods is the known one, mistakes are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68

from blending import COLOUR_METHODS, COMPOSITORS, benchmark
from blending.simulated import STRENGTHS, simulated_shots
from blending.types import CropBox, Landmarks

REPO = Path(__file__).parents[2]
CLIP = REPO / "clips" / "library" / "LS1" / "02,08s talk.mp4"
POINTS = points_68()
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One strength, one colour method beside the default, small frames, no repetition."""
    threads = cv2.getNumThreads()
    monkeypatch.setattr(benchmark, "STRENGTHS", {2: STRENGTHS[2]})
    monkeypatch.setattr(benchmark, "TIMED_CALLS", 1)
    monkeypatch.setattr(benchmark, "TIMED_SHOTS", 2)
    monkeypatch.setattr(benchmark, "TIMED_SIZES", {"small": ((160, 200), 100), "1080p": ((320, 300), 150)})
    yield
    cv2.setNumThreads(threads)


def figures(text: str) -> dict[str, dict[str, float]]:
    """The table's rows by name, each a mapping from the head's names to numbers."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    head = lines[0][1:]
    return {line[0]: dict(zip(head, map(float, line[1:]), strict=True)) for line in lines[2:]}


def test_a_small_run_has_every_row(small: None, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table, sheet = tmp_path / "table.md", tmp_path / "sheet.png"
    arguments = ["--footage", str(CLIP), "--landmarks", str(CLIP.with_suffix(".landmarks.npz")), "--frames", "2"]
    assert benchmark.main([*arguments, "--output", str(table), "--sheet", str(sheet)]) == 0
    text = table.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    rows = figures(text)
    assert {f"{compositor} + {colour}" for compositor in COMPOSITORS for colour in COLOUR_METHODS} < set(rows)
    baselines = {benchmark.DOCUMENTED, benchmark.HARD, benchmark.CLONE, benchmark.OURS, benchmark.ORACLE}
    assert baselines < set(rows)
    assert set(benchmark.NAMES) < set(rows[benchmark.HARD])
    assert all(np.isfinite(list(row.values())).all() for row in rows.values())
    assert rows[benchmark.HARD]["vis"] > rows["alpha + none"]["vis"] > rows[benchmark.OURS]["vis"]
    assert rows[benchmark.DOCUMENTED]["neck"] > rows["alpha + none"]["neck"]
    assert rows[benchmark.OURS]["vis"] > rows[f"{benchmark.ORACLE}, registered"]["vis"]
    assert rows["hard + none"]["vis"] == pytest.approx(rows[benchmark.HARD]["vis"], abs=0.02)
    assert rows["hard + none"]["mouth"] == 1
    assert "vis over the documented pipeline's" in text
    picture = cv2.imread(str(sheet))
    assert picture.shape[1] % 6 == 0
    assert picture.std() > 20


def test_targets_say_what_is_reached() -> None:
    def row(name: str, vis: float, **values: float) -> benchmark.Row:
        known = {"seam": 1, "neck": 0.1, "ring": 1, "skin": 1, "lips": 1, "mouth": 1, "flicker": 1} | values
        return benchmark.Row(name, vis=vis, **known)

    rows = [
        row(benchmark.DOCUMENTED, 3), row(benchmark.HARD, 4), row(benchmark.CLONE, 1.5), row("alpha + mean_std", 1.2),
        row("poisson + none", 1.4), row(benchmark.ORACLE, 0.8), row(f"{benchmark.ORACLE}, registered", 0.7, neck=0.08),
        row(benchmark.OURS, 0.9, mouth=0.98),
    ]  # fmt: skip
    said = benchmark.targets(rows)
    assert [line.endswith("MISSED") for line in said] == [False, False, False, False, True, True, False]
    assert said[1].startswith("vis over that of alpha + mean_std, the best of the classic ones: 0.750")


def test_baselines_leave_equal_pictures_alone() -> None:
    square = BOX.extract(PLATE)
    for baseline in (benchmark.documented_pipeline, benchmark.seamless_clone):
        outcome = baseline(PLATE, square, BOX, Landmarks(POINTS))
        assert np.abs(outcome.frame.astype(int) - PLATE).max() <= 2
        assert outcome.matched.shape == square.shape


def test_clone_takes_the_generated_mouth_and_the_plates_colour() -> None:
    outcome = benchmark.seamless_clone(PLATE, GENERATED, BOX, Landmarks(POINTS))
    pasted = BOX.paste(PLATE, GENERATED)
    cheek = (slice(145, 155), slice(100, 110))
    assert np.abs(outcome.frame[cheek].mean(axis=(0, 1)) - PLATE[cheek].mean(axis=(0, 1))).max() < 5
    assert np.abs(pasted[cheek].mean(axis=(0, 1)) - PLATE[cheek].mean(axis=(0, 1))).max() > 8
    outside = np.ones(PLATE.shape[:2], bool)
    outside[BOX.inside(PLATE.shape[:2])] = False
    np.testing.assert_array_equal(outcome.frame[outside], PLATE[outside])


@pytest.mark.parametrize("x", [-60, 250, 900])
def test_baselines_at_the_frames_edge(x: int) -> None:
    points = POINTS + np.float32([x, 0])
    box = CropBox.from_landmarks(points)
    for baseline in (benchmark.documented_pipeline, benchmark.seamless_clone):
        assert baseline(PLATE, GENERATED, box, Landmarks(points)).frame.shape == PLATE.shape


def test_a_shot_at_another_size_is_the_same_shot() -> None:
    opened = points_68(mouth=1.0)
    marks, drawn = Landmarks(POINTS), Landmarks(opened)
    shot = next(simulated_shots([PLATE], [plate_of(opened)], [marks], [drawn], 2))
    larger = benchmark.at_size(shot, (720, 1280), 266)
    assert larger.plate.shape == (1280, 720, 3)
    assert larger.box.side == 266
    assert abs(larger.box.x0 + 133 - 360) <= 1
    again = CropBox.from_landmarks(larger.landmarks)
    assert max(abs(again.x0 - larger.box.x0), abs(again.y0 - larger.box.y0), abs(again.side - 266)) <= 2
    seen = cv2.resize(larger.box.extract(larger.plate), (shot.box.side, shot.box.side), interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - shot.box.extract(PLATE)).mean() < 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frames", "1"], "--frames must be at least 2"),
        (["--landmarks", "x.npz"], "--landmarks must come with the --footage"),
        (["--footage", "nowhere.mp4"], "nowhere.mp4"),
    ],
)
def test_mistakes_end_with_a_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert benchmark.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
