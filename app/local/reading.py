"""What `python -m app.local.reading` runs: reads the settings for the supervisor (see known.py), and ends.

Prints what it has to know, in JSON; else what is wrong, in one line each, with exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from app.errors import SettingsError
from app.local.home import Home
from app.local.known import Known
from app.model_list import Deployment
from app.settings import load


def known(environ: Mapping[str, str], directory: Path) -> Known:
    """The master key is one of its own where nobody has named one. Raises SettingsError."""
    variables = {}
    if "TOLLGATE_MASTER_KEY" not in environ and not names_master_key(environ, directory):
        home = Home(directory / environ["TOLLGATE_HOME"])
        variables["TOLLGATE_MASTER_KEY"] = home.secret("master_key", prefix="sk-")
    settings = load({**environ, **variables}, directory)
    return Known(
        redis_url=settings.redis_url,
        database_url=settings.database_url,
        master_key=settings.master_key,
        variables=variables,
        warnings=list(settings.warnings),
        model=model_to_try(settings.deployments),
    )


def names_master_key(environment: Mapping[str, str], directory: Path) -> bool:
    """Whether config.yaml has a master key of its own. If the file is wrong, app.settings says so."""
    try:
        config = yaml.safe_load((directory / environment.get("TOLLGATE_CONFIG", "config.yaml")).read_text())
        return bool(config["general_settings"]["master_key"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return False


def model_to_try(deployments: tuple[Deployment, ...]) -> str | None:
    """A name that can be called: a mock if there is one, because it needs no account anywhere."""
    usable = [entry for entry in deployments if entry.off is None and "*" not in entry.model_name]
    usable.sort(key=lambda entry: entry.provider != "mock")
    return usable[0].model_name if usable else None


def main() -> int:
    """The exit code."""
    try:
        sys.stdout.write(known(os.environ, Path.cwd()).to_json())
    except SettingsError as error:
        sys.stdout.write("\n".join(error.problems))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
