"""Connections are used again, but never so that a call could get another's answer, or a request be sent twice."""

from __future__ import annotations

import gzip
import select
import socket
import threading
import time
from collections.abc import Callable

import pytest

from app.errors import ProviderFailed
from app.http import Pool
from app.http.pool import MOST_IDLE
from tests.http.conftest import BODY, HEADERS, PATIENCE, Fetch, Nobody, Post, waiting
from tests.http.raw_server import Line, RawServer, Script, answer, answers, answers_and_closes

ONE = answer(b"one")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def idle(pool: Pool) -> int:
    return sum(map(len, pool._idle.values()))


# Kept


def test_calls_one_after_the_other_use_one_connection(fetch: Fetch) -> None:
    with RawServer(answers(ONE)) as server:
        assert [fetch(server.url).body for _ in range(20)] == [b"one"] * 20
        assert (server.lines, len(server.seen)) == (1, 20)


def test_a_request_arrives_byte_by_byte_as_it_was_sent(fetch: Fetch) -> None:
    with RawServer(answers(ONE)) as server:
        body = bytes(range(256)) * 4000
        fetch(server.url, body=body)
        assert server.seen[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    "data",
    [
        ONE,
        CHUNKED + b"3\r\none\r\n0\r\n\r\n",
        CHUNKED + b"3\r\none\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ONE,
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\none",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
        answer(b"one", status="500 Oops"),
    ],
)
def test_a_connection_is_used_again_after_a_whole_answer(fetch: Fetch, data: bytes) -> None:
    with RawServer(answers(data)) as server:
        assert fetch(server.url).body == fetch(server.url).body
        assert server.lines == 1


@pytest.mark.parametrize(
    "data",
    [
        answer(b"one", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none",
        answer(b"one", "Keep-Alive: timeout=1"),
        answer(b"one", "Keep-Alive: max=5, timeout=0"),
        ONE + answer(b"two"),
        ONE + b"x",
        CHUNKED + b"3\r\none\r\n0\r\n\r\nx",
    ],
    ids=["close", "HTTP/1.0", "for a second", "for no second", "two answers", "a byte too many", "chunks and more"],
)
def test_a_connection_is_not_used_again_after(fetch: Fetch, pool: Pool, data: bytes) -> None:
    with RawServer(answers(data), answers(answer(b"two"))) as server:
        assert fetch(server.url).body == b"one"
        assert idle(pool) == 0
        assert fetch(server.url).body == b"two"
        assert server.lines == 2


def test_an_answer_that_comes_unasked_is_nobodys(fetch: Fetch, pool: Pool) -> None:
    """What a broken server, or whoever has smuggled a request into it, sends before the next question."""

    def script(line: Line) -> None:
        line.request()
        line.send(ONE)
        line.send(answer(b"smuggled"))
        line.wait_for_the_end()

    with RawServer(script, answers(answer(b"two"))) as server:
        assert fetch(server.url).body == b"one"
        until(lambda: all(is_readable(connection.sock) for kept in pool._idle.values() for connection in kept))
        assert fetch(server.url).body == b"two"


def is_readable(sock: socket.socket | None) -> bool:
    assert sock is not None
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(0))


def test_an_answer_that_was_not_read_to_its_end_costs_its_connection(post: Post, fetch: Fetch) -> None:
    with RawServer(answers(CHUNKED + b"3\r\none\r\n"), answers(answer(b"two"))) as server:
        left = post(server.url)
        assert next(left.chunks()) == b"one"
        left.close()
        assert fetch(server.url).body == b"two"
        assert server.lines == 2


def test_an_answer_of_which_nothing_was_read_costs_its_connection(post: Post, fetch: Fetch) -> None:
    with RawServer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), answers(answer(b"two"))) as server:
        post(server.url).close()
        assert fetch(server.url).body == b"two"
        assert server.lines == 2


def test_an_answer_can_be_closed_twice(post: Post, pool: Pool) -> None:
    with RawServer(answers(ONE)) as server:
        one = post(server.url)
        list(one.chunks())
        one.close()
        one.close()
        assert idle(pool) == 1


def test_the_connection_that_was_used_last_is_used_first(post: Post, fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers(ONE)) as server:
        together = [post(server.url) for _ in range(3)]
        for one in together:
            list(one.chunks())
            one.close()
        (kept,) = pool._idle.values()
        last = kept[-1]
        fetch(server.url)
        assert kept[-1] is last
        assert server.lines == 3


def test_each_server_has_its_own_connections(fetch: Fetch) -> None:
    with RawServer(answers(ONE)) as server, RawServer(answers(answer(b"two"))) as other:
        assert [fetch(url).body for url in (server.url, other.url, server.url)] == [b"one", b"two", b"one"]


def test_a_connection_that_lay_too_long_is_not_used_again(fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers(ONE)) as server:
        fetch(server.url)
        (kept,) = pool._idle.values()
        kept[0].keep_until = time.monotonic()
        fetch(server.url)
        assert server.lines == 2


