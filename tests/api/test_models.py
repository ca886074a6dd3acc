from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from app import create_app
from app.model_list import Deployment
from app.settings import Settings

NAMED = Deployment(
    id="d1",
    model_name="smart",
    provider="openai",
    model="gpt-4o",
    api_base="https://user:hidden1@api.example/v1?sig=hidden2",
    api_key="hidden3",
    input_cost_per_token=Decimal("0.001"),
    output_cost_per_token=Decimal("0.002"),
    access_groups=("beta-models",),
)
OFF = Deployment(id="d2", model_name="off", provider="openai", model="nobody-priced-this", off="THE_KEY is not set")


def test_models_are_shown_with_price_and_state_and_without_secrets(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(deployments=(NAMED, OFF))
    answer: Any = create_app(settings).test_client().get("/model/info", headers={"x-api-key": settings.master_key})
    one, two = answer.json["data"]
    assert one["litellm_params"]["api_base"] == "https://api.example/v1"
    assert one["model_info"]["input_cost_per_token"] == 0.001
    assert one["model_info"]["access_groups"] == ["beta-models"]
    assert (two["model_info"]["off_reason"], two["model_info"]["price_source"]) == ("THE_KEY is not set", None)
    assert "hidden" not in answer.text


def test_one_model_is_found_by_its_id(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(deployments=(NAMED, OFF))
    client = create_app(settings).test_client()
    headers = {"x-api-key": settings.master_key}
    answer: Any = client.get("/v1/model/info?litellm_model_id=d2", headers=headers)
    assert [one["model_name"] for one in answer.json["data"]] == ["off"]
    assert client.get("/v1/model/info?litellm_model_id=nope", headers=headers).status_code == 404
