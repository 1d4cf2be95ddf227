"""Edit lists as JSON and as CMX 3600; the settings of editing."""

import copy
import json
import re

import numpy as np
import pytest

from clips.arrange import speech_edit_list
from clips.edit_files import check_edits, edits_as_text, load_edits, parse_edits, save_edits
from clips.edit_list import Cut, EditList, Source
from clips.edit_settings import EditSettings
from clips.edl import edits_as_edl, reel_names, save_edl, timecode
from clips.errors import ClipError
from clips.timeline import FrameRange

EDITS = EditList(
    (
        Cut(FrameRange(0, 10), 'a "quoted" clip, ünïcode', 5, 8, False),
        Cut(FrameRange(10, 40), "talk", 0, 12, True, phase=3, dissolve=2),
        Cut(FrameRange(40, 41), "talk", 7, 1, False),
    ),
    ramp_frames=5,
)


def content():
    return json.loads(edits_as_text(EDITS))


def test_the_file_gives_the_list_back(tmp_path):
    save_edits(EDITS, tmp_path / "a list.json")
    assert load_edits(tmp_path / "a list.json") == EDITS
    assert len((tmp_path / "a list.json").read_text(encoding="utf-8").splitlines()) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["a list.json"]
    (tmp_path / "a list.json").write_text(edits_as_text(EDITS), encoding="utf-8-sig")
    assert load_edits(tmp_path / "a list.json") == EDITS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format=2), r"format: .*got 2"),
        (lambda c: c.update(fps=24), r"fps: .*got 24"),
        (lambda c: c.update(frames=40), r"frames must be 41, .*got 40"),
        (lambda c: c.update(more=1), r"more: extra"),
        (lambda c: c.pop("cuts"), r"cuts: field required"),
        (lambda c: c.update(cuts=[]), r"cuts: .*at least 1"),
        (lambda c: c["cuts"][1].update(start=11), r"cuts\[1\]\.start must be 10, .*got 11"),
        (lambda c: c["cuts"][1].update(stop=10), r"cuts\[1\]\.stop must be above its start, 10; got 10"),
        (lambda c: c["cuts"][1].update(span=0), r"cuts\[1\]\.span: .*got 0"),
        (lambda c: c["cuts"][1].update(span=2.5), r"cuts\[1\]\.span: .*integer.*got 2\.5"),
        (lambda c: c["cuts"][1].update(span="12"), r"cuts\[1\]\.span: .*integer.*got '12'"),
        (lambda c: c["cuts"][1].update(phase=22), r"cuts\[1\]\.phase must be 0 \.\. 21 for its span; got 22"),
        (lambda c: c["cuts"][1].update(dissolve=7), r"cuts\[1\]\.dissolve: .*got 7"),
        (lambda c: c["cuts"][2].update(dissolve=2), r"cuts\[2\]\.dissolve must be at most 1"),
        (lambda c: c["cuts"][0].update(dissolve=1), r"cuts\[0\]\.dissolve must be at most 0"),
        (lambda c: c["cuts"][0].update(first=-1), r"cuts\[0\]\.first: .*got -1"),
        (lambda c: c["cuts"][0].update(driven="yes"), r"cuts\[0\]\.driven: .*got 'yes'"),
        (lambda c: c["cuts"][0].update(clip=""), r"cuts\[0\]\.clip: .*got ''"),
        (lambda c: c["cuts"][2].pop("clip"), r"cuts\[2\]\.clip: field required"),
    ],
)
def test_mistakes_are_told_by_their_key(change, said):
    changed = content()
    change(changed)
    with pytest.raises(ClipError, match=said):
        parse_edits(changed)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "[" * 100_000, '{"format": 1}', "\udcff"])
def test_what_is_no_list_is_refused(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ClipError, match="list"):
        load_edits(path)
    with pytest.raises(ClipError, match="cannot be opened"):
        load_edits(tmp_path / "none.json")


def test_random_damage_is_always_told_in_one_way():
    rng = np.random.default_rng(0)
    values = [None, -1, 0, 3, 10**12, 2.5, "x", "", True, [], {}, [1], float("nan")]
    for _ in range(800):
        changed = copy.deepcopy(content())
        place = changed if rng.random() < 0.3 else changed["cuts"][rng.integers(3)]
        key = list(place)[rng.integers(len(place))]
        place[key] = values[rng.integers(len(values))]
        try:
            edits = parse_edits(changed)
        except ClipError as e:
            assert key in str(e) or "cuts[" in str(e) or "frames" in str(e)  # noqa: PT017
        else:
            assert edits.frames == 41


