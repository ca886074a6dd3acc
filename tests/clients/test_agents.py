"""What coding agents and curl send and get passes through the gateway byte for byte, but for model and key.

`recorded` holds requests in the shape of those of Claude Code 2.1 and Codex 0.98: their headers, their fields, one line
of JSON. @LARGE@ stands for what makes them large in real life: the output of a tool.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ANTHROPIC_KEY, OPENAI_KEY
from tests.clients.matrix import RECORDED
from tests.journeys.conftest import HTTP, Person
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider

FILES = Path(__file__).parent / "recorded"
MEGABYTE = 1_000_000
# What a tool prints: signs that JSON escapes, signs that it need not, and more than a megabyte of them.
OUTPUT = json.dumps('[ERROR] "disk" \\ full\t\x1b[31m é 🍵\n' * 40_000, ensure_ascii=False).encode()[1:-1]
# What the model is called by the agent and by the provider.
NAMES = {"claude": ("sonnet", "claude-sonnet-4-5"), "codex": ("codex", "gpt-5-codex")}
Users = Callable[..., Person]
every_agent = pytest.mark.parametrize("agent", [name for name in RECORDED if name != "curl"])


def recorded(agent: str) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of a request."""
    head, _, body = (FILES / f"{agent}.http").read_bytes().partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return first.split(" ")[1], headers, body.rstrip(b"\n").replace(b"@LARGE@", OUTPUT)


def sent(caller: Person, path: str, headers: dict[str, str], body: bytes) -> Any:
    return HTTP.post(caller.url + path, data=body, headers=headers, timeout=30)


def by_agent(caller: Person, agent: str) -> tuple[Any, bytes]:
    """The answer to the agent's request, and the body that was sent."""
    path, headers, body = recorded(agent)
    return sent(caller, path, headers | {"authorization": f"Bearer {caller.secret}"}, body), body


@every_agent
def test_the_provider_gets_what_the_agent_sent_but_for_the_model(
    agent: str, provider: ScriptedProvider, person: Users
) -> None:
    answer, body = by_agent(person(), agent)
    assert answer.status_code == 200, answer.text
    ours, theirs = (f'"model":"{name}"'.encode() for name in NAMES[agent.partition("_")[0]])
    assert len(body) > MEGABYTE
    assert body.count(ours) == 1
    (call,) = provider.calls
    assert call.raw == body.replace(ours, theirs)


@every_agent
def test_the_agent_gets_what_the_provider_sent(agent: str, provider: ScriptedProvider, person: Users) -> None:
    answer, _ = by_agent(person(), agent)
    (call,) = provider.calls
    assert call.sent
    assert answer.content == call.sent


@every_agent
def test_the_provider_gets_its_own_key_and_the_agents_beta_features(
    agent: str, provider: ScriptedProvider, person: Users
) -> None:
    caller = person()
    by_agent(caller, agent)
    (call,) = provider.calls
    _, headers, _ = recorded(agent)
    own = {name: value for name, value in headers.items() if name in ("anthropic-version", "anthropic-beta")}
    own |= {"openai-beta": headers["openai-beta"]} if agent.startswith("codex") else {"x-api-key": ANTHROPIC_KEY}
    assert own.items() <= call.headers.items()
    assert (call.headers.get("authorization") == f"Bearer {OPENAI_KEY}") == agent.startswith("codex")
    assert caller.secret not in str(call.headers)


def test_an_error_of_the_provider_reaches_claude_code_byte_for_byte(provider: ScriptedProvider, person: Users) -> None:
    caller = person()
    path, headers, body = recorded("claude_code_messages")
    body = body.replace(b'"model":"sonnet"', b'"model":"failing-claude-status-529"')
    answer = sent(caller, path, headers | {"x-api-key": caller.secret}, body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (529, "overloaded_error")
    assert answer.content == provider.calls[-1].sent


def test_claude_codes_cached_prompts_are_booked_as_such(provider: ScriptedProvider, person: Users) -> None:
    caller = person()
    path, headers, body = recorded("claude_code_messages")
    body = body.replace(b'"sonnet"', b'"claude-tokens-100-20-cached-50-written-20-hourly-25"')
    assert sent(caller, path, headers | {"x-api-key": caller.secret}, body).status_code == 200
    assert len(provider.calls) == 1
    until(lambda: caller.get("/spend/logs").json() != [])
    (row,) = caller.get("/spend/logs").json()
    assert (row["prompt_tokens"], row["completion_tokens"], row["stream"]) == (100, 20, True)


def test_claude_code_is_answered_by_openais_models_too(provider: ScriptedProvider, person: Users) -> None:
    caller = person()
    path, headers, body = recorded("claude_code_messages")
    body = body.replace(b'"model":"sonnet"', b'"model":"gpt-4o-mini"')
    answer = sent(caller, path, headers | {"x-api-key": caller.secret}, body)
    events = re.findall("^event: (.+)$", answer.text, flags=re.MULTILINE)
    assert (events[0], events[-1]) == ("message_start", "message_stop")
    (call,) = provider.calls
    assert call.route == "chat/completions"
    roles = [message["role"] for message in call.body["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize("asks", [True, False], ids=["with usage", "without usage"])
def test_curl_prints_the_events_that_the_provider_sent(
    asks: bool,  # noqa: FBT001 - one of two cases
    provider: ScriptedProvider,
    person: Users,
) -> None:
    caller = person()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    body |= {"stream_options": {"include_usage": True}} if asks else {}
    words = ["-sN", f"{caller.url}/v1/chat/completions", "-H", f"Authorization: Bearer {caller.secret}"]
    words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    printed = subprocess.run(["curl", *words], capture_output=True, check=True).stdout
    (call,) = provider.calls
    events = bytes(call.sent).split(b"\n\n")
    # The event without choices is the one with the usage, and this client did not ask for it.
    shown = events if asks else [event for event in events if b'"choices":[]' not in event]
    assert asks == (len(shown) == len(events))
    assert printed == b"\n\n".join(shown)
