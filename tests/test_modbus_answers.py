"""Answers of Modbus that nobody asked for, however messages lie in segments, and what makes none:
what was lost, sent again or late, and what the capture does not have."""

from __future__ import annotations

import pytest
from batches import batch_of
from observing import fresh, observe
from procwire.decode.frame import decode
from procwire.rules import all_rules
from scapy.layers.inet import IP, fragment
from test_spoken import connection, told

NAME = "modbus.unsolicited_response"
HANDSHAKE = 2
LINK_HEADER = 14
STATUS = bytes.fromhex("0001 0000 0002 01 07")
STATUS_ANSWER = bytes.fromhex("0001 0000 0003 01 07 00")
COUNTER_ANSWER = bytes.fromhex("0001 0000 0006 01 0b 0000 0001")


def ask(number, size=6, protocol=0):
    """A question; size: the bytes that it says to have."""
    return bytes.fromhex(f"{number:04x} {protocol:04x} {size:04x} 01 03 0000 0020")


def answer(number, protocol=0):
    return bytes.fromhex(f"{number:04x} {protocol:04x} 0005 01 03 02 0007")


def values(number):
    """An answer in which headers seem to begin."""
    return bytes.fromhex(f"{number:04x} 0000 0043 01 03 40") + 8 * bytes.fromhex("0000000501030000")


def asked(payload):
    return True, payload


def answered(payload):
    return False, payload


def unasked(*said, then=()):
    """The segments in which an answer is that nobody asked for; then: the places of those that are
    sent again at the end."""
    frames = connection(502, list(said))
    frames += [frames[HANDSHAKE + at] for at in then]
    return [at - HANDSHAKE for at in told(frames, NAME)]


def cut(payload, place):
    return payload[:place], payload[place:]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([answered(answer(1))], [0]),
        ([asked(ask(1)), answered(answer(2))], [1]),
        ([asked(ask(1)), answered(answer(1)), answered(answer(1))], [2]),
        ([asked(ask(1)), answered(2 * answer(1))], [1]),
        ([asked(ask(1)), asked(ask(2)), answered(answer(1) + 2 * answer(2))], [2]),
        ([asked(ask(1)), *3 * [answered(answer(1))]], [2, 3]),
        ([asked(2 * ask(1)), *2 * [answered(answer(1))]], []),
        (2 * [asked(ask(1)), answered(answer(1))], []),
        ([asked(ask(1) + ask(2)), answered(answer(2)), answered(answer(1))], []),
        ([asked(STATUS), answered(STATUS_ANSWER)], []),
        ([asked(STATUS), answered(COUNTER_ANSWER)], [1]),
        ([asked(ask(1, protocol=1)), answered(answer(1, protocol=1))], []),
        ([asked(ask(1, protocol=1)), answered(answer(1))], [1]),
        ([asked(ask(1, size=1)), answered(answer(2))], []),
        ([asked(ask(1, size=255)), answered(answer(2))], []),
    ],
)
def test_a_question_has_one_answer(said, wrong):
    assert unasked(*said) == wrong


def test_an_answer_that_is_sent_again_is_the_same():
    said = asked(ask(1)), answered(answer(1)), answered(answer(2))
    assert unasked(*said, then=[1, 2, 0, 1]) == [2]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_questions_are_the_same_wherever_they_are_cut(count):
    questions = b"".join(map(ask, range(count)))
    answers = [answered(answer(number)) for number in range(count)]
    for place in range(1, len(questions)):
        said = [*map(asked, cut(questions, place)), *answers]
        assert unasked(*said) == [], place
        assert unasked(*said, answered(answer(9))) == [2 + count], place
        assert unasked(*said, answered(answer(0))) == [2 + count], place


def test_answers_are_the_same_wherever_they_are_cut():
    answers = values(1) + values(2)
    for place in range(1, len(answers)):
        parts = [answered(part) for part in cut(answers, place)]
        assert unasked(asked(ask(1) + ask(2)), *parts) == [], place
        assert unasked(asked(ask(1)), *parts) == [2], place
        assert unasked(asked(ask(2)), *parts) == [1 if place >= len(values(1)) else 2], place


def in_turn(place):
    """Frames of questions and answers in turn, each cut once."""
    said = []
    for number in range(3):
        said += map(asked, cut(ask(number), place))
        said += map(answered, cut(values(number), place + number))
    return connection(502, said)


