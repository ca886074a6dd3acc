"""What the OpenAPI document says is what the routes do: no answer of the wrong shape or status, and never a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
SEARCH = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


# Who is there, by the names under which routes ask for somebody.
KNOWN = {"user_id": "ada", "key": "sk-of-ada-0123456789", "model": "mock-gpt-4o", "api_key": "sk-of-ada-0123456789"}


def meant(given: Any) -> None:
    """Asks for somebody who is there instead of somebody whom nobody knows."""
    if isinstance(given, dict):
        given |= {name: known for name, known in KNOWN.items() if name in given}


def breaches(app: Flask, operation: Any) -> str | None:
    """What the first answer that is not as documented was, if there was one."""
    master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}

    @SEARCH
    @given(case=operation.as_strategy(), known=st.booleans())
    def try_out(case: Any, known: bool) -> None:  # noqa: FBT001 - hypothesis decides
        if known:
            for given_values in (case.body, case.query, case.path_parameters):
                meant(given_values)
        case.call_and_validate(headers=master, checks=CHECKS)

    try:
        try_out()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its route
        return str(error)
    return None


def make_ada(app: Flask) -> None:
    """A user with a key."""
    master = {"Authorization": f"Bearer {app.extensions['tollgate'].settings.master_key}"}
    body = {"user_id": KNOWN["user_id"], "key": KNOWN["key"], "max_budget": 1}
    assert app.test_client().post("/user/new", json=body, headers=master).status_code == 200


@pytest.mark.timeout(600)  # Hundreds of calls on each of all routes, the longest test by far.
def test_every_route_answers_as_it_is_documented(gateway_app: Flask) -> None:
    make_ada(gateway_app)
    document = schemathesis.openapi.from_wsgi("/openapi.json", gateway_app)
    operations = [result.ok() for result in document.get_all_operations()]  # type: ignore[union-attr]
    found = {operation.label: breaches(gateway_app, operation) for operation in operations}
    assert len(found) > 20
    assert {route: breach for route, breach in found.items() if breach is not None} == {}
