"""Does a call cost more as the gateway grows? The same load on a small database and on one that years have filled.

    python -m benchmarks.growth --users 1000000 --rows 10000000 --rounds 3 --seconds 5

The small one has ten users and no past. Measured are CPU per call of web and worker, PostgreSQL and Redis while all
users call, and CPU per row while the worker settles a full stream. Both run side by side and take turns; the ratios
(large : small) are what to keep. Filling takes about a minute for each million rows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from contextlib import ExitStack

import redis as redis_py

from benchmarks import crowd, settle
from benchmarks.__main__ import upstream
from benchmarks.measure import measured
from benchmarks.systems import Running, tollgate

FEW = 10
# The load has so many keys, spread over all users, each of which the gateway meets for the first time in each round.
CALLERS = 2_000
CONNECTIONS = 32
