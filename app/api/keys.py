"""/key: virtual keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app import durations
from app.access import key_lists, keys, people, rights, rotation
from app.access.key_lists import Wanted
from app.api import key_bodies as bodies
from app.api import shown
from app.api.guards import (
    AdminBlueprint,
    admin_key,
    asker,
    gateway,
    refuse_master_key,
    rights_of_asker,
    virtual_key,
)
from app.api.schemas import KeySchema
from app.errors import BadRequest, NotAllowed, TollgateError
from app.models import VirtualKey, now

blueprint = AdminBlueprint(
    "Keys", __name__, url_prefix="/key", description="Virtual keys: what callers hold instead of a provider's key."
)


@blueprint.route("/generate", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.NewKeySchema, example={"duration": "20m", "max_parallel_requests": 1})
@blueprint.answers(bodies.MadeKeySchema)
@blueprint.errors(400, 409)
def generate(given: dict[str, Any]) -> dict[str, Any]:
    """Make a key.

    A user_id that nobody has yet gets a user without limits of its own.
    """
    refuse_master_key(given.get("key"))
    return _made(keys.generate(_granted(None, given), asker()))


@blueprint.route("/service-account/generate", methods=["POST"])
@blueprint.arguments(bodies.ServiceAccountSchema, example={"team_id": "blue", "key_alias": "nightly"})
@blueprint.answers(bodies.MadeKeySchema)
@blueprint.errors(400, 404, 409)
def generate_service_account(given: dict[str, Any]) -> dict[str, Any]:
    """Make a key for a program: it belongs to a team, and to no user who could leave."""
    refuse_master_key(given.get("key"))
    return _made(keys.generate(given, asker(), service_account=True))


@blueprint.route("/<path:key>/regenerate", methods=["POST"], endpoint="regenerate_one")
@blueprint.route("/regenerate", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.RegenerateSchema, example={"key": "sk-...", "grace_period": "24h"})
@blueprint.arguments(bodies.IdempotencySchema, location="headers")
@blueprint.answers(bodies.MadeKeySchema)
@blueprint.errors(400, 404, 409)
def regenerate(given: dict[str, Any], headers: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Give a key a new secret.

    Its id, limits and spend stay. The old secret works until the end of the grace period, else it ends with this
    request, in every process. Send an Idempotency-Key, and the same request again gets the same answer.
    """
    reference = key or given.pop("key", None)
    given.pop("key", None)
    if reference is None:
        raise BadRequest("Say which key: key.", param="key")
    wanted, grace = given.pop("new_key", None), given.pop("grace_period", None)
    refuse_master_key(wanted)
    wish = rotation.Wish(
        grace=0 if grace is None else durations.seconds(grace, now()),
        idempotency_key=headers.get("idempotency_key"),
        secret=wanted,
        master_key=gateway().settings.master_key,
    )
    found = rotation.find(reference)
    return _made(rotation.regenerate(found, wish, _granted(found, given)))


def _granted(row: VirtualKey | None, given: dict[str, Any]) -> dict[str, Any]:
    """The fields that whoever asks may set on a new key (None), or on one that is there. Raises NotAllowed."""
    asking = rights_of_asker()
    if asking is not None:
        if row is not None:
            asking.check_manages(row)
        return asking.check_grant(row, given)
    user_id = given.get("user_id", None if row is None else row.user_id)
    if admin_key() is not None:
        rights.check_admins_grant(admin_key(), rights.role_of(user_id), row, given)
    return given


def _made(new: keys.NewKey) -> dict[str, Any]:
    return shown.key(new.row, key=new.secret, token_id=new.row.token)


