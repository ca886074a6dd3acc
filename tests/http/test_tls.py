"""Over TLS a provider must show a certificate for its name from somebody who is trusted."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import ProviderFailed, ProviderTimedOut
from app.http import Pool
from app.http.pool import trusting
from tests.http.conftest import BODY, HEADERS, PATIENCE, Nobody, waiting
from tests.http.raw_server import Line, RawServer, answer, answers, answers_and_closes
from tests.http.test_deadlines import waiting_for
from tests.http.test_pool import until

DAY = dt.timedelta(days=1)
LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass
class Authority:
    """Somebody who makes certificates; `file` has its own."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    file: Path

    def serving(self, *names: x509.GeneralName, age: dt.timedelta = dt.timedelta()) -> ssl.SSLContext:
        """A server's context with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        made = certificate(subject, self.name, key.public_key(), self.key, age, *names)
        file = self.file.with_suffix(f".{x509.random_serial_number()}.pem")
        file.write_bytes(pem(made, key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    age: dt.timedelta,
    *names: x509.GeneralName,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC) - age
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def pem(made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + made.public_bytes(serialization.Encoding.PEM)


def authority(folder: Path, called: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, called)])
    file = folder / f"{called}.pem"
    made = certificate(name, name, key.public_key(), key, dt.timedelta())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return Authority(key, name, file)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates"), "trusted")


@pytest.fixture
def pool(trusted: Authority) -> Iterator[Pool]:
    """As usual, but for one authority more."""
    context = trusting()
    context.load_verify_locations(trusted.file)
    pool = Pool(context)
    yield pool
    pool.close()


def fetch(pool: Pool, url: str, **waits: float) -> bytes:
    one = pool.post(url, HEADERS, BODY, waiting(**waits), Nobody())
    try:
        return b"".join(one.chunks())
    finally:
        one.close()


def test_a_certificate_of_somebody_trusted_is_accepted_and_its_connection_kept(pool: Pool, trusted: Authority) -> None:
    with RawServer(answers(answer(b"one")), context=trusted.serving(LOOPBACK)) as server:
        assert [fetch(pool, server.url) for _ in range(3)] == [b"one"] * 3
        assert server.lines == 1


def test_large_bodies_go_both_ways(pool: Pool, trusted: Authority) -> None:
    def echo(line: Line) -> None:
        while request := line.request():
            line.send(answer(request.partition(b"\r\n\r\n")[2]))

    body = bytes(range(256)) * 20_000
    with RawServer(echo, context=trusted.serving(LOOPBACK)) as server:
        one = pool.post(server.url, HEADERS, body, waiting(), Nobody())
        assert b"".join(one.chunks()) == body
        one.close()


def test_the_name_of_the_host_is_told_and_checked(pool: Pool, trusted: Authority) -> None:
    told: list[str | None] = []
    context = trusted.serving(x509.DNSName("localhost"))
    context.sni_callback = lambda _, name, __: told.append(name)
    with RawServer(answers(answer(b"one")), context=context) as server:
        assert fetch(pool, server.url.replace("127.0.0.1", "localhost")) == b"one"
        assert told == ["localhost"]


REFUSED: dict[str, Callable[[Authority, Path], ssl.SSLContext]] = {
    "for another host": lambda trusted, _: trusted.serving(x509.DNSName("api.example")),
    "for another address": lambda trusted, _: trusted.serving(x509.IPAddress(ipaddress.ip_address("127.0.0.2"))),
    "with the host only in its common name": lambda trusted, _: trusted.serving(x509.DNSName("x.example")),
    "of somebody unknown": lambda _, folder: authority(folder, "unknown").serving(LOOPBACK),
    "that is over": lambda trusted, _: trusted.serving(LOOPBACK, age=30 * DAY),
    "that is not valid yet": lambda trusted, _: trusted.serving(LOOPBACK, age=-30 * DAY),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_sent_to_a_server_with_a_certificate(
    name: str, pool: Pool, trusted: Authority, tmp_path: Path
) -> None:
    with RawServer(answers(answer(b"one")), context=REFUSED[name](trusted, tmp_path)) as server:
        with pytest.raises(ProviderFailed, match="certificate is not one to trust"):
            fetch(pool, server.url)
        assert server.seen == []


def test_a_certificate_that_its_server_has_signed_itself_is_refused(pool: Pool, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    file = tmp_path / "self.pem"
    file.write_bytes(pem(certificate(name, name, key.public_key(), key, dt.timedelta(), LOOPBACK), key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with RawServer(answers(answer(b"one")), context=context) as server:
        with pytest.raises(ProviderFailed, match="certificate is not one to trust"):
            fetch(pool, server.url)
        assert server.seen == []


def test_a_server_that_does_not_speak_tls_is_not_reached(pool: Pool) -> None:
    with (
        RawServer(lambda line: line.send(answer(b"one"))) as server,
        pytest.raises(ProviderFailed, match="cannot be reached"),
    ):
        fetch(pool, server.url.replace("http:", "https:"))


def test_an_old_version_of_tls_is_not_spoken(pool: Pool, trusted: Authority) -> None:
    context = trusted.serving(LOOPBACK)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawServer(answers(answer(b"one")), context=context) as server:
        with pytest.raises(ProviderFailed):
            fetch(pool, server.url)
        assert server.seen == []


def test_a_handshake_that_does_not_go_on_is_given_up(pool: Pool) -> None:
    stop = threading.Event()
    with RawServer(waiting_for(stop)) as server:
        with pytest.raises(ProviderFailed, match="cannot be reached"):
            fetch(pool, server.url.replace("http:", "https:"), connect=0.3)
        stop.set()


def test_a_handshake_that_comes_byte_by_byte_is_given_up(pool: Pool) -> None:
    def script(line: Line) -> None:
        line.send(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
        while True:
            line.send(b"\0")
            stop.wait(0.02)

    stop = threading.Event()
    with RawServer(script) as server:
        with pytest.raises(ProviderFailed, match="cannot be reached"):
            fetch(pool, server.url.replace("http:", "https:"), connect=0.5)
        stop.set()


def test_a_silent_server_is_given_up(pool: Pool, trusted: Authority) -> None:
    def silent(line: Line) -> None:
        line.request()
        line.wait_for_the_end()

    with RawServer(silent, context=trusted.serving(LOOPBACK)) as server, pytest.raises(ProviderTimedOut):
        fetch(pool, server.url, first=0.5)


def test_a_connection_that_was_closed_is_noticed_before_it_is_used(pool: Pool, trusted: Authority) -> None:
    with RawServer(answers_and_closes(answer(b"one")), context=trusted.serving(LOOPBACK)) as server:
        for _ in range(3):
            assert fetch(pool, server.url) == b"one"
            until(lambda: all(connection.is_stale() for kept in pool._idle.values() for connection in kept))
        assert server.lines == 3


def test_a_request_of_which_nothing_could_be_sent_is_sent_over_a_new_connection(pool: Pool, trusted: Authority) -> None:
    with RawServer(answers(answer(b"one")), context=trusted.serving(LOOPBACK)) as server:
        fetch(pool, server.url)
        (kept,) = pool._idle.values()
        assert kept[0].sock is not None
        socket.socket.shutdown(kept[0].sock, socket.SHUT_WR)
        assert fetch(pool, server.url) == b"one"
        assert (server.lines, len(server.seen)) == (2, 2)


def test_an_end_that_was_not_announced_is_not_the_end_of_a_body_without_a_length(
    pool: Pool, trusted: Authority
) -> None:
    """Whoever sits on the line can close a connection, but he cannot announce it."""
    head = b"HTTP/1.1 200 OK\r\n\r\none"
    with (
        RawServer(answers_and_closes(head), context=trusted.serving(LOOPBACK)) as server,
        pytest.raises(ProviderFailed, match="broke while it was answering"),
    ):
        fetch(pool, server.url)


def test_an_end_that_was_announced_is_the_end_of_a_body_without_a_length(pool: Pool, trusted: Authority) -> None:
    def script(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\n\r\none")
        assert isinstance(line.sock, ssl.SSLSocket)
        line.sock.unwrap()

    with RawServer(script, context=trusted.serving(LOOPBACK)) as server:
        assert fetch(pool, server.url) == b"one"


def test_a_call_can_be_broken_off(pool: Pool, trusted: Authority) -> None:
    def silent(line: Line) -> None:
        line.request()
        line.wait_for_the_end()

    errors: list[ProviderFailed] = []
    holder = Nobody()

    def call() -> None:
        try:
            pool.post(server.url, HEADERS, BODY, waiting(), holder)
        except ProviderFailed as error:
            errors.append(error)

    with RawServer(silent, context=trusted.serving(LOOPBACK)) as server:
        thread = threading.Thread(target=call)
        thread.start()
        until(lambda: server.seen)
        assert holder.connection is not None
        holder.connection.abort()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not isinstance(errors[0], ProviderTimedOut)
