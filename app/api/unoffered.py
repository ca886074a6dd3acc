"""Routes that OpenAI has and Tollgate has not, because what they cost could not be metered."""

from __future__ import annotations

# By the first part of their paths.
UNOFFERED = frozenset(
    {
        *("assistants", "batches", "chatkit", "containers", "conversations", "evals", "files", "fine-tunes"),
        *("fine_tuning", "graders", "realtime", "responses", "threads", "uploads", "vector_stores", "videos"),
    }
)
# Where a neighbour is offered, by the whole path.
UNOFFERED_PATHS = frozenset({"images/variations", "audio/voices", "audio/voice_consents"})


def refusal(path: str) -> str | None:
    """What a caller of a route that is not here is told about it; None: there is no such route at OpenAI either."""
    route = path.strip("/").removeprefix("openai/").removeprefix("v1/")
    first = route.partition("/")[0]
    if first not in UNOFFERED and route not in UNOFFERED_PATHS:
        return None
    return (
        f"Tollgate does not offer '{path}': what it costs could not be metered, so that no budget would hold. "
        "The routes that it offers are listed at /."
    )
