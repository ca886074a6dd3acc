"""How long earlier secrets work beside a scheduled new one, and which request made a secret that was replaced since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("virtual_key", sa.Column("rotation_grace", sa.String(length=32), nullable=True))
    op.add_column("former_token", sa.Column("regenerated_by", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("former_token", "regenerated_by")
    op.drop_column("virtual_key", "rotation_grace")