def test_what_lay_too_long_is_closed_when_others_are_put_back(fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers(ONE)) as server, RawServer(answers(ONE)) as other:
        fetch(server.url)
        (kept,) = pool._idle.values()
        kept[0].keep_until = pool._swept = 0.0
        fetch(other.url)
        assert (len(kept), idle(pool)) == (0, 1)


def test_no_more_connections_lie_ready_than_may(fetch: Fetch, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_IDLE >= 100
    monkeypatch.setattr("app.http.pool.MOST_IDLE", 0)
    with RawServer(answers(ONE)) as server:
        fetch(server.url)
        assert idle(pool) == 0


# Sent once


def test_a_connection_that_the_server_has_closed_is_noticed_before_it_is_used(fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers_and_closes(ONE)) as server:
        for _ in range(5):
            assert fetch(server.url).body == b"one"
            until(lambda: all(connection.is_stale() for kept in pool._idle.values() for connection in kept))
        assert len(server.seen) == server.lines == 5


def test_a_connection_that_was_reset_is_noticed_before_it_is_used(fetch: Fetch, pool: Pool) -> None:
    reset = threading.Event()

    def script(line: Line) -> None:
        line.request()
        line.send(ONE)
        reset.wait(PATIENCE)
        line.reset()

    with RawServer(script, answers(answer(b"two"))) as server:
        fetch(server.url)
        reset.set()
        until(lambda: all(connection.is_stale() for kept in pool._idle.values() for connection in kept))
        assert fetch(server.url).body == b"two"


def test_a_request_of_which_nothing_could_be_sent_is_sent_over_a_new_connection(fetch: Fetch, pool: Pool) -> None:
    """The moment between the look at a kept connection and the first send: the look has found nothing."""
    with RawServer(answers(ONE)) as server:
        fetch(server.url)
        (kept,) = pool._idle.values()
        assert kept[0].sock is not None
        kept[0].sock.shutdown(socket.SHUT_WR)
        assert fetch(server.url).body == b"one"
        assert (server.lines, len(server.seen)) == (2, 2)


def closes_on(number: int, how: Callable[[Line], None]) -> Script:
    """Answers, but closes the connection as soon as it has read request `number` of it."""

    def script(line: Line) -> None:
        for _ in range(number - 1):
            line.request()
            line.send(ONE)
        line.request()
        how(line)

    return script


@pytest.mark.parametrize("how", [Line.reset, lambda _: None], ids=["by RST", "by FIN"])
@pytest.mark.parametrize("number", [1, 2, 3], ids=["new", "kept", "kept twice"])
def test_a_request_that_may_have_arrived_is_never_sent_again(
    fetch: Fetch, number: int, how: Callable[[Line], None]
) -> None:
    """A provider that has read the request may charge for it, although it closes without an answer."""
    with RawServer(closes_on(number, how)) as server:
        for _ in range(number - 1):
            fetch(server.url)
        with pytest.raises(ProviderFailed, match="broke before it answered"):
            fetch(server.url)
        assert (len(server.seen), server.lines) == (number, 1)


def test_a_server_that_closes_idle_connections_at_any_moment_sees_each_request_once(fetch: Fetch) -> None:
    """The race itself: the server closes right after its answers, and the next request is on its way at once."""

    def script(line: Line) -> None:
        for _ in range(2):
            line.request()
            line.send(ONE)

    with RawServer(script) as server:
        outcomes = {"answered": 0, "failed": 0}
        for number in range(300):
            try:
                fetch(server.url, body=b"%d" % number)
                outcomes["answered"] += 1
            except ProviderFailed:
                outcomes["failed"] += 1
        bodies = [request.partition(b"\r\n\r\n")[2] for request in server.seen]
    assert len(bodies) == len(set(bodies))
    assert outcomes["answered"] <= len(bodies) <= 300
    assert outcomes["answered"] >= 150


def test_a_request_fails_when_nobody_listens(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ProviderFailed, match="cannot be reached"):
        fetch(f"http://127.0.0.1:{port}/")


def test_a_request_fails_when_the_host_is_not_known(fetch: Fetch) -> None:
    with pytest.raises(ProviderFailed, match="cannot be reached"):
        fetch("http://nowhere.invalid/")


def test_a_host_that_answers_at_its_second_address_is_reached(fetch: Fetch) -> None:
    """ "localhost" may mean ::1 first, where nobody listens."""
    with RawServer(answers(ONE)) as server:
        assert fetch(server.url.replace("127.0.0.1", "localhost")).body == b"one"


# Answers before the end of the request


def test_an_answer_before_all_was_sent_is_heard(fetch: Fetch, pool: Pool) -> None:
    def script(line: Line) -> None:
        line.sock.recv(1000)
        line.send(answer(b"too large", "Connection: close", status="413 Content Too Large"))
        line.sock.shutdown(socket.SHUT_WR)
        line.wait_for_the_end()

    with RawServer(script) as server:
        got = fetch(server.url, body=bytes(20_000_000))
        assert (got.status, got.body, idle(pool)) == (413, b"too large", 0)


def test_a_server_that_resets_while_the_request_is_sent_has_failed(fetch: Fetch) -> None:
    def script(line: Line) -> None:
        line.sock.recv(1000)
        line.reset()

    with RawServer(script) as server:
        with pytest.raises(ProviderFailed, match="broke before it answered"):
            fetch(server.url, body=bytes(20_000_000))
        assert server.lines == 1


# Broken answers


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_head_is_a_failure_before_the_answer(post: Post, pool: Pool, data: bytes) -> None:
    with RawServer(answers_and_closes(data)) as server:
        with pytest.raises(ProviderFailed, match="broke before it answered"):
            post(server.url)
        assert (idle(pool), server.lines) == (0, 1)


@pytest.mark.parametrize(
    "rest",
    [b"", b"3\r\non", b"3\r\none\r\n", b"3\r\none\r\n0\r\n", b"3\r\none\r\n0\r\n\r", b"x\r\n", b"3\r\none!\r\n"],
)
@pytest.mark.parametrize("how", [lambda _: None, Line.reset], ids=["by FIN", "by RST"])
def test_a_body_that_breaks_off_is_a_failure_within_the_answer(
    post: Post, pool: Pool, rest: bytes, how: Callable[[Line], None]
) -> None:
    gone = threading.Event()

    def script(line: Line) -> None:
        line.request()
        line.send(CHUNKED)
        gone.wait(PATIENCE)
        line.send(rest)
        how(line)

    with RawServer(script) as server:
        one = post(server.url)
        gone.set()
        with pytest.raises(ProviderFailed, match="broke while it was answering"):
            list(one.chunks())
        one.close()
        assert idle(pool) == 0


def test_what_came_before_a_body_broke_off_is_passed_on(post: Post) -> None:
    with RawServer(answers_and_closes(CHUNKED + b"3\r\none\r\n")) as server:
        chunks = post(server.url).chunks()
        assert next(chunks) == b"one"
        with pytest.raises(ProviderFailed):
            next(chunks)


def test_a_body_without_a_length_ends_with_the_connection(fetch: Fetch, pool: Pool) -> None:
    with RawServer(answers_and_closes(b"HTTP/1.1 200 OK\r\n\r\none")) as server:
        assert fetch(server.url).body == b"one"
        assert idle(pool) == 0


def test_an_event_is_passed_on_before_the_next_one_is_sent(post: Post) -> None:
    go_on = threading.Event()

    def script(line: Line) -> None:
        line.request()
        line.send(CHUNKED)
        for number in range(5):
            line.send(b"9\r\ndata: %d\n\n\r\n" % number)
            assert go_on.wait(PATIENCE)
            go_on.clear()
        line.send(b"0\r\n\r\n")

    with RawServer(script) as server:
        chunks = post(server.url).chunks()
        for number in range(5):
            assert next(chunks) == b"data: %d\n\n" % number
            go_on.set()
        assert list(chunks) == []


def test_a_packed_answer_is_unpacked(fetch: Fetch) -> None:
    packed = gzip.compress(b"one" * 1000)
    with RawServer(answers(answer(packed, "Content-Encoding: gzip"))) as server:
        assert fetch(server.url).body == fetch(server.url).body == b"one" * 1000
        assert server.lines == 1


@pytest.mark.parametrize("headers", [("Content-Encoding: br",), ("Content-Encoding: gzip",)])
def test_an_answer_that_cannot_be_unpacked_is_a_failure(fetch: Fetch, pool: Pool, headers: tuple[str]) -> None:
    with RawServer(answers(answer(b"not packed", *headers))) as server:
        with pytest.raises(ProviderFailed):
            fetch(server.url)
        assert idle(pool) == 0


# Many at once


def test_thousands_of_calls_of_many_threads_each_get_their_own_answer(pool: Pool) -> None:
    def script(line: Line) -> None:
        """Says again what it was told; every fifth time in chunks, and now and then for the last time."""
        for number in range(1, 1000):
            body = line.request().partition(b"\r\n\r\n")[2]
            if not body:
                return
            if number % 97 == 0:
                line.send(answer(body, "Connection: close"))
                return
            line.send(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if number % 5 == 0 else answer(body))

    wrong: list[tuple[bytes, bytes]] = []

    def work(thread: int) -> None:
        for number in range(250):
            body = b"%d of thread %d" % (number, thread) * (1 + number % 7 * 100)
            one = pool.post(server.url, HEADERS, body, waiting(), Nobody())
            got = b"".join(one.chunks())
            one.close()
            if got != body:
                wrong.append((body, got))

    with RawServer(script) as server:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pool.close()
    assert wrong == []
    assert len(server.seen) >= 16 * 250
    assert BODY not in server.seen
