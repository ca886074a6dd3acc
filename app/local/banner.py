"""What is printed once everything runs: where, with which key, and three lines to paste."""

from __future__ import annotations

JSON = "-H 'Content-Type: application/json'"


def text(master_key: str, model: str | None, url: str) -> str:
    """The whole banner; `model` is one to try, None: there is none yet.

    The lines work as pasted, in this order, in one shell, with curl and sed only.
    """
    lines = ["", f"  Tollgate runs on {url}", f"  Master key: {master_key}", ""]
    if model is not None:
        lines += ["  Make a user with a key, call a model with it, read what it has cost:", ""]
        lines += try_it(url, master_key, model)
    else:
        lines.append("  There is no model yet: name one under model_list in config.yaml and start again.")
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", "", ""])


def try_it(url: str, master_key: str, model: str) -> list[str]:
    """Three commands. The first keeps the new key in the shell's variable KEY."""
    new_user = f"curl -s {url}/user/new -H 'Authorization: Bearer {master_key}' {JSON} -d '{{\"max_budget\": 1}}'"
    question = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    bearer = '-H "Authorization: Bearer $KEY"'
    return [
        f"""  KEY=$({new_user} | sed 's/.*"key": *"\\([^"]*\\)".*/\\1/')""",
        f"  curl -s -w '\\n' {url}/v1/chat/completions {bearer} {JSON} -d '{question}'",
        # The worker needs a moment to book the call.
        f"  sleep 2; curl -s {url}/user/info {bearer}",
    ]