@pytest.mark.parametrize("place", [1, 5, 7, 9, 11])
def test_what_is_lost_sent_again_or_late_makes_no_answer_unasked(place):
    frames = in_turn(place)
    for at, frame in enumerate(frames):
        assert told(frames[at:], NAME) == [], at
        for other in range(at, len(frames)):
            before, between, behind = frames[:at], frames[at + 1 : other + 1], frames[other + 1 :]
            ways = {
                "lost": before + between[:-1] + behind,
                "again": [*before, frame, *between, frame, *behind],
                "late": [*before, *between, frame, *behind],
            }
            for way, sent in ways.items():
                assert told(sent, NAME) == [], (at, other, way)


@pytest.mark.parametrize("client", [True, False])
def test_where_one_end_is_seen_nothing_is_unasked(client):
    frames = connection(502, [(client, ask(1)), (client, ask(2))])
    assert told(frames[HANDSHAKE:], NAME) == []


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 11, 12])
def test_what_the_capture_cut_off_may_have_asked(kept):
    frames = connection(502, [asked(ask(1)), answered(answer(2))])
    batch = batch_of(frames)
    captured = batch.captured.copy()
    captured[HANDSHAKE] -= len(ask(1)) - kept
    batch = batch._replace(captured=captured)
    rules = {all_rules()[one["rule"]].id for one in fresh().update(batch, decode(batch))}
    assert (NAME in rules) == (kept == len(ask(1)))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_what_is_told_is_the_same_wherever_batches_end(size):
    questions, answers = 2 * ask(1), [answered(answer(1)) for _ in range(3)]
    frames = connection(502, [*map(asked, cut(questions, 13)), *answers, asked(ask(2))])
    observer, found = fresh(), []
    for at in range(0, len(frames), size):
        part = [(0, frame) for frame in frames[at : at + size]]
        found += [one[0] for one in observe(observer, part, at + 1) if one[1] == NAME]
    assert found == [HANDSHAKE + 5]


def test_a_batch_may_carry_more_messages_than_are_shown_at_once():
    turns = 20_000
    said = [one for i in range(turns) for one in (asked(ask(i)), answered(answer(i)))]
    assert unasked(*said, answered(answer(0)), answered(answer(turns))) == [
        2 * turns,
        2 * turns + 1,
    ]


def test_what_comes_in_fragments_asks_and_answers():
    frames = []
    for frame in connection(502, [asked(ask(1)), answered(answer(1)), answered(answer(2))]):
        whole = IP(frame[LINK_HEADER:])
        frames += [frame[:LINK_HEADER] + bytes(piece) for piece in fragment(whole, 24)]
    assert len(told(frames, NAME)) == 1


def observed(frames, *times):
    """(packet, whether its context holds) of the answers that nobody asked for. times: in s, of the
    frames behind a handshake at 0 s."""
    found = observe(fresh(), list(zip([0, 0, *times], frames, strict=True)))
    return [(packet - HANDSHAKE, holds) for packet, check, holds in found if check == NAME]


@pytest.mark.parametrize(("count", "holds"), [(7, False), (8, True)])
def test_it_is_evidence_once_questions_were_answered_for_a_while(count, holds):
    said = [one for i in range(count) for one in (asked(ask(i)), answered(answer(i)))]
    times = [8 * i + j for i in range(count) for j in range(2)]
    frames = connection(502, [*said, answered(answer(9))])
    assert observed(frames, *times, 200) == [(2 * count + 1, holds)]


@pytest.mark.parametrize(("after", "wrong"), [(59, []), (60, [(2, False)])])
def test_an_answer_comes_within_a_minute(after, wrong):
    frames = connection(502, [asked(ask(1)), answered(answer(1))])
    assert observed(frames, 0, after) == wrong


@pytest.mark.parametrize(("after", "wrong"), [(59, []), (60, [(2, False)])])
def test_what_is_lost_may_be_answered_within_a_minute(after, wrong):
    frames = connection(502, [asked(ask(1)), asked(ask(2)), answered(answer(3))])
    assert observed(frames[:HANDSHAKE] + frames[HANDSHAKE + 1 :], 0, after) == wrong


@pytest.mark.parametrize("first", [0, 1])
def test_who_sends_headers_by_themselves_is_answered_whatever_was_lost(first):
    said = []
    for number in range(5):
        said += [*map(asked, cut(ask(number), 7)), answered(answer(number))]
    times = [100 * number for number in range(5) for _ in range(3)]
    frames = connection(502, said)
    kept = HANDSHAKE + 3 + first
    frames, times = frames[:kept] + frames[kept + 1 :], times[: kept - 2] + times[kept - 1 :]
    assert observed(frames, *times) == []
    of_the_middle = [*frames[HANDSHAKE + 1 :]]
    found = observe(fresh(), list(zip(times[1:], of_the_middle, strict=True)))
    assert NAME not in [check for _, check, _ in found]
