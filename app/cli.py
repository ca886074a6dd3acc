"""Commands: `flask --app app reconcile`, `flask --app app export` and `flask --app app encrypt-credentials`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app import books
from app.errors import Unavailable
from app.gateway.deployments import StoredDeployments
from app.ledger import export
from app.limits import holds

DAY = click.DateTime(["%Y-%m-%d"])


def init_app(app: Flask) -> None:
    """Registers the commands."""
    app.cli.add_command(reconcile)
    app.cli.add_command(export_ledger)
    app.cli.add_command(encrypt_credentials)


@click.command()
@with_appcontext
def reconcile() -> None:
    """Compare ledger, daily totals, balances and Redis.

    Prints every difference and how many there are; ends with 0 where there is none, else with 1. May run at any time:
    calls in flight, and calls that are not settled yet, make no difference.
    """
    found = 0
    try:
        click.echo(f"events that wait to be settled: {holds.counts().waiting}")
        for line in books.differences():
            click.echo(line)
            found += 1
    except Unavailable as error:
        raise click.ClickException(error.message) from error
    click.echo("1 difference" if found == 1 else f"{found} differences")
    click.get_current_context().exit(1 if found else 0)


@click.command("export")
@click.option("--format", "file_format", type=click.Choice(list(export.FORMATS)), default="csv")
@click.option("--start", type=DAY, help="The first day (UTC).")
@click.option("--end", type=DAY, help="The last day (UTC), included.")
@click.argument("file", type=click.File("wb"))
@with_appcontext
def export_ledger(file_format: str, start: datetime | None, end: datetime | None, file: BinaryIO) -> None:
    """Write rows of the ledger to FILE (-: standard output), oldest first."""
    chunks = export.chunks(
        start=start and start.replace(tzinfo=UTC), end=end and end.replace(tzinfo=UTC) + timedelta(days=1)
    )
    try:
        file.writelines(export.written(file_format, chunks))
    except Unavailable as error:
        raise click.ClickException(error.message) from error


@click.command()
@with_appcontext
def encrypt_credentials() -> None:
    """Encrypt the credentials of stored deployments again, with the first key of TOLLGATE_ENCRYPTION_KEY.

    Prints how many there are, and the deployments whose credentials no key opens; ends with 1 if there are such.
    """
    stored = StoredDeployments(current_app.extensions["tollgate"].settings)
    try:
        done, closed = stored.encrypt_again()
    except Unavailable as error:
        raise click.ClickException(error.message) from error
    for identity in closed:
        click.echo(f"{identity}: its credentials cannot be decrypted")
    click.echo("1 deployment encrypted" if done == 1 else f"{done} deployments encrypted")
    click.get_current_context().exit(1 if closed else 0)
