"""Speech to cuts: exact cover, frames inside their clips, and how clips follow each other."""

from itertools import pairwise

import numpy as np
import pytest

from clips.arrange import speech_edit_list
from clips.edit_list import Cut, EditList, Source, single_clip, speech_segments
from clips.errors import ClipError
from clips.timeline import FrameRange, frame_count, ping_pong
from clips.vad import SampleRange

RATE = 16000
CASES = 2500


def random_speech(rng, samples):
    """Ascending ranges that may touch but do not overlap, as a VAD gives them."""
    count = int(rng.integers(0, 7))
    edges = np.sort(rng.choice(samples + 1, min(2 * count, samples + 1) // 2 * 2, replace=False))
    ranges = [SampleRange(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    if len(ranges) > 1 and rng.random() < 0.2:
        ranges[0] = SampleRange(ranges[0].start, ranges[1].start)
    return ranges


def random_clips(rng):
    """Clip sets of any size; some without silence, some without talk, some of one frame."""
    lengths = rng.choice([1, 2, 3, 10, 52, 104, 180, 300], size=rng.integers(1, 7))
    return [Source(f"clip {i}", "silence" if rng.random() < 0.35 else "talk", int(n)) for i, n in enumerate(lengths)]


def random_case(seed):
    rng = np.random.default_rng(seed)
    samples = int(rng.choice([1, 160, 319, 320, 321, 8000, 16000, 115200, 500_003])) + int(rng.integers(0, 4000))
    return random_clips(rng), random_speech(rng, samples), frame_count(samples, RATE)


@pytest.fixture(scope="module")
def cases():
    found = []
    for seed in range(CASES):
        clips, speech, frames = random_case(seed)
        segments = speech_segments(speech, RATE, frames)
        found.append((clips, speech, frames, segments, speech_edit_list(clips, segments)))
    return found


def test_cuts_cover_every_frame_once(cases):
    for _, _, frames, _, edits in cases:
        covered = [index for cut in edits.cuts for index in cut.place]
        assert covered == list(range(frames))
        assert edits.frames == frames


def test_clip_frames_lie_inside_the_clip(cases):
    for clips, _, _, _, edits in cases:
        lengths = {clip.name: clip.frames for clip in clips}
        for cut in edits.cuts:
            shown = [cut.clip_frame(index) for index in cut.place]
            assert shown[0] == 0
            assert 0 <= min(shown) <= max(shown) < lengths[cut.clip]
            assert all(abs(a - b) <= 1 for a, b in pairwise(shown))


def test_speech_is_driven_and_silence_is_not(cases):
    """Judged from the samples: frames wholly inside speech, and frames wholly outside of it."""
    for _, speech, frames, _, edits in cases:
        for index in range(frames):
            start, stop = index * RATE // 25, (index + 1) * RATE // 25
            inside = any(part.start <= start and stop <= part.stop for part in speech)
            outside = all(stop <= part.start or part.stop <= start for part in speech)
            if inside or outside:
                assert edits.at(index).driven == inside


def test_kind_follows_the_speech_where_there_is_one(cases):
    for clips, _, _, _, edits in cases:
        kinds = {clip.name: clip.kind for clip in clips}
        for cut in edits.cuts:
            wanted = "talk" if cut.driven else "silence"
            assert kinds[cut.clip] == wanted or wanted not in kinds.values()


def test_no_clip_twice_in_a_row_where_there_is_a_choice(cases):
    for clips, _, _, segments, edits in cases:
        for place, spoken in segments:
            pool = [c for c in clips if c.kind == ("talk" if spoken else "silence")] or clips
            names = [cut.clip for cut in edits.cuts if cut.place.start in place]
            if len(pool) > 1:
                assert all(a != b for a, b in pairwise(names))


def test_every_cut_ends_where_its_clip_begins_or_ends(cases):
    """Core clips are loops: first and last frame share one pose, in which they can be cut."""
    for clips, _, _, _, edits in cases:
        lengths = {clip.name: clip.frames for clip in clips}
        for cut in edits.cuts:
            last = cut.clip_frame(cut.place.stop - 1)
            assert last <= 1 or last == lengths[cut.clip] - 1


def test_at_finds_the_cut_of_every_frame(cases):
    for _, _, frames, _, edits in cases[::50]:
        assert [edits.at(i) for i in range(frames)] == [cut for cut in edits.cuts for _ in cut.place]
        for outside in (-1, frames):
            with pytest.raises(ValueError, match="frame must lie in 0"):
                edits.at(outside)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [(0, (0, 0)), (319, (0, 0)), (320, (0, 1)), (640, (0, 1)), (959, (0, 1)), (960, (0, 2)), (16000, (0, 10))],
)
def test_speech_edges_go_to_the_nearest_frame(samples, expected):
    segments = speech_segments([SampleRange(0, max(samples, 1))], RATE, 10)
    spoken = [place for place, driven in segments if driven]
    assert spoken == ([FrameRange(*expected)] if expected[1] else [])


def test_touching_speech_joins():
    segments = speech_segments([SampleRange(0, 3200), SampleRange(3300, 6400)], RATE, 20)
    assert segments == [(FrameRange(0, 10), True), (FrameRange(10, 20), False)]


def test_single_clip_runs_there_and_back():
    edits = single_clip(Source("a", "silence", 4), 15)
    assert [edits.at(i).clip_frame(i) for i in range(15)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert all(edits.at(i).driven for i in range(15))
    assert [ping_pong(i, 1) for i in range(3)] == [0, 0, 0]


def test_clips_without_frames_are_refused():
    with pytest.raises(ClipError, match="no frames"):
        single_clip(Source("a", "talk", 0), 5)
    with pytest.raises(ClipError, match="at least one talk or silence clip"):
        speech_edit_list([Source("a", "talk", 0)], [(FrameRange(0, 5), True)])


def test_edit_lists_with_gaps_are_refused():
    with pytest.raises(ValueError, match="without gap"):
        EditList((Cut(FrameRange(1, 3), "a", 0, 2, True),))
    with pytest.raises(ValueError, match="at least one frame"):
        EditList(())
    with pytest.raises(ValueError, match=r"index must lie in 2 \.\. 4"):
        Cut(FrameRange(2, 5), "a", 0, 2, True).clip_frame(5)


def test_the_blend_ramps_towards_silence_and_nowhere_else():
    clips = [Source("s", "silence", 40), Source("t", "talk", 60)]
    segments = [(FrameRange(0, 10), False), (FrameRange(10, 30), True), (FrameRange(30, 50), False)]
    edits = speech_edit_list(clips, segments)
    ramp = [edits.opacity(i) for i in range(10, 30)]
    assert ramp[:4] == [0.25, 0.5, 0.75, 1.0]
    assert ramp == ramp[::-1]
    assert set(ramp[4:-4]) == {1.0}
    whole = single_clip(Source("t", "talk", 60), 20)
    assert {whole.opacity(i) for i in range(20)} == {1.0}
