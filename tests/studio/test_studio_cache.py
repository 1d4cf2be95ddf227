"""Caches are cleaned by age and size; nothing else is touched."""

import os
import time

from studio.cache import IN_USE_S, LIMITS, clean, clean_workspace, hand_out, use_own_upload_folder

NOW = 2_000_000_000.0


def put(path, unused_s, size=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - unused_s, NOW - unused_s))
    return path


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_old_files_go_whatever_the_size(tmp_path):
    put(tmp_path / "a" / "old", 101)
    put(tmp_path / "new", 99)
    assert clean(tmp_path, 100, 10**6, now=NOW) == 1
    assert left(tmp_path) == ["new"]


def test_over_the_size_the_longest_unused_go_first(tmp_path):
    for hour in range(1, 6):
        put(tmp_path / f"{hour}" / "file", hour * 3600)
    assert clean(tmp_path, 10**6, 250, now=NOW) == 3
    assert left(tmp_path) == ["1/file", "2/file"]


def test_what_is_in_use_stays_over_the_size(tmp_path):
    put(tmp_path / "now", IN_USE_S - 1, 1000)
    put(tmp_path / "before", IN_USE_S + 1, 1000)
    assert clean(tmp_path, 10**6, 10, now=NOW) == 1
    assert left(tmp_path) == ["now"]


def test_links_are_removed_and_not_followed(tmp_path):
    precious = put(tmp_path / "outside" / "precious", 10**7)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.symlink(precious.parent, cache / "folder")
    os.symlink(precious, cache / "file")
    clean(cache, 0, 0, now=NOW + 10**8)
    assert precious.is_file()
    assert not (cache / "file").is_symlink()


def test_empty_folders_go_and_the_cache_itself_stays(tmp_path):
    put(tmp_path / "a" / "b" / "old", 10**6)
    (tmp_path / "fresh").mkdir()
    later = time.time() + IN_USE_S - 60
    os.utime(tmp_path / "a" / "b" / "old", (0, 0))
    assert clean(tmp_path, 0, 0, now=later) == 1  # folders made just now stay: somebody may be about to write there
    assert (tmp_path / "fresh").is_dir()
    clean(tmp_path, 0, 0, now=later + 120)
    assert list(tmp_path.iterdir()) == []
    assert clean(tmp_path / "never made", 1, 1) == 0


def test_renders_presets_clips_and_models_are_never_touched(tmp_path):
    kept = [
        put(tmp_path / name, 10**9)
        for name in (
            "renders/a.mp4", "renders/.history/a.json", "presets/a.yaml", "core_clips/LS1/a.mp4", "landmarks/LS1/a.npz",
            "checkpoint/LS1/0.pth", "training/a.png",
        )
    ]  # fmt: skip
    for limit in LIMITS:
        put(tmp_path / "cache" / limit.folder / "x" / "old", 10**9)
        put(tmp_path / "cache" / limit.folder / "x" / "new", 10)
    assert clean_workspace(tmp_path, now=NOW) == len(LIMITS)
    assert all(path.is_file() for path in kept)
    assert len(left(tmp_path / "cache")) == len(LIMITS)


def test_what_is_handed_out_is_a_second_name(tmp_path):
    render = put(tmp_path / "renders" / "a.mp4", 10)
    given = hand_out(render, tmp_path / "cache")
    assert given.read_bytes() == render.read_bytes()
    assert given.name == "a.mp4"
    assert len(given.parent.name) == 32
    given.unlink()
    assert render.is_file()


def test_uploads_go_to_the_workspace(tmp_path, monkeypatch):
    from gradio.utils import get_upload_folder

    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    use_own_upload_folder(tmp_path)
    assert get_upload_folder() == str((tmp_path / "cache" / "gradio").resolve())
