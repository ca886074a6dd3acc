"""The directory `.tollgate`: what a local Tollgate keeps between two starts, for its owner's eyes only."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


class HomeTaken(Exception):
    """Another Tollgate runs on this directory; the text is the id of its process, or empty."""


class Home:
    """A directory with mode 0700. One process at a time owns it, for as long as it lives."""

    def __init__(self, path: Path) -> None:
        """Makes the directory where it is missing. Raises OSError where that is not possible."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)

    def own(self) -> None:
        """Takes the directory; the kernel gives it back when this process ends, even by `kill -9`. Raises HomeTaken."""
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 20).decode().strip()
            os.close(self._lock)
            raise HomeTaken(owner) from None
        os.truncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def secret(self, name: str, prefix: str = "") -> str:
        """The secret kept under that name, made on first use."""
        kept = self.read(name)
        if kept:
            return kept
        made = prefix + secrets.token_urlsafe(24)
        self.write(name, made + "\n")
        return made

    def read(self, name: str) -> str:
        """What was kept under that name, or an empty text."""
        try:
            return (self.path / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def write(self, name: str, text: str) -> Path:
        """Keeps a text with mode 0600; readers see the old text or the new one, never half of it."""
        path = self.path / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        half = path.with_name(path.name + ".new")
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return half.replace(path)
