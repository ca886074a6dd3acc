"""Secrets of stored deployments, encrypted at rest."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from app.settings import Settings

# Loaded where the first secret is sealed or opened: who stores none spares 8 MB.
if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

# The plain SHA-256 of the master key stands in ledger rows, so a key must be derived in a way of its own.
PURPOSE = b"tollgate credentials"
KEY_BYTES = 32


class CannotDecrypt(Exception):
    """None of the secrets opens it; the text says which there are."""


class Credentials:
    """Encrypts with the first of the settings' encryption keys, decrypts with any; the master key is the default."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is derived before it is needed."""
        self._secrets = settings.encryption_keys or (settings.master_key,)
        self._opener = "no secret in TOLLGATE_ENCRYPTION_KEY opens them"
        if not settings.encryption_keys:
            self._opener = "TOLLGATE_ENCRYPTION_KEY is not set, and the master key does not open them"

    @cached_property
    def _fernet(self) -> MultiFernet:
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

        return MultiFernet([Fernet(_derived(secret)) for secret in self._secrets])

    def seal(self, secrets: Mapping[str, Any]) -> str | None:
        """The secrets by name as one text; None where there are none."""
        return self._fernet.encrypt(orjson.dumps(secrets)).decode() if secrets else None

    def open(self, sealed: str | None) -> dict[str, Any]:
        """What was sealed. Raises CannotDecrypt."""
        if sealed is None:
            return {}
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            found: dict[str, Any] = orjson.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            raise CannotDecrypt(self._opener) from None
        return found

    def seal_again(self, sealed: str) -> str:
        """The same, encrypted with the first key. Raises CannotDecrypt."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            raise CannotDecrypt(self._opener) from None


def _derived(secret: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    key = HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(key)
