"""What the routes of teams take and show."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema as AnswerSchema
from marshmallow import fields, post_load, pre_load, validate

from app.api.base import Schema
from app.api.fields import Count, Dollars, Email, Flag, Names, Text, window
from app.api.schemas import (
    KeySchema,
    LimitValuesSchema,
    MembershipSchema,
    PageSchema,
    ShownLimitsSchema,
    ShownLimitValuesSchema,
    TemplatedLimitsSchema,
    says,
    sort_by,
    sort_order,
)
from app.errors import BadRequest

NOT_YET = frozenset(
    [
        *("access_group_ids", "admins", "allowed_passthrough_routes", "budget_limits", "default_team_member_models"),
        *("guardrails", "model_aliases", "model_max_budget", "model_rpm_limit", "model_tpm_limit", "object_permission"),
        *("organization_id", "policies", "prompts", "router_settings", "rpm_limit_type", "secret_manager_settings"),
        *("tags", "team_member_key_duration", "team_member_model_max_budget", "team_member_permissions", "tpd_limit"),
        *("tpm_limit_type", "members", "soft_budget_alerting_emails"),
    ]
)
ROLES = ("user", "admin")
MOST_MEMBERS = 500
THE_TEAM, THE_USER = "The team's id.", "The member's user id."
# LiteLLM's names for what a member has who has no limits of their own.
MEMBER_DEFAULTS = {
    "team_member_budget": "max_budget",
    "team_member_budget_duration": "budget_duration",
    "team_member_rpm_limit": "rpm_limit",
    "team_member_tpm_limit": "tpm_limit",
}


class MemberSchema(Schema):
    """Somebody who is to be in a team: by user_id, or by user_email."""

    user_id = Text(allow_none=True, metadata=says("The user's id. One that nobody has yet gets a user without limits."))
    user_email = Email(longest=320, allow_none=True, metadata=says("The e-mail address of a user who is there."))
    role = fields.String(
        load_default="user",
        validate=validate.OneOf(ROLES),
        metadata=says("`admin` may manage the team's members and keys."),
    )


class MemberLimitsSchema(TemplatedLimitsSchema):
    """A member's limits, which count over the member's keys of this team."""

    not_yet = frozenset({"metadata", "model_max_budget", "tpd_limit"})

    max_budget_in_team = Dollars(allow_none=True, metadata=says("The same as max_budget, as LiteLLM writes it."))
    allowed_models = Names(metadata=says("The same as models, as LiteLLM writes it."))

    @post_load
    def take_other_names(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """LiteLLM's names become ours. Raises BadRequest where both are there and differ."""
        for theirs, ours in (("max_budget_in_team", "max_budget"), ("allowed_models", "models")):
            if theirs in data:
                value = data.pop(theirs)
                if data.setdefault(ours, value) != value:
                    raise BadRequest(f"{theirs} and {ours} are the same and have two values.", param=theirs)
        return data


