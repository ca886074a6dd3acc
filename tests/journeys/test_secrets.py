"""No secret stands in an answer, a log, Redis or the database, whatever goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis as redis_py
import sqlalchemy as sa

from tests.journeys.conftest import AZURE_KEY, OPENAI_KEY, Person, user_of
from tests.journeys.waiting import until
from tests.scripted_provider import ScriptedProvider
from tests.services.stack import Stack


def everything_in_redis(url: str) -> bytes:
    with redis_py.Redis.from_url(url) as client:
        found: Any = [key + (client.dump(key) or b"") for key in client.scan_iter()]
    return b"".join(found)


def everything_in_sql(url: str) -> str:
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = [str(connection.execute(sa.select(table)).all()) for table in tables.sorted_tables]
    engine.dispose()
    return "".join(found)


def test_keys_are_nowhere_but_where_they_belong(
    own_stack: Stack, provider: ScriptedProvider, database_url: str, redis_url: str
) -> None:
    admin = Person(own_stack.master_key, own_stack.urls[0])
    caller = user_of(own_stack, admin, user_id="ada", max_budget=10)
    quoting = {"status": 401, "body": {"error": {"message": f"Incorrect API key provided: {OPENAI_KEY}"}}}
    answers = [caller.chat("dime", max_tokens=100), caller.chat("broken"), caller.chat("unknown")]
    provider.script.append(quoting)
    answers += [caller.chat("beta"), caller.chat("azure-models"), caller.chat("stream", stream=True)]
    answers += [caller.get("/key/info"), caller.get("/user/list"), admin.get("/key/info", key=caller.secret)]
    answers += [admin.get("/model/info"), admin.post("/key/generate", {"key": caller.secret})]
    answers += [Person("sk-unknown-0123456789", caller.url).chat("dime"), admin.get("/spend/holds")]
    until(lambda: len(admin.get("/spend/logs", user_id="ada").json()) >= 3)

    secrets = [own_stack.master_key, caller.secret, OPENAI_KEY, AZURE_KEY]
    told = "".join(str(answer.headers) + answer.text for answer in answers)
    logs = "".join(path.read_text() for path in Path(own_stack.directory).glob("*.log"))
    places = {
        "answers": told,
        "logs": logs,
        "Redis": everything_in_redis(redis_url).decode("latin-1"),
        "SQL": everything_in_sql(database_url),
    }
    assert [(place, secret[:6]) for place, text in places.items() for secret in secrets if secret in text] == []
