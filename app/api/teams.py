"""/team: teams and their members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import ValidationError

from app.access import members, teams
from app.access.members import NewMember
from app.access.rights import Rights
from app.access.rows import Page
from app.api import shown
from app.api import team_bodies as bodies
from app.api.guards import AdminBlueprint, rights_of_asker
from app.api.schemas import MembershipSchema
from app.errors import BadRequest
from app.models import Team, VirtualKey

blueprint = AdminBlueprint(
    "Teams", __name__, description="Teams: limits over all keys of a team, and over each member's keys of it."
)

TOTAL_HEADER = {
    "x-total-count": {"description": "How many teams there are on all pages.", "schema": {"type": "integer"}}
}


@blueprint.route("/team/new", methods=["POST"])
@blueprint.arguments(bodies.NewTeamSchema, example={"team_id": "blue", "max_budget": 100, "budget_duration": "monthly"})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404, 409)
def new(given: dict[str, Any]) -> dict[str, Any]:
    """Make a team.

    Its budget, models and limits count over all keys with its team_id, beside those of each key and user.
    """
    wanted = [_member(one) for one in given.pop("members_with_roles", None) or []]
    return _shown([teams.create(_with_defaults(given, {}), wanted)])[0]


@blueprint.route("/team/update", methods=["POST"])
@blueprint.arguments(bodies.ChangedTeamSchema, example={"team_id": "blue", "max_budget": 200})
@blueprint.answers(bodies.ChangedTeamAnswerSchema)
@blueprint.errors(400, 404)
def update(given: dict[str, Any]) -> dict[str, Any]:
    """Change a team.

    Only the fields that are sent are changed; null clears one. It acts on the next call of all its keys.
    """
    return _changed(given.pop("team_id"), given)


@blueprint.route("/team/<path:team_id>", methods=["PATCH"])
@blueprint.arguments(bodies.TeamFieldsSchema, example={"max_budget": 200})
@blueprint.answers(bodies.ChangedTeamAnswerSchema)
@blueprint.errors(400, 404)
def patch(given: dict[str, Any], team_id: str) -> dict[str, Any]:
    """Change a team, as /team/update does."""
    return _changed(team_id, given)


@blueprint.route("/team/info")
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.TeamInfoQuerySchema, location="query")
@blueprint.answers(bodies.TeamInfoSchema)
@blueprint.errors(400, 404)
def info(given: dict[str, Any]) -> dict[str, Any]:
    """Show a team with its keys and members.

    To its members as well; only the team's admins see others' keys.
    """
    asking = rights_of_asker()
    if asking is not None:
        asking.check_in_team(given["team_id"])
    row = teams.find(given["team_id"])
    keys = [key for key in teams.keys_of(row.team_id) if asking is None or _sees(asking, key)]
    memberships = teams.members_of([row.team_id])
    return {
        "team_id": row.team_id,
        "team_info": _shown([row])[0],
        "keys": shown.keys(keys[: given["key_limit"]]),
        "team_memberships": shown.memberships(memberships),
    }


@blueprint.route("/team/list")
@blueprint.arguments(bodies.TeamListQuerySchema, location="query")
@blueprint.answers(bodies.TeamSchema(many=True), headers=TOTAL_HEADER)
@blueprint.errors(400)
def list_teams(given: dict[str, Any]) -> tuple[list[dict[str, Any]], int, dict[str, str]]:
    """List teams. The header x-total-count says how many there are on all pages."""
    found, total = _listed(given)
    return _shown(found), 200, {"x-total-count": str(total)}


@blueprint.route("/v2/team/list")
@blueprint.arguments(bodies.TeamPageQuerySchema, location="query")
@blueprint.answers(bodies.TeamPageSchema)
@blueprint.errors(400)
def list_pages(given: dict[str, Any]) -> dict[str, Any]:
    """List teams, with the number of pages."""
    found, total = _listed(given)
    page, size = given["page"], given["page_size"]
    return {"teams": _shown(found), "total": total, "page": page, "page_size": size, "total_pages": -(-total // size)}


@blueprint.route("/team/delete", methods=["POST"])
@blueprint.arguments(bodies.TeamIdsSchema, example={"team_ids": ["blue"]})
@blueprint.answers(bodies.DeletedTeamsSchema)
@blueprint.errors(400, 404)
def delete(given: dict[str, Any]) -> dict[str, Any]:
    """Delete teams with all their keys.

    All of them or, where one is unknown, none. What they spent stays in the ledger.
    """
    return {"deleted_teams": [row.team_id for row in teams.delete(given["team_ids"])]}


@blueprint.route("/team/block", methods=["POST"])
@blueprint.arguments(bodies.TeamReferenceSchema, example={"team_id": "blue"})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404)
def block(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse all keys of a team, from their next call on."""
    return _shown([teams.change(given["team_id"], {"blocked": True})])[0]


