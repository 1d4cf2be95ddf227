"""Long renders take no more memory than short ones, and a renderer that is killed leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy import make_workspace

REPO = Path(__file__).parents[2]
KILLS = 20
GROWTH_KB = 20 * 1024


def toy(*arguments: object) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "toy.py"), *map(str, arguments)],
        cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
def test_a_killed_renderer_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", 96)
    folder = tmp_path / "out"
    folder.mkdir()
    found = toy("kills", workspace, folder / "film.mp4", KILLS, 20)
    assert found["frames"] == 20
    assert found["broken"] == 0, "a video under the name was not whole"
    assert found["orphans"] == 0, "ffmpeg outlived its renderer"
    assert found["left"] == ["film.mp4"], "the next start did not sweep"
    assert found["scratch"] >= 3, "hardly any kill fell into the writing: the test saw nothing"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is counted in other units")
def test_two_minutes_take_the_memory_of_twenty_seconds(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", 320)
    short = toy("render", workspace, 20, tmp_path / "short.mp4")
    long = toy("render", workspace, 120, tmp_path / "long.mp4")
    assert (short["frames"], long["frames"]) == (500, 3000)
    assert long["peak_kb"] - short["peak_kb"] < GROWTH_KB  # type: ignore[operator]
