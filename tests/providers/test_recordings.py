"""How long a recording is, by its file."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.mock_media import wav
from app.providers.recordings import bitrate, heard_ms, longest_ms, spoken_ms

# MPEG-1, layer III, 128 kbit/s, 44,100 Hz: 417 bytes, 1152 samples. MPEG-2, layer III, 64 kbit/s, 24,000 Hz: 192, 576.
FRAME = b"\xff\xfb\x90\x00" + bytes(413)
SLOW_FRAME = b"\xff\xf3\x84\x00" + bytes(188)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def page(samples: int, content: bytes = b"") -> bytes:
    return b"OggS\x00\x00" + struct.pack("<q", samples) + bytes(12) + content


def mvhd(version: int, scale: int, duration: int) -> bytes:
    shape = ">B3xQQIQ" if version else ">B3xIIII"
    return struct.pack(shape, version, 0, 0, scale, duration) + bytes(80)


def test_a_wave_file_is_as_long_as_its_samples() -> None:
    assert heard_ms(wav()) == 100


def test_a_wave_file_that_was_streamed_is_as_long_as_what_came() -> None:
    endless = wav().replace(b"data" + struct.pack("<I", 4800), b"data\xff\xff\xff\xff")
    assert endless != wav()
    assert heard_ms(endless) == 100


def test_a_chunk_before_the_samples_is_passed_over() -> None:
    listed = wav().replace(b"data", b"LIST\x03\x00\x00\x00abc\x00data")
    assert heard_ms(listed) == 100


def test_an_mp3_is_as_long_as_its_frames() -> None:
    assert heard_ms(FRAME * 100) == 2613  # 115,200 of 44,100 samples a second.
    assert heard_ms(SLOW_FRAME * 100) == 2400


def test_a_title_before_an_mp3_makes_it_no_longer() -> None:
    assert heard_ms(b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + FRAME * 100) == 2613


def test_what_stands_between_frames_hides_none_of_them() -> None:
    assert heard_ms(FRAME + b"garbage" + FRAME * 1000) >= 26_000


@pytest.mark.parametrize("version", [0, 1])
def test_an_mp4_says_how_long_it_is(version: int) -> None:
    recording = box(b"ftyp", b"M4A ") + box(b"moov", box(b"mvhd", mvhd(version, 44_100, 441_000)))
    assert heard_ms(recording) == 10_000


def test_no_header_makes_a_recording_longer_than_a_day() -> None:
    recording = box(b"ftyp", b"M4A ") + box(b"moov", box(b"mvhd", mvhd(1, 1, 2**63)))
    assert heard_ms(recording) == spoken_ms(b"00:00:00,000 --> 99:00:00,000") == 86_400_000


def test_a_flac_says_how_many_samples_it_has() -> None:
    info = (16_000 << 44) | (0 << 41) | (15 << 36) | 48_000
    assert heard_ms(b"fLaC\x00\x00\x00\x22" + bytes(10) + info.to_bytes(8, "big") + bytes(16)) == 3000


def test_opus_counts_48000_samples_a_second() -> None:
    assert heard_ms(page(0, b"OpusHead") + page(96_000)) == 2000


def test_vorbis_says_how_many_samples_a_second_has() -> None:
    head = b"\x01vorbis" + struct.pack("<IBI", 0, 1, 22_050)
    assert heard_ms(page(0, head) + page(44_100)) == 2000


def test_a_file_of_unknown_kind_is_taken_for_a_long_one() -> None:
    assert heard_ms(b"\x1aE\xdf\xa3" + bytes(149_996)) == 100_000


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"RIFF1234WAVEfmt ", b"fLaC", b"OggS", b"1234ftypmvhd", b"ID3", FRAME[:4]]),
)
def test_no_file_makes_it_raise_and_none_is_shorter_than_nothing(data: bytes, start: bytes) -> None:
    assert heard_ms(start + data) >= 0
    assert bitrate(start + data) >= 0


@given(st.integers(0, 10**9))
def test_more_bytes_are_never_shorter(size: int) -> None:
    assert longest_ms(size) <= longest_ms(size + 1)


def test_the_bits_a_second_stand_at_the_beginning() -> None:
    assert bitrate(wav()[:64]) == 384_000
    assert bitrate(FRAME[:64]) == pytest.approx(128_000, rel=0.01)
    assert bitrate(b"\x00" * 64) == 0


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        (b"1\n00:00:00,000 --> 00:00:04,500\nHi\n\n2\n00:00:04,500 --> 00:01:02,250\nYou\n", 62_250),
        (b"WEBVTT\n\n00:00.000 --> 00:07.125\nHi\n", 7125),
        (b"WEBVTT\n\n01:00:00.000 --> 01:00:01.000\nHi\n", 3_601_000),
        (b"x" * 500, 10_000),
        (b"", 0),
    ],
)
def test_a_transcript_took_as_long_as_it_says_or_can_be_read_aloud(text: bytes, milliseconds: int) -> None:
    assert spoken_ms(text) == milliseconds
