"""The config.yaml of this host: read at the start and again, and remembered as it last was right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app import settings
from app.errors import SettingsError
from app.settings import Settings

# The name of a file that all web processes of one master share, and that ends with them; gunicorn.conf.py makes it.
LAST_GOOD = "TOLLGATE_LAST_GOOD"


class ConfigFile:
    """Where a process has its settings from."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        """Reads nothing yet. Relative paths start at `directory`."""
        self._environ = dict(environ)
        self._directory = directory.absolute()
        self._path = self._directory / (environ.get("TOLLGATE_CONFIG") or "config.yaml")
        self._last_good = Path(environ[LAST_GOOD]) if environ.get(LAST_GOOD) else None

    def first(self) -> tuple[Settings, tuple[str, ...]]:
        """The settings to start with, and what is wrong with the file where they are those of the last good one.

        Raises SettingsError where there was no good one yet.
        """
        try:
            return self._load(None), ()
        except SettingsError as error:
            if self._last_good is None or not self._last_good.read_bytes():
                raise
            environ = self._environ | {"TOLLGATE_CONFIG": str(self._last_good)}
            return settings.load(environ, self._directory), tuple(error.problems)

    def again(self, before: Settings) -> Settings:
        """The settings of now, for a process that runs under `before`. Raises SettingsError."""
        return self._load(before)

    def _load(self, before: Settings | None) -> Settings:
        text = self._text()
        found = settings.load(self._environ, self._directory, before)
        # Only what was surely read, and not written over meanwhile, is known to be good.
        if self._last_good is not None and text == self._text() and text != self._last_good.read_bytes():
            self._last_good.write_bytes(text)
        return found

    def _text(self) -> bytes:
        return self._path.read_bytes() if self._path.is_file() else b""
