"""Speech to cuts: exact cover, frames inside their clips, nothing held, joins where poses match."""

import json
from itertools import pairwise

import numpy as np
import pytest

from clips.arrange import join_mismatches, longest_dissolve, speech_edit_list
from clips.edit_files import edits_as_text, parse_edits
from clips.edit_list import Cut, EditList, Source, single_clip, speech_segments
from clips.errors import ClipError
from clips.joins import RestMismatch
from clips.timeline import FrameRange, frame_count, ping_pong
from clips.vad import SampleRange

RATE = 16000
CASES = 5000


def random_speech(rng, samples):
    """Ascending ranges that may touch but do not overlap, as a VAD gives them; none, or all of the sound, too."""
    if rng.random() < 0.1:
        return [SampleRange(0, samples)] if rng.random() < 0.5 else []
    count = int(rng.integers(0, 4))
    edges = np.sort(rng.choice(samples + 1, min(2 * count, samples + 1) // 2 * 2, replace=False))
    ranges = [SampleRange(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    if len(ranges) > 1 and rng.random() < 0.2:
        ranges[0] = SampleRange(ranges[0].start, ranges[1].start)
    return ranges


def random_clips(rng):
    """Clip sets of any size, short and long; some without silence, some without talk, many with one frame."""
    lengths = rng.choice([1, 2, 3, 10, 11, 52, 104, 180, 300, 2000], size=rng.choice([1, 2, 2, 3]))
    return [Source(f"clip {i}", "silence" if rng.random() < 0.35 else "talk", int(n)) for i, n in enumerate(lengths)]


def random_case(seed):
    rng = np.random.default_rng(seed)
    samples = int(rng.choice([1, 160, 319, 321, 8000, 16000, 40000, 64_003])) + int(rng.integers(0, 4000))
    if rng.random() < 0.005:
        samples *= 40
    return random_clips(rng), random_speech(rng, samples), frame_count(samples, RATE)


def shown_by(cut):
    """Clip frames of a cut, by a formula of its own."""
    steps = cut.phase + np.arange(len(cut.place))
    there_and_back = [*range(cut.span), *range(cut.span - 2, 0, -1)]
    return cut.first + np.array(there_and_back)[steps % len(there_and_back)]


def pool_of(clips, spoken):
    return [c for c in clips if c.kind == ("talk" if spoken else "silence")] or clips


@pytest.fixture(scope="module")
def cases():
    found = []
    for seed in range(CASES):
        clips, speech, frames = random_case(seed)
        segments = speech_segments(speech, RATE, frames)
        edits = speech_edit_list(clips, segments, seed=seed % 3, dissolve_frames=seed % 7)
        found.append((clips, speech, frames, segments, edits, [shown_by(cut) for cut in edits.cuts]))
    return found


def test_cuts_cover_every_frame_once(cases):
    for _, _, frames, segments, edits, shown in cases:
        assert edits.cuts[0].place.start == 0
        assert all(a.place.stop == b.place.start for a, b in pairwise(edits.cuts))
        assert edits.frames == frames == sum(map(len, shown))
        assert {place.start for place, _ in segments} <= {cut.place.start for cut in edits.cuts}


def test_clip_frames_lie_inside_the_clip(cases):
    for clips, _, _, _, edits, shown in cases:
        lengths = {clip.name: clip.frames for clip in clips}
        for cut, frames in zip(edits.cuts, shown, strict=True):
            assert cut.first >= 0
            assert cut.first + cut.span <= lengths[cut.clip]
            assert 0 <= cut.phase <= max(0, 2 * cut.span - 3)
            assert frames.min() >= 0
            assert frames.max() < lengths[cut.clip]
            assert (cut.first_frame, cut.last_frame) == (frames[0], frames[-1])
            middle = len(frames) // 2
            assert cut.clip_frame(cut.place.start + middle) == frames[middle]


def test_no_frame_is_held_unless_there_is_no_other(cases):
    held = 0
    for clips, _, _, _, edits, shown in cases:
        for number, (cut, frames) in enumerate(zip(edits.cuts, shown, strict=True)):
            if max(c.frames for c in pool_of(clips, cut.driven)) == 1:
                held += 1
                continue
            assert (np.abs(np.diff(frames)) == 1).all()
            if number and edits.cuts[number - 1].clip == cut.clip:
                assert shown[number - 1][-1] != frames[0]
    assert held > 100


def test_the_same_start_never_comes_twice_in_a_row(cases):
    """Neither in the list nor among the cuts of one kind; a clip that goes on where it stopped does not start."""
    for clips, _, _, _, edits, _ in cases:
        for spoken in (None, False, True):
            cuts = [cut for cut in edits.cuts if spoken in (None, cut.driven)]
            for a, b in pairwise(cuts):
                if (a.clip, a.first_frame) == (b.clip, b.first_frame):
                    alone = max(c.frames for c in pool_of(clips, b.driven)) == 1
                    goes_on = abs(a.last_frame - b.first_frame) == 1 and a.place.stop == b.place.start
                    few = spoken is not None and max(c.frames for c in pool_of(clips, b.driven)) <= 3
                    assert alone or goes_on or few, (a, b)


def test_speech_is_driven_and_silence_is_not(cases):
    """Judged from the samples: frames wholly inside speech, and frames wholly outside of it."""
    for _, speech, frames, _, edits, _ in cases:
        driven = np.repeat([cut.driven for cut in edits.cuts], [len(cut.place) for cut in edits.cuts])
        starts = np.arange(frames) * RATE // 25
        stops = (np.arange(frames) + 1) * RATE // 25
        inside, outside = np.zeros(frames, bool), np.ones(frames, bool)
        for part in speech:
            inside |= (part.start <= starts) & (stops <= part.stop)
            outside &= (stops <= part.start) | (part.stop <= starts)
        assert driven[inside].all()
        assert not driven[outside].any()


def test_kind_follows_the_speech_where_there_is_one(cases):
    for clips, _, _, _, edits, _ in cases:
        kinds = {clip.name: clip.kind for clip in clips}
        for cut in edits.cuts:
            wanted = "talk" if cut.driven else "silence"
            assert kinds[cut.clip] == wanted or wanted not in kinds.values()


def test_dissolves_are_short_and_turn_nowhere(cases):
    some = 0
    for seed, (_, _, _, _, edits, shown) in enumerate(cases):
        for number, cut in enumerate(edits.cuts):
            assert cut.dissolve <= min(seed % 7, len(cut.place))
            if cut.dissolve > 1:
                some += 1
                coming = shown[number][: cut.dissolve]
                going = [edits.cuts[number - 1].going_on(cut.place.start + i) for i in range(cut.dissolve)]
                assert len(set(np.diff(coming))) == len(set(np.diff(going))) == 1
    assert some > 1000


def test_json_gives_the_list_back(cases):
    for *_, edits, _ in cases:
        assert parse_edits(json.loads(edits_as_text(edits))) == edits


def test_a_seed_gives_the_same_list_and_seeds_differ(cases):
    for seed in range(0, CASES, 20):
        clips, _, _, segments, edits, _ = cases[seed]
        assert speech_edit_list(clips, segments, seed=seed % 3, dissolve_frames=seed % 7) == edits
    clips = [Source("s", "silence", 100), *(Source(f"t{i}", "talk", n) for i, n in enumerate((52, 104, 180)))]
    segments = [(FrameRange(150 * i, 150 * i + 150), i % 2 == 0) for i in range(12)]
    lists = [speech_edit_list(clips, segments, seed=seed) for seed in range(6)]
    assert lists[0] == speech_edit_list(clips, segments)
    assert len(set(lists)) > 3


def test_random_joins_move_into_silences_only():
    """With a measured mismatch: all that is spoken stays driven, silences give away a quarter at either end at most."""
    for seed in range(150):
        clips, speech, frames = random_case(seed)
        total = sum(clip.frames for clip in clips)
        if total > 1000:
            continue
        table = np.random.default_rng(seed).random((total, total)).astype(np.float32) * 4
        segments = speech_segments(speech, RATE, frames)
        edits = speech_edit_list(clips, segments, mismatch=lambda out, into, table=table: table[out, into])
        assert edits.frames == frames
        lengths = {clip.name: clip.frames for clip in clips}
        driven = np.concatenate([[cut.driven] * len(cut.place) for cut in edits.cuts])
        for place, spoken in segments:
            inside = driven[place.start : place.stop]
            if spoken:
                assert inside.all()
            else:
                assert inside[: len(inside) // 2].sum() <= min(6, len(inside) // 4)
                assert inside[len(inside) // 2 :].sum() <= min(6, len(inside) // 4)
        for cut in edits.cuts:
            assert 0 <= shown_by(cut).min() <= shown_by(cut).max() < lengths[cut.clip]


# Which clips


def talk_and_silence(*lengths):
    return [Source("silence", "silence", 100), *(Source(f"talk {n}", "talk", n) for n in lengths)]


def spoken(length):
    return [(FrameRange(0, length), True)]


def test_a_clip_of_the_length_is_played_whole():
    for seed in range(20):
        (cut,) = speech_edit_list(talk_and_silence(60, 104, 180), spoken(104), seed=seed).cuts
        assert (cut.clip, len(cut.runs())) == ("talk 104", 1)


def test_clips_that_add_up_are_combined():
    segments = [(FrameRange(0, 40), False), (FrameRange(40, 324), True), (FrameRange(324, 400), False)]
    for seed in range(20):
        edits = speech_edit_list(talk_and_silence(52, 104, 180), segments, seed=seed)
        assert sorted(cut.clip for cut in edits.cuts if cut.driven) == ["talk 104", "talk 180"]
        assert all(len(cut.runs()) == 1 for cut in edits.cuts if cut.driven)


def test_one_clip_goes_there_and_back_rather_than_being_held():
    for length in (51, 75, 99, 140):
        cuts = speech_edit_list(talk_and_silence(50), spoken(length)).cuts
        assert len(cuts) <= 2
        assert all((np.abs(np.diff(shown_by(cut))) == 1).all() for cut in cuts)


def test_a_later_start_is_taken_where_the_pose_asks_for_it():
    """The silence ends in the pose that the talk clip has in frame 30."""
    pose = np.concatenate([np.full(100, 30.0), np.arange(120.0)])
    segments = [(FrameRange(0, 100), False), (FrameRange(100, 150), True)]
    edits = speech_edit_list(
        [Source("s", "silence", 100), Source("t", "talk", 120)], segments,
        mismatch=lambda out, into: np.abs(pose[out] - pose[into]).astype(np.float32),
    )  # fmt: skip
    assert abs(edits.cuts[1].first_frame - 30) <= 1


def test_long_speech_is_filled_with_whole_clips_where_they_add_up():
    clips = talk_and_silence(52, 104, 180)
    length = 180 * 20 + 104 * 3 + 52
    edits = speech_edit_list(clips, spoken(length))
    whole = [cut for cut in edits.cuts if len(cut.place) in (52, 104, 180) and len(cut.runs()) == 1]
    assert len(whole) >= len(edits.cuts) - 2
    assert len(edits.cuts) <= 36


def test_an_hour_takes_seconds():
    rng, edge, segments = np.random.default_rng(1), 0, []
    while edge < 90_000:
        length = int(min(rng.integers(10, 100), 90_000 - edge))
        segments.append((FrameRange(edge, edge + length), len(segments) % 2 == 0))
        edge += length
    edits = speech_edit_list(talk_and_silence(52, 104, 180), segments)
    assert edits.frames == 90_000
    assert len(edits.cuts) >= len(segments) > 1500


def test_join_mismatches_are_those_of_the_joins():
    clips = talk_and_silence(60)
    cuts = (Cut(FrameRange(0, 10), "silence", 0, 100, False), Cut(FrameRange(10, 20), "talk 60", 5, 55, True))
    assert join_mismatches(EditList(cuts), clips, RestMismatch([100, 60])) == pytest.approx([0.3 * 9 + 0.3 * 5])


def test_silences_at_the_edges_shorter_than_a_pause_belong_to_the_speech():
    speech = [SampleRange(3200, 16000)]
    assert speech_segments(speech, RATE, 30, least_edge=6) == [(FrameRange(0, 30), True)]
    assert [len(place) for place, _ in speech_segments(speech, RATE, 30, least_edge=5)] == [5, 20, 5]
    assert speech_segments([], RATE, 4, least_edge=9) == [(FrameRange(0, 4), False)]


# Small parts


def test_runs_are_the_ways_of_a_cut():
    rng = np.random.default_rng(0)
    for _ in range(500):
        span = int(rng.integers(1, 9))
        start, length = int(rng.integers(0, 50)), int(rng.integers(1, 40))
        cut = Cut(FrameRange(start, start + length), "a", 3, span, True, int(rng.integers(0, max(1, 2 * span - 2))))
        frames = []
        for place, step in cut.runs():
            frames += [cut.clip_frame(place.start) + step * i for i in range(len(place))]
        assert frames == shown_by(cut).tolist()


def test_dissolves_stop_at_turns():
    before = Cut(FrameRange(0, 10), "a", 0, 10, False)
    assert longest_dissolve(before, Cut(FrameRange(10, 30), "b", 0, 20, True), 6) == 6
    assert longest_dissolve(before, Cut(FrameRange(10, 12), "b", 0, 20, True), 6) == 2
    assert longest_dissolve(before, Cut(FrameRange(10, 30), "b", 0, 3, True), 6) == 3
    assert longest_dissolve(before, Cut(FrameRange(10, 30), "a", 0, 10, True, 10), 6) == 0
    assert longest_dissolve(before, Cut(FrameRange(10, 30), "b", 0, 20, True), 0) == 0
    turning = Cut(FrameRange(0, 10), "a", 0, 13, False)
    assert longest_dissolve(turning, Cut(FrameRange(10, 30), "b", 0, 20, True), 6) == 3


def test_a_dissolve_takes_the_place_of_the_ramp():
    cuts = (
        Cut(FrameRange(0, 10), "s", 0, 10, False),
        Cut(FrameRange(10, 30), "t", 0, 20, True, dissolve=4),
        Cut(FrameRange(30, 40), "s", 0, 10, False),
    )
    edits = EditList(cuts, ramp_frames=2)
    assert [edits.opacity(i) for i in range(10, 16)] == [1.0] * 6
    assert [edits.opacity(i) for i in range(26, 30)] == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert [edits.dissolve_at(i) for i in (9, 14, 30)] == [None] * 3
    assert [edits.dissolve_at(i) for i in range(10, 14)] == [(cuts[0], pytest.approx(k / 5)) for k in (1, 2, 3, 4)]


def test_at_finds_the_cut_of_every_frame(cases):
    for *_, frames, _, edits, _ in cases[::50]:
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
