"""What `python -m app.local` runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.local.launch import CannotStart, launch


def main() -> int:
    """The exit code: 0 when stopped by hand, 1 when something must be changed first, said in one line each."""
    try:
        launch(os.environ, Path.cwd())
    except CannotStart as error:
        for problem in error.problems:
            sys.stderr.write(f"tollgate: {problem}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
