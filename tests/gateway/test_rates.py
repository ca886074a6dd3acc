"""What a call is reckoned with where tokens are limited, and how OpenAI's headers write a time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.gateway import rates
from app.gateway.asked import Asked, Request, parse
from app.gateway.offers import Offer, offer
from app.limits.meters import Meter, Tokens
from app.model_list import Deployment

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
INPUT = -(-len(orjson.dumps(HELLO)) // 4)
TIGHT, LOOSE = Meter("key:k1", tpm=1000), Meter("user:ada", tpm=100_000)


def asked(route: str = "chat/completions", **fields: Any) -> Asked:
    return parse(Request(route, orjson.dumps(HELLO | fields), {}))


def with_longest_answer(tokens: int) -> Offer:
    return offer(Deployment(id=str(tokens), model_name="m", provider="openai", model="m", max_output_tokens=tokens))


def reckoned(asked: Asked, *meters: Meter, longest: int = 16_384, cap: int | None = None) -> Tokens:
    return rates.reckoned(meters, [with_longest_answer(1), with_longest_answer(longest)], asked, cap)


def test_nothing_is_reckoned_where_no_tokens_are_limited() -> None:
    assert reckoned(asked(max_tokens=50), Meter("key:k1", rpm=1)) == Tokens(0, 0)


def test_a_stated_cap_is_certain() -> None:
    request = asked(max_tokens=50, max_completion_tokens=70, n=2)
    size = -(-request.input_bound // 4)
    assert reckoned(request, TIGHT) == Tokens(size + 140, size + 140)


def test_without_a_cap_a_quarter_of_the_smallest_limit_is_guessed() -> None:
    assert reckoned(asked(), LOOSE, TIGHT) == Tokens(INPUT, INPUT + 250)


def test_no_more_is_guessed_than_the_model_can_answer() -> None:
    assert reckoned(asked(n=2), LOOSE, longest=30).likely - reckoned(asked(n=2), LOOSE).certain == 60


def test_a_cap_that_the_gateway_states_is_a_guess_of_its_own() -> None:
    assert reckoned(asked(), LOOSE, cap=20) == Tokens(INPUT, INPUT + 20)


def test_embeddings_are_reckoned_with_their_input_alone() -> None:
    request = parse(Request("embeddings", b'{"model": "m", "input": "abcd"}', {}))
    assert reckoned(request, TIGHT) == Tokens(8, 8)


def test_an_image_is_not_reckoned_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert reckoned(asked(messages=[{"role": "user", "content": [image]}]), LOOSE).certain < 2000


@pytest.mark.parametrize(
    ("milliseconds", "words"), [(0, "0s"), (1, "1s"), (12_000, "12s"), (59_001, "1m0s"), (60_001, "1m1s")]
)
def test_times_are_written_as_openai_does(milliseconds: int, words: str) -> None:
    assert rates.in_words(milliseconds) == words
