"""Which models stand in for one that has failed."""

from __future__ import annotations

from app.failures import Failure
from app.router_settings import ANY_MODEL, Router


def stand_ins(router: Router, model: str, failure: Failure) -> tuple[str, ...]:
    """The models to try instead, in order; a caller's own mistake is answered, not taken to another model.

    A request that is too long, or that a provider does not like, goes only to the models that are named for that.
    """
    match failure:
        case Failure.CONTEXT_WINDOW:
            return router.context_window_fallbacks.get(model, ())
        case Failure.CONTENT_POLICY:
            return router.content_policy_fallbacks.get(model, ())
        case Failure.BAD_REQUEST | Failure.NOT_HERE:
            return ()
        case _:
            found = router.fallbacks.get(model) or router.fallbacks.get(ANY_MODEL) or router.default_fallbacks
            return tuple(one for one in found if one != model)
