"""How long a recording is, by its file: exactly where that can be read from its frames or headers, else at most.

Used where a provider bills by time or by audio tokens and does not tell them.
"""

from __future__ import annotations

import re

# Speech below this is not understood: so many bits a second, and a file of unknown kind is at most this long.
LOWEST_BITRATE = 12_000
# Nobody speaks faster than this: UTF-8 bytes of text a second. A file that says it is shorter than its text is wrong.
FASTEST_SPEECH = 50
TIMESTAMP = re.compile(rb"-->\s*(?:(\d{1,3}):)?(\d\d):(\d\d)[.,](\d\d\d)")
OPUS_RATE = 48_000
# Nobody's file has more; reading on would only take time.
MOST_FRAMES, MOST_CHUNKS = 200_000, 1000
# A day. A header can say anything.
LONGEST_MS = 86_400_000
# Kilobits a second by version and layer, ISO/IEC 11172-3 and 13818-3; 0 and 15 are no lengths.
BITRATES = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def heard_ms(recording: bytes) -> int:
    """Milliseconds of a recording, rounded up; an upper bound where the kind of file is not known."""
    for length in (_wav, _flac, _ogg, _mp4, _mp3):
        if found := length(recording):
            return min(found, LONGEST_MS)
    return longest_ms(len(recording))


def longest_ms(size: int) -> int:
    """Milliseconds that a file of so many bytes lasts at the most."""
    return -(-size * 8 * 1000 // LOWEST_BITRATE)


def bitrate(start: bytes) -> int:
    """Bits a second of a recording that begins so; 0 where its beginning does not tell."""
    if start[:4] == b"RIFF":
        return _wav_bytes(start) * 8
    frame = _frame(start[_behind_id3(start) :])
    return frame[0] * 8 * frame[2] // frame[1] if frame else 0


def spoken_ms(text: bytes) -> int:
    """Milliseconds that a transcript took to say at the least: by its last timestamp, and by its length without."""
    ends = [_timestamp(found) for found in TIMESTAMP.finditer(text)]
    return min(LONGEST_MS, max(ends, default=-(-len(text) * 1000 // FASTEST_SPEECH)))


def _timestamp(found: re.Match[bytes]) -> int:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds


def _wav(data: bytes) -> int:
    """By the bytes that are there: a stream's header does not know how many will come."""
    at = _chunk(data, b"data")
    size = int.from_bytes(data[at - 4 : at], "little")
    return _ms(min(size, len(data) - at), _wav_bytes(data)) if at else 0


def _wav_bytes(data: bytes) -> int:
    """Bytes a second: samples a second times the bytes of one, as decoders read it."""
    at = _chunk(data, b"fmt ")
    rate, each = data[at + 4 : at + 8], data[at + 12 : at + 14]
    return int.from_bytes(rate, "little") * int.from_bytes(each, "little") if at else 0


def _chunk(data: bytes, name: bytes) -> int:
    """Where the content of a chunk of a WAVE file begins; 0 where there is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return 0
    at = 12
    for _ in range(MOST_CHUNKS):
        if data[at : at + 4] == name:
            return at + 8
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return 0


def _flac(data: bytes) -> int:
    """STREAMINFO: the rate has 20 bits, the number of samples 36."""
    if data[:4] != b"fLaC" or len(data) < 26:  # noqa: PLR2004 - as far as the number of samples reaches
        return 0
    return _ms(int.from_bytes(data[21:26], "big") & (1 << 36) - 1, int.from_bytes(data[18:21], "big") >> 4)


def _ogg(data: bytes) -> int:
    """The last page says how many samples came before its end; Opus always counts 48,000 a second."""
    last = data.rfind(b"OggS")
    if not data.startswith(b"OggS") or last + 14 > len(data):
        return 0
    vorbis = data.find(b"\x01vorbis", 0, 4096)
    rate = OPUS_RATE if vorbis < 0 else int.from_bytes(data[vorbis + 12 : vorbis + 16], "little")
    samples = int.from_bytes(data[last + 6 : last + 14], "little")
    return _ms(samples, rate) if samples < 1 << 62 else 0


def _mp4(data: bytes) -> int:
    """The movie header: its time scale and duration have 32 or, in version 1, 64 bits."""
    at = data.find(b"mvhd") + 4
    if data[4:8] != b"ftyp" or at == 3 or len(data) < at + 32:  # noqa: PLR2004 - not found; the longer header's end
        return 0
    scale_at, size = (at + 20, 8) if data[at] == 1 else (at + 12, 4)
    scale = int.from_bytes(data[scale_at : scale_at + 4], "big")
    return _ms(int.from_bytes(data[scale_at + 4 : scale_at + 4 + size], "big"), scale)


def _mp3(data: bytes) -> int:
    """By its frames, each of which says how long it is and how many samples it has."""
    at = _behind_id3(data)
    samples_at: dict[int, int] = {}
    for _ in range(MOST_FRAMES):
        frame = _frame(data[at : at + 4])
        if frame is None:
            break
        size, samples, rate = frame
        samples_at[rate] = samples_at.get(rate, 0) + samples
        at += size
    length = sum(_ms(samples, rate) for rate, samples in samples_at.items())
    # Decoders find frames again behind whatever stands between them.
    return length and length + longest_ms(max(0, len(data) - at))


def _behind_id3(data: bytes) -> int:
    """Where the sound begins behind a title; the title's length has seven bits in each of four bytes."""
    if data[:3] != b"ID3" or len(data) < 10:  # noqa: PLR2004 - as long as the title's header
        return 0
    return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])


def _frame(header: bytes) -> tuple[int, int, int] | None:
    """Bytes, samples and samples a second of a frame; None where there is none."""
    if len(header) < 4 or header[0] != 255 or header[1] < 224:  # noqa: PLR2004 - eleven bits that are set
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate_at, bitrate_at = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer == 0 or rate_at == 3 or bitrate_at in {0, 15}:  # noqa: PLR2004 - reserved, or not told
        return None
    bitrate = BITRATES[3 if version == 3 else 2, layer][bitrate_at - 1] * 1000  # noqa: PLR2004 - MPEG-1
    rate, padding = RATES[version][rate_at], header[2] >> 1 & 1
    if layer == 3:  # noqa: PLR2004 - layer I, whose frames are made of four bytes
        return (12 * bitrate // rate + padding) * 4, 384, rate
    samples = 576 if layer == 1 and version != 3 else 1152  # noqa: PLR2004 - layer III of MPEG-2
    return samples // 8 * bitrate // rate + padding, samples, rate


def _ms(amount: int, per_second: int) -> int:
    return -(-amount * 1000 // per_second) if per_second else 0
