"""Vendors with parameters of their own: where they come from, and which secrets belong together."""

from __future__ import annotations

from typing import Any

import pytest

from app.config_file import Notes, Section
from app.model_list import Deployment, read
from app.vendors import VENDORS

AWS = {
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "shh",
    "AWS_SESSION_TOKEN": "tok",
    "AWS_REGION": "eu-west-1",
}
OF_AWS = {
    "aws_access_key_id": "AKIA",
    "aws_secret_access_key": "shh",
    "aws_session_token": "tok",
    "aws_region_name": "eu-west-1",
}
BEARER = {"AWS_BEARER_TOKEN_BEDROCK": "bearer"}
NOVA, GEMINI = "bedrock/amazon.nova-pro-v1:0", "vertex_ai/gemini-2.5-flash"
FILE = {"GOOGLE_APPLICATION_CREDENTIALS": "/etc/account.json"}


def found(
    model: str, environ: dict[str, str] | None = None, *, stored: bool = False, **params: Any
) -> tuple[Deployment, list[str]]:
    notes = Notes("config.yaml", environ or {})
    values: dict[str, Any] = {"model_name": "ours", "litellm_params": {"model": model, **params}}
    deployment = read(Section(notes, "model_list", "", values), {}, stored=stored)
    assert deployment is not None
    return deployment, notes.problems


def options(
    model: str, environ: dict[str, str] | None = None, *, stored: bool = False, **params: str
) -> dict[str, str]:
    deployment, problems = found(model, environ, stored=stored, **params)
    assert (problems, deployment.off) == ([], None)
    return dict(deployment.options)


def problem(model: str, *, stored: bool = False, **params: Any) -> str:
    _, (line,) = found(model, stored=stored, **params)
    return line


@pytest.mark.parametrize("stored", [False, True])
def test_a_deployment_that_says_nothing_has_the_environments_keys(*, stored: bool) -> None:
    assert options(NOVA, AWS, stored=stored) == OF_AWS
    assert found(NOVA, BEARER, stored=stored)[0].api_key == "bearer"
    assert options(GEMINI, FILE, stored=stored) == {"vertex_credentials": "/etc/account.json"}


def test_to_keys_that_are_stated_no_token_of_the_environments_belongs() -> None:
    own: dict[str, Any] = {"aws_access_key_id": "mine", "aws_secret_access_key": "my own"}
    deployment, _ = found(NOVA, AWS | BEARER, **own)
    assert (dict(deployment.options), deployment.api_key) == (own | {"aws_region_name": "eu-west-1"}, None)


def test_an_api_key_that_is_stated_stands_alone() -> None:
    deployment, _ = found(NOVA, AWS, api_key="mine")
    assert (deployment.api_key, dict(deployment.options)) == ("mine", {"aws_region_name": "eu-west-1"})


@pytest.mark.parametrize("name", ["api_base", "aws_bedrock_runtime_endpoint"])
def test_the_environments_keys_go_to_no_address_that_a_stored_deployment_states(name: str) -> None:
    stated: dict[str, Any] = {name: "https://elsewhere.example"}
    deployment, _ = found(NOVA, AWS | BEARER, stored=True, **stated)
    assert (deployment.api_key, {option for option, _ in deployment.options} - {name}) == (None, set())


def test_whoever_writes_the_configuration_may_send_them_to_an_endpoint_of_awss() -> None:
    endpoint: dict[str, Any] = {
        "aws_bedrock_runtime_endpoint": "https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com"
    }
    assert options(NOVA, AWS, **endpoint) == OF_AWS | endpoint


def test_an_endpoint_is_an_address() -> None:
    assert 'an address like "https://…"' in problem(NOVA, aws_bedrock_runtime_endpoint="bedrock.example")


def test_credentials_may_be_a_text_of_many_lines() -> None:
    text = '{\n  "type": "service_account"\n}'
    assert options(GEMINI, vertex_credentials=text) == {"vertex_credentials": text}


def test_a_stored_deployment_names_no_file_of_the_gateways() -> None:
    line = problem(GEMINI, stored=True, vertex_credentials="/etc/passwd")
    assert ("paths are read in config.yaml only" in line, "/etc/passwd" in line) == (True, False)


def test_a_key_that_no_header_can_hold_is_refused() -> None:
    line = problem(NOVA, aws_access_key_id="AKIA\nx")
    assert ("a header can hold" in line, "AKIA" in line) == (True, False)


@pytest.mark.parametrize("name", ["aws_region_name", "vertex_project"])
def test_a_parameter_of_another_vendors_is_wrong(name: str) -> None:
    stated: dict[str, Any] = {"api_key": "k", name: "x"}
    assert "no such parameter" in problem("openai/gpt-4o", **stated)


def test_no_secret_is_in_what_a_deployment_shows_of_itself() -> None:
    assert "shh" not in repr(found(NOVA, AWS)[0])


def test_every_address_among_the_parameters_is_no_secret() -> None:
    assert not [option for vendor in VENDORS.values() for option in vendor.options if option.address and option.secret]


@pytest.mark.parametrize("path", ["converse/", "invoke/", "us-west-2/", "converse/us-west-2/", "eu-central-1/invoke/"])
def test_a_model_has_the_price_of_its_own_name(path: str) -> None:
    deployment, _ = found(f"bedrock/{path}amazon.nova-pro-v1:0", AWS)
    assert (deployment.base_model, deployment.model) == ("amazon.nova-pro-v1:0", f"{path}amazon.nova-pro-v1:0")


def test_a_model_that_has_nothing_before_its_name_needs_no_other() -> None:
    assert found(NOVA, AWS)[0].base_model is None
    assert (
        found("bedrock/arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0", AWS)[0].base_model
        is None
    )
