"""Joins fall where poses and pictures match, with clips that jump, are lit otherwise, stand closer or do not loop."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from clips.arrange import join_mismatches, speech_edit_list
from clips.edit_list import Source
from clips.joins import MOST_FRAMES_COMPARED, ClipPoses, PoseMismatch, RestMismatch, offsets
from clips.library import ClipLibrary
from clips.thumbnails import clip_thumbnails
from clips.timeline import FrameRange
from clips.video import read_frames

INSIDE = np.zeros((16, 16), np.float32)
INSIDE[5:11, 5:11] = 1
SHAPE = np.random.default_rng(0).uniform(-50, 50, (40, 2)).astype(np.float32)


def poses(*, x, scale=1.0, light=50.0):
    """A clip whose face, 100 px wide, stands at x (N,) px, of a size and a light."""
    points = 300 + SHAPE * scale + np.stack([np.asarray(x, float), np.zeros(len(x))], axis=1)[:, None]
    thumbnails = np.full((len(x), 16, 16, 3), (light, 10, 10), np.float32)
    return ClipPoses(points.astype(np.float32), 100.0, thumbnails, INSIDE)


def looping(frames, reach=8.0):
    """A head that goes to one side and back."""
    return reach * np.sin(np.pi * np.arange(frames) / (frames - 1)) ** 2


def cut_together(clips, segments, **more):
    """Edit list of {(name, kind): poses}, with its mismatch and the mismatches of its joins."""
    sources = [Source(name, kind, len(pose.points)) for (name, kind), pose in clips.items()]
    mismatch = PoseMismatch(list(clips.values()))
    edits = speech_edit_list(sources, segments, mismatch=mismatch, **more)
    return edits, join_mismatches(edits, sources, mismatch)


def segments_of(*lengths):
    """Silence first, then speech and silence by turns."""
    edges = np.cumsum([0, *lengths])
    return [(FrameRange(int(a), int(b)), i % 2 == 1) for i, (a, b) in enumerate(pairwise(edges))]


SILENCE = ("silence", "silence")


def test_units_are_per_cent_of_the_face_and_lab():
    mismatch = PoseMismatch([poses(x=[0, 3]), poses(x=[0], light=54)])
    assert mismatch(np.array(0), np.array(1)) == pytest.approx(3, rel=1e-3)
    assert mismatch(np.array(0), np.array(2)) == pytest.approx(0.5 * (4 + 4), rel=1e-3)
    assert mismatch(np.array([1, 2]), np.array([1, 2])) == pytest.approx([0, 0], abs=0.01)


def test_the_picture_counts_inside_and_outside_of_the_face():
    plain, tinted = poses(x=[0]), poses(x=[0])
    for where in (INSIDE > 0, INSIDE == 0):
        changed = tinted.thumbnails.copy()
        changed[:, where] += (6, 0, 0)
        mismatch = PoseMismatch([plain, replace(tinted, thumbnails=changed)])
        assert mismatch(np.array(0), np.array(1)) == pytest.approx(3, rel=1e-2)


def test_many_frames_are_compared_by_their_neighbours():
    x = np.arange(2 * MOST_FRAMES_COMPARED + 10) / 100
    mismatch = PoseMismatch([poses(x=x[:1000]), poses(x=x[1000:])])
    assert mismatch._table.nbytes <= 4 * (MOST_FRAMES_COMPARED + 2) ** 2
    out, into = np.array([0, 500, 999]), np.array([1000, 3000, 5999])
    assert mismatch(out, into) == pytest.approx(np.abs(x[out] - x[into]), abs=0.04)


def test_offsets_count_through_the_clips():
    assert offsets([3, 1, 5]).tolist() == [0, 3, 4, 9]


def test_rest_is_where_clips_begin_and_end():
    mismatch = RestMismatch([10, 30])
    assert mismatch(np.array([9, 9, 4]), np.array([0, 10, 10])) == pytest.approx([0, 0, 1.2])
    assert mismatch(np.array([4, 25]), np.array([5, 25])) == pytest.approx([0, 0])


def test_a_clip_in_another_light_is_not_joined():
    clips = {SILENCE: poses(x=looping(100)), ("talk", "talk"): poses(x=looping(90)),
             ("relit talk", "talk"): poses(x=looping(80), light=75)}  # fmt: skip
    edits, joins = cut_together(clips, segments_of(60, 80, 60, 120, 60))
    assert {cut.clip for cut in edits.cuts} == {"silence", "talk"}
    assert max(joins) < 1


def test_a_closer_clip_is_not_joined():
    clips = {SILENCE: poses(x=looping(100)), ("talk", "talk"): poses(x=looping(90)),
             ("close talk", "talk"): poses(x=looping(80), scale=1.3)}  # fmt: skip
    edits, joins = cut_together(clips, segments_of(60, 80, 60, 120, 60))
    assert {cut.clip for cut in edits.cuts} == {"silence", "talk"}
    assert max(joins) < 1


def test_a_clip_that_does_not_loop_is_not_run_over_its_end():
    """The head ends 10 % of a face from where it began: whole clips in a row would jump."""
    clips = {SILENCE: poses(x=np.linspace(0, 10, 100)), ("talk", "talk"): poses(x=looping(90))}
    _, joins = cut_together(clips, segments_of(300, 90, 300))
    assert max(joins) < 1
    mismatch = PoseMismatch(list(clips.values()))
    assert mismatch(np.array(99), np.array(0)) == pytest.approx(10, abs=0.1)


def test_a_jumpy_clip_is_cut_where_it_matches():
    """The head of the talk clip jumps about; only frames 40 .. 44 and 90 .. 94 stand where the silence clip stands."""
    x = np.random.default_rng(3).choice([-9.0, 9.0, 14.0], 120)
    x[40:45] = x[90:95] = 0
    clips = {SILENCE: poses(x=np.zeros(100)), ("jumpy talk", "talk"): poses(x=x)}
    edits, joins = cut_together(clips, segments_of(70, 51, 70))
    assert max(joins) < 1
    talk = [cut for cut in edits.cuts if cut.driven]
    assert {int(x[frame]) for cut in talk for frame in (cut.first_frame, cut.last_frame)} == {0}
    sources = [Source("silence", "silence", 100), Source("jumpy talk", "talk", 120)]
    plain = speech_edit_list(sources, segments_of(70, 51, 70))
    assert max(join_mismatches(plain, sources, PoseMismatch(list(clips.values())))) > 5


def test_a_join_moves_into_the_silence_to_meet_the_pose():
    """The talk clip is back in the common pose four frames after the speech ends."""
    x = np.concatenate([np.zeros(2), np.linspace(2, 30, 48), np.linspace(28, 0, 4)])
    clips = {SILENCE: poses(x=np.zeros(100)), ("talk", "talk"): poses(x=x)}
    edits, joins = cut_together(clips, segments_of(60, 50, 60))
    (talk,) = [cut for cut in edits.cuts if cut.driven]
    assert talk.place.start <= 60
    assert talk.place.stop >= 110
    assert talk.place.start < 60 or talk.place.stop > 110
    assert max(joins) < 1.5


def test_real_clips_are_measured(tmp_path):
    """Two bundled clips: where they are lit alike and share a pose they match, in other light they do not; thumbnails
    are kept and remade when the clip's content differs."""
    library = ClipLibrary(tmp_path)
    silence, talk, evening = (library.clip("LS1", n) for n in ("silence", "02,08s talk", "05,20s talk evening"))
    made = [
        ClipPoses.of(clip.landmarks().smoothed(), clip_thumbnails(clip, tmp_path)) for clip in (silence, talk, evening)
    ]
    mismatch = PoseMismatch(made)
    first = offsets([len(one.points) for one in made])
    assert mismatch(first[0], first[1]) < 1
    assert mismatch(first[0], first[2]) > 10
    kept = tmp_path / "thumbnails" / "LS1" / "silence.npz"
    assert kept.stat().st_size < 120_000
    frame = next(read_frames(silence.path, 0, 1))
    small = cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    assert np.abs(made[0].thumbnails[0] - cv2.cvtColor(small, cv2.COLOR_BGR2LAB)).max() < 1.5
    assert made[0].inside[8, 8] == 1
    assert made[0].inside[0, 0] == 0
    np.savez_compressed(kept, thumbnails=np.zeros((100, 16, 16, 3), np.uint8), clip_sha256=np.array(silence.sha256))
    assert clip_thumbnails(silence, tmp_path).max() < 1
    for broken in (b"", b"PK nonsense"):
        kept.write_bytes(broken)
        assert np.array_equal(clip_thumbnails(silence, tmp_path), made[0].thumbnails)
    np.savez_compressed(kept, thumbnails=np.zeros((100, 16, 16, 3), np.uint8), clip_sha256=np.array("another"))
    assert np.array_equal(clip_thumbnails(silence, tmp_path), made[0].thumbnails)
