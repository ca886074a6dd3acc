"""What budgets have to tell, once each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app, webhooks
from app.access import path
from app.errors import DatabaseUnavailable
from app.extensions import db, redis, write_transaction
from app.ledger import balances, rows
from app.limits.meters import EVENTS
from app.models import Balance, Credit, User, VirtualKey, Webhook, now
from app.queue import WEBHOOKS
from app.settings import Settings
from tests.people import Someone
from worker import alerts
from worker.alerts import raise_alerts
from worker.booking import settle_batch

DOLLAR = 1_000_000_000
ADA = ("user:ada", 0)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def ada(telling_app: Flask) -> Someone:
    """A user with $10."""
    return Someone(telling_app, max_budget=10)


def change(**columns: Any) -> None:
    """Sets columns of Ada's."""
    with write_transaction() as session:
        session.execute(sa.update(User).where(User.user_id == "ada").values(columns))


def told() -> list[dict[str, Any]]:
    """All messages, oldest first."""
    found = db.session.scalars(sa.select(Webhook).order_by(Webhook.created_at)).all()
    messages = [webhooks.message(row) for row in found]
    db.session.rollback()
    return messages


def thresholds() -> list[int | None]:
    return [message["threshold"] for message in told()]


def window_of_ada() -> tuple[str, int]:
    limits = path.limits_by_meter(db.session(), ["user:ada"])["user:ada"]
    db.session.rollback()
    return "user:ada", limits.window_start(now().timestamp())


# --- thresholds


def test_spend_below_the_first_threshold_tells_nothing() -> None:
    raise_alerts({ADA: 8 * DOLLAR - 1})
    assert told() == []


def test_spend_that_has_reached_a_threshold_to_the_nano_dollar_tells_it() -> None:
    raise_alerts({ADA: 8 * DOLLAR})
    assert thresholds() == [80]


def test_a_jump_over_several_thresholds_tells_them_all_in_order() -> None:
    raise_alerts({ADA: 12 * DOLLAR})
    assert thresholds() == [80, 100]


def test_what_was_told_is_not_told_again() -> None:
    for spend in (8, 9, 10, 11):
        raise_alerts({ADA: spend * DOLLAR})
    assert thresholds() == [80, 100]


def test_a_raised_budget_does_not_tell_again_what_was_told() -> None:
    raise_alerts({ADA: 8 * DOLLAR})
    change(max_budget=20 * DOLLAR)
    raise_alerts({ADA: 17 * DOLLAR})
    assert thresholds() == [80]


def test_a_budget_tells_its_own_thresholds_instead_of_the_usual_ones() -> None:
    change(alert_thresholds=[120, 50])
    raise_alerts({ADA: 12 * DOLLAR})
    assert thresholds() == [50, 120]


def test_a_budget_may_tell_no_thresholds_at_all() -> None:
    change(alert_thresholds=[])
    raise_alerts({ADA: 12 * DOLLAR})
    assert told() == []


def test_a_budget_of_nothing_of_which_nothing_was_spent_is_no_news() -> None:
    change(max_budget=0)
    raise_alerts({ADA: 0})
    assert told() == []


def test_without_a_budget_there_is_nothing_to_tell() -> None:
    change(max_budget=None)
    raise_alerts({ADA: 12 * DOLLAR})
    assert told() == []


def test_a_credit_is_part_of_the_budget() -> None:
    with write_transaction() as session:
        session.add(Credit(id="c", meter="user:ada", window_start=0, amount=10 * DOLLAR))
    raise_alerts({ADA: 15 * DOLLAR})
    assert told() == []


def test_two_workers_at_once_tell_it_once(telling_app: Flask) -> None:
    def tell(_: int) -> None:
        with telling_app.app_context():
            raise_alerts({ADA: 8 * DOLLAR})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tell, range(8)))
    assert thresholds() == [80]