@blueprint.route("/team/unblock", methods=["POST"])
@blueprint.arguments(bodies.TeamReferenceSchema, example={"team_id": "blue"})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404)
def unblock(given: dict[str, Any]) -> dict[str, Any]:
    """Open a blocked team again."""
    return _shown([teams.change(given["team_id"], {"blocked": False})])[0]


@blueprint.route("/team/model/add", methods=["POST"])
@blueprint.arguments(bodies.TeamModelsSchema, example={"team_id": "blue", "models": ["gpt-4o"]})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404)
def add_models(given: dict[str, Any]) -> dict[str, Any]:
    """Add to the list of models that a team may call. An empty list allows all."""
    more = given["models"]
    row = teams.change_with(given["team_id"], lambda team: {"models": list(dict.fromkeys([*team.models, *more]))})
    return _shown([row])[0]


@blueprint.route("/team/model/delete", methods=["POST"])
@blueprint.arguments(bodies.TeamModelsSchema, example={"team_id": "blue", "models": ["gpt-4o"]})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404)
def delete_models(given: dict[str, Any]) -> dict[str, Any]:
    """Take models from the list of a team.

    The last one cannot be taken away: an empty list would allow all. `no-default-models` allows none.
    """

    def rest(team: Team) -> Mapping[str, Any]:
        left = [model for model in team.models if model not in given["models"]]
        if team.models and not left:
            raise BadRequest("An empty list would allow all models; set it to no-default-models.", param="models")
        return {"models": left}

    return _shown([teams.change_with(given["team_id"], rest)])[0]


@blueprint.route("/team/member_add", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.NewMembersSchema, example={"team_id": "blue", "member": {"user_id": "ada", "role": "user"}})
@blueprint.answers(bodies.AddedMembersSchema)
@blueprint.errors(400, 404)
def add_member(given: dict[str, Any]) -> dict[str, Any]:
    """Add one member, or several, with the same limits for each.

    A user_id that nobody has yet gets a user without limits; a user_email has to be somebody's. Somebody who is in the
    team already is an error of the type `team_member_already_in_team`, and then nobody is added.
    """
    _check_admin(given["team_id"])
    member = given.pop("member")
    many = member if isinstance(member, list) else [member]
    try:
        wanted = bodies.MemberSchema(many=True).load(many)
    except ValidationError as error:
        raise BadRequest(f"`member` is wrong: {error.messages}", param="member") from error
    return _added(given, wanted)


@blueprint.route("/team/bulk_member_add", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.ManyMembersSchema, example={"team_id": "blue", "members": [{"user_id": "ada"}]})
@blueprint.answers(bodies.AddedMembersSchema)
@blueprint.errors(400, 404)
def add_members(given: dict[str, Any]) -> dict[str, Any]:
    """Add members, all of them or none, with the same limits for each."""
    _check_admin(given["team_id"])
    return _added(given, given.pop("members"))


