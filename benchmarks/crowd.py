"""A database as years of use leave it: users with a budget and a key each, ledger rows, balances, daily totals.

Made by the database itself, so that a million users and millions of rows take minutes. The sums agree with the rows.
Only PostgreSQL is given ledger rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from app.ledger.writing import AMOUNTS

SECRET = "sk-bench-{}"  # noqa: S105 - of nobody
BUDGET = 10**16
# The rows lie in days gone by: today's traffic begins today's totals, as on any morning.
DAYS = 100
COST = 21_000
ROWS_AT_ONCE = 1_000_000

NUMBERS = {
    "postgresql": "generate_series(CAST(:first AS bigint), :last) AS numbers(i)",
    "sqlite": """(WITH RECURSIVE counted(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM counted WHERE i < :last)
                  SELECT i FROM counted) AS numbers""",
}
# The hash of a secret; SQLite, which has no such function, is only asked to settle.
TOKENS = {
    "postgresql": f"encode(sha256(convert_to('{SECRET.format('')}' || i, 'UTF8')), 'hex')",
    "sqlite": "printf('%064d', i)",
}
PEOPLE = (
    """INSERT INTO app_user (user_id, user_role, models, model_limits, metadata, created_at, updated_at, strict,
                             rollover, max_budget, max_parallel_requests)
       SELECT 'u' || i, 'internal_user', '[]', '{}', '{}', '2026-01-01 00:00:00', '2026-01-01 00:00:00', false, false,
              :budget, 10000
       FROM <numbers>""",
    """INSERT INTO virtual_key (id, token, key_name, user_id, models, model_limits, aliases, tags, allowed_routes,
                                key_type, service_account, metadata, blocked, auto_rotate, rotation_count, created_at,
                                updated_at, strict, rollover)
       SELECT 'k' || i, <token>, 'sk-...nch', 'u' || i, '[]', '{}', '{}', '[]', '[]', 'default', false, '{}', false,
              false, 0, '2026-01-01 00:00:00', '2026-01-01 00:00:00', false, false
       FROM <numbers>""",
)
# Everybody has made the same number of calls, one after the other: row i is of the user i modulo :users.
LEDGER = """
INSERT INTO ledger (request_id, attempt, key_id, token, user_id, tags, route, model_name, deployment_id, provider,
                    model, stream, outcome, http_status, usage_source, <kinds>, tier, cost, price, started_at, ended_at,
                    entry, meters)
SELECT md5(CAST(i AS text)), 0, 'k' || i % :users, '', 'u' || i % :users, '[]', 'chat/completions', 'gpt-4o-mini', 'd1',
       'openai', 'gpt-4o-mini', false, 'success', 200, 'provider', <amounts>, '', :cost, 'config', at, at, 'call',
       json_build_array(json_build_array('key:k' || i % :users, 0), json_build_array('user:u' || i % :users, 0),
                        json_build_array('gateway', 0))
FROM (SELECT i, date_trunc('day', now(), 'UTC') - (1 + i % :days) * interval '1 day' + i % 86400 * interval '1 second'
      AS at FROM <numbers>) AS rows
"""
SUMS = (
    """INSERT INTO balance (meter, window_start, spend, version)
       SELECT kind || n, 0, spend, 1
       FROM (SELECT user_id, sum(cost) AS spend FROM ledger GROUP BY user_id) AS sums
       CROSS JOIN LATERAL (VALUES ('user:' || user_id), ('key:k' || substr(user_id, 2))) AS meters(kind)
       CROSS JOIN (VALUES ('')) AS none(n)""",
    """INSERT INTO balance (meter, window_start, spend, version) SELECT 'gateway', 0, sum(cost), 1 FROM ledger""",
    """INSERT INTO daily_spend (day, user_id, key_id, team_id, customer_id, model_name, provider, requests,
                                failed_requests, input_tokens, output_tokens, cost, cache_read_tokens,
                                cache_write_tokens)
       SELECT CAST(started_at AT TIME ZONE 'UTC' AS date), user_id, key_id, '', '', model_name, provider, count(*), 0,
              sum(input_tokens), sum(output_tokens), sum(cost), 0, 0
       FROM ledger GROUP BY 1, 2, 3, 6, 7""",
)


def people(url: str, users: int) -> None:
    """Users "u0", "u1", ... with a budget that lasts, each with a key "k0", ... whose secret is SECRET."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in PEOPLE:
            filled = statement.replace("<token>", TOKENS[engine.dialect.name])
            _run(connection, filled, first=0, last=users - 1, budget=BUDGET)
    engine.dispose()


def years(url: str, users: int, rows: int) -> None:
    """Ledger rows of these users with all sums, on PostgreSQL; indexes are made afterwards, which is faster."""
    engine = sa.create_engine(url)
    kinds = dict.fromkeys(AMOUNTS, "0") | {"input_tokens": "50", "output_tokens": "20"}
    statement = LEDGER.replace("<kinds>", ", ".join(kinds)).replace("<amounts>", ", ".join(kinds.values()))
    with engine.begin() as connection, _without_indexes(connection, "ledger"):
        for first in range(0, rows, ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE, rows) - 1
            _run(connection, statement, first=first, last=last, users=users, cost=COST, days=DAYS)
    with engine.begin() as connection, _without_indexes(connection, "daily_spend"):
        for sums in SUMS:
            _run(connection, sums)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _run(connection, "VACUUM ANALYZE")
        _run(connection, "CHECKPOINT")
    engine.dispose()


@contextmanager
def _without_indexes(connection: sa.Connection, table: str) -> Iterator[None]:
    wanted = sa.text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table AND indexname LIKE 'ix_%'")
    indexes = [tuple(row) for row in connection.execute(wanted, {"table": table})]
    for name, _ in indexes:
        _run(connection, f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        _run(connection, definition)


def _run(connection: sa.Connection, statement: str, **values: int) -> None:
    numbered = statement.replace("<numbers>", NUMBERS[connection.dialect.name])
    connection.execute(sa.text(numbered), values)
