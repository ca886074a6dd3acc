"""Whose calls and totals a report may be about: everybody's for the master key, a virtual key's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.access import key_names, keys
from app.api.base import Schema
from app.api.fields import Text
from app.api.guards import virtual_key
from app.api.schemas import says
from app.errors import NotAllowed, NotFound


class OwnerQuerySchema(Schema):
    """Whose. A virtual key gets its own without asking, and nothing else when it asks."""

    user_id = Text(metadata=says("Only this user's."))
    api_key = Text(
        metadata=says("Only this key's: the key itself, its hash (`token`), or its `key_id`, also when it is deleted.")
    )
    key_alias = Text(metadata=says("Only those of the key with this alias."))


@dataclass(frozen=True, slots=True)
class Whose:
    """None: anybody's. `token` is the hash of a key that no longer exists and of which no id is known."""

    user_id: str | None = None
    key_id: str | None = None
    token: str | None = None

    def where(self) -> dict[str, Sequence[str]]:
        """The same, for `totals.Part`."""
        both = {"user_id": self.user_id, "key_id": self.key_id}
        return {name: [value] for name, value in both.items() if value is not None}


def calls(given: Mapping[str, Any]) -> Whose:
    """Whose calls, one by one: a virtual key sees its own. Raises NotAllowed, NotFound, DatabaseUnavailable."""
    asking, user_id = virtual_key(), given.get("user_id")
    if asking is None:
        key_id = _named(given)
        if key_id is None and "api_key" in given:
            return Whose(user_id, token=keys.token_of(given["api_key"]))
        return Whose(user_id, key_id)
    its_own = user_id in (None, asking.user_id) and given.get("key_alias") in (None, asking.key_alias)
    if not its_own or ("api_key" in given and key_names.id_of(given["api_key"]) != asking.key_id):
        raise NotAllowed("A virtual key can only read its own calls.")
    return Whose(user_id, asking.key_id)


def totals(given: Mapping[str, Any]) -> Whose:
    """Whose totals: a virtual key sees its user's, and its own where it is nobody's.

    Raises NotAllowed, NotFound, DatabaseUnavailable.
    """
    asking = virtual_key()
    if asking is None:
        key_id = _named(given)
        if key_id is None and "api_key" in given:
            raise NotFound("There is no such key. One that is deleted is found by its key_id.", param="api_key")
        return Whose(given.get("user_id"), key_id)
    if asking.user_id is None:
        return calls(given)
    refused = NotAllowed("A virtual key can only read what its own user has spent.")
    if given.get("user_id") not in (None, asking.user_id):
        raise refused
    if not given.keys() & {"api_key", "key_alias"}:
        return Whose(asking.user_id)
    try:
        key_id = _named(given)
    except NotFound:
        key_id = None
    # Whether somebody else has such a key is not told.
    if key_id is None or key_names.of_ids([key_id])[key_id].user_id != asking.user_id:
        raise refused
    return Whose(asking.user_id, key_id)


def _named(given: Mapping[str, Any]) -> str | None:
    """The id of the key that is asked for; None: any, or one of which only the hash is known. Raises NotFound."""
    key_id = key_names.id_of(given["api_key"]) if "api_key" in given else None
    if "key_alias" in given:
        by_alias = key_names.id_of_alias(given["key_alias"])
        if by_alias is None or ("api_key" in given and by_alias != key_id):
            raise NotFound("There is no such key.", param="key_alias")
        return by_alias
    return key_id
