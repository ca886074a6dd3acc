"""Whose a connection to a provider is: the call's that reads from it, and nobody's once it is kept for others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.gateway.call import send
from app.gateway.offers import Offer, offer
from app.gateway.patience import Patience
from app.http import Pool
from app.model_list import Deployment
from app.providers.base import Sent
from tests.gateway.running import a_call
from tests.scripted_provider import ScriptedProvider

BODY, STREAM = b'{"model": "m", "messages": []}', b'{"model": "m", "messages": [], "stream": true}'


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as running:
        yield running


def deployed(provider: ScriptedProvider, model: str) -> Offer:
    return offer(Deployment("d", "m", "openai", model, api_base=f"{provider.url}/v1", api_key="sk-provider"))


def test_a_connection_that_is_kept_for_others_is_not_closed_when_the_client_leaves(provider: ScriptedProvider) -> None:
    """The last piece may be long on its way to a slow client, while another call uses the connection already."""
    pool, patience = Pool(), Patience(5, 5, 5, 5)
    leaving, staying = a_call(), a_call()
    body = {"model": "m", "messages": []}
    whole = Sent("chat/completions", BODY, body)
    stream = replace(whole, raw=STREAM, body=body | {"stream": True}, stream=True)
    pieces = send(pool, deployed(provider, "tokens-1-1"), whole, leaving, patience).chunks()
    assert next(pieces)
    lasting = send(pool, deployed(provider, "chunks-3-gap-0.1"), stream, staying, patience)
    leaving.leave()
    assert b"".join(lasting.chunks()).endswith(b"data: [DONE]\n\n")
