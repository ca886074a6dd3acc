"""The HTTP/1.1 client of a call to a provider: POSTs over kept connections, answers read as they come.

It knows no redirects, cookies, proxies or retries, and nothing of calls and providers. From top to bottom: `pool` keeps
connections and sends, `answer` reads under deadlines, `decoding` unpacks gzip, `message` takes an answer's bytes apart
(httptools, which is Node's llhttp, in its strict form), `connection` is one socket, `request` the bytes that go out.
"""

from app.http.answer import Answer, Waits
from app.http.connection import Connection, Holder
from app.http.message import Headers
from app.http.pool import Pool

__all__ = ["Answer", "Connection", "Headers", "Holder", "Pool", "Waits"]
