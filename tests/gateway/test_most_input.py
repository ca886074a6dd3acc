"""What a call can take on the deployments that may serve it."""

from __future__ import annotations

from typing import Any

import orjson

from app.gateway.asked import Asked, Request, parse
from app.gateway.offers import Offer, most_input, offer
from app.model_list import Deployment


def response(**fields: Any) -> Asked:
    return parse(Request("responses", orjson.dumps({"model": "m", "input": "hi"} | fields), {}))


def offers(*models: str, **of_all: Any) -> list[Offer]:
    return [offer(Deployment(model, "m", "openai", model, **of_all)) for model in models]


def test_a_call_that_sends_all_of_its_input_takes_no_more_than_that() -> None:
    assert most_input(offers("gpt-4o"), response()) == len(response().sent.raw)


def test_a_call_that_goes_on_from_another_takes_what_the_largest_model_can_read() -> None:
    assert most_input(offers("gpt-4o", "gpt-5"), response(previous_response_id="resp_1")) == 400_000


def test_what_the_admin_says_of_a_context_counts_before_the_list() -> None:
    assert most_input(offers("gpt-5", max_input_tokens=1000), response(previous_response_id="resp_1")) == 1000


def test_a_body_is_never_taken_for_less_than_it_has() -> None:
    call = response(previous_response_id="resp_1", input="x" * 2000)
    assert most_input(offers("gpt-5", max_input_tokens=1000), call) == len(call.sent.raw)
