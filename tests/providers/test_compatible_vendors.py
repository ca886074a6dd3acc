"""Vendors that speak OpenAI's language: answers pass byte for byte and are booked with what each of them bills."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.usage import Usage
from app.providers.base import Counts, Outgoing, StreamReader, Target
from app.providers.compatible import DIALECTS, Compatible, compatible, xai_counts
from tests.providers.sending import sent

CHAT = "chat/completions"
DONE = b"data: [DONE]\n\n"
BODY: dict[str, Any] = {"model": "ours", "messages": [{"role": "user", "content": "Hello"}]}

# (vendor, what its documentation shows): (the usage, the counts that it must be booked with)
USAGES: dict[tuple[str, str], tuple[dict[str, Any], Counts]] = {
    # "Chat Completion API".
    ("mistral", "fresh"): (
        {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50},
        {"input": 16, "output": 34},
    ),
    # "Audio & transcription": what was heard is billed by the second; its tokens are in the total only.
    ("mistral", "audio"): (
        {"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635},
        {"input": 4, "output": 635, "audio_ms": 203_000},
    ),
    # "API reference": times stand beside the tokens.
    ("groq", "fresh"): (
        {
            "queue_time": 0.037,
            "prompt_tokens": 18,
            "prompt_time": 0.0006,
            "completion_tokens": 556,
            "completion_time": 0.46,
            "total_tokens": 574,
            "total_time": 0.46,
        },
        {"input": 18, "output": 556},
    ),
    # "Prompt caching".
    ("groq", "cached"): (
        {
            "prompt_tokens": 4641,
            "completion_tokens": 1817,
            "total_tokens": 6458,
            "prompt_tokens_details": {"cached_tokens": 4608},
        },
        {"input": 4641, "output": 1817, "cache_read": 4608},
    ),
    # "Create chat completion": prompt_tokens are those that hit the cache and those that missed it.
    ("deepseek", "cached and reasoned"): (
        {
            "prompt_tokens": 10000,
            "completion_tokens": 500,
            "total_tokens": 10500,
            "prompt_cache_hit_tokens": 9000,
            "prompt_cache_miss_tokens": 1000,
            "completion_tokens_details": {"reasoning_tokens": 300},
        },
        {"input": 10000, "output": 500, "cache_read": 9000, "reasoning": 300},
    ),
    ("together", "cached"): (
        {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cached_tokens": 64},
        {"input": 100, "output": 20, "cache_read": 64},
    ),
    # "Prompt caching".
    ("fireworks", "cached"): (
        {
            "prompt_tokens": 24,
            "completion_tokens": 222,
            "total_tokens": 246,
            "prompt_tokens_details": {"cached_tokens": 16},
        },
        {"input": 24, "output": 222, "cache_read": 16},
    ),
    # "Usage accounting".
    ("openrouter", "fresh"): (
        {
            "completion_tokens": 2,
            "completion_tokens_details": {"reasoning_tokens": 0},
            "cost": 0.95,
            "cost_details": {"upstream_inference_cost": 19},
            "prompt_tokens": 194,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "total_tokens": 196,
        },
        {"input": 194, "output": 2, "cache_read": 0, "audio_input": 0, "reasoning": 0},
    ),
    # The same page and "Web search": pictures, what was written to a cache, and searches.
    ("openrouter", "cache, picture and searches"): (
        {
            "prompt_tokens": 200,
            "completion_tokens": 1300,
            "total_tokens": 1500,
            "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 40},
            "completion_tokens_details": {"reasoning_tokens": 10, "image_tokens": 1290},
            "server_tool_use": {"web_search_requests": 2},
        },
        {
            "input": 200,
            "output": 1300,
            "cache_read": 50,
            "cache_write_5m": 40,
            "reasoning": 10,
            "image_output": 1290,
            "web_searches": 2,
        },
    ),
    # "Chat completions" of the REST API reference: reasoning is not in completion_tokens, the total has it.
    ("xai", "reasoned"): (
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
            "num_sources_used": 0,
        },
        {
            "input": 32,
            "output": 103,
            "cache_read": 6,
            "audio_input": 0,
            "image_input": 0,
            "reasoning": 94,
            "audio_output": 0,
        },
    ),
    # "Prompt caching: usage and pricing".
    ("xai", "cached"): (
        {
            "prompt_tokens": 125,
            "completion_tokens": 48,
            "total_tokens": 173,
            "prompt_tokens_details": {"text_tokens": 125, "cached_tokens": 98},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        {"input": 125, "output": 48, "cache_read": 98, "reasoning": 0},
    ),
    # "Quickstart": Sonar Pro with a fee for the request.
    ("perplexity", "request"): (
        {
            "completion_tokens": 2681,
            "cost": {
                "input_tokens_cost": 7e-05,
                "output_tokens_cost": 0.04022,
                "total_cost": 0.04629,
                "request_cost": 0.006,
            },
            "prompt_tokens": 24,
            "total_tokens": 2705,
            "citation_tokens": None,
            "num_search_queries": None,
            "reasoning_tokens": None,
            "search_context_size": "low",
        },
        {"input": 24, "output": 2681, "requests": 1},
    ),
    # "Sonar Deep Research".
    ("perplexity", "research"): (
        {
            "prompt_tokens": 33,
            "completion_tokens": 11395,
            "total_tokens": 11428,
            "citation_tokens": 19028,
            "num_search_queries": 21,
            "reasoning_tokens": 193947,
            "cost": {"total_cost": 0.816},
        },
        {
            "input": 33 + 19028,
            "output": 11395 + 193947,
            "reasoning": 193947,
            "web_searches": 21,
            "requests": 1,
        },
    ),
    # "Using Cohere models via the OpenAI SDK".
    ("cohere", "fresh"): (
        {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        {"input": 10, "output": 20},
    ),
    # "OpenAI compatibility".
    ("ollama", "fresh"): (
        {"prompt_tokens": 26, "completion_tokens": 298, "total_tokens": 324},
        {"input": 26, "output": 298},
    ),
    # "OpenAI-compatible server", with --enable-prompt-tokens-details and without.
    ("vllm", "fresh"): (
        {"prompt_tokens": 5, "total_tokens": 12, "completion_tokens": 7, "prompt_tokens_details": None},
        {"input": 5, "output": 7},
    ),
    ("vllm", "cached"): (
        {
            "prompt_tokens": 50,
            "total_tokens": 57,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 48},
        },
        {"input": 50, "output": 7, "cache_read": 48},
    ),
}
NAMES = [f"{vendor}: {shown}" for vendor, shown in USAGES]
EACH = [(vendor, usage, counts) for (vendor, _), (usage, counts) in USAGES.items()]


def vendor_of(speaks: str) -> Compatible:
    return compatible(speaks, speaks, f"https://{speaks}.test/v1")


def prepared(speaks: str, body: dict[str, Any], route: str = CHAT, **target: Any) -> Outgoing:
    made = Target(model="theirs", api_key="key-ours", **target)
    return vendor_of(speaks).formats[route].prepare(made, sent(route, BODY | body))


def body_of(speaks: str, body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(prepared(speaks, body).body)
    return made


def answer(usage: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return orjson.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def event(**members: Any) -> bytes:
    return b"data: " + orjson.dumps({"id": "1", "object": "chat.completion.chunk", "model": "m"} | members) + b"\n\n"


def said(text: str, reason: str | None = None, **members: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}], **members)


def stream_of(speaks: str, usage: dict[str, Any]) -> bytes:
    """Where each vendor has its usage in a stream."""
    if speaks == "perplexity":
        # In every chunk, growing.
        return said("H", usage=usage | {"completion_tokens": 1, "total_tokens": 1}) + said("i", "stop", usage=usage)
    if speaks in ("mistral", "together", "fireworks"):
        # In the last chunk.
        return said("Hi") + said("", "stop", usage=usage) + DONE
    if speaks == "groq":
        return said("Hi", x_groq={"id": "req_1"}) + said("", "stop", x_groq={"id": "req_1", "usage": usage}) + DONE
    return b": OPENROUTER PROCESSING\n\n" + said("Hi", "stop") + event(choices=[], usage=usage) + DONE


def reader_of(speaks: str, *, usage_asked: bool = False) -> StreamReader:
    options = {"stream": True, "stream_options": {"include_usage": usage_asked}}
    return vendor_of(speaks).formats[CHAT].reader(sent(CHAT, BODY | options))


def passed(reader: StreamReader, *reads: bytes) -> bytes:
    return b"".join(piece for data in reads for piece in reader.feed(data)) + reader.rest()


@pytest.mark.parametrize(("speaks", "usage", "counts"), EACH, ids=NAMES)
def test_an_answer_passes_byte_for_byte_and_is_booked_with_what_the_vendor_bills(
    speaks: str, usage: dict[str, Any], counts: Counts
) -> None:
    read = vendor_of(speaks).formats[CHAT].whole(sent(CHAT, BODY), 200, answer(usage))
    assert (read.body, read.counts, read.text_bytes) == (answer(usage), counts, 2)


@pytest.mark.parametrize(("speaks", "usage", "counts"), EACH, ids=NAMES)
def test_a_stream_is_booked_like_the_whole_answer(speaks: str, usage: dict[str, Any], counts: Counts) -> None:
    reader = reader_of(speaks)
    passed(reader, stream_of(speaks, usage))
    assert (reader.counts, reader.finished, reader.text_bytes) == (counts, True, 2)


@pytest.mark.parametrize(("speaks", "usage"), [(speaks, usage) for speaks, usage, _ in EACH], ids=NAMES)
def test_a_client_that_asked_for_usage_gets_the_vendors_stream(speaks: str, usage: dict[str, Any]) -> None:
    stream = stream_of(speaks, usage)
    assert passed(reader_of(speaks, usage_asked=True), stream).removesuffix(DONE) == stream.removesuffix(DONE)


@pytest.mark.parametrize("counts", [counts for _, _, counts in EACH], ids=NAMES)
def test_what_is_booked_can_be_believed(counts: Counts) -> None:
    assert Usage.from_counts(counts).output >= counts["output"]


@settings(deadline=None)
@given(st.sampled_from(EACH), st.lists(st.integers(0, 900), max_size=8), st.booleans())
def test_every_way_to_cut_a_stream_up_gives_the_same_bytes_and_counts(
    one: tuple[str, dict[str, Any], Counts],
    cuts: list[int],
    usage_asked: bool,  # noqa: FBT001 - as hypothesis draws it
) -> None:
    speaks, usage, counts = one
    stream = stream_of(speaks, usage)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader, other = (reader_of(speaks, usage_asked=usage_asked) for _ in range(2))
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert passed(reader, *pieces) == passed(other, stream)
    assert (reader.counts, reader.finished) == (counts, True)


def test_perplexity_s_own_sum_is_what_its_prices_make_of_the_counts() -> None:
    # "Pricing": $2 for a million tokens of input, $8 of output, $3 of reasoning, $5 for a thousand searches.
    counts = USAGES["perplexity", "research"][1]
    text = counts["output"] - counts["reasoning"]
    micros = 2 * counts["input"] + 8 * text + 3 * counts["reasoning"] + 5000 * counts["web_searches"]
    assert round(micros / 10**6, 3) == 0.816


def test_xai_s_own_cost_is_what_its_prices_make_of_the_counts() -> None:
    usage = {
        "prompt_tokens": 10120,
        "completion_tokens": 1499,
        "total_tokens": 14428,
        "prompt_tokens_details": {"cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 2809},
        "cost_in_usd_ticks": 232856000,
    }
    counts = xai_counts(usage)
    assert counts is not None
    # "Cost tracking": a dollar is 10¹⁰ ticks. A million tokens cost $1.25, $0.20 from the cache, $2.50 of output.
    ticks = 12500 * (counts["input"] - counts["cache_read"]) + 2000 * counts["cache_read"] + 25000 * counts["output"]
    assert ticks == usage["cost_in_usd_ticks"]


@pytest.mark.parametrize("total", [{}, {"total_tokens": 135}, {"total_tokens": 41}])
def test_xai_s_completion_is_never_less_than_told(total: dict[str, int]) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 94}}
    counts = xai_counts({"prompt_tokens": 32, "completion_tokens": 9} | details | total)
    assert counts is not None
    assert counts["output"] == (9 if total == {"total_tokens": 41} else 103)


def test_groq_s_usual_usage_is_read_as_well() -> None:
    reader = reader_of("groq")
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    passed(reader, said("Hi", "stop", x_groq={"id": "r", "usage": usage}) + event(choices=[], usage=usage) + DONE)
    assert reader.counts == {"input": 1, "output": 2}


def test_a_stream_without_an_end_mark_gets_one_where_the_vendor_has_none() -> None:
    assert passed(reader_of("perplexity"), said("Hi") + said("", "stop")).endswith(said("", "stop") + DONE)


def test_an_end_mark_that_is_there_is_not_written_twice() -> None:
    assert passed(reader_of("perplexity"), said("Hi", "stop") + DONE).count(DONE) == 1


@pytest.mark.parametrize("speaks", ["perplexity", "mistral"])
def test_a_stream_that_breaks_off_is_not_finished(speaks: str) -> None:
    reader = reader_of(speaks)
    assert DONE not in passed(reader, said("Hi"))
    assert not reader.finished


def test_only_perplexity_s_streams_end_without_a_mark() -> None:
    reader = reader_of("openrouter")
    passed(reader, said("Hi", "stop"))
    assert not reader.finished


@pytest.mark.parametrize("speaks", sorted(DIALECTS))
def test_a_call_goes_to_the_vendor_with_our_key(speaks: str) -> None:
    outgoing = prepared(speaks, {})
    assert outgoing.url == f"https://{speaks}.test{'' if speaks == 'perplexity' else '/v1'}/chat/completions"
    assert outgoing.headers["Authorization"] == "Bearer key-ours"


@pytest.mark.parametrize("speaks", sorted(DIALECTS))
def test_a_body_is_changed_in_its_model_only(speaks: str) -> None:
    body = {"temperature": 0.5, "max_tokens": 9, "new_field": {"a": [1, None]}}
    model = "accounts/fireworks/models/theirs" if speaks == "fireworks" else "theirs"
    assert prepared(speaks, body).body == orjson.dumps(BODY | body | {"model": model})


@pytest.mark.parametrize("speaks", sorted(DIALECTS))
def test_a_stream_is_asked_for_its_usage_where_that_is_understood(speaks: str) -> None:
    expected = None if speaks in ("mistral", "perplexity") else {"include_usage": True}
    assert body_of(speaks, {"stream": True}).get("stream_options") == expected
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    assert body_of(speaks, asked).get("stream_options") == expected


@pytest.mark.parametrize("speaks", ["mistral", "deepseek", "together", "perplexity", "cohere", "ollama"])
def test_the_cap_has_the_name_that_the_vendor_knows(speaks: str) -> None:
    body = body_of(speaks, {"max_completion_tokens": 50})
    assert (body.get("max_tokens"), "max_completion_tokens" in body) == (50, False)


@pytest.mark.parametrize("speaks", ["groq", "fireworks", "openrouter", "xai", "vllm"])
def test_the_newer_cap_stays_where_it_is_known(speaks: str) -> None:
    assert body_of(speaks, {"max_completion_tokens": 50})["max_completion_tokens"] == 50


def test_a_cap_that_the_gateway_lowers_is_lowered_under_its_other_name() -> None:
    call = sent(CHAT, BODY | {"max_completion_tokens": 50}, changes={"max_completion_tokens": 20})
    body = orjson.loads(vendor_of("mistral").formats[CHAT].prepare(Target(model="theirs"), call).body)
    assert (body["max_tokens"], "max_completion_tokens" in body) == (20, False)


def test_mistral_is_spared_what_it_refuses_and_the_answer_does_not_need() -> None:
    asked = {"user": "u", "store": False, "seed": 7, "frequency_penalty": 0.5}
    assert body_of("mistral", asked) == BODY | {"model": "theirs", "random_seed": 7, "frequency_penalty": 0.5}


@pytest.mark.parametrize("name", ["accounts/me/models/mine", "theirs#accounts/me/deployments/1"])
def test_fireworks_full_names_stay(name: str) -> None:
    call = sent(CHAT, BODY)
    outgoing = vendor_of("fireworks").formats[CHAT].prepare(Target(model=name), call)
    assert orjson.loads(outgoing.body)["model"] == name


@pytest.mark.parametrize("base", ["http://127.0.0.1:11434", "http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"])
def test_ollama_s_address_may_be_its_own_or_openai_s(base: str) -> None:
    assert prepared("ollama", {}, api_base=base).url == "http://127.0.0.1:11434/v1/chat/completions"


def test_perplexity_s_newer_routes_are_under_their_version() -> None:
    call = sent("embeddings", {"model": "ours", "input": "Hello"})
    outgoing = vendor_of("perplexity").formats["embeddings"].prepare(Target(model="pplx-embed-v1-4b"), call)
    assert outgoing.url == "https://perplexity.test/v1/embeddings"


@pytest.mark.parametrize(
    ("speaks", "lacks"),
    [
        ("mistral", "completions"),
        ("perplexity", "completions"),
        ("deepseek", "embeddings"),
        ("xai", "embeddings"),
        ("groq", "rerank"),
    ],
)
def test_a_vendor_has_the_routes_that_it_has(speaks: str, lacks: str) -> None:
    formats = vendor_of(speaks).formats
    assert CHAT in formats
    assert lacks not in formats


@pytest.mark.parametrize("speaks", sorted(DIALECTS))
def test_an_error_passes_as_it_came(speaks: str) -> None:
    error = b'{"object":"error","message":"Service tier capacity exceeded","type":"invalid_request_error"}'
    read = vendor_of(speaks).formats[CHAT].whole(sent(CHAT, BODY), 429, error)
    assert (read.body, read.counts, read.text_bytes) == (error, None, 0)


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
MEMBERS = ("usage", "x_groq", "choices")
INSIDE = ("reasoning_tokens", "citation_tokens", "total_tokens", "server_tool_use", "prompt_audio_seconds", "usage")


@settings(deadline=None)
@given(st.sampled_from(sorted(DIALECTS)), st.sampled_from(MEMBERS), st.sampled_from(INSIDE), NONSENSE)
def test_no_usage_of_a_wrong_shape_makes_it_raise(speaks: str, member: str, inside: str, value: object) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, inside: value}
    for told in ({member: value}, {"choices": [], "usage": usage}, {"choices": [], "x_groq": usage}):
        stream = b"data: " + orjson.dumps(told) + b"\n\n" + DONE
        assert passed(reader_of(speaks, usage_asked=True), stream) == stream


@pytest.mark.parametrize(("told", "tier"), [("on_demand", None), ("flex", "flex")])
def test_groq_s_usual_tier_is_the_standard_one(told: str, tier: str | None) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    whole = (
        vendor_of("groq")
        .formats[CHAT]
        .whole(sent(CHAT, BODY), 200, orjson.dumps({"service_tier": told, "usage": usage}))
    )
    assert whole.tier == tier
