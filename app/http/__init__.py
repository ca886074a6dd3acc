"""The HTTP/1.1 client of a call to a provider: POSTs over kept connections, answers read as they come.

It knows no redirects, cookies, proxies or retries, and nothing of calls and providers. From top to bottom: `pool` keeps
connections and sends, `answer` reads under deadlines, `decoding` unpacks gzip, `message` takes an answer's bytes apart
(httptools, which is Node's llhttp, in its strict form), `connection` is one socket, `request` the bytes that go out.

It is ours for its price. `python -m benchmarks.client`, medians of nine interleaved rounds of 4,000 calls under gevent:
a call takes 31 µs of CPU where urllib3 takes 213 (6.8 times as much; 5.7 times one at a time), an event of a stream
15 µs where urllib3 takes 20.
"""

from app.http.answer import Answer, Waits
from app.http.connection import Connection, Holder
from app.http.message import Headers
from app.http.pool import Pool

__all__ = ["Answer", "Connection", "Headers", "Holder", "Pool", "Waits"]
