"""on_disconnect: drain. A client that has left does not hide from the books what the provider charges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Person, config_for, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


@pytest.fixture
def draining(
    database_url: str,
    redis_url: str,
    scripted: ScriptedProvider,
    azure_variables: None,  # noqa: ARG001 - the processes inherit them
    tmp_path: Path,  # noqa: ARG001 - the SQLite database lies there
) -> Iterator[Stack]:
    config = config_for(scripted) | {"general_settings": {"on_disconnect": "drain"}}
    (stream,) = [entry for entry in config["model_list"] if entry["model_name"] == "stream"]
    # Long enough to run still when its slot has been found free.
    stream["litellm_params"]["model"] = "openai/tokens-5-10-chunks-10-gap-0.4"
    with Stack(database_url, redis_url, config, web=1, workers=1) as running:
        yield running


def test_a_stream_that_its_client_left_is_read_to_its_usage_and_its_slot_is_free_at_once(
    draining: Stack, provider: ScriptedProvider
) -> None:
    admin = Person(draining.master_key, draining.urls[0])
    caller = user_of(draining, admin, user_id="ada", max_parallel_requests=1)
    streamed = caller.post(
        "/v1/chat/completions",
        {"model": "stream", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        stream=True,
    )
    next(streamed.iter_lines())
    streamed.close()
    until(lambda: caller.chat("dime").status_code == 200)
    assert provider.in_flight == 1
    until(lambda: len(admin.get("/spend/logs", user_id="ada").json()) == 2)
    (left,) = [row for row in admin.get("/spend/logs", user_id="ada").json() if row["model_group"] == "stream"]
    assert (left["status"], left["usage_source"], left["completion_tokens"]) == ("cancelled", "provider", 10)
