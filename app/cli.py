"""Commands: `flask --app app` with `reconcile`, `export`, `reprice` or `encrypt-credentials`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from app import books, money, repricing
from app.errors import Unavailable
from app.gateway.deployments import StoredDeployments
from app.ledger import export
from app.ledger.reprice import Filter
from app.limits import holds

# What the lines of a table of prices are summed by.
GROUP = ("provider", "model", "model_name")
DAY = click.DateTime(["%Y-%m-%d"])


def init_app(app: Flask) -> None:
    """Registers the commands."""
    app.cli.add_command(reconcile)
    app.cli.add_command(export_ledger)
    app.cli.add_command(encrypt_credentials)
    app.cli.add_command(reprice_ledger)


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


@click.command("reprice")
@click.option("--model", help="Only calls of this model, by the name that callers use.")
@click.option("--provider", help="Only calls at this provider.")
@click.option("--from", "start", type=DAY, help="Only calls of this day (UTC) or later.")
@click.option("--to", "end", type=DAY, help="Only calls of this day (UTC) or earlier.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@with_appcontext
def reprice_ledger(
    model: str | None, provider: str | None, start: datetime | None, end: datetime | None, *, dry_run: bool
) -> None:
    """Price past calls again, at the prices that config.yaml, stored models and the price list have now.

    A call that costs something else gets two more rows, one that takes back what it had cost and one with what it costs
    now; balances and daily totals change by the difference. Prints a table of what has changed. May run at any time,
    and again.
    """
    gateway = current_app.extensions["tollgate"]
    wanted = Filter(
        model, provider, start and start.replace(tzinfo=UTC), end and end.replace(tzinfo=UTC) + timedelta(days=1)
    )
    changed: dict[tuple[str, ...], list[int]] = {}
    looked_at = unknown = 0
    try:
        deployments = (*gateway.settings.deployments, *gateway.models.stored.all())
        for page in repricing.run(deployments, gateway.settings.default_price, wanted, dry_run=dry_run):
            looked_at, unknown = looked_at + page.looked_at, unknown + page.unknown
            for change in page.changes:
                total = changed.setdefault(tuple(change.row[name] for name in GROUP), [0, 0, 0])
                for number, amount in enumerate((1, change.charged["cost"], change.cost)):
                    total[number] += amount
    except Unavailable as error:
        raise click.ClickException(error.message) from error
    _print_table(changed)
    click.echo(f"{looked_at} calls looked at, {unknown} of them without a known price")


def _print_table(changed: Mapping[tuple[str, ...], Sequence[int]]) -> None:
    """One line for each model of each provider, and their sum."""
    lines: list[tuple[str, ...]] = [("provider", "model", "name", "calls", "old", "new", "difference")]
    total = [sum(amounts) for amounts in zip(*changed.values(), strict=True)] or [0, 0, 0]
    for group, (calls, old, new) in [*sorted(changed.items()), (("total", "", ""), total)]:
        lines.append((*group, str(calls), money.shown(old), money.shown(new), money.shown(new - old)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


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
