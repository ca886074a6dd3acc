"""What a key is called: its ids by whatever names it, and what is to be shown of it by its id."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.access import keys
from app.access.callers import MASTER_KEY_ID
from app.extensions import database_errors, db
from app.models import FormerToken, VirtualKey

KEY_ID = re.compile(r"key_[0-9a-f]{24}")
# Databases take only so many values in one query.
IDS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class KeyName:
    """What reports say of a key. All is None of a key that is deleted, and of the master key."""

    token: str | None = None
    key_name: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None


UNKNOWN = KeyName()


def id_of(reference: str) -> str | None:
    """The id of a key that is named by itself, its hash, a former secret or its id; None: there is no such key.

    An id needs no key to it: calls of a deleted key stay in the books. Raises DatabaseUnavailable.
    """
    if reference == MASTER_KEY_ID or KEY_ID.fullmatch(reference):
        return reference
    token = keys.token_of(reference)
    former = sa.select(FormerToken.key_id).where(FormerToken.token == token)
    return _scalar(sa.select(VirtualKey.id).where(VirtualKey.token == token).union_all(former).limit(1))


def id_of_alias(alias: str) -> str | None:
    """The id of the key with that alias; None: there is none. Raises DatabaseUnavailable."""
    return _scalar(sa.select(VirtualKey.id).where(VirtualKey.key_alias == alias))


def of_ids(ids: Iterable[str]) -> dict[str, KeyName]:
    """The names of all these keys. Raises DatabaseUnavailable."""
    wanted = sorted(set(ids))
    names = dict.fromkeys(wanted, UNKNOWN)
    columns = (VirtualKey.token, VirtualKey.key_name, VirtualKey.key_alias, VirtualKey.user_id, VirtualKey.team_id)
    with database_errors():
        for first in range(0, len(wanted), IDS_PER_QUERY):
            of_page = VirtualKey.id.in_(wanted[first : first + IDS_PER_QUERY])
            found = db.session.execute(sa.select(VirtualKey.id, *columns).where(of_page))
            names.update({key_id: KeyName(*rest) for key_id, *rest in found})
        db.session.rollback()
    return names


def _scalar(query: Any) -> str | None:
    with database_errors():
        found: str | None = db.session.scalar(query)
        db.session.rollback()
    return found
