"""Who may use a route: the master key, or any virtual key for what is its own."""

from __future__ import annotations

from typing import Any, cast

from flask import current_app, g, request

from app import audit
from app.access import callers, rights, routes_allowed
from app.access.callers import Caller
from app.access.rights import Rights
from app.api.base import Blueprint, Decorator, View, secret_of_request
from app.api.fields import CONTROL_CHARACTERS
from app.errors import Conflict, NotAllowed
from app.gateway.pipeline import Gateway

MASTER_KEY = "masterKey"
VIRTUAL_KEY = "virtualKey"
Security = list[dict[str, list[str]]]
FOR_ANYONE: Security = []
FOR_MASTER: Security = [{MASTER_KEY: []}]
FOR_CALLERS: Security = [{MASTER_KEY: []}, {VIRTUAL_KEY: []}]


def gateway() -> Gateway:
    """The one Gateway of the application, which has its settings and its models."""
    return cast("Gateway", current_app.extensions["tollgate"])


def require_caller(*, changes: bool) -> None:
    """Lets the master key and every open virtual key in; `virtual_key()` says which.

    Raises NotAuthenticated (also ExpiredKey, BlockedKey), NotAllowed (a route that the key does not have; somebody who
    only reads, where something `changes`), DatabaseUnavailable.
    """
    token = secret_of_request()
    g.caller = None if callers.is_master(token, gateway().settings.master_key) else callers.identify(token)
    audit.act_as(_actor(g.caller))
    if g.caller is not None:
        routes_allowed.check_route(g.caller, request.path, changes=changes)
        if changes and g.caller.role in rights.VIEWERS:
            raise NotAllowed(f"The role {g.caller.role} changes nothing.")
    admin = g.caller is None or g.caller.role in rights.ADMIN_ROLES
    g.virtual_key = None if admin else g.caller


def _actor(caller: Caller | None) -> audit.Actor:
    """Who asks, for the audit; the header is LiteLLM's, and proves nothing."""
    said = request.headers.get("litellm-changed-by", "")
    changed_by = CONTROL_CHARACTERS.sub("", said)[: audit.LONGEST_NAME] or None
    if caller is None:
        return audit.Actor(callers.MASTER_KEY_ID, changed_by=changed_by)
    return audit.Actor(caller.key_id, caller.user_id, changed_by)


def require_admin(*, changes: bool) -> None:
    """Lets the master key in, and keys of admins; of those who only read, where nothing `changes`.

    Raises NotAuthenticated for an unknown key, NotAllowed for everybody else.
    """
    require_caller(changes=changes)
    if g.virtual_key is not None:
        raise NotAllowed("This route is for admins: the master key, or a key of a user with the role proxy_admin.")


def virtual_key() -> Caller | None:
    """The virtual key that asks and gets nothing but its own; None where an admin asks, who gets everything."""
    return cast("Caller | None", g.virtual_key)


def admin_key() -> Caller | None:
    """The virtual key of the admin who asks; None where it is the master key."""
    return cast("Caller | None", g.caller)


def rights_of_asker() -> Rights | None:
    """What the virtual key that asks may manage; None where an admin asks. Raises DatabaseUnavailable."""
    caller = virtual_key()
    return None if caller is None else rights.of(caller)


def asker() -> str:
    """Who asks, as `created_by` says it: "master", or the user, or a key that is nobody's."""
    caller = admin_key()
    return "master" if caller is None else caller.user_id or caller.key_id


def refuse_master_key(secret: str | None) -> None:
    """Raises Conflict where somebody wants the master key for a virtual key: it would never be looked up as one."""
    if secret is not None and callers.is_master(secret, gateway().settings.master_key):
        raise Conflict("This key is taken.", param="key")


class AdminBlueprint(Blueprint):
    """Routes for the master key. A view is open to virtual keys only where it says so."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As flask-smorest's Blueprint."""
        super().__init__(*args, **options)
        self._open: set[str] = set()
        self._reading: set[str] = set()
        self.before_request(self._guard)
        self._prepare_doc_cbks.append(self._document_guard)

    def open_to_virtual_keys(self) -> Decorator:
        """The view also answers virtual keys, and has to see to it that they get nothing but their own."""

        def decorate(view: View) -> View:
            self._open.add(view.__name__)
            return self.doc(security=FOR_CALLERS)(view)

        return decorate

    def reads(self) -> Decorator:
        """The view changes nothing although it is no GET."""

        def decorate(view: View) -> View:
            self._reading.add(view.__name__)
            return view

        return decorate

    def _guard(self) -> None:
        view = getattr(current_app.view_functions.get(request.endpoint or ""), "__name__", "")
        changes = request.method not in {"GET", "HEAD", "OPTIONS"} and view not in self._reading
        if view in self._open:
            require_caller(changes=changes)
        else:
            require_admin(changes=changes)

    @staticmethod
    def _document_guard(doc: dict[str, Any], _info: dict[str, Any], **_options: Any) -> dict[str, Any]:
        for status, name in ((401, "UNAUTHORIZED"), (403, "FORBIDDEN"), (503, "SERVICE_UNAVAILABLE")):
            doc["responses"].setdefault(status, name)
        return {"security": FOR_MASTER} | doc
