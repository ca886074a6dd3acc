"""How long a deployment is waited for before it is asked again, and left alone after it has failed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# As OpenAI's own clients do (openai-python, _constants.py): a pause doubles from the one to the other.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
# A provider may ask for more; it is tried every so often all the same, in case that things are better by then.
LONGEST_REST = 300.0


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """For how many seconds the provider does not want to be asked; None: it says nothing that can be understood.

    RFC 9110, section 10.2.3: seconds, or a date. OpenAI and Azure also send "retry-after-ms".
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def pause(retry: int, least: float, rng: random.Random) -> float:
    """Seconds before the retry of that number, from 0; never less than `least`.

    Up to a quarter is taken off, so that calls that failed together do not come back together.
    """
    longest = min(FIRST_PAUSE * 2.0 ** min(retry, 10), LONGEST_PAUSE)
    return max(least, longest * rng.uniform(0.75, 1.0))
