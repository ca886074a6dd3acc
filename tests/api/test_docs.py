from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api.docs import VERSION


@pytest.fixture
def spec(bare_client: FlaskClient) -> dict[str, Any]:
    return dict(bare_client.get("/openapi.json").json or {})


def operations(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    verbs = ("get", "post")
    return [(path, item[verb]) for path, item in spec["paths"].items() for verb in verbs if verb in item]


def test_the_page_loads_files_of_our_own_only(bare_client: FlaskClient) -> None:
    page = bare_client.get("/").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 3
    assert "//" not in "".join(files)
    for file in files:
        with bare_client.get("/" + file) as answer:
            assert answer.status_code == 200


def test_the_page_works_under_a_prefix(bare_client: FlaskClient) -> None:
    page = bare_client.get("/", environ_overrides={"SCRIPT_NAME": "/gw"}).text
    assert 'url: "/gw/openapi.json"' in page


def test_every_field_says_what_it_means(spec: dict[str, Any]) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in spec["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if "description" not in described and "$ref" not in described and "allOf" not in described
    ]
    assert silent == []


def test_every_query_parameter_says_what_it_means(spec: dict[str, Any]) -> None:
    silent = [
        f"{path}?{parameter['name']}"
        for path, operation in operations(spec)
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and "description" not in parameter
    ]
    assert silent == []


def test_every_route_has_a_summary_and_its_errors(spec: dict[str, Any]) -> None:
    lacking = [
        path
        for path, operation in operations(spec)
        if not operation.get("summary") or not ({"400", "401", "503"} & set(operation["responses"]))
    ]
    assert [path for path in lacking if not path.startswith("/health/live")] == []


def test_tags_stand_in_the_order_of_the_page(spec: dict[str, Any]) -> None:
    assert [tag["name"] for tag in spec["tags"]] == [
        *(
            "Users",
            "Keys",
            "Teams",
            "Customers",
            "Budgets",
            "Limits",
            "Me",
            "Credits",
            "Models",
            "Spend",
            "Holds",
            "Export",
        ),
        *("Reports", "Daily reports", "Report", "Activity", "Estimates", "Webhooks", "Audit", "Config", "Health"),
        *("LLM routes", "Other LLM routes"),
    ]


def test_the_version_is_the_package_s() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
