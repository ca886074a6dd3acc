"""The catalog that a process keeps: config.yaml's deployments and the stored ones, as of a policy version."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from app.access import policy
from app.errors import DatabaseUnavailable, Unavailable
from app.gateway.deployments import SUBJECT, TAKEN, StoredDeployments, switched_off
from app.routing.catalog import Catalog
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Known:
    """A catalog, and the (Redis key, policy version) pairs under which it is current."""

    catalog: Catalog
    policies: tuple[tuple[str, str], ...] = ()


class Models:
    """Knows which deployments there are, and notices on the next call when some other process has changed them."""

    def __init__(self, settings: Settings, before: Known | None = None) -> None:
        """Opens no connection. `before` is what was known under other settings."""
        self.stored = StoredDeployments(settings)
        self._of_config = settings.deployments
        # Config.yaml's alone until SQL could be read; then what was read last while nobody was editing.
        self._kept = Known(Catalog(settings.deployments)) if before is None else _under(settings, before)
        self._failures = 0
        self._reading = threading.Lock()

    @property
    def known(self) -> Known:
        """What is known, whether it holds or not."""
        return self._kept

    def kept(self) -> Known:
        """What is known without asking anybody; admission compares its policy.

        A process that could not read SQL yet knows config.yaml's deployments alone.
        """
        if self._kept.policies:
            return self._kept
        try:
            return self.look()
        except Unavailable:
            return self._kept

    def look(self) -> Known:
        """What holds at this moment: read anew where the version is another one.

        Raises LimitsUnavailable, DatabaseUnavailable.
        """
        (version,) = policy.versions([SUBJECT])
        policies = ((policy.policy_key(SUBJECT), version),)
        return self._kept if self._kept.policies == policies else self._read_once(policies)

    def again(self) -> Known:
        """As `look`, after admission has said that something is stale.

        With the database down what is kept goes on, and admission has nothing to compare. Raises LimitsUnavailable.
        """
        try:
            return self.look()
        except DatabaseUnavailable:
            return Known(self._kept.catalog)

    def listed(self) -> Catalog:
        """What holds at this moment or, where Redis or SQL is down, what is kept."""
        try:
            return self.look().catalog
        except Unavailable:
            return self._kept.catalog

    def _read_once(self, policies: tuple[tuple[str, str], ...]) -> Known:
        """Many calls notice an edit at the same moment: one reads for all who wait, and fails for them as well."""
        failures = self._failures
        with self._reading:
            if self._kept.policies == policies:
                return self._kept
            if self._failures != failures:
                raise DatabaseUnavailable("The database does not answer, so the models cannot be read. Try again.")
            return self._read(policies)

    def _read(self, policies: tuple[tuple[str, str], ...]) -> Known:
        # The version was read before the rows: what changes in between makes this stale, not wrong.
        try:
            known = Known(Catalog((*self._of_config, *self.stored.all())), policies)
        except DatabaseUnavailable:
            self._failures += 1
            raise
        if all(policy.is_settled(version) for _, version in policies):
            self._kept = known
        return known


def _under(settings: Settings, before: Known) -> Known:
    """Other deployments of config.yaml with the stored ones that were known, so that these outlive a dead database.

    One that was off because config.yaml had its id, and has it no more, can only be told from SQL.
    """
    ids = {deployment.id for deployment in settings.deployments}
    stored = [replace(one, default_costs=settings.default_price) for one in before.catalog.all() if one.stored]
    freed = any(one.off == TAKEN and one.id not in ids for one in stored)
    stored = [switched_off(one, TAKEN) if one.id in ids else one for one in stored]
    return Known(Catalog((*settings.deployments, *stored)), () if freed else before.policies)
