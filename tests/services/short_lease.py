"""The gateway with leases of a few seconds, so that nobody waits half a minute for those of a killed process."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from flask import Flask

from app import create_app, settings

SECONDS = 6.0
# What gunicorn loads.
APPLICATION = f"{__name__}:make()"


def make() -> Flask:
    """The application as it is but for that."""
    return create_app(replace(settings.load(os.environ, Path.cwd()), lease=SECONDS))