def test_the_worker_is_woken_only_where_there_is_something_new(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(alerts, "send", woken.append)
    for _ in range(3):
        raise_alerts({ADA: 8 * DOLLAR})
    assert woken == [WEBHOOKS]


# --- soft budgets


def test_a_soft_budget_is_told_although_there_is_a_hard_one() -> None:
    change(soft_budget=5 * DOLLAR)
    raise_alerts({ADA: 6 * DOLLAR})
    (message,) = told()
    assert (message["event"], message["threshold"], message["soft_budget"]) == ("soft_budget", None, 5.0)


def test_a_soft_budget_is_told_without_a_hard_one() -> None:
    change(max_budget=None, soft_budget=5 * DOLLAR)
    raise_alerts({ADA: 5 * DOLLAR})
    (message,) = told()
    assert (message["event"], message["max_budget"], message["remaining"]) == ("soft_budget", None, None)


def test_a_soft_budget_is_told_once() -> None:
    change(soft_budget=5 * DOLLAR)
    for spend in (4, 5, 6):
        raise_alerts({ADA: spend * DOLLAR})
    assert len(told()) == 1


# --- windows


def test_each_window_is_told_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    change(budget_duration="1d")
    meter, start = window_of_ada()
    raise_alerts({(meter, start): 8 * DOLLAR})
    monkeypatch.setattr(alerts, "now", lambda: now() + DAY)
    raise_alerts({(meter, start + 86_400): 8 * DOLLAR})
    assert [datetime.fromisoformat(message["window_start"]).timestamp() for message in told()] == [
        start,
        start + 86_400,
    ]


def test_a_window_that_has_ended_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    change(budget_duration="1d")
    place = window_of_ada()
    monkeypatch.setattr(alerts, "now", lambda: now() + DAY)
    raise_alerts({place: 12 * DOLLAR})
    assert told() == []


def test_all_that_was_ever_spent_is_no_share_of_a_budget_with_a_window() -> None:
    change(budget_duration="1mo")
    raise_alerts({ADA: 12 * DOLLAR, window_of_ada(): DOLLAR})
    assert told() == []


def test_what_has_rolled_over_is_part_of_the_budget() -> None:
    change(budget_duration="1d", rollover=True, created_at=now() - 3 * DAY)
    meter, start = window_of_ada()
    with write_transaction() as session:
        session.add(Balance(meter=meter, window_start=start - 86_400, spend=4 * DOLLAR, version=1))
    raise_alerts({(meter, start): 13 * DOLLAR})
    (message,) = told()
    assert (message["threshold"], message["max_budget"], message["remaining"]) == (80, 16.0, 3.0)


# --- what is said


def test_the_message_has_all_that_people_need() -> None:
    change(budget_duration="1d", soft_budget=9 * DOLLAR)
    meter, start = window_of_ada()
    raise_alerts({(meter, start): 8 * DOLLAR + 500_000_000})
    (message,) = told()
    assert {name: value for name, value in message.items() if name not in ("id", "created_at")} == {
        "event": "budget_threshold",
        "scope": "user:ada",
        "whose": "User 'ada'",
        "threshold": 80,
        "spend": 8.5,
        "max_budget": 10.0,
        "soft_budget": 9.0,
        "remaining": 1.5,
        "window_start": webhooks.iso(datetime.fromtimestamp(start, UTC)),
        "resets_at": webhooks.iso(datetime.fromtimestamp(start + 86_400, UTC)),
    }


def test_a_budget_without_an_end_has_no_window() -> None:
    raise_alerts({ADA: 12 * DOLLAR})
    message = told()[0]
    assert (message["window_start"], message["resets_at"], message["remaining"]) == (None, None, 0.0)


@pytest.mark.parametrize(("alias", "whose"), [("first", "Key 'first'"), (None, "Key 'sk-...{}'")])
def test_a_key_is_named_as_people_know_it(ada: Someone, alias: str | None, whose: str) -> None:
    with write_transaction() as session:
        session.execute(sa.update(VirtualKey).values(max_budget=DOLLAR, key_alias=alias, alert_thresholds=[100]))
    raise_alerts({(f"key:{ada.key_id}", 0): DOLLAR})
    assert [message["whose"] for message in told()] == [whose.format(ada.secret[-4:])]


def test_the_model_of_a_key_is_named_with_it(ada: Someone) -> None:
    limits = {"gpt-4o": {"max_budget": DOLLAR, "alert_thresholds": [100]}}
    with write_transaction() as session:
        session.execute(sa.update(VirtualKey).values(model_limits=limits, key_alias="first"))
    raise_alerts({(f"key_model:{ada.key_id}/gpt-4o", 0): DOLLAR})
    assert [message["whose"] for message in told()] == ["Key 'first' on 'gpt-4o'"]


# --- settling


def test_a_call_that_reaches_the_budget_is_told_with_the_booked_spend(ada: Someone) -> None:
    change(max_budget=1000)
    ada.call()
    settle_batch(0)
    spend = balances.spend([ADA])[ADA]
    assert [(message["threshold"], message["spend"]) for message in told()] == [(80, spend / 1e9), (100, spend / 1e9)]


def test_an_event_that_is_settled_twice_is_told_once(ada: Someone) -> None:
    change(max_budget=1000)
    ada.call()
    events: Any = redis.client.xrange(EVENTS)
    settle_batch(0)
    redis.client.xadd(EVENTS, events[0][1])
    settle_batch(0)
    assert thresholds() == [80, 100]


def test_a_worker_that_dies_after_posting_leaves_it_to_the_next_to_tell(
    ada: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    change(max_budget=1000)
    ada.call()
    with monkeypatch.context() as dying:
        dying.setattr(alerts, "write_transaction", die)
        with pytest.raises(SystemExit):
            settle_batch(0)
    assert (rows.find(user_id="ada")[1], told()) == (1, [])
    settle_batch(0)
    assert (rows.find(user_id="ada")[1], thresholds()) == (1, [80, 100])


def test_a_database_that_fails_at_the_alert_leaves_the_events_where_they_are(
    ada: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable("it is down")

    ada.call()
    monkeypatch.setattr(alerts, "_standings", fail)
    with pytest.raises(DatabaseUnavailable):
        settle_batch(0)
    assert redis.client.xlen(EVENTS) == 1


def test_an_alert_that_cannot_be_worked_out_does_not_hold_up_the_books(
    ada: Someone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no such time zone")

    ada.call()
    monkeypatch.setattr(path, "limits_by_meter", fail)
    settle_batch(0)
    assert (rows.find(user_id="ada")[1], redis.client.xlen(EVENTS)) == (1, 0)
    assert "the alerts of a batch cannot be worked out" in caplog.messages


def test_without_a_receiver_nothing_is_asked_and_nothing_is_written(make_settings: Callable[..., Settings]) -> None:
    asked: list[str] = []
    app = create_app(make_settings())
    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        raise_alerts({ADA: 12 * DOLLAR})
        assert asked == []
        assert told() == []
        db.engine.dispose()