class TeamFieldsSchema(TemplatedLimitsSchema):
    """What a team has."""

    not_yet = NOT_YET

    team_alias = Text(allow_none=True, metadata=says("A name for people."))
    blocked = Flag(allow_none=True, metadata=says("Whether all keys of the team are refused."))
    member_limits = fields.Nested(
        LimitValuesSchema,
        allow_none=True,
        metadata=says("The limits of each member who has none of their own. Null: none."),
    )
    team_member_budget = Dollars(allow_none=True, metadata=says("The same as max_budget in member_limits, in dollars."))
    team_member_budget_duration = window(
        allow_none=True, metadata=says("The same as budget_duration in member_limits, such as `30d`.")
    )
    team_member_rpm_limit = Count(
        strict=True, allow_none=True, metadata=says("The same as rpm_limit in member_limits: requests in 60 seconds.")
    )
    team_member_tpm_limit = Count(
        strict=True, allow_none=True, metadata=says("The same as tpm_limit in member_limits: tokens in 60 seconds.")
    )

    @post_load
    def gather_member_limits(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """LiteLLM's four names become `member_defaults`, which change those limits alone."""
        parts = {ours: data.pop(theirs) for theirs, ours in MEMBER_DEFAULTS.items() if theirs in data}
        return data | {"member_defaults": parts} if parts else data


class NewTeamSchema(TeamFieldsSchema):
    """A new team."""

    team_id = Text(allow_none=True, metadata=says(THE_TEAM + " Without a slash. Null: one is made.", example="blue"))
    members_with_roles = fields.List(
        fields.Nested(MemberSchema),
        allow_none=True,
        validate=validate.Length(0, MOST_MEMBERS),
        metadata=says("The team's first members."),
    )


class ChangedTeamSchema(TeamFieldsSchema):
    """Changes of a team."""

    team_id = Text(required=True, metadata=says(THE_TEAM))


class NewMembersSchema(MemberLimitsSchema):
    """Members who join; the limits are each one's."""

    team_id = Text(required=True, metadata=says(THE_TEAM))
    member = fields.Raw(required=True, metadata=says("One member, or a list of members.", example={"user_id": "ada"}))


class ManyMembersSchema(MemberLimitsSchema):
    """Members who join; the limits are each one's."""

    team_id = Text(required=True, metadata=says(THE_TEAM))
    members = fields.List(
        fields.Nested(MemberSchema),
        required=True,
        validate=validate.Length(1, MOST_MEMBERS),
        metadata=says("The members."),
    )


class MemberReferenceSchema(Schema):
    """Which member: by user_id, or by user_email."""

    team_id = Text(required=True, metadata=says(THE_TEAM))
    user_id = Text(allow_none=True, metadata=says(THE_USER))
    user_email = Email(longest=320, allow_none=True, metadata=says("The member's e-mail address."))


class ChangedMemberSchema(MemberLimitsSchema, MemberReferenceSchema):
    """Changes of a member."""

    role = fields.String(
        validate=validate.OneOf(ROLES), metadata=says("`admin` may manage the team's members and keys.")
    )


class TeamModelsSchema(Schema):
    """Models of a team."""

    team_id = Text(required=True, metadata=says(THE_TEAM))
    models = Names(required=True, metadata=says("Names, access groups and wildcards."))


class TeamReferenceSchema(Schema):
    """Which team."""

    team_id = Text(required=True, metadata=says(THE_TEAM))


class TeamIdsSchema(Schema):
    """Teams by id."""

    team_ids = fields.List(
        Text(), required=True, validate=validate.Length(1, 1000), metadata=says("The ids of the teams.")
    )


class TeamInfoQuerySchema(TeamReferenceSchema):
    """Which team."""

    key_limit = Count(least=0, load_default=1000, most=1000, metadata=says("How many of its keys are shown at most."))


class TeamListQuerySchema(PageSchema):
    """Which teams."""

    not_yet = frozenset({"organization_id", "status"})

    page_size = Count(least=1, most=1000, load_default=1000, metadata=says("Teams on a page."))
    user_id = Text(metadata=says("Only teams with this member."))
    team_id = Text(metadata=says("Only the team with this id."))
    team_alias = Text(metadata=says("Only teams with this text in their alias."))
    search = Text(metadata=says("Only teams with this text in their id or alias."))
    sort_by = sort_by("created_at", "updated_at", "team_alias", "team_id", "max_budget", first="created_at")
    sort_order = sort_order()


class TeamPageQuerySchema(TeamListQuerySchema):
    """Which teams."""

    page_size = Count(least=1, most=100, load_default=10, metadata=says("Teams on a page."))


class NewMembershipSchema(Schema):
    """A team that a new user is in; as a text its id alone."""

    team_id = Text(required=True, metadata=says(THE_TEAM))
    max_budget_in_team = Dollars(
        allow_none=True,
        metadata=says("Dollars that the user may spend in the team; null: as all members."),
    )
    user_role = fields.String(
        load_default="user", validate=validate.OneOf(ROLES), metadata=says("`user`, the default, or `admin`.")
    )

    @pre_load
    def make_object(self, data: Any, **_options: object) -> Any:
        """An id may come as a text by itself."""
        return {"team_id": data} if isinstance(data, str) else data

    @post_load
    def take_other_names(self, data: dict[str, Any], **_options: object) -> dict[str, Any]:
        """As the columns of a member are called."""
        budget = data.get("max_budget_in_team")
        return {"team_id": data["team_id"], "role": data["user_role"], "max_budget": budget}


class ShownMemberSchema(AnswerSchema):
    """A member, shortly."""

    user_id = fields.String(metadata=says(THE_USER))
    user_email = fields.String(allow_none=True, metadata=says("The member's e-mail address; null: none is known."))
    role = fields.String(metadata=says("`user` or `admin`."))


class TeamSchema(ShownLimitsSchema):
    """A team."""

    class Meta:
        """A team has no limits by model."""

        exclude = ("model_limits",)

    team_id = fields.String(metadata=says(THE_TEAM))
    team_alias = fields.String(allow_none=True, metadata=says("A name for people."))
    blocked = fields.Boolean(metadata=says("Whether all keys of the team are refused."))
    member_limits = fields.Nested(
        ShownLimitValuesSchema, metadata=says("The limits of each member who has none of their own.")
    )
    team_member_budget = Dollars(allow_none=True, metadata=says("The same as max_budget in member_limits."))
    team_member_budget_duration = fields.String(
        allow_none=True, metadata=says("The same as budget_duration in member_limits.")
    )
    team_member_rpm_limit = fields.Integer(allow_none=True, metadata=says("The same as rpm_limit in member_limits."))
    team_member_tpm_limit = fields.Integer(allow_none=True, metadata=says("The same as tpm_limit in member_limits."))
    members_with_roles = fields.List(fields.Nested(ShownMemberSchema), metadata=says("The members, oldest first."))


class TeamInfoSchema(AnswerSchema):
    """A team with its keys and members."""

    team_id = fields.String(metadata=says(THE_TEAM))
    team_info = fields.Nested(TeamSchema, metadata=says("The team."))
    keys = fields.List(fields.Nested(KeySchema), metadata=says("The team's keys, oldest first."))
    team_memberships = fields.List(fields.Nested(MembershipSchema), metadata=says("Its members with limits and spend."))


class ChangedTeamAnswerSchema(AnswerSchema):
    """The team after the change."""

    team_id = fields.String(metadata=says(THE_TEAM))
    data = fields.Nested(TeamSchema, metadata=says("The team."))


class AddedMembersSchema(TeamSchema):
    """The team, and who has joined."""

    updated_team_memberships = fields.List(fields.Nested(MembershipSchema), metadata=says("The new members."))


class DeletedTeamsSchema(AnswerSchema):
    """What was deleted."""

    deleted_teams = fields.List(fields.String(), metadata=says("The ids of the deleted teams."))


class TeamPageSchema(AnswerSchema):
    """One page of teams."""

    teams = fields.List(fields.Nested(TeamSchema), metadata=says("The teams on this page."))
    total = fields.Integer(metadata=says("How many teams there are on all pages."))
    page = fields.Integer(metadata=says("This page, from 1."))
    page_size = fields.Integer(metadata=says("Teams on a page."))
    total_pages = fields.Integer(metadata=says("How many pages there are."))
