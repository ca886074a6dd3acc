"""The same over gevent's sockets, as in the web process: in a process of its own, because patching cannot be undone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from gevent import monkey; monkey.patch_all()
import json, math, pathlib, sys, tempfile, threading, time
import gevent
from app.errors import ProviderFailed, ProviderTimedOut
from app.http import Pool, Waits
from app.http.pool import trusting
from tests.http.conftest import Nobody
from tests.http.raw_server import RawServer, answer, answers
from tests.http.test_tls import LOOPBACK, authority

CHUNKED = b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
pool = Pool()

def waiting(**given):
    return Waits(**({"connect": 20, "first": 20, "idle": 20, "until": math.inf} | given))

def fetch(url, body=b"{}", holder=None, **waits):
    one = pool.post(url, {"Content-Type": "application/json"}, body, waiting(**waits), holder or Nobody())
    try:
        return b"".join(one.chunks())
    finally:
        one.close()

def failure(*given, **waits):
    try:
        return fetch(*given, **waits).decode()
    except ProviderFailed as error:
        return type(error).__name__ + ": " + error.message

def echo(line):
    for number in range(1, 50):
        body = line.request().partition(b"\\r\\n\\r\\n")[2]
        if not body:
            return
        line.send(CHUNKED + b"%x\\r\\n%s\\r\\n0\\r\\n\\r\\n" % (len(body), body) if number % 3 else answer(body))

def silent(line):
    line.request()
    line.wait_for_the_end()

def drip(line):
    line.request()
    line.send(b"HTTP/1.1 200 OK\\r\\nX: ")
    while True:
        line.send(b"y")
        time.sleep(0.02)

told = {}
with RawServer(echo) as server:
    def work(number):
        bodies = [b"%d of %d" % (call, number) * (1 + call % 5 * 500) for call in range(40)]
        return sum(fetch(server.url, body) == body for body in bodies)
    jobs = [gevent.spawn(work, number) for number in range(50)]
    gevent.joinall(jobs, raise_error=True)
    told["right"] = sum(job.value for job in jobs)
    told["reused"] = server.lines < 500
with RawServer(silent) as server:
    told["silent"] = failure(server.url, first=0.2)
    holder = Nobody()
    waiting_one = gevent.spawn(failure, server.url, holder=holder)
    while len(server.seen) < 2:
        time.sleep(0.005)
    holder.connection.abort()
    told["broken off"] = waiting_one.get(timeout=20)
    killed = gevent.spawn(fetch, server.url, b"killed", holder := Nobody())
    while len(server.seen) < 3:
        time.sleep(0.005)
    held = holder.connection
    killed.kill()
    told["closed when killed"] = held.sock is None
with RawServer(drip) as server:
    told["drip"] = failure(server.url, first=0.3)
with RawServer(lambda line: time.sleep(1)) as server:
    told["no handshake"] = failure(server.url.replace("http:", "https:"), connect=0.2)
with RawServer(answers(CHUNKED + b"1\\r\\nx\\r\\n")) as server:
    told["silence within"] = failure(server.url, idle=0.2)
    told["too long"] = failure(server.url, until=time.monotonic() + 0.2)
with tempfile.TemporaryDirectory() as folder:
    trusted = authority(pathlib.Path(folder), "trusted")
    context = trusting()
    context.load_verify_locations(trusted.file)
    pool.close()
    pool = Pool(context)
    with RawServer(echo, context=trusted.serving(LOOPBACK)) as server:
        bodies = [bytes(range(256)) * 4000, b"{}", bytes(1)]
        told["over TLS"] = [fetch(server.url, body) == body for body in bodies]
        told["TLS reused"] = server.lines == 1
    with RawServer(answers(CHUNKED + b"1\\r\\nx\\r\\n"), context=trusted.serving(LOOPBACK)) as server:
        told["TLS silence within"] = failure(server.url, idle=0.2)
    with RawServer(drip, context=trusted.serving(LOOPBACK)) as server:
        told["TLS drip"] = failure(server.url, first=0.3)
told["unknown host"] = failure("http://nowhere.invalid/")
pool.close()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=100, cwd=root, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("right", 2000),
        ("reused", True),
        ("silent", "ProviderTimedOut: The provider did not answer in time."),
        ("broken off", "ProviderFailed: The connection to the provider broke before it answered."),
        ("closed when killed", True),
        ("drip", "ProviderTimedOut: The provider did not answer in time."),
        ("no handshake", "ProviderFailed: The provider cannot be reached."),
        ("silence within", "ProviderTimedOut: The provider stopped sending."),
        ("too long", "ProviderTimedOut: The provider's answer took longer than it may."),
        ("over TLS", [True, True, True]),
        ("TLS reused", True),
        ("TLS silence within", "ProviderTimedOut: The provider stopped sending."),
        ("TLS drip", "ProviderTimedOut: The provider did not answer in time."),
        ("unknown host", "ProviderFailed: The provider cannot be reached."),
    ],
)
def test_greenlets_get_what_threads_get(told: dict[str, object], what: str, outcome: object) -> None:
    assert told[what] == outcome
