"""What `python -m worker` runs: what `celery -A worker worker` does, without its other commands and their prompts.

Those would stay in memory: 9 MB. Who wants more of Celery's options takes its command.
"""

from __future__ import annotations

import sys

from worker import celery


def main() -> int:
    """The exit code."""
    program = celery.Worker(concurrency=1, loglevel="WARNING", quiet=True, without_mingle=True, without_gossip=True)
    program.start()
    return program.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())
