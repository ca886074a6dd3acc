"""What is over and goes: keys that have expired for long, and former secrets. What they spent stays in the books."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from app.access import callers
from app.extensions import database_errors, db, write_transaction
from app.models import FormerToken, VirtualKey


def delete_keys(before: datetime, most: int) -> int:
    """Deletes keys that expired before this moment, those first that did so first; gives how many, at most `most`.

    A key whose time is prolonged in this very moment stays. Raises DatabaseUnavailable, LimitsUnavailable.
    """
    over = VirtualKey.expires < before
    with database_errors():
        ids = db.session.scalars(sa.select(VirtualKey.id).where(over).order_by(VirtualKey.expires).limit(most)).all()
        db.session.rollback()
    if not ids:
        return 0
    with callers.invalidating([f"key:{key_id}" for key_id in ids]), write_transaction() as session:
        found = session.scalars(sa.select(VirtualKey).where(VirtualKey.id.in_(ids), over).with_for_update()).all()
        for row in found:
            session.delete(row)
    return len(found)


def delete_former_secrets(before: datetime, most: int) -> int:
    """Deletes former secrets that ended before this moment; gives how many, at most `most`.

    They open nothing any more, so nobody has to hear of it. Raises DatabaseUnavailable.
    """
    over = sa.select(FormerToken.token).where(FormerToken.valid_until < before).limit(most)
    with write_transaction() as session:
        return session.connection().execute(sa.delete(FormerToken).where(FormerToken.token.in_(over))).rowcount