def test_clips_and_frames_must_be_there():
    there = {'a "quoted" clip, ünïcode': 13, "talk": 12}
    check_edits(EDITS, there, 41)
    with pytest.raises(ClipError, match=r"cuts\[1\]\.clip is 'talk', which does not exist; there are: 'a "):
        check_edits(EDITS, {'a "quoted" clip, ünïcode': 13}, 41)
    with pytest.raises(ClipError, match=r"cuts\[0\]\.span shows frames 5 \.\. 12 .* has 12"):
        check_edits(EDITS, there | {'a "quoted" clip, ünïcode': 12}, 41)
    with pytest.raises(ClipError, match="the sound's 42 frames; it has 41"):
        check_edits(EDITS, there, 42)


# CMX 3600

EVENT = re.compile(
    r"(\d{3,})  (\S{1,8}) +V     (C   |D \d{3})  +(\d\d:\d\d:\d\d:\d\d) (\d\d:\d\d:\d\d:\d\d) (\d\d:\d\d:\d\d:\d\d) "
    r"(\d\d:\d\d:\d\d:\d\d)"
)


def frames_of(code):
    hours, minutes, seconds, frame = map(int, code.split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 25 + frame


def played(text):
    """What an editing system shows: (reel, frame) of every record frame, and {record frame: dissolve, going frames}."""
    shown, dissolves, number = [], {}, 0
    lines = text.split("\r\n")
    assert lines[1] == "FCM: NON-DROP FRAME"
    assert lines[0].startswith("TITLE: ")
    for place, line in enumerate(lines):
        if not line or line[0] in "TF*M":
            continue
        event = EVENT.fullmatch(line)
        assert event, line
        speed = re.fullmatch(r"M2   (\S+) +(-025|000)\.0 +(\S+)", lines[place + 1])
        source = [frames_of(event[k]) for k in (4, 5)]
        record = [frames_of(event[k]) - 90_000 for k in (6, 7)]
        backward = speed is not None and speed[2] == "-025"
        assert speed is None or speed[1] == event[2]
        if record[0] == record[1]:
            going = (event[2], frames_of(speed[3]) if backward else source[0], -1 if backward else 1)
            assert source[0] == source[1]
            number += 1
            continue
        number += 0 if event[3][0] == "D" else 1
        assert int(event[1]) == number
        assert record[0] == len(shown)
        length = record[1] - record[0]
        if speed is not None and not backward:
            assert source[1] - source[0] == 1
            frames = [source[0]] * length
        else:
            assert source[1] - source[0] == length
            frames = list(range(*source))[:: -1 if backward else 1]
            assert not backward or frames_of(speed[3]) == frames[0]
        if event[3][0] == "D":
            assert int(event[3][2:]) <= length
            dissolves[record[0]] = (int(event[3][2:]), going)
        shown += [(event[2], frame) for frame in frames]
    return shown, dissolves


def test_the_edl_shows_the_same_frames():
    """Over random lists: what the events say, played back, is the edit list frame for frame."""
    rng = np.random.default_rng(5)
    some = 0
    for seed in range(150):
        lengths = rng.choice([1, 2, 3, 30, 52, 180], size=4)
        clips = [Source(f"clip {i}", "silence" if i == 0 else "talk", int(n)) for i, n in enumerate(lengths)]
        edges = np.cumsum([0, *rng.integers(1, 200, size=5)])
        segments = [(FrameRange(int(a), int(b)), i % 2 == 0) for i, (a, b) in enumerate(zip(edges, edges[1:]))]  # noqa: B905, RUF007
        edits = speech_edit_list(clips, segments, dissolve_frames=seed % 7)
        shown, dissolves = played(edits_as_edl(edits, "random"))
        reels = reel_names(list(dict.fromkeys(cut.clip for cut in edits.cuts)))
        assert shown == [(reels[edits.at(i).clip], edits.at(i).clip_frame(i)) for i in range(edits.frames)]
        wanted = {cut.place.start: cut.dissolve for cut in edits.cuts if cut.dissolve}
        assert {at: frames for at, (frames, _) in dissolves.items()} == wanted
        for at, (frames, (reel, first, step)) in dissolves.items():
            for i in range(frames):
                going, share = edits.dissolve_at(at + i)
                assert (reel, share) == (reels[going.clip], pytest.approx((i + 1) / (frames + 1)))
                assert frames == 1 or going.span == 1 or first + step * i == going.going_on(at + i)
            some += 1
    assert some > 100


def test_a_list_reads_as_cmx_3600(tmp_path):
    edits = EditList(
        (
            Cut(FrameRange(0, 10), "a long clip, name", 0, 10, False),
            Cut(FrameRange(10, 40), "talk", 0, 20, True, dissolve=4),
        )
    )
    save_edl(edits, tmp_path / "out.edl", "a\ntitle")
    assert (tmp_path / "out.edl").read_bytes().decode().split("\r\n") == [
        "TITLE: a title",
        "FCM: NON-DROP FRAME",
        "",
        "001  ALONGCLI V     C        00:00:00:00 00:00:00:10 01:00:00:00 01:00:00:10",
        "* FROM CLIP NAME: a long clip, name",
        "",
        "002  ALONGCLI V     C        00:00:00:08 00:00:00:08 01:00:00:10 01:00:00:10",
        "M2   ALONGCLI       -025.0                00:00:00:08",
        "002  TALK     V     D 004    00:00:00:00 00:00:00:20 01:00:00:10 01:00:01:05",
        "* FROM CLIP NAME: a long clip, name",
        "* TO CLIP NAME: talk",
        "",
        "003  TALK     V     C        00:00:00:09 00:00:00:19 01:00:01:05 01:00:01:15",
        "M2   TALK           -025.0                00:00:00:18",
        "* FROM CLIP NAME: talk",
        "",
    ]


def test_a_dissolve_over_a_turn_cannot_be_exported():
    cuts = (Cut(FrameRange(0, 10), "a", 0, 12, False), Cut(FrameRange(10, 40), "b", 0, 20, True, dissolve=4))
    with pytest.raises(ClipError, match=r"'a' into 'b' at output frame 10 has a turn"):
        edits_as_edl(EditList(cuts), "x")


def test_reels_are_short_plain_and_different():
    clips = ["02,08s talk", "02.08s talk!", "02 08s talk 3", "ünï", "", "日本", "BL", "ax", "a" * 300]
    clips += [f"a very long name {i}" for i in range(120)]
    reels = reel_names(clips)
    assert len(set(reels.values())) == len(clips)
    assert all(re.fullmatch(r"[A-Z0-9]{1,8}", reel) for reel in reels.values())
    assert not {"BL", "AX"} & set(reels.values())


def test_timecodes_are_25_frames_non_drop():
    assert [timecode(f) for f in (0, 24, 25, 1500, 89_999, 90_000)] == [
        "00:00:00:00", "00:00:00:24", "00:00:01:00", "00:01:00:00", "00:59:59:24", "01:00:00:00",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="within a day"):
        timecode(24 * 90_000)


# Settings


def test_edit_settings_are_declared_and_checked():
    assert EditSettings().model_dump() == {
        "vad": "silero", "vad_threshold": 0.5, "min_silence_s": 0.75, "pad_s": 0.1, "dissolve_frames": 0,
        "ramp_frames": 3, "seed": 0,
    }  # fmt: skip
    assert all(control.help for control in EditSettings.controls())
    for values, said in (
        ({"dissolve_frames": 2.5}, "dissolve_frames must be a whole number between 0 and 6; got 2.5"),
        ({"dissolve_frames": 7}, "whole number between 0 and 6; got 7"),
        ({"min_silence_s": float("nan")}, "min_silence_s must be between 0.1 and 5.0; got nan"),
        ({"vad": "silera"}, "did you mean silero"),
        ({"disolve_frames": 1}, "did you mean dissolve_frames"),
        ({"seed": True}, "seed must be a whole number"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            EditSettings.parse(values)
    assert EditSettings.parse({"dissolve_frames": 3.0}).dissolve_frames == 3
    assert EditSettings(min_silence_s=0.75, pad_s=0.1).least_edge_frames == 16
    with pytest.raises(Exception, match="frozen"):
        EditSettings().seed = 3
