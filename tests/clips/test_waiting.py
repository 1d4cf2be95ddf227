"""The line that says what is waited for: on a terminal, and gone afterwards."""

from __future__ import annotations

import io

import pytest

from clips.waiting import waiting


class Terminal(io.StringIO):
    def __init__(self, there: bool) -> None:
        super().__init__()
        self.there = there

    def isatty(self) -> bool:
        return self.there


def test_the_line_is_there_while_it_lasts_and_also_goes_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(there=True)
    monkeypatch.setattr("sys.stderr", terminal)

    def fail() -> None:
        assert terminal.getvalue() == "loading the model LS1 .."
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), waiting("loading the model LS1"):
        fail()
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert "\n" not in terminal.getvalue()


def test_a_name_cannot_make_it_more_than_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(there=True)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    with waiting("listening to a\nb\r" + "long " * 40):
        assert len(terminal.getvalue()) < 40
        assert terminal.getvalue().startswith("listening to a b long")


def test_a_file_or_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Terminal(there=False)
    monkeypatch.setattr("sys.stderr", pipe)
    with waiting("loading the model LS1"):
        pass
    assert pipe.getvalue() == ""
