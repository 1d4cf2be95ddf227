"""Work that a page watches: few at a time, a person's newer one stops the older, faults are told in the last line."""

import asyncio
import itertools
import json
import threading

import pytest

from clips.errors import ClipError
from studio.turns import Turns, as_lines


def counting(closed=None, fault=None):
    try:
        for number in itertools.count():
            if fault is not None and number == 2:
                raise fault
            yield {"number": number}
    finally:
        if closed is not None:
            closed.append(True)


def test_a_newer_one_stops_the_older():
    turns, closed = Turns(at_once=1), []
    older = turns.take("ann", counting(closed))
    assert next(older) == {"number": 0}
    newer = turns.take("ann", counting())
    waiting = threading.Thread(target=lambda: next(step for step in newer if "number" in step))
    waiting.start()
    with pytest.raises(ClipError, match="asked for again"):
        list(older)
    waiting.join(10)
    assert not waiting.is_alive()
    assert closed == [True]
    newer.close()


def test_others_wait_until_there_is_room():
    turns, closed = Turns(at_once=1), []
    first, second = turns.take("ann", counting(closed)), turns.take("bob", counting())
    next(first)
    assert next(second) == {"waiting": "somebody else's work runs"}
    first.close()
    assert closed == [True]
    assert next(step for step in second if "number" in step) == {"number": 0}


def lines_of(steps, at_most=1000):
    async def read():
        found = []
        answer = as_lines(steps).body_iterator
        async for line in answer:
            found.append(json.loads(line))
            if len(found) == at_most:
                break
        await answer.aclose()
        return found

    return asyncio.run(read())


def test_faults_are_the_last_line():
    assert lines_of(counting(fault=ClipError("no clip"))) == [{"number": 0}, {"number": 1}, {"error": "no clip"}]
    told = lines_of(counting(fault=KeyError("inside")))
    assert "inside" not in json.dumps(told)
    assert "log" in told[-1]["error"]


def test_nothing_goes_on_for_one_who_is_gone():
    closed = []
    assert len(lines_of(Turns(at_once=1).take("ann", counting(closed)), at_most=3)) == 3
    assert closed == [True]
