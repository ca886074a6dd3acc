"""Ledger rows with more kinds of usage, the service tier, the balances they are part of, and corrections of prices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AMOUNTS = [
    *("cache_read_audio_tokens", "cache_read_image_tokens", "image_input_tokens", "image_output_tokens"),
    *("web_searches", "images", "audio_ms", "characters", "requests", "pages"),
]


def upgrade() -> None:
    for name in AMOUNTS:
        op.add_column("ledger", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("tier", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("ledger", sa.Column("entry", sa.String(length=16), nullable=False, server_default="call"))
    op.add_column("ledger", sa.Column("meters", sa.JSON(), nullable=True))


def downgrade() -> None:
    for name in ("meters", "entry", "tier", *reversed(AMOUNTS)):
        op.drop_column("ledger", name)
