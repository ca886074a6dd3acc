"""`python -m tests.chaos --seconds 1800 --seed 7 --database postgresql`: the long form of the chaos journey."""

from __future__ import annotations

import argparse
import sys

from tests.chaos.faults import FAULTS, faults_for
from tests.chaos.journey import journey
from tests.chaos.table import markdown


def main() -> int:
    """Prints the tables; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break things under load.")
    parser.add_argument("--seconds", type=float, default=60, help="how long there is load (60)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another order of faults (1)")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument(
        "--fault", action="append", choices=[fault.name for fault in FAULTS], help="only this one; may be repeated"
    )
    chosen = parser.parse_args()
    faults = [fault for fault in faults_for(chosen.database) if not chosen.fault or fault.name in chosen.fault]
    report = journey(chosen.database, chosen.seed, chosen.seconds, faults)
    sys.stdout.write(markdown(report) + "\n")
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
