"""A model name means one group of deployments, whatever happens to be switched off."""

from __future__ import annotations

from app.model_list import Deployment
from app.routing.catalog import Catalog


def entry(name: str, model: str = "gpt-4o", **fields: object) -> Deployment:
    values = {
        "id": f"{name}-{model}",
        "model_name": name,
        "provider": "openai",
        "model": model,
        "price_provider": "openai",
    }
    return Deployment(**(values | fields))  # type: ignore[arg-type]


def models(catalog: Catalog, name: str) -> list[str]:
    return [deployment.model for deployment in catalog.group(name)]


def test_a_group_is_every_deployment_of_a_name() -> None:
    catalog = Catalog([entry("a", "one"), entry("b", "two"), entry("a", "three")])
    assert models(catalog, "a") == ["one", "three"]


def test_an_unknown_name_has_no_group() -> None:
    assert Catalog([entry("a")]).group("b") == ()


def test_a_deployment_that_is_off_is_in_no_group() -> None:
    assert models(Catalog([entry("a", "one", off="KEY is not set"), entry("a", "two")]), "a") == ["two"]


def test_a_wildcard_fills_in_what_was_matched() -> None:
    assert models(Catalog([entry("openai/*", "*")]), "openai/gpt-4o") == ["gpt-4o"]


def test_a_wildcard_keeps_a_model_that_has_no_star() -> None:
    assert models(Catalog([entry("anything/*", "gpt-4o")]), "anything/else") == ["gpt-4o"]


def test_each_star_gets_its_own_match() -> None:
    assert models(Catalog([entry("*/eu/*", "x-*-y-*")]), "a/eu/b") == ["x-a-y-b"]


def test_a_star_more_than_there_are_matches_stays() -> None:
    assert models(Catalog([entry("a/*", "*-*")]), "a/b") == ["b-*"]


def test_an_exact_name_goes_before_a_wildcard() -> None:
    assert models(Catalog([entry("openai/*", "*"), entry("openai/a", "exact")]), "openai/a") == ["exact"]


def test_an_exact_name_goes_before_a_wildcard_even_when_it_is_off() -> None:
    assert Catalog([entry("openai/*", "*"), entry("openai/a", off="KEY is not set")]).group("openai/a") == ()


def test_a_longer_wildcard_goes_before_a_shorter_one() -> None:
    assert models(Catalog([entry("*", "short"), entry("openai/*", "long")]), "openai/a") == ["long"]


def test_a_wildcards_other_characters_mean_themselves() -> None:
    assert Catalog([entry("gpt-4.*", "*")]).group("gpt-4xo") == ()


def test_a_star_needs_something_to_match() -> None:
    assert Catalog([entry("openai/*", "*")]).group("openai/") == ()


def test_names_stand_in_order_once_and_only_when_usable() -> None:
    catalog = Catalog([entry("b"), entry("a"), entry("b", "two"), entry("c", off="KEY is not set"), entry("d/*")])
    assert catalog.names() == ("b", "a", "d/*")


def test_access_groups_are_those_of_every_deployment() -> None:
    catalog = Catalog([entry("a", access_groups=("beta",)), entry("a", "two", access_groups=("staff",)), entry("b")])
    assert (sorted(catalog.access_groups("a")), sorted(catalog.access_groups("b"))) == (["beta", "staff"], [])


def test_all_deployments_are_listed_even_those_that_are_off() -> None:
    deployments = (entry("a"), entry("b", off="KEY is not set"))
    assert Catalog(deployments).all() == deployments


def test_a_name_whose_deployments_are_all_off_says_why() -> None:
    catalog = Catalog([entry("a", off="KEY is not set"), entry("b"), entry("b", "two", off="KEY is not set")])
    assert [catalog.off_reason(name) for name in ("a", "b", "c")] == ["KEY is not set", None, None]
