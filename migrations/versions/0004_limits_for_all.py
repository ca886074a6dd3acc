"""Teams, customers, budget templates, limits per model; more about keys; stored deployments, webhooks, audit."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DAY_KEY = ["day", "user_id", "key_id", "team_id", "customer_id", "model_name", "provider"]


def limit_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("max_budget", sa.BigInteger(), nullable=True),
        sa.Column("soft_budget", sa.BigInteger(), nullable=True),
        sa.Column("strict", sa.Boolean(), nullable=False),
        sa.Column("budget_duration", sa.String(length=32), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("week_start", sa.String(length=9), nullable=True),
        sa.Column("rollover", sa.Boolean(), nullable=False),
        sa.Column("max_parallel_requests", sa.Integer(), nullable=True),
        sa.Column("queue_timeout", sa.Double(), nullable=True),
        sa.Column("rpm_limit", sa.Integer(), nullable=True),
        sa.Column("tpm_limit", sa.Integer(), nullable=True),
        sa.Column("alert_thresholds", sa.JSON(), nullable=True),
    ]


def templated_columns(table: str) -> list[Any]:
    return [
        *limit_columns(),
        sa.Column("budget_id", sa.String(length=255), nullable=True),
        sa.Column("temp_budget_increase", sa.BigInteger(), nullable=True),
        sa.Column("temp_budget_expiry", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["budget_id"], ["budget.budget_id"], name=op.f(f"fk_{table}_budget_id_budget")),
    ]


def kept_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
    ]


def upgrade() -> None:
    make_limited_tables()
    make_other_tables()
    for table in ("app_user", "virtual_key"):
        extend_limits(table)
    extend_keys()
    extend_ledger()


def make_limited_tables() -> None:
    op.create_table(
        "budget",
        sa.Column("budget_id", sa.String(length=255), nullable=False),
        *limit_columns(),
        sa.Column("metadata", sa.JSON(), nullable=False),
        *kept_columns(),
        sa.PrimaryKeyConstraint("budget_id", name=op.f("pk_budget")),
    )
    op.create_table(
        "team",
        sa.Column("team_id", sa.String(length=255), nullable=False),
        sa.Column("team_alias", sa.String(length=255), nullable=True),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("member_limits", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        *templated_columns("team"),
        *kept_columns(),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_team")),
    )
    op.create_table(
        "team_member",
        sa.Column("team_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        *templated_columns("team_member"),
        *kept_columns(),
        sa.ForeignKeyConstraint(
            ["team_id"], ["team.team_id"], name=op.f("fk_team_member_team_id_team"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.user_id"], name=op.f("fk_team_member_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("team_id", "user_id", name=op.f("pk_team_member")),
    )
    op.create_table(
        "customer",
        sa.Column("customer_id", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=True),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        *templated_columns("customer"),
        *kept_columns(),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer")),
    )
    op.create_index(op.f("ix_team_member_user_id"), "team_member", ["user_id"])
    for table in ("team", "team_member", "customer"):
        op.create_index(op.f(f"ix_{table}_budget_id"), table, ["budget_id"])


def make_other_tables() -> None:
    op.create_table(
        "credit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("meter", sa.String(length=1100), nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit")),
    )
    op.create_index("ix_credit_meter_window_start", "credit", ["meter", "window_start"])
    op.create_table(
        "deployment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.String(length=255), nullable=False),
        sa.Column("litellm_params", sa.JSON(), nullable=False),
        sa.Column("model_info", sa.JSON(), nullable=False),
        sa.Column("credentials", sa.Text(), nullable=True),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        *kept_columns(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("occasion", sa.String(length=1200), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.String(length=255), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("occasion", name=op.f("uq_webhook_occasion")),
    )
    op.create_index(op.f("ix_webhook_next_attempt_at"), "webhook", ["next_attempt_at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("actor_user_id", sa.String(length=255), nullable=True),
        sa.Column("changed_by", sa.String(length=255), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("object_kind", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=600), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
    op.create_index("ix_audit_object_kind_object_id", "audit", ["object_kind", "object_id"])
    op.create_table(
        "former_token",
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("valid_until", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["virtual_key.id"], name=op.f("fk_former_token_key_id_virtual_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_former_token")),
    )
    op.create_index(op.f("ix_former_token_key_id"), "former_token", ["key_id"])
    op.create_table(
        "daily_tag",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("requests", "failed_requests", "input_tokens", "output_tokens", "cost")
        ),
        sa.PrimaryKeyConstraint("day", "tag", name=op.f("pk_daily_tag")),
    )


def extend_limits(table: str) -> None:
    with op.batch_alter_table(table) as batch:
        batch.add_column(sa.Column("soft_budget", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("timezone", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("week_start", sa.String(length=9), nullable=True))
        batch.add_column(sa.Column("rollover", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("queue_timeout", sa.Double(), nullable=True))
        batch.add_column(sa.Column("alert_thresholds", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("budget_id", sa.String(length=255), nullable=True))
        batch.add_column(sa.Column("temp_budget_increase", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("temp_budget_expiry", MOMENT, nullable=True))
        batch.add_column(sa.Column("model_limits", sa.JSON(), nullable=False, server_default="{}"))
        batch.create_foreign_key(op.f(f"fk_{table}_budget_id_budget"), "budget", ["budget_id"], ["budget_id"])
        batch.create_index(op.f(f"ix_{table}_budget_id"), ["budget_id"])


def extend_keys() -> None:
    with op.batch_alter_table("virtual_key") as batch:
        batch.add_column(sa.Column("team_id", sa.String(length=255), nullable=True))
        batch.add_column(sa.Column("aliases", sa.JSON(), nullable=False, server_default="{}"))
        batch.add_column(sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("allowed_routes", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("key_type", sa.String(length=16), nullable=False, server_default="default"))
        batch.add_column(sa.Column("service_account", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("auto_rotate", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("rotation_interval", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("rotate_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("rotation_count", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("regenerated_by", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("created_by", sa.String(length=255), nullable=True))
        batch.create_foreign_key(
            op.f("fk_virtual_key_team_id_team"), "team", ["team_id"], ["team_id"], ondelete="CASCADE"
        )
        batch.create_index(op.f("ix_virtual_key_team_id"), ["team_id"])
        batch.create_index(op.f("ix_virtual_key_rotate_at"), ["rotate_at"])


def extend_ledger() -> None:
    with op.batch_alter_table("balance") as batch:
        batch.alter_column("meter", existing_type=sa.String(length=300), type_=sa.String(length=1100))
    op.add_column("ledger", sa.Column("team_id", sa.String(length=255), nullable=True))
    op.add_column("ledger", sa.Column("customer_id", sa.String(length=255), nullable=True))
    op.add_column("ledger", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
    op.execute(
        "INSERT INTO balance (meter, window_start, spend, version) "
        "SELECT 'gateway', 0, SUM(cost), 1 FROM daily_spend HAVING COUNT(*) > 0"
    )
    with op.batch_alter_table("daily_spend", recreate="auto") as batch:
        batch.add_column(sa.Column("team_id", sa.String(length=255), nullable=False, server_default=""))
        batch.add_column(sa.Column("customer_id", sa.String(length=255), nullable=False, server_default=""))
        batch.add_column(sa.Column("cache_read_tokens", sa.BigInteger(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False, server_default="0"))
        batch.drop_constraint(op.f("pk_daily_spend"), type_="primary")
        batch.create_primary_key(op.f("pk_daily_spend"), DAY_KEY)
        batch.create_index("ix_daily_spend_team_id_day", ["team_id", "day"])
        batch.create_index("ix_daily_spend_customer_id_day", ["customer_id", "day"])


def downgrade() -> None:
    """What is told apart only by team or customer cannot be kept apart any more, so such totals are lost."""
    op.execute("DELETE FROM daily_spend WHERE team_id <> '' OR customer_id <> ''")
    op.execute("DELETE FROM balance WHERE meter = 'gateway'")
    with op.batch_alter_table("daily_spend", recreate="auto") as batch:
        batch.drop_index("ix_daily_spend_team_id_day")
        batch.drop_index("ix_daily_spend_customer_id_day")
        batch.drop_constraint(op.f("pk_daily_spend"), type_="primary")
        for column in ("team_id", "customer_id", "cache_read_tokens", "cache_write_tokens"):
            batch.drop_column(column)
        batch.create_primary_key(op.f("pk_daily_spend"), [name for name in DAY_KEY if name not in DAY_KEY[3:5]])
    for column in ("team_id", "customer_id", "tags"):
        op.drop_column("ledger", column)
    with op.batch_alter_table("balance") as batch:
        batch.alter_column("meter", existing_type=sa.String(length=1100), type_=sa.String(length=300))
    op.drop_table("former_token")
    with op.batch_alter_table("virtual_key") as batch:
        batch.drop_index(op.f("ix_virtual_key_team_id"))
        batch.drop_index(op.f("ix_virtual_key_rotate_at"))
        batch.drop_constraint(op.f("fk_virtual_key_team_id_team"), type_="foreignkey")
        for column in (
            *("team_id", "aliases", "tags", "allowed_routes", "key_type", "service_account", "auto_rotate"),
            *("rotation_interval", "rotate_at", "rotation_count", "regenerated_by", "created_by"),
        ):
            batch.drop_column(column)
    for table in ("app_user", "virtual_key"):
        with op.batch_alter_table(table) as batch:
            batch.drop_index(op.f(f"ix_{table}_budget_id"))
            batch.drop_constraint(op.f(f"fk_{table}_budget_id_budget"), type_="foreignkey")
            for column in (
                *("soft_budget", "timezone", "week_start", "rollover", "queue_timeout", "alert_thresholds"),
                *("budget_id", "temp_budget_increase", "temp_budget_expiry", "model_limits"),
            ):
                batch.drop_column(column)
    for table in ("audit", "webhook", "deployment", "credit", "customer", "team_member", "team", "budget", "daily_tag"):
        op.drop_table(table)
