from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from app.model_list import Deployment
from app.reload.version import LEFT_OUT, version_of
from app.router_settings import Router
from app.settings import GatewayLimits, Settings

PLAIN = Settings(master_key="sk-master-0123456789", database_url="sqlite:///a.db", redis_url="redis://localhost")
# Another value for each setting.
OTHERS: dict[str, Any] = {
    "provider_keys": {"OPENAI_API_KEY": "k"},
    "deployments": (Deployment("a", "m", "openai", "gpt-4o"),),
    "router": Router(num_retries=7),
    "unpriced": "allow",
    "default_price": (("input", Decimal("0.001")),),
    "abandoned": "free",
    "on_disconnect": "drain",
    "ledger_retention": None,
    "expired_keys_retention": None,
    "budget_wait": 1.0,
    "lease": 3.0,
    "max_body_bytes": 1,
    "timeout": 1.0,
    "gateway_limits": GatewayLimits(rpm_limit=1),
    "timezone": "Europe/Berlin",
    "week_start": "sunday",
    "customer_header": "x",
    "create_customers": True,
    "customer_template": "free",
    "webhook_url": "https://a",
    "webhook_key": b"k",
    "alert_thresholds": (50,),
}


def with_deployment(**values: Any) -> Settings:
    return dataclasses.replace(PLAIN, deployments=(Deployment("a", "m", "openai", "gpt-4o", **values),))


@pytest.mark.parametrize("name", sorted({one.name for one in dataclasses.fields(Settings)} - LEFT_OUT))
def test_another_value_of_any_setting_is_another_version(name: str) -> None:
    assert version_of(dataclasses.replace(PLAIN, **{name: OTHERS[name]})) != version_of(PLAIN)


@pytest.mark.parametrize(
    "values", [{"api_key": "k"}, {"costs": (("input", Decimal("0.001")),)}, {"access_groups": ("beta",)}]
)
def test_another_value_inside_of_a_deployment_is_another_version(values: dict[str, Any]) -> None:
    assert version_of(with_deployment(**values)) != version_of(with_deployment())


def test_hosts_with_addresses_of_their_own_have_the_same_version() -> None:
    other = dataclasses.replace(PLAIN, database_url="postgresql://b", redis_url="redis://b", warnings=("w",))
    assert version_of(other) == version_of(PLAIN)


def test_who_does_not_have_the_master_key_cannot_try_out_secrets_on_a_version() -> None:
    assert version_of(dataclasses.replace(PLAIN, master_key="sk-another-0123456789")) != version_of(PLAIN)
