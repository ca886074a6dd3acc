"""Bodies that were packed although nobody asked for it are unpacked as they come, or fail."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.decoding import PIECE_BYTES, unpacker
from app.http.message import Broken

TEXT = b'{"choices": [{"message": {"content": "' + b"word " * 200 + b'"}}]}'


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
}


def unpacked(encoding: str, *parts: bytes) -> list[bytes]:
    unpacking = unpacker(encoding)
    assert unpacking is not None
    pieces = [piece for part in parts for piece in unpacking.feed(part)]
    unpacking.end()
    return pieces


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_unpacked(encoding: str) -> None:
    assert b"".join(unpacked(encoding, PACKED[encoding](TEXT))) == TEXT


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_unpacked_when_every_byte_comes_alone(encoding: str) -> None:
    packed = PACKED[encoding](TEXT)
    assert b"".join(unpacked(encoding, *(packed[at : at + 1] for at in range(len(packed))))) == TEXT


@given(st.binary(max_size=2000), st.sampled_from(sorted(PACKED)), st.integers(min_value=0, max_value=2000))
def test_any_body_is_unpacked_wherever_it_is_cut(data: bytes, encoding: str, place: int) -> None:
    packed = PACKED[encoding](data)
    assert b"".join(unpacked(encoding, packed[:place], packed[place:])) == data


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_that_is_cut_off_is_broken(encoding: str) -> None:
    with pytest.raises(Broken):
        unpacked(encoding, PACKED[encoding](TEXT)[:-1])


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_of_which_one_byte_came_is_broken(encoding: str) -> None:
    with pytest.raises(Broken):
        unpacked(encoding, PACKED[encoding](TEXT)[:1])


def test_an_empty_body_is_empty() -> None:
    assert unpacked("gzip") == []


def test_what_is_not_packed_as_it_says_is_broken() -> None:
    with pytest.raises(Broken):
        unpacked("gzip", TEXT)


def test_a_checksum_that_is_wrong_is_broken() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-5] ^= 1
    with pytest.raises(Broken):
        unpacked("gzip", bytes(packed))


def test_files_of_gzip_one_behind_the_other_are_one_body() -> None:
    assert b"".join(unpacked("gzip", gzip.compress(b"one ") + gzip.compress(b"two"))) == b"one two"


def test_garbage_behind_a_body_is_broken() -> None:
    with pytest.raises(Broken):
        unpacked("gzip", gzip.compress(TEXT) + b"garbage")


def test_a_small_body_that_unpacks_to_very_much_comes_in_pieces() -> None:
    size = 40 * PIECE_BYTES + 7
    pieces = unpacked("gzip", gzip.compress(bytes(size)))
    assert sum(map(len, pieces)) == size
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_what_was_flushed_comes_before_the_rest_is_there() -> None:
    packing = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    begin = packing.compress(b"data: one\n\n") + packing.flush(zlib.Z_SYNC_FLUSH)
    unpacking = unpacker("gzip")
    assert unpacking is not None
    assert b"".join(unpacking.feed(begin)) == b"data: one\n\n"


@pytest.mark.parametrize("encoding", ["identity", "", " Identity "])
def test_what_is_not_packed_needs_no_unpacking(encoding: str) -> None:
    assert unpacker(encoding) is None


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "utf-8"])
def test_a_packing_that_is_not_known_is_refused(encoding: str) -> None:
    with pytest.raises(Broken):
        unpacker(encoding)
