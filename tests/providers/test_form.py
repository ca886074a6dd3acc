"""Forms are read strictly, and only the bytes of the model's field change."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.errors import BadRequest
from app.providers.form import fields, file_of, is_form, parts, spliced
from tests.providers.forms import BOUNDARY, KIND, form

HELLO = [('name="file"; filename="a.wav"', b"RIFF\x00\r\n\xff"), ('name="model"', b"ours"), ('name="prompt"', b"hi")]


def refused(raw: bytes, kind: str = KIND) -> str:
    with pytest.raises(BadRequest) as error:
        fields(raw, parts(raw, kind))
    return error.value.message


def test_texts_are_read_by_name_and_files_are_left_out() -> None:
    raw = form([*HELLO, ('name="include[]"', b"a"), ('name="include[]"', b"b"), ('name="empty"', b"")])
    texts = fields(raw, parts(raw, KIND))
    assert texts == {"model": "ours", "prompt": "hi", "include[]": ["a", "b"], "empty": ""}


def test_a_file_is_found_by_its_name() -> None:
    assert file_of(form(HELLO), KIND) == b"RIFF\x00\r\n\xff"
    assert file_of(form(HELLO[1:]), KIND) == b""


def test_only_the_bytes_of_the_model_change() -> None:
    assert spliced(form(HELLO), KIND, {"model": "whisper-1"}) == form(HELLO).replace(b"ours", b"whisper-1")


def test_a_model_that_is_not_in_the_form_becomes_its_last_field() -> None:
    raw = form([HELLO[0]])
    assert spliced(raw, KIND, {"model": "whisper-1"}) == form([HELLO[0], ('name="model"', b"whisper-1")])


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_that_is_called_model_does_not_hide_another_model(turned: bool) -> None:  # noqa: FBT001 - a case
    both = [('name="model"; filename="x"', b"dear"), ('name="model"', b"ours")]
    assert "more than once" in refused(form(both[::-1] if turned else both))


def test_several_files_may_have_one_name() -> None:
    assert len(parts(form([('name="image"; filename="a"', b"1"), ('name="image"; filename="b"', b"2")]), KIND)) == 2


@pytest.mark.parametrize("kind", [KIND, f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"'])
def test_a_boundary_may_be_in_quotes(kind: str) -> None:
    assert is_form(kind)
    assert len(parts(form(HELLO), kind)) == 3


def test_a_file_may_have_a_name_in_another_alphabet() -> None:
    raw = form([("name=\"file\"; filename*=UTF-8''na%C3%AFve.wav", b"x")])
    assert [(part.name, part.is_file) for part in parts(raw, KIND)] == [("file", True)]


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; boundary*=b",
        'multipart/form-data; boundary="a\\"b"',
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=ä",
    ],
)
def test_a_form_has_one_plain_boundary(kind: str) -> None:
    assert "boundary" in refused(form(HELLO), kind)


DELIMITER = b"--" + BOUNDARY.encode()
FIELD = b'Content-Disposition: form-data; name="model"'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        DELIMITER,
        b"preamble\r\n" + form(HELLO),
        b"\r\n" + form(HELLO),
        form(HELLO)[:-2],
        form(HELLO)[:-10],
        form(HELLO, end=b""),
        form(HELLO, end=b"-- and more"),
        form(HELLO).replace(b"\r\n", b"\n"),
        DELIMITER + b"\r\n" + FIELD + b"\r\n" + DELIMITER + b"--",
        DELIMITER + b"\r\n\r\nvalue\r\n" + DELIMITER + b"--",
        DELIMITER + b" \r\n" + FIELD + b"\r\n\r\nours\r\n" + DELIMITER + b"--",
        # What the gateway reads as a value, others read as fields.
        form([('name="a"', DELIMITER + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\ndear')]),
        form([('name="a"', b"x\n" + DELIMITER + b'\nContent-Disposition: form-data; name="model"\n\ndear')]),
        form([('name="a"', b"x\r\n" + DELIMITER + b"more\r\ndear")]),
        form([("name=model", b"ours")]),
        form([("name='model'", b"ours")]),
        form([('NAME="model"', b"ours")]),
        form([('name="a"; name="model"', b"ours")]),
        form([("name*=utf-8''model", b"ours")]),
        form([('filename="model"', b"ours")]),
        form([('name="mo\\del"', b"ours")]),
        form([('name="model"\r\nContent-Disposition: form-data; name="a"', b"ours")]),
        form([('name="a"\r\n folded', b"ours")]),
        form([('name="a"\r\nContent-Transfer-Encoding: base64', b"ours")]),
        form([('name="a"\r\nno colon', b"ours")]),
        form([('name="a"\r\nx: ' + "x" * 9000, b"ours")]),
        form([('name="a"', b"1")] * 129),
        form([('name="model"', b"ours"), ('name="model"', b"dear")]),
        form([('name="model"', b"\xff")]),
        form([('name="model"; size=3', b"ours")]),
    ],
)
def test_what_is_not_plainly_a_form_is_refused(raw: bytes) -> None:
    complete = raw if raw != form(HELLO)[:-2] else form(HELLO)[:-4]
    assert refused(complete)


NAMES = st.from_regex(r"[a-z_]{1,8}(\[\])?", fullmatch=True).filter(lambda name: name != "model")
VALUES = st.binary(max_size=40) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n--a", b"ours"])


@settings(deadline=None)
@given(
    before=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    after=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    model=st.text(max_size=12),
    boundary=st.from_regex(r"[0-9a-zA-Z'()+_,./:=?-]{1,40}", fullmatch=True),
)
def test_nothing_but_the_model_changes_in_any_form(
    before: list[tuple[str, bytes]], after: list[tuple[str, bytes]], model: str, boundary: str
) -> None:
    def written(value: bytes) -> bytes:
        files = [[(f'name="{name}"; filename="f"', each) for name, each in some] for some in (before, after)]
        return form([*files[0], ('name="model"', value), *files[1]], boundary)

    raw = written(b"ours")
    assume(raw.count(b"--" + boundary.encode()) == len(before) + len(after) + 2)
    assert spliced(raw, f'multipart/form-data; boundary="{boundary}"', {"model": model}) == written(model.encode())


@settings(deadline=None)
@given(place=st.integers(0, 400), put=st.binary(max_size=4), cut=st.integers(0, 12))
def test_a_torn_form_is_refused_or_read_and_nothing_else_happens(place: int, put: bytes, cut: int) -> None:
    raw = form(HELLO)
    torn = raw[:place] + put + raw[place + cut :]
    try:
        texts = fields(torn, parts(torn, KIND))
    except BadRequest:
        return
    assert set(texts) <= {"model", "prompt", "file"} or put
