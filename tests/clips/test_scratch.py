"""Scratch files do not outlive their owner, and those of the living are left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.scratch import Scratch, scratch_folder, sweep

REPO = Path(__file__).parents[2]
HOLD = (
    "import sys, pathlib, time\nfrom clips.scratch import Scratch\n"
    "s = Scratch(pathlib.Path(sys.argv[1]), '.mp4')\nprint(s.path.name, flush=True)\ntime.sleep(60)\n"
)


def test_a_living_owner_keeps_its_scratch_and_a_dead_one_loses_it(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert owner.stdout is not None
    name = owner.stdout.readline().strip()
    try:
        assert sweep(tmp_path) == 0
        assert [path.name for path in tmp_path.iterdir()] == [name]
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_dead_owner_goes_with_what_is_in_it(tmp_path: Path) -> None:
    hold = HOLD.replace("import Scratch", "import scratch_folder").replace(
        "s = Scratch(pathlib.Path(sys.argv[1]), '.mp4')\nprint(s.path.name, flush=True)\ntime.sleep(60)",
        "with scratch_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'a.png').write_bytes(b'x')\n    print(folder.name, flush=True)\n    time.sleep(60)",
    )
    owner = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=REPO)
    assert owner.stdout is not None
    name = owner.stdout.readline().strip()
    try:
        assert sweep(tmp_path) == 0
        assert (tmp_path / name / "a.png").is_file()
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    (tmp_path / ".seamline-0123456789ab.folder").symlink_to(tmp_path)
    (tmp_path / "mine").write_text("kept")
    assert sweep(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".seamline-0123456789ab.folder", "mine"]


def test_scratch_folders_of_this_process_go_with_their_block_unless_renamed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as dropped:
        (dropped / "a").write_text("x")
        assert sweep(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    with scratch_folder(tmp_path) as kept:
        kept.rename(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_scratch_of_this_process_stays_too_and_goes_with_its_block(tmp_path: Path) -> None:
    with Scratch(tmp_path, ".wav") as scratch:
        assert sweep(tmp_path) == 0
        assert scratch.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_only_scratch_is_swept(tmp_path: Path) -> None:
    for name in (".seamline-notes.txt", "seamline-0123456789ab.mp4", ".seamline-0123456789abc", "film.mp4", ".hidden"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".seamline-0123456789ab").mkdir()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".seamline-0123456789ac.mp4").symlink_to(tmp_path / "precious")
    (tmp_path / ".seamline-0123456789ad.mp4").write_text("left over")
    assert sweep(tmp_path) == 1
    assert len(list(tmp_path.iterdir())) == 8
    assert (tmp_path / "precious").read_text() == "kept"
    assert sweep(tmp_path / "missing") == 0


def test_two_that_write_one_file_at_once_both_come_out_whole(tmp_path: Path) -> None:
    path, both_open = tmp_path / "a.txt", threading.Barrier(2)

    def write(text: str) -> None:
        with atomic_file(path) as partial:
            both_open.wait()
            partial.write_text(text * 1000)

    threads = [threading.Thread(target=write, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_there_can_be_works(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".txt")  # 254 bytes
    with atomic_file(path) as partial:
        partial.write_text("x")
    assert path.read_text() == "x"


def test_a_folder_that_cannot_be_is_a_clip_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ClipError, match="choose another place"), atomic_file(tmp_path / "file" / "a.txt"):
        pass
