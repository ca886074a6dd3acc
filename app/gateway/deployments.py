"""Deployments in SQL beside those of config.yaml: read, made, changed, deleted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app import model_list, price_names
from app.access import policy
from app.config_file import OURS, Notes, Section, is_address, referred
from app.errors import BadRequest, Conflict, NotFound, UnknownField
from app.extensions import database_errors, db, write_transaction
from app.gateway.credentials import CannotDecrypt, Credentials
from app.model_list import SECRETS, Deployment
from app.models import StoredDeployment
from app.settings import Settings
from app.vendors import ADDRESS_OPTIONS

# The policy subject of all deployments together.
SUBJECT = "models"
# The parameters that say where calls go.
ADDRESSES = ("api_base", *ADDRESS_OPTIONS)
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
BLOCKED = "it is blocked; /model/unblock opens it"
TAKEN = "config.yaml has a deployment with this id"
# Stands for a secret that cannot be decrypted while the rest of its deployment is read.
UNKNOWN_SECRET = "unknown"  # noqa: S105 - the opposite of one


class _Strict(Notes):
    """Notes on one entry, whose first problem is raised: a BadRequest or an UnknownField with its path."""

    def problem(self, path: str, text: str) -> None:
        raise BadRequest(f"`{path}`: {text}.", param=path)

    def unknown(self, path: str, hint: str) -> None:
        raise UnknownField(f"There is no field `{path}`: {hint}", param=path)

    def without_effect(self, path: str, value: object) -> None:
        # False is compared by identity: it equals 0, and a limit of 0 is a limit.
        if value is not False and value not in (None, {}, [], ""):
            raise BadRequest(f"`{path}` is not supported yet, and a limit is never ignored silently.", param=path)


class StoredDeployments:
    """The deployments in SQL, in the words of config.yaml's model_list. Their secrets are encrypted there."""

    def __init__(self, settings: Settings) -> None:
        """Opens no connection."""
        self._credentials = Credentials(settings)
        self._provider_keys = settings.provider_keys
        self._default_price = settings.default_price
        self._ids_of_config = frozenset(deployment.id for deployment in settings.deployments)

    def all(self) -> list[Deployment]:
        """Every deployment, oldest first. What is wrong with one makes it `off`. Raises DatabaseUnavailable."""
        oldest_first = (StoredDeployment.created_at, StoredDeployment.id)
        with database_errors():
            rows = db.session.scalars(sa.select(StoredDeployment).order_by(*oldest_first)).all()
            db.session.expunge_all()
            db.session.rollback()
        return [self._deployment(row) for row in rows]

    def create(self, given: Mapping[str, Any]) -> Deployment:
        """Makes a deployment of `model_name`, `litellm_params` and `model_info`; without an id it gets one.

        Raises BadRequest, UnknownField, Conflict (the id is taken), LimitsUnavailable, DatabaseUnavailable.
        """
        row = StoredDeployment(id=given["model_info"].get("id") or str(uuid.uuid4()), blocked=False)
        self._assign(row, given, given["litellm_params"])
        if row.id in self._ids_of_config:
            raise Conflict("A deployment of config.yaml has this id.", param="model_info.id")
        with _changing(), write_transaction() as session:
            session.add(row)
            session.flush()
            session.expunge(row)
        return self._deployment(row)

    def change(self, model_id: str, given: Mapping[str, Any]) -> Deployment:
        """Changes what is given; null takes a value away.

        Raises BadRequest, UnknownField, NotFound, LimitsUnavailable, DatabaseUnavailable.
        """
        with self._changed(model_id) as row:
            merged = {
                "model_name": given.get("model_name", row.model_name),
                "litellm_params": row.litellm_params | given["litellm_params"],
                "model_info": row.model_info | given["model_info"] | {"id": row.id},
            }
            kept = [
                name for name in model_list.secrets_of(merged["litellm_params"]) if name not in given["litellm_params"]
            ]
            if self._stays(row, merged["litellm_params"], kept):
                secrets = self._secrets(row)
                merged["litellm_params"] |= {name: secrets[name] for name in kept if name in secrets}
            self._assign(row, merged, given["litellm_params"])
        return self._deployment(row)

    def block(self, model_id: str, *, blocked: bool) -> Deployment:
        """Switches a deployment off, or on again. Raises as `change`."""
        with self._changed(model_id) as row:
            row.blocked = blocked
        return self._deployment(row)

    def delete(self, model_id: str) -> None:
        """Deletes a deployment. Raises as `change`."""
        with _changing(), write_transaction() as session:
            row = session.get(StoredDeployment, model_id, with_for_update=True)
            if row is None:
                raise self._not_here(model_id)
            session.delete(row)

    def encrypt_again(self) -> tuple[int, list[str]]:
        """Encrypts all credentials with the first key: how many, and the ids of those that no key opens.

        Raises DatabaseUnavailable.
        """
        done, closed = 0, []
        with write_transaction() as session:
            rows = session.execute(
                sa.select(StoredDeployment.id, StoredDeployment.credentials)
                .where(StoredDeployment.credentials.is_not(None))
                .order_by(StoredDeployment.id)
                .with_for_update()
            ).all()
            for identity, sealed in rows:
                try:
                    again = self._credentials.seal_again(sealed or "")
                except CannotDecrypt:
                    closed.append(identity)
                    continue
                # Nothing has changed for those who look at the deployment.
                session.execute(
                    sa.update(StoredDeployment)
                    .where(StoredDeployment.id == identity)
                    .values(credentials=again, updated_at=StoredDeployment.updated_at)
                )
                done += 1
        return done, closed

    @contextmanager
    def _changed(self, model_id: str) -> Iterator[StoredDeployment]:
        """Around a change of one row, which is detached and up to date afterwards."""
        with _changing(), write_transaction() as session:
            row = session.get(StoredDeployment, model_id, with_for_update=True)
            if row is None:
                raise self._not_here(model_id)
            yield row
            session.flush()
            session.refresh(row)
            session.expunge(row)

    def _not_here(self, model_id: str) -> BadRequest | NotFound:
        if model_id in self._ids_of_config:
            return BadRequest("This deployment stands in config.yaml, and can only be changed there.", param="id")
        return NotFound("There is no such deployment.", param="id")

    def _stays(self, row: StoredDeployment, params: Mapping[str, Any], kept: Sequence[str]) -> bool:
        """Whether the secrets that are not given are kept. They are never sent to an address they were not given for.

        Raises BadRequest where the address changes and none is given.
        """
        if row.credentials is None or not kept:
            return False
        same_vendor = model_list.vendor_of(params) == model_list.vendor_of(row.litellm_params)
        if same_vendor and all(params.get(name) == row.litellm_params.get(name) for name in ADDRESSES):
            return True
        if len(kept) < len(model_list.secrets_of(params)):
            return False
        raise BadRequest(
            "The address changes, and a key is never sent to another one than it was given for: send api_key too.",
            param="litellm_params.api_key",
        )

    def _secrets(self, row: StoredDeployment) -> dict[str, Any]:
        try:
            return self._credentials.open(row.credentials)
        except CannotDecrypt as error:
            raise BadRequest(
                f"Its credentials cannot be decrypted: {error}. Send api_key too.", param="litellm_params.api_key"
            ) from error

    def _assign(self, row: StoredDeployment, said: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """Fills the row with what is said, of which `given` are new litellm_params. Raises BadRequest, UnknownField."""
        _check_strings("", dict(said))
        info = {name: value for name, value in said["model_info"].items() if name != "id"}
        self._read(said["model_name"], said["litellm_params"], info | {"id": row.id})
        for name in ADDRESSES:
            _check_bare(name, said["litellm_params"].get(name))
        params = _stated("litellm_params", said["litellm_params"])
        row.model_name = said["model_name"]
        row.litellm_params = {name: value for name, value in params.items() if name not in SECRETS}
        row.model_info = _stated("model_info", info)
        if not set(SECRETS).isdisjoint(given):
            row.credentials = self._credentials.seal({name: params[name] for name in SECRETS if name in params})

    def _read(self, model_name: object, params: Mapping[str, Any], info: Mapping[str, Any]) -> Deployment:
        """An entry as config.yaml's are read. Raises BadRequest, UnknownField."""
        values = {"model_name": model_name, "litellm_params": dict(params), "model_info": dict(info)}
        entry = Section(_Strict("", self._provider_keys), "model_list", "", values)
        deployment = model_list.read(entry, {}, stored=True)
        assert deployment is not None  # noqa: S101 - an entry without a name or a model has been refused
        return replace(deployment, stored=True, default_costs=self._default_price)

    def _deployment(self, row: StoredDeployment) -> Deployment:
        """The deployment of a row, which is `off` where it cannot be used."""
        off = TAKEN if row.id in self._ids_of_config else None
        try:
            secrets = self._credentials.open(row.credentials)
        except CannotDecrypt as error:
            secrets = dict.fromkeys(model_list.secrets_of(row.litellm_params), UNKNOWN_SECRET)
            off = off or f"its credentials cannot be decrypted: {error}"
        try:
            _check_strings("", row.litellm_params)
            found = self._read(row.model_name, row.litellm_params | secrets, row.model_info | {"id": row.id})
        except BadRequest as error:
            # It was right when it was stored, under another version of this program.
            found = Deployment(row.id, row.model_name, "openai", str(row.litellm_params.get("model")), stored=True)
            off = off or f"it cannot be read: {error.message}"
        off = off or (BLOCKED if row.blocked else found.off)
        return found if off is None else switched_off(found, off)


def switched_off(found: Deployment, why: str) -> Deployment:
    """The deployment without its secrets, which nobody needs any more."""
    return replace(found, off=why, api_key=None, options=())


def _stated(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept: null is the same as nothing, and LiteLLM's names only pass where they say nothing."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and (name in OURS[kind] or price_names.meaning(name) is not None)
    }


def _check_strings(path: str, value: object) -> None:
    """Raises BadRequest for what would read the gateway's environment, and for what not every database can store."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_strings(f"{path}.{name}".removeprefix("."), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_strings(f"{path}[{index}]", inner)
    elif referred(value) is not None:
        raise BadRequest(f"`{path}`: os.environ/ is read in config.yaml only.", param=path)
    elif isinstance(value, str) and CONTROL_CHARACTERS.search(value) and not path.endswith(".mock_response"):
        raise BadRequest(f"`{path}`: Must not hold control characters.", param=path)


def _check_bare(name: str, address: object) -> None:
    """The address is stored as it is, also that of a mock, so it must not hold a secret. Raises BadRequest."""
    if address is None:
        return
    if isinstance(address, str) and is_address(address, "http", "https"):
        parts = urlsplit(address)
        if "@" not in parts.netloc and not parts.query and not parts.fragment:
            return
    raise BadRequest(
        f"`litellm_params.{name}`: expected an address without user name, password, query and fragment.",
        param=f"litellm_params.{name}",
    )


@contextmanager
def _changing() -> Iterator[None]:
    """Around a transaction: every process sees the change on its next call. Raises Conflict, LimitsUnavailable."""
    with policy.editing([SUBJECT]):
        try:
            yield
        except IntegrityError as error:
            raise Conflict("A stored deployment has this id.", param="model_info.id") from error
