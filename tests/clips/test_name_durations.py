"""Durations in clips' names, and whether the file agrees."""

from fractions import Fraction

import pytest

from clips.name_durations import name_duration, name_note


@pytest.mark.parametrize(
    ("name", "seconds", "tolerance_s"),
    [
        ("02,08s talk", Fraction(208, 100), Fraction(1, 200)),
        ("05,20s talk evening", Fraction(52, 10), Fraction(1, 200)),
        ("AD2_talk_4s", Fraction(4), Fraction(1, 2)),
        ("AD2_talk_4.5s", Fraction(9, 2), Fraction(1, 20)),
        ("silence-12S (2)", Fraction(12), Fraction(1, 2)),
        ("3s_talk_04,00s", Fraction(4), Fraction(1, 200)),
    ],
)
def test_both_patterns_are_read(name: str, seconds: Fraction, tolerance_s: Fraction) -> None:
    said = name_duration(name)
    assert said is not None
    assert (said.seconds, said.tolerance_s) == (seconds, tolerance_s)


@pytest.mark.parametrize(
    "name", ["", "silence", "talks", "AD2s_talk", "take 4", "4 s talk", "talk 4sec", "1.2.3s talk"]
)
def test_other_numbers_are_no_durations(name: str) -> None:
    assert name_duration(name) is None


@pytest.mark.parametrize(
    ("name", "frames", "says"),
    [
        ("02,08s talk", 52, ""),
        ("02,08s talk", 53, ""),
        ("02,08s talk", 54, "its name says 02,08s, its file lasts 2.16 s"),
        ("02,08s talk", 58, "fits its file as seconds and frames"),  # 2 s and 8 frames
        ("02,80s talk", 75, "its name says 02,80s, its file lasts 3.00 s"),  # 80 can be no frames
        ("AD2_talk_4s", 113, ""),  # 4.52 s: half a second for the rounding, one frame
        ("AD2_talk_4s", 114, "its name says 4s, its file lasts 4.56 s"),
        ("AD2_talk_4s", 87, ""),
        ("AD2_talk_4s", 86, "lasts 3.44 s"),
        ("talk", 10, ""),
    ],
)
def test_a_disagreement_of_more_than_a_frame_is_told(name: str, frames: int, says: str) -> None:
    note = name_note(name, Fraction(frames, 25))
    assert (note == "") == (says == "")
    assert says in note
