"""Many rows as one parameter of a statement: a list in JSON, which both databases read as a table.

For a row of the ledger that costs Python 3 µs, and PostgreSQL as much as arrays or COPY (see benchmarks/README.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import sqlalchemy as sa

ROWS = "rows"


def table(dialect: str, columns: Mapping[str, Any]) -> Any:
    """The rows that the parameter ROWS gives, as a table with these columns and SQL types, named "given"."""
    rows: Any = sa.bindparam(ROWS, type_=sa.Text)
    if dialect == "postgresql":
        listed = sa.func.json_to_recordset(sa.cast(rows, sa.JSON))
        typed = [sa.column(name, kind) for name, kind in columns.items()]
        return listed.table_valued(*typed).render_derived(name="given", with_types=True)
    value = sa.func.json_each(rows).table_valued("value").c.value
    read = [
        sa.type_coerce(sa.func.json_extract(value, f"$.{name}"), kind).label(name) for name, kind in columns.items()
    ]
    return sa.select(*read).subquery("given")


def parameter(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The parameter's value. Moments and days are written as both databases read them.

    Raises TypeError for what is no value of a column.
    """
    return {ROWS: orjson.dumps(list(rows)).decode()}
