"""What a caller asks for: the parts of a request's body that the gateway needs, checked before anything is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cache
from typing import Any

import orjson

from app.errors import BadRequest
from app.gateway.asked_input import input_bound
from app.gateway.asked_routes import Rules, rules_of, typed
from app.ledger.pricing import ANYWHERE, CHEAP_TIERS, ONE_REQUEST, STANDARD_TIERS
from app.ledger.usage import MAX_TOKENS, Usage
from app.providers import form
from app.providers.base import JSON, Counts, Sent
from app.providers.splice import ESCAPED_LETTER, members

MOST_CHOICES = 128
LONGEST_NAME, MOST_TAGS = 255, 20
# The members that decide about a call's price or its limits on every route.
METERED = frozenset({"model", "stream", "n", "best_of", "service_tier", "speed", "inference_geo"})
TIERED = frozenset({"service_tier", "speed", "inference_geo"})
TAGS_HEADER = "x-litellm-tags"


@dataclass(slots=True)
class Request:
    """A call as it comes in. `route` is like "chat/completions"; `client` is the caller's socket, where it is known.

    `model` stands in the URL of Azure-style routes.
    """

    route: str
    body: bytes = dataclass_field(repr=False)
    headers: Mapping[str, str] = dataclass_field(repr=False)
    model: str | None = None
    client: socket.socket | None = None


@dataclass(slots=True)
class Asked:
    """A parsed request.

    `sent` is what providers get of it; `model` is the name that the caller asks for.
    `output_cap` is the largest cap on output tokens that it states (None: none); `choices` is how many answers it asks
    for; `input_bound` is an upper bound of its input tokens; `usage_asked`: the client wants usage in the stream.
    `end_user` is whom the call is made for, by the name that the caller gives. `others` bounds what is no token, by its
    kind; `unbounded_input`: the model reads more than the body has, so that only its context window bounds its input.
    """

    sent: Sent
    model: str
    output_cap: int | None
    choices: int
    input_bound: int
    end_user: str | None
    tags: tuple[str, ...] = ()
    others: Counts = dataclass_field(default_factory=dict)
    unbounded_input: bool = False

    @property
    def route(self) -> str:
        """Which wire format the caller speaks."""
        return self.sent.route

    @property
    def others_bound(self) -> Usage:
        """The most that the call takes of what is no token: it is one request at least."""
        return Usage.from_counts({"requests": 1} | self.others) if self.others else ONE_REQUEST

    @property
    def tier(self) -> str | None:
        """The service tier that it asks for, by the provider's word (Anthropic's is called speed where it is dear).

        A place that it asks to be served in stands behind it: "fast us".
        """
        if TIERED.isdisjoint(self.sent.body):
            return None
        words = [self.sent.body.get(name) for name in ("service_tier", "speed")]
        told = [word for word in words if isinstance(word, str) and word not in STANDARD_TIERS]
        # A cheap one beside another is not what the call is served in at the most.
        tier, place = min(told, key=CHEAP_TIERS.__contains__, default=""), self.sent.body.get("inference_geo")
        return f"{tier} {place if isinstance(place, str) and place not in ANYWHERE else ''}".strip() or None

    @property
    def stream(self) -> bool:
        """Whether the answer shall come as events."""
        return self.sent.stream


def parse(request: Request, customer_header: str | None = None) -> Asked:
    """Reads a body, and the headers that say whom the call is for. Raises BadRequest, which names the field."""
    rules = rules_of(request.route)
    content_type = request.headers.get("content-type", JSON)
    body = _body(request, content_type, rules)
    name = request.model or body.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequest("'model' is required and must be a string.", param="model")
    if rules.check is not None:
        rules.check(body)
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("'stream_options' must be an object.", param="stream_options")
    tags, changes = _tags(request.headers, body)
    cap, choices = _output_cap(body, rules.caps), _choices(body)
    bounds = rules.bounds(request.body, content_type, body)
    sent = Sent(
        route=request.route,
        raw=request.body,
        body=body,
        headers=request.headers,
        content_type=content_type,
        changes=changes,
        stream=stream or rules.sound,
        usage_asked=bool(options and options.get("include_usage") is True),
    )
    return Asked(
        sent=sent,
        model=name,
        output_cap=cap if bounds.output is None else bounds.output,
        choices=choices,
        input_bound=input_bound(request.body, body) if bounds.input is None else min(bounds.input, MAX_TOKENS),
        end_user=_end_user(request.headers, body, customer_header),
        tags=tags,
        others=bounds.others,
        unbounded_input=bounds.unbounded_input,
    )


def _body(request: Request, content_type: str, rules: Rules) -> dict[str, Any]:
    """The body's members, or a form's texts, of which those are there that the route needs. Raises BadRequest."""
    if form.is_form(content_type):
        if rules.form == "no":
            raise BadRequest("The body of this route is JSON, not a form.", param="request_body")
        parts = form.parts(request.body, content_type)
        body = typed(form.fields(request.body, parts))
        given = {part.name for part in parts}
    else:
        body = _json(request.body, rules)
        given = {name for name, value in body.items() if value is not None}
    for names in rules.required:
        if given.isdisjoint(names):
            listed = " or ".join(f"'{name}'" for name in names)
            raise BadRequest(f"{listed} is required.", param=names[0])
    return body


def _json(raw: bytes, rules: Rules) -> dict[str, Any]:
    if rules.form == "must":
        raise BadRequest("The body of this route is a form with a file: multipart/form-data.", param="request_body")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", param="request_body") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", param="request_body")
    _check_no_doubles(raw, body, rules)
    _check_case(body, rules)
    return body


def _check_case(body: Mapping[str, Any], rules: Rules) -> None:
    """Servers written in Go read "Model" as "model" ("encoding/json", Unmarshal). Raises BadRequest."""
    for name in body:
        if (folded := name.casefold()) != name and folded in _metered(rules):
            raise BadRequest(f"'{name}' must be written '{folded}'.", param=name)


@cache
def _metered(rules: Rules) -> frozenset[str]:
    """The members that decide about the price or the limits of a call on a route."""
    return METERED.union(rules.caps, rules.doubles)


def _check_no_doubles(raw: bytes, body: Mapping[str, Any], rules: Rules) -> None:
    """Of a member that stands twice we would read one and the provider perhaps the other. Raises BadRequest."""
    given = _metered(rules).intersection(body)
    if ESCAPED_LETTER.search(raw) is None and all(raw.count(f'"{name}"'.encode()) <= 1 for name in given):
        return
    seen = set()
    for member in members(raw):
        if member.name in seen:
            raise BadRequest(f"'{member.name}' is given twice.", param=member.name)
        seen.add(member.name)


def _end_user(headers: Mapping[str, str], body: dict[str, Any], customer_header: str | None) -> str | None:
    """The header goes before the body: a proxy in front of the gateway sets it, and the caller the other."""
    named = headers.get(customer_header) if customer_header is not None else None
    user = named or body.get("user")
    if not isinstance(user, str) or not user:
        return None
    # The database has no room for more, and PostgreSQL none for a NUL.
    return user.replace("\0", "")[:LONGEST_NAME] or None


def _tags(headers: Mapping[str, str], body: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """From `metadata.tags` and the header x-litellm-tags, and what the provider is sent instead. Raises BadRequest."""
    found = [tag.strip() for tag in headers.get(TAGS_HEADER, "").split(",") if tag.strip()]
    metadata, changes = body.get("metadata"), {}
    if isinstance(metadata, dict) and "tags" in metadata:
        tags = metadata["tags"]
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
            raise BadRequest("'metadata.tags' must be a list of texts.", param="metadata.tags")
        # Tags are the gateway's business. Where nothing else stands in it, the metadata go too.
        changes = {"metadata": {name: value for name, value in metadata.items() if name != "tags"} or None}
        found += tags
    if len(found) > MOST_TAGS or any(len(tag) > LONGEST_NAME or "\0" in tag for tag in found):
        raise BadRequest(f"A call has at most {MOST_TAGS} tags of at most {LONGEST_NAME} characters.", param="tags")
    return tuple(found), changes


def _flag(body: dict[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"'{field}' must be true or false.", param=field)
    return bool(value)


def _output_cap(body: dict[str, Any], names: Iterable[str]) -> int | None:
    """The larger one counts: a caller who states two caps must not be held for the smaller."""
    caps = []
    for field in names:
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadRequest(f"'{field}' must be a whole number of tokens, 0 or more.", param=field)
        # More than can be booked is as much as can be booked.
        caps.append(min(value, MAX_TOKENS))
    return max(caps, default=None)


def _choices(body: dict[str, Any]) -> int:
    """Answers that are paid for: n, and for completions best_of where it is larger."""
    choices = 1
    for field in ("n", "best_of"):
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_CHOICES:
            raise BadRequest(f"'{field}' must be a whole number from 1 to {MOST_CHOICES}.", param=field)
        choices = max(choices, value)
    # Several prompts in one completions call are answered one by one.
    prompts = body.get("prompt")
    if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int):
        choices *= len(prompts)
    return choices