@blueprint.route("/update", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.ChangedKeySchema, example={"key": "sk-...", "max_budget": 5})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404, 409)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a key.

    Only the fields that are sent are changed; null clears one. A duration counts from now. The change acts on the key's
    next call.
    """
    return shown.key(_changed(given))


@blueprint.route("/bulk_update", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.ChangedKeysSchema, example={"keys": [{"key": "sk-...", "max_budget": 5}]})
@blueprint.answers(bodies.KeysChangedSchema)
@blueprint.errors(400)
def bulk_update(given: dict[str, Any]) -> dict[str, Any]:
    """Change many keys, each as /key/update does.

    Each key is changed wholly or not at all, and one that cannot be changed holds up no other. A body that is wrong
    anywhere changes none.
    """
    changed: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for changes in given["keys"]:
        reference = changes.get("key")
        name = changes.get("key_alias", "") if reference is None else keys.token_of(reference)
        try:
            row = _changed(changes)
        except TollgateError as error:
            failed.append({"key": name, "failed_reason": error.message})
        else:
            changed.append({"key": row.token, "key_info": shown.key(row)})
    return {"total_requested": len(given["keys"]), "successful_updates": changed, "failed_updates": failed}


def _changed(given: dict[str, Any]) -> VirtualKey:
    reference, alias = given.pop("key", None), given.get("key_alias")
    if reference is None and alias is None:
        raise BadRequest("Say which key: key, or key_alias.", param="key")
    found = keys.find(reference, alias=alias)
    return keys.change(found, _granted(found, given))


@blueprint.route("/delete", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.DeletedKeysSchema, example={"keys": ["sk-..."]})
@blueprint.answers(bodies.KeysGoneSchema)
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> dict[str, Any]:
    """Delete keys.

    All of them or, where one is unknown, none. What they spent stays in the ledger.
    """
    found = [keys.find(reference) for reference in given.get("keys") or []]
    found += [keys.find(alias=alias) for alias in given.get("key_aliases") or []]
    if not found:
        raise BadRequest("Say which keys: keys, or key_aliases.", param="keys")
    _check_manages(found)
    keys.delete(found)
    return {"deleted_keys": list(dict.fromkeys(row.token for row in found))}


@blueprint.route("/info")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.KeyQuerySchema, location="query")
@blueprint.answers(bodies.KeyInfoSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """Show a key, with spend, budget and status.

    Without `key` the one that asks. A virtual key sees its user's keys, and a team's admin those of the team.
    """
    reference, asking = given.get("key"), rights_of_asker()
    if asking is not None:
        reference = reference or asking.key.token
    if reference is None:
        raise BadRequest("Say which key: key.", param="key")
    row = keys.find(reference)
    if asking is not None:
        asking.check_sees(row)
    return {"key": row.token, "info": shown.key(row)}


@blueprint.route("/list")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.KeyListQuerySchema, location="query")
@blueprint.answers(bodies.KeyListSchema)
@blueprint.errors(400)
def list_keys(given: dict[str, Any]) -> dict[str, Any]:
    """List keys. A virtual key sees its user's."""
    page, size = given["page"], given["size"]
    found, total = key_lists.listed(
        _wanted(given), page=page, size=size, sort_by=given["sort_by"], descending=given["sort_order"] == "desc"
    )
    listed: list[Any] = [row.token for row in found]
    if given["return_full_object"] or "expand" in given:
        listed = KeySchema(many=True).dump(shown.keys(found))
    if "expand" in given:
        owners = people.of_ids(row.user_id for row in found if row.user_id is not None)
        for one in listed:
            owner = owners.get(one["user_id"])
            one["user"] = None if owner is None else bodies.OwnerSchema().dump(owner)
    return {"keys": listed, "total_count": total, "current_page": page, "total_pages": -(-total // size)}


@blueprint.route("/aliases")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.AliasesQuerySchema, location="query")
@blueprint.answers(bodies.AliasesSchema)
@blueprint.errors(400)
def list_aliases(given: dict[str, Any]) -> dict[str, Any]:
    """List the aliases of keys. A virtual key sees those of its user's keys."""
    page, size = given["page"], given["size"]
    found, total = key_lists.aliases(_wanted(given), page=page, size=size)
    return {
        "aliases": found,
        "total_count": total,
        "current_page": page,
        "total_pages": -(-total // size),
        "size": size,
    }


@blueprint.route("/health", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.reads()
@blueprint.answers(bodies.KeyHealthSchema)
def health() -> dict[str, Any]:
    """Say that the key which asks works."""
    return {"key": "healthy", "logging_callbacks": None}


def _wanted(given: dict[str, Any]) -> Wanted:
    """The keys that are asked for, of those that whoever asks may see. Raises NotAllowed."""
    user_id, token, asking = given.get("user_id"), given.get("key_hash"), virtual_key()
    created = given.get("include_created_by_keys", False)
    if asking is not None:
        if user_id not in (None, asking.user_id):
            raise NotAllowed("A virtual key can only list its own user's keys.", param="user_id")
        if created:
            raise NotAllowed("Only an admin sees keys that are others' by now.", param="include_created_by_keys")
        user_id = asking.user_id
        token = token if user_id is not None else asking.token
    return Wanted(
        user_id=user_id,
        team_id=given.get("team_id"),
        token=token,
        alias=given.get("key_alias"),
        status=given.get("status"),
        search=given.get("search"),
        of_administrated_teams=given.get("include_team_keys", False),
        created_by_user=created,
    )


@blueprint.route("/block", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.KeyReferenceSchema, example={"key": "sk-..."})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404)
def block(given: dict[str, Any]) -> dict[str, Any]:
    """Block a key, from its next call on."""
    _check_manages([keys.find(given["key"])])
    return shown.key(_blocked(given["key"], blocked=True))


@blueprint.route("/unblock", methods=["POST"])
@blueprint.arguments(bodies.KeyReferenceSchema, example={"key": "sk-..."})
@blueprint.answers(KeySchema)
@blueprint.errors(400, 404)
def unblock(given: dict[str, Any]) -> dict[str, Any]:
    """Open a blocked key again.

    A key that is revoked because a budget is spent stays revoked.
    """
    return shown.key(_blocked(given["key"], blocked=False))


def _check_manages(found: Sequence[VirtualKey]) -> None:
    asking = rights_of_asker()
    if asking is not None:
        for row in found:
            asking.check_manages(row)


def _blocked(reference: str, *, blocked: bool) -> VirtualKey:
    return keys.change(keys.find(reference), {"blocked": blocked})
