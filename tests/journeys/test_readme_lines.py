"""What the README says to type is typed, in its order, at a gateway with the repository's own config.yaml."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.services.stack import REPOSITORY, Stack

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SHELL = [block for block in re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) if "curl " in block]
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
MARK = "@@@ "
# What is meant to be refused, by a part of its line.
REFUSED = {"max_budgett": "unknown_field", "-si http": "budget_exceeded"}


@pytest.fixture
def stack(database_url: str, redis_url: str) -> Iterator[Stack]:
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    with Stack(database_url, redis_url, config, web=1, workers=1) as running:
        yield running


def lines() -> list[str]:
    text = "".join(SHELL).replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("MASTER=")]


def answers(stack: Stack) -> list[tuple[str, str]]:
    """Each line with what it printed; all of them in one shell, because some set variables for others."""
    typed = [line.replace("http://127.0.0.1:4000", stack.urls[0]) for line in lines()]
    script = "\n".join([f"MASTER={stack.master_key}", *(f"echo; echo '{MARK}'\n{line}" for line in typed)])
    done = subprocess.run(["bash", "-u"], input=script, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return list(zip(lines(), done.stdout.split(MARK)[1:], strict=True))


def test_every_shell_line_does_what_is_said_of_it(stack: Stack) -> None:
    wrong = []
    refused_once = set()
    for line, printed in answers(stack):
        expected = next((part for part in REFUSED if part in line and part not in refused_once), None)
        if expected is not None:
            refused_once.add(expected)
        code = None if expected is None else REFUSED[expected]
        found = re.search(r'"code": ?"(\w+)"', printed)
        if (None if found is None else found[1]) != code:
            wrong.append((line, printed))
    assert wrong == []
    assert refused_once == set(REFUSED)


def test_the_lines_for_pythons_sdk_print_an_answer(stack: Stack) -> None:
    (text,) = PYTHON[:1]
    program = text.replace("http://127.0.0.1:4000", stack.urls[0]).replace("sk-…", stack.master_key)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), {})
    assert "This answer was made by Tollgate itself" in printed.getvalue()
