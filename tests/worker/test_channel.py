import itertools
import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressd.worker.channel import LONGEST_LINE, Channel

messages = st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=50), max_size=4), max_size=8)


@pytest.fixture
def pair():
    ends = [Channel(end) for end in socket.socketpair()]
    for end in ends:
        end.wait_s(5)
    yield ends
    for end in ends:
        end.close()


@given(sent=messages, cuts=st.lists(st.integers(0, 400), max_size=10))
def test_messages_arrive_whole_wherever_the_stream_is_cut(sent, cuts):
    stream = b"".join(json.dumps(message).encode() + b"\n" for message in sent)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    raw, end = socket.socketpair()
    with raw:
        channel = Channel(end)
        channel.wait_s(0)
        received = []
        for start, stop in itertools.pairwise(places):
            raw.sendall(stream[start:stop])
            received += channel.receive()
        assert received == sent
        assert not channel.closed
        channel.close()


def test_everything_that_is_there_is_read_at_once(pair):
    """All that a process said before it ended, and that it ended."""
    ours, theirs = pair
    sent = [{"number": number, "text": "x" * 5_000} for number in range(6)]
    for message in sent:
        assert theirs.send(message)
    theirs.close()
    assert ours.receive() == sent
    assert ours.closed


def test_a_message_longer_than_one_read_arrives(pair, in_thread):
    ours, theirs = pair
    message = {"text": "ü" * 300_000}
    in_thread(lambda: theirs.send(message))
    received, deadline_s = [], time.monotonic() + 10
    while not received and time.monotonic() < deadline_s:
        received = ours.receive()
    assert received == [message]


def test_the_end_of_the_other_is_seen_after_what_it_said(pair):
    ours, theirs = pair
    theirs.send({"last": "words"})
    theirs.close()
    assert ours.receive() == [{"last": "words"}]
    assert ours.receive() == []
    assert ours.closed
    assert ours.send({"anyone": "there"}) is False


def test_a_half_message_of_one_that_was_killed_is_no_message():
    raw, end = socket.socketpair()
    raw.sendall(b'{"whole": 1}\n{"half": ')
    raw.close()
    channel = Channel(end)
    assert channel.receive() == [{"whole": 1}]
    assert channel.receive() == []
    assert channel.closed
    channel.close()


def test_waiting_ends_with_the_time_out(pair):
    ours, _ = pair
    ours.wait_s(0.01)
    assert ours.receive() == []
    assert not ours.closed


def test_after_a_message_that_was_cut_off_nothing_is_sent_that_would_be_taken_for_its_rest(pair):
    """The other end did not read for too long; half of a message is under way."""
    ours, theirs = pair
    theirs.wait_s(0.01)
    assert theirs.send({"text": "x" * 4_000_000}) is False
    ours.wait_s(0.01)
    assert ours.receive() == []
    assert theirs.send({"text": "short"}) is False
    assert ours.receive() == []


def test_a_line_without_end_is_not_kept(in_thread):
    raw, end = socket.socketpair()
    channel = Channel(end)
    channel.wait_s(5)

    def talk():
        try:
            raw.sendall(b"x" * (LONGEST_LINE + 10**7))
        except OSError:
            return

    thread = in_thread(talk)
    deadline_s = time.monotonic() + 20
    while not channel.closed and time.monotonic() < deadline_s:
        assert channel.receive() == []
    assert channel.closed
    channel.close()
    thread.join(10)
    raw.close()


def test_the_next_message_is_waited_for_and_those_that_came_with_it_are_kept(pair):
    ours, theirs = pair
    for number in range(3):
        theirs.send({"number": number})
    assert ours.next(5) == {"number": 0}
    assert ours.next(5) == {"number": 1}
    assert ours.receive() == [{"number": 2}]
    assert ours.next(0.01) is None
    theirs.close()
    assert ours.next(60) is None
