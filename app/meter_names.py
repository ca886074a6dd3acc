"""What meters are called: in Redis, in balances, in the `scope` of an error, and by people.

"key:<key_id>", "key_model:<key_id>/<model>", "user:<user_id>", "user_model:<user_id>/<model>",
"team_member:<team_id>/<user_id>", "team:<team_id>", "customer:<customer_id>", "gateway". A model is what the limit was
set for: a name, an access group or a wildcard. Of two parts the first has its slashes written as %2F, so no two meters
share a name.
"""

from __future__ import annotations

from urllib.parse import unquote

GATEWAY = "gateway"
# In the order in which they stand on a call's path. Of several that refuse for the same reason the first is told.
KINDS = ("key", "key_model", "user", "user_model", "team_member", "team", "customer", GATEWAY)
COMPOUND = frozenset({"key_model", "user_model", "team_member"})


def name(kind: str, *parts: str) -> str:
    """("user", "ada") -> "user:ada"; ("team_member", "blue", "ada") -> "team_member:blue/ada"."""
    if not parts:
        return kind
    if len(parts) == 1:
        return f"{kind}:{parts[0]}"
    first, second = parts
    return f"{kind}:{first.replace('%', '%25').replace('/', '%2F')}/{second}"


def parts(meter: str) -> tuple[str, ...]:
    """The kind and the parts of a name: "user:ada" -> ("user", "ada"). Raises ValueError where it is no meter's."""
    kind, colon, rest = meter.partition(":")
    if kind not in KINDS or bool(colon) == (kind == GATEWAY):
        raise ValueError(f'"{meter}" is no meter, expected one of {", ".join(KINDS)} and an id, such as "user:ada".')
    if kind == GATEWAY:
        return (kind,)
    if kind not in COMPOUND:
        return kind, rest
    first, slash, second = rest.partition("/")
    if not slash:
        raise ValueError(f'"{meter}" is no meter, expected "{kind}:<id>/<id>".')
    return kind, unquote(first), second


def whose(meter: str) -> str:
    """The meter as the subject of a sentence: "User 'ada'"."""
    kind, *rest = parts(meter)
    match kind:
        case "key":
            return "This key"
        case "key_model":
            return f"This key's use of '{rest[1]}'"
        case "user_model":
            return f"User '{rest[0]}' on '{rest[1]}'"
        case "team_member":
            return f"User '{rest[1]}' in team '{rest[0]}'"
        case "user" | "team" | "customer":
            return f"{kind.capitalize()} '{rest[0]}'"
        case _:
            return "The gateway"
