"""Bedrock is called where it lives, with a signature or a key that it accepts, and its answers come back metered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from app.errors import BadRequest, ProviderFailed
from app.providers import provider_of
from app.providers.base import Outgoing, Sent, StreamReader, Target, Whole, WireFormat
from app.providers.bedrock import Bedrock, BedrockClaude
from tests.providers import aws_frames, converse_examples, messages
from tests.providers.bedrock_model import problems
from tests.providers.sending import sent
from tests.scripted_bedrock import API_KEY, FRAMES, KEYS, REGION, SECRET_KEY, SESSION_TOKEN, Answer, ScriptedBedrock

CLAUDE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/a1b2c3d4e5f6"
CHAT = {"model": "ours", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = CHAT | {"max_tokens": 100}


@pytest.fixture(scope="module")
def bedrock() -> Iterator[ScriptedBedrock]:
    with ScriptedBedrock() as server:
        yield server


def target(model: str, url: str | None = None, api_key: str | None = None, **options: str) -> Target:
    endpoint = {} if url is None else {"aws_bedrock_runtime_endpoint": url}
    return Target(model=model, api_key=api_key, options=options | endpoint)


def format_of(route: str, model: str) -> WireFormat:
    return provider_of("bedrock", model).formats[route]


def posted(outgoing: Outgoing) -> urllib3.BaseHTTPResponse:
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request("POST", outgoing.url, body=outgoing.body, headers=outgoing.headers)


def asked(
    route: str, body: Mapping[str, Any], to: Target, headers: Mapping[str, str] | None = None
) -> tuple[Whole | StreamReader, bytes]:
    """A call from its beginning to its end: what was read, and what the client gets."""
    call: Sent = sent(route, body, headers)
    wire = format_of(route, to.model)
    response = posted(wire.prepare(to, call))
    if response.headers["Content-Type"] != wire.streams:
        whole = wire.whole(call, response.status, response.data)
        return whole, whole.body
    reader = wire.reader(call)
    pieces = reader.feed(response.data)
    return reader, b"".join(pieces) + reader.rest()


KEYS_OR_KEY: dict[str, dict[str, Any]] = {
    "temporary keys": dict(KEYS),
    "lasting keys": {name: value for name, value in KEYS.items() if name != "aws_session_token"},
    "an API key": {"api_key": API_KEY},
}


@pytest.mark.parametrize("kind", KEYS_OR_KEY)
@pytest.mark.parametrize(
    "model", [CLAUDE, NOVA, PROFILE.replace("us-west-2", REGION), "meta.llama3-1-8b-instruct-v1:0"]
)
def test_aws_finds_every_kind_of_proof_right(bedrock: ScriptedBedrock, kind: str, model: str) -> None:
    bedrock.answers["converse"] = Answer(200, json.dumps(converse_examples.answer({"text": "Hi"})).encode())
    whole, _ = asked("chat/completions", CHAT, target(model, bedrock.url, **KEYS_OR_KEY[kind]))
    assert (whole.counts, bedrock.calls[-1].model) == ({"input": 125, "output": 60}, model)


def test_a_wrong_key_is_the_clients_to_see_in_its_own_shape(bedrock: ScriptedBedrock) -> None:
    wrong = target(CLAUDE, bedrock.url, **KEYS | {"aws_secret_access_key": "wrong"})
    _, chat = asked("chat/completions", CHAT, wrong)
    _, message = asked("messages", MESSAGE, wrong)
    assert json.loads(chat)["error"]["type"] == "permission_error"
    told = json.loads(message)
    assert (told["type"], told["error"]["type"]) == ("error", "permission_error")


def test_a_chat_streams_from_the_converse_api(bedrock: ScriptedBedrock) -> None:
    stream = converse_examples.START + converse_examples.text("Hi", "!") + converse_examples.end()
    bedrock.answers["converse-stream"] = Answer(200, stream, FRAMES)
    reader, shown = asked("chat/completions", CHAT | {"stream": True}, target(NOVA, bedrock.url, **KEYS))
    assert (reader.counts, shown.endswith(b"data: [DONE]\n\n")) == ({"input": 125, "output": 60}, True)
    assert problems(bedrock.calls[-1].body, "ConverseStream") == ""


@pytest.mark.parametrize("example", converse_examples.USAGES)
def test_anthropics_clients_reach_every_model(bedrock: ScriptedBedrock, example: str) -> None:
    usage, counts = converse_examples.USAGES[example]
    said = converse_examples.answer({"text": "Hi!"}, usage=usage)
    bedrock.answers["converse"] = Answer(200, json.dumps(said).encode())
    stream = converse_examples.START + converse_examples.text("Hi", "!") + converse_examples.end(usage=usage)
    bedrock.answers["converse-stream"] = Answer(200, stream, FRAMES)
    whole, message = asked("messages", MESSAGE, target(NOVA, bedrock.url, **KEYS))
    reader, shown = asked("messages", MESSAGE | {"stream": True}, target(NOVA, bedrock.url, **KEYS))
    assert (whole.counts, reader.counts) == (counts, counts)
    assert json.loads(message)["content"] == [{"type": "text", "text": "Hi!"}]
    assert b"event: message_stop" in shown


def test_a_chat_with_claude_is_a_chat_of_the_converse_api(bedrock: ScriptedBedrock) -> None:
    bedrock.answers["converse"] = Answer(200, json.dumps(converse_examples.answer({"text": "Hi"})).encode())
    asked("chat/completions", CHAT | {"max_tokens": 5}, target(CLAUDE, bedrock.url, **KEYS))
    assert bedrock.calls[-1].body == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 5},
    }


def test_a_message_to_claude_is_anthropics_own(bedrock: ScriptedBedrock) -> None:
    said = json.dumps(messages.message([{"type": "text", "text": "Hi!"}]), indent=1).encode()
    bedrock.answers["invoke"] = Answer(200, said)
    whole, body = asked("messages", MESSAGE, target(CLAUDE, bedrock.url, **KEYS))
    assert (whole.counts, body) == ({"input": 25, "output": 15}, said)
    sent_body = {key: value for key, value in MESSAGE.items() if key != "model"}
    assert bedrock.calls[-1].body == sent_body | {"anthropic_version": "bedrock-2023-05-31"}


def test_a_stream_of_claudes_is_what_anthropic_would_have_sent(bedrock: ScriptedBedrock) -> None:
    events = messages.start() + messages.text(0, "Hi", "!") + messages.end()
    frames = b"".join(aws_frames.chunk(event) for event in messages.chunks(events))
    bedrock.answers["invoke-with-response-stream"] = Answer(200, frames, FRAMES)
    reader, shown = asked("messages", MESSAGE | {"stream": True}, target(CLAUDE, bedrock.url, **KEYS))
    assert (reader.counts, shown) == ({"input": 25, "output": 15}, events)
    assert "stream" not in bedrock.calls[-1].body


def test_tokens_are_counted_for_free(bedrock: ScriptedBedrock) -> None:
    bedrock.answers["count-tokens"] = Answer(200, b'{"inputTokens": 14}')
    counted = {key: value for key, value in MESSAGE.items() if key != "max_tokens"}
    whole, body = asked("messages/count_tokens", counted, target(CLAUDE, bedrock.url, **KEYS))
    call = bedrock.calls[-1]
    assert (body, whole.counts, call.model) == (b'{"input_tokens":14}', None, CLAUDE.removeprefix("eu."))
    assert problems(call.body, "CountTokens") == ""


def prepared(model: str, **options: str) -> str:
    return (
        Bedrock.formats["chat/completions"]
        .prepare(target(model, None, None, **KEYS | options), sent("chat/completions", CHAT))
        .url
    )


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (NOVA, "https://bedrock-runtime.eu-central-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse"),
        (
            f"converse/{NOVA}",
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse",
        ),
        (
            f"us-west-2/{CLAUDE}",
            "https://bedrock-runtime.us-west-2.amazonaws.com/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
        ),
        (
            f"invoke/us-gov-west-1/{NOVA}",
            "https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse",
        ),
        (
            PROFILE,
            f"https://bedrock-runtime.us-west-2.amazonaws.com/model/{quote(PROFILE, safe='')}/converse",
        ),
    ],
)
def test_the_region_and_the_model_stand_in_the_address(model: str, url: str) -> None:
    assert prepared(model) == url


def test_china_has_an_address_of_its_own() -> None:
    assert prepared(NOVA, aws_region_name="cn-north-1").startswith(
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/"
    )


@pytest.mark.parametrize("region", ["evil.example/", "x@evil.example", ""])
def test_a_region_leads_nowhere_else(region: str) -> None:
    with pytest.raises(ProviderFailed, match="aws_region_name"):
        prepared(NOVA, aws_region_name=region)


@pytest.mark.parametrize("missing", ["aws_access_key_id", "aws_secret_access_key"])
def test_without_keys_nothing_is_sent(missing: str) -> None:
    with pytest.raises(ProviderFailed, match="aws_secret_access_key"):
        prepared(NOVA, **{missing: ""})


def test_no_secret_is_shown() -> None:
    outgoing = BedrockClaude.formats["messages"].prepare(
        target(CLAUDE, None, None, **KEYS), sent("messages", MESSAGE, {"authorization": "Bearer theirs"})
    )
    shown = repr(outgoing) + repr(target(CLAUDE, None, API_KEY, **KEYS)) + str(outgoing.body)
    assert not [secret for secret in (SECRET_KEY, SESSION_TOKEN, API_KEY, "theirs") if secret in shown]
    assert SECRET_KEY not in str(outgoing.headers)


def betas(asked_for: str, stated: Any = None) -> Any:
    body = MESSAGE if stated is None else MESSAGE | {"anthropic_beta": stated}
    call = sent("messages", body, {"Anthropic-Beta": asked_for})
    outgoing = format_of("messages", CLAUDE).prepare(target(CLAUDE, None, None, **KEYS), call)
    return json.loads(outgoing.body).get("anthropic_beta")


def test_betas_that_bedrock_knows_go_into_the_body() -> None:
    assert betas("claude-code-20250219, context-1m-2025-08-07,context-1m-2025-08-07") == ["context-1m-2025-08-07"]
    assert betas("claude-code-20250219") is None
    assert betas("advanced-tool-use-2025-11-20") == ["tool-search-tool-2025-10-19"]
    assert betas("effort-2025-11-24", ["new-2027-01-01"]) == ["new-2027-01-01", "effort-2025-11-24"]
    assert betas("effort-2025-11-24", [["odd"]]) == [["odd"], "effort-2025-11-24"]


@pytest.mark.parametrize("name", ["throttlingException", "serviceUnavailableException"])
def test_a_failure_in_a_stream_of_claudes_is_an_error_of_anthropics(name: str) -> None:
    reader = format_of("messages", CLAUDE).reader(sent("messages", MESSAGE | {"stream": True}))
    begun = aws_frames.chunk(messages.chunks(messages.start())[0])
    shown = b"".join(reader.feed(begun + aws_frames.exception(name, "Slow down.") + begun))
    told = messages.chunks(shown)
    assert (len(told), told[-1]["type"], told[-1]["error"]["message"]) == (2, "error", "Slow down.")
    assert (reader.finished, reader.feed(begun), reader.rest()) == (False, [], b"")


def test_every_way_to_cut_a_stream_of_claudes_gives_the_same() -> None:
    events = messages.start() + messages.thought(0, "Hm") + messages.tool(1, "now", "{}") + messages.end()
    frames = b"".join(aws_frames.chunk(event) for event in messages.chunks(events))
    wire, call = format_of("messages", CLAUDE), sent("messages", MESSAGE | {"stream": True})
    for size in (1, 2, 3, 7, 50, len(frames)):
        reader = wire.reader(call)
        pieces, rest = messages.read(reader, frames, range(0, len(frames), size))
        assert (b"".join(pieces) + rest, reader.counts, reader.finished) == (events, {"input": 25, "output": 15}, True)


@pytest.mark.parametrize(
    "payload",
    [b"not json", b'{"bytes": 3}', b'{"bytes": "###"}', b'{"bytes": "e30="}', b'{"bytes": "eyJ0eXBlIjogImEgYiJ9"}'],
)
def test_a_chunk_that_holds_no_event_is_not_passed_on(payload: bytes) -> None:
    reader = format_of("messages", CLAUDE).reader(sent("messages", MESSAGE | {"stream": True}))
    headers = {":event-type": aws_frames.text("chunk"), ":message-type": aws_frames.text("event")}
    shown = b"".join(reader.feed(aws_frames.frame(headers, payload)))
    assert all(event["type"] == "error" for event in messages.chunks(shown))


def embedded(model: str, given: Any, answer: dict[str, Any], bedrock: ScriptedBedrock, **more: Any) -> tuple[Any, Any]:
    bedrock.answers["invoke"] = Answer(200, json.dumps(answer).encode())
    body = {"model": "ours", "input": given} | more
    whole, told = asked("embeddings", body, target(model, bedrock.url, **KEYS))
    return whole.counts, json.loads(told)


# AWS, "Amazon Titan Text Embeddings".
def test_titan_embeds_a_text(bedrock: ScriptedBedrock) -> None:
    answer = {"embedding": [0.5, -1.0], "inputTextTokenCount": 7}
    counts, told = embedded("amazon.titan-embed-text-v2:0", ["Hello"], answer, bedrock, dimensions=256)
    assert bedrock.calls[-1].body == {"inputText": "Hello", "dimensions": 256}
    assert (counts, told["usage"]) == ({"input": 7, "output": 0}, {"prompt_tokens": 7, "total_tokens": 7})
    assert told["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]


# AWS, "Cohere Embed and Cohere Embed v4 models".
@pytest.mark.parametrize("vectors", [[[1.0], [2.0]], {"float": [[1.0], [2.0]]}])
def test_cohere_embeds_many_texts(bedrock: ScriptedBedrock, vectors: Any) -> None:
    answer = {"embeddings": vectors, "id": "1", "texts": ["a", "b"]}
    counts, told = embedded("cohere.embed-english-v3", ["a", "b"], answer, bedrock, encoding_format="base64")
    assert bedrock.calls[-1].body == {"texts": ["a", "b"], "input_type": "search_document"}
    assert (counts, [item["embedding"] for item in told["data"]]) == (None, ["AACAPw==", "AAAAQA=="])


@pytest.mark.parametrize("given", [["a", "b"], [1, 2], None, {}])
def test_titan_takes_one_text_and_nothing_else(given: Any) -> None:
    model = "amazon.titan-embed-text-v2:0"
    with pytest.raises(BadRequest) as caught:
        format_of("embeddings", model).prepare(target(model, None, None, **KEYS), sent("embeddings", {"input": given}))
    assert caught.value.param == "input"
