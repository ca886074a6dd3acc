"""The provider that other tests rely on speaks OpenAI's wire, counts rightly and bears a crowd."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import urllib3

from app.providers import PROVIDERS
from app.providers.base import Target
from tests.providers.sending import sent
from tests.scripted_provider import ScriptedProvider

AZURE, OPENAI = (PROVIDERS[name].formats["chat/completions"] for name in ("azure", "openai"))
MESSAGES: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as scripted:
        yield scripted


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="sk-test", max_retries=0) as made:
        yield made


def call(provider: ScriptedProvider, model: str, **fields: object) -> urllib3.BaseHTTPResponse:
    body = {"model": model, "messages": MESSAGES, **fields}
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request("POST", f"{provider.url}/v1/chat/completions", json=body)


def eventually(is_so: object, seconds: float = 2.0) -> bool:
    until = time.monotonic() + seconds
    assert callable(is_so)
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_openais_client_reads_its_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 20)


def test_openais_client_reads_its_streams_with_usage_at_the_end(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.create(
        model="chunks-3-tokens-7-8", messages=MESSAGES, stream=True, stream_options=options
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "word0 word1 word2"
    assert [chunk.usage and chunk.usage.total_tokens for chunk in chunks] == [None] * (len(chunks) - 1) + [15]
    assert chunks[-1].choices == []


def test_without_being_asked_a_stream_has_no_usage(provider: ScriptedProvider) -> None:
    assert b'"usage"' not in call(provider, "gpt-4o", stream=True).data


def test_openais_client_reads_its_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="gpt-4o", input=["a", "b"], encoding_format="float")
    assert (len(answer.data), answer.usage.prompt_tokens) == (2, 10)


def test_azures_client_is_served_at_azures_addresses(provider: ScriptedProvider) -> None:
    with openai.AzureOpenAI(azure_endpoint=provider.url, api_key="k", api_version="2024-10-21") as azure:
        answer = azure.chat.completions.create(model="tokens-1-2", messages=MESSAGES)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, provider.calls[0].azure) == (1, True)


def test_a_wrong_key_is_refused_as_azure_does(provider: ScriptedProvider) -> None:
    provider.api_key = "right"
    target = Target(model="gpt-4o", api_base=provider.url, api_key="left")
    outgoing = AZURE.prepare(target, sent("chat/completions", {"messages": MESSAGES}))
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request("POST", outgoing.url, headers=outgoing.headers, body=outgoing.body)
    assert (response.status, response.json()["error"]["code"]) == (401, "401")


def test_a_call_is_recorded_as_it_came(provider: ScriptedProvider) -> None:
    target = Target(model="gpt-4o", api_base=f"{provider.url}/v1", api_key="sk-ours")
    outgoing = OPENAI.prepare(target, sent("chat/completions", {"model": "gpt-4o", "stream": True}))
    with urllib3.PoolManager(retries=False) as pool:
        pool.request("POST", outgoing.url, headers=outgoing.headers, body=outgoing.body)
    recorded = provider.calls[0]
    assert recorded.raw == outgoing.body
    assert recorded.headers["authorization"] == "Bearer sk-ours"
    assert recorded.usage_asked


@pytest.mark.parametrize(("model", "status"), [("status-500", 500), ("gpt-status-429", 429), ("status-400", 400)])
def test_an_error_is_had_by_naming_it(provider: ScriptedProvider, model: str, status: int) -> None:
    response = call(provider, model)
    assert (response.status, "Retry-After" in response.headers) == (status, status == 429)


def test_an_error_can_be_for_once(provider: ScriptedProvider) -> None:
    assert [call(provider, "status-500-once").status for _ in range(2)] == [500, 200]


def test_a_stream_can_be_cut_off(provider: ScriptedProvider) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        call(provider, "cut-after-3", stream=True)


def test_a_stream_can_end_in_an_error(provider: ScriptedProvider) -> None:
    data = call(provider, "error-after-2", stream=True).data
    assert (data.count(b"data: "), b'"error"' in data, b"[DONE]" in data) == (3, True, False)


def test_a_connection_can_be_dropped(provider: ScriptedProvider) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        call(provider, "drop")


def test_an_answer_can_be_slow(provider: ScriptedProvider) -> None:
    started = time.monotonic()
    call(provider, "slow-0.2")
    assert time.monotonic() - started >= 0.2


def test_ids_differ_unless_told_otherwise(provider: ScriptedProvider) -> None:
    ids = [call(provider, model).json()["id"] for model in ("a", "a", "same-id", "same-id")]
    assert (ids[0] != ids[1], ids[2] == ids[3]) == (True, True)


def test_a_script_says_what_the_next_call_gets(provider: ScriptedProvider) -> None:
    provider.script += [{"status": 418}, lambda asked: {"text": asked.model.upper()}]
    assert call(provider, "a").status == 418
    assert call(provider, "b").json()["choices"][0]["message"]["content"] == "B"


def test_a_client_that_leaves_is_noticed(provider: ScriptedProvider) -> None:
    with socket.create_connection(("127.0.0.1", provider.port)) as connection:
        body = json.dumps({"model": "hang"}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert eventually(lambda: provider.in_flight == 1)
    assert eventually(lambda: provider.in_flight == 0)
    assert provider.calls[0].left


def test_two_hundred_calls_are_in_flight_at_once(provider: ScriptedProvider) -> None:
    threads = [threading.Thread(target=call, args=(provider, "slow-4")) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(provider.calls), provider.max_in_flight, provider.in_flight) == (200, 200, 0)


def test_connections_are_kept(provider: ScriptedProvider) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", provider.port, maxsize=1) as pool:
        for stream in (False, True, False):
            pool.request("POST", "/v1/chat/completions", json={"model": "m", "stream": stream})
        assert pool.num_connections == 1


def test_a_process_of_its_own_is_steered_and_read_over_http() -> None:
    command = [sys.executable, "-m", "tests.scripted_provider", "--port", "0"]
    root = Path(__file__).parents[2]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process,
        urllib3.PoolManager() as pool,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        pool.request("POST", f"{url}/v1/chat/completions", json={"model": "m"})
        before = pool.request("GET", f"{url}/__stats").json()
        pool.request("POST", f"{url}/__reset")
        after = pool.request("GET", f"{url}/__stats").json()
        process.terminate()
    assert before == {"calls": 1, "in_flight": 0, "max_in_flight": 1, "left": 0, "by_model": {"m": 1}}
    assert after["calls"] == 0
