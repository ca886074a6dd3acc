"""What `python -m worker` runs: a small process that starts the worker, and starts it again where it dies or hangs."""

from __future__ import annotations

import sys

from worker.keeper import Keeper

if __name__ == "__main__":
    sys.exit(Keeper().run())