@blueprint.route("/team/member_update", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.ChangedMemberSchema, example={"team_id": "blue", "user_id": "ada", "max_budget_in_team": 5})
@blueprint.answers(MembershipSchema)
@blueprint.errors(400, 404)
def update_member(given: dict[str, Any]) -> dict[str, Any]:
    """Change a member's role or limits. Only the fields that are sent are changed; null clears one."""
    _check_admin(given["team_id"])
    return shown.memberships([members.change(*_reference(given), given)])[0]


@blueprint.route("/team/member_delete", methods=["POST"])
@blueprint.open_to_virtual_keys()
@blueprint.arguments(bodies.MemberReferenceSchema, example={"team_id": "blue", "user_id": "ada"})
@blueprint.answers(bodies.TeamSchema)
@blueprint.errors(400, 404)
def delete_member(given: dict[str, Any]) -> dict[str, Any]:
    """Take a member out of a team, and delete the member's keys of that team."""
    _check_admin(given["team_id"])
    gone = members.remove(*_reference(given))
    return _shown([teams.find(gone.team_id)])[0]


def _listed(given: dict[str, Any]) -> tuple[Sequence[Team], int]:
    return teams.listed(
        Page(given["page"], given["page_size"], given["sort_by"], descending=given["sort_order"] == "desc"),
        user_id=given.get("user_id"),
        team_id=given.get("team_id"),
        alias=given.get("team_alias"),
        search=given.get("search"),
    )


def _check_admin(team_id: str) -> None:
    asking = rights_of_asker()
    if asking is not None:
        asking.check_in_team(team_id, as_admin=True)


def _sees(asking: Rights, key: VirtualKey) -> bool:
    return key.user_id == asking.caller.user_id or asking.teams.get(key.team_id or "") == "admin"


def _reference(given: dict[str, Any]) -> tuple[str, str | None, str | None]:
    """Takes team, user and e-mail address out of a body."""
    return given.pop("team_id"), given.pop("user_id", None), given.pop("user_email", None)


def _added(given: dict[str, Any], wanted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    team_id = given.pop("team_id")
    added = members.add_all(team_id, [_member(one, given) for one in wanted])
    return _shown([teams.find(team_id)])[0] | {"updated_team_memberships": shown.memberships(added)}


def _member(given: Mapping[str, Any], limits: Mapping[str, Any] | None = None) -> NewMember:
    return NewMember(given.get("user_id"), given.get("user_email"), given["role"], limits or {})


def _changed(team_id: str, given: dict[str, Any]) -> dict[str, Any]:
    row = teams.change_with(team_id, lambda team: _with_defaults(given, team.member_limits))
    return {"team_id": row.team_id, "data": _shown([row])[0]}


def _with_defaults(given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with LiteLLM's names for members' limits put into `member_limits`."""
    fields = {name: value for name, value in given.items() if name != "member_defaults"}
    if "member_defaults" in given or "member_limits" in given:
        whole = dict(fields.get("member_limits", stored) or {}) | given.get("member_defaults", {})
        fields["member_limits"] = {name: value for name, value in whole.items() if value is not None}
    return fields


def _shown(rows: Sequence[Team]) -> list[dict[str, Any]]:
    """As TeamSchema dumps them."""
    found = teams.members_of(row.team_id for row in rows)
    emails = members.emails_of(member.user_id for member in found)
    by_team: dict[str, list[dict[str, Any]]] = {}
    for member in found:
        person = {"user_id": member.user_id, "user_email": emails.get(member.user_id), "role": member.role}
        by_team.setdefault(member.team_id, []).append(person)
    return [
        columns
        | {"members_with_roles": by_team.get(row.team_id, [])}
        | {theirs: row.member_limits.get(ours) for theirs, ours in bodies.MEMBER_DEFAULTS.items()}
        for row, columns in zip(rows, shown.rows(rows), strict=True)
    ]
