"""Every call has a name of its own, whichever process gives it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from app.gateway.pipeline import new_request_id

FORKING = """
import os
from app.gateway.pipeline import new_request_id
child = os.fork()
print(new_request_id(), flush=True)
if child:
    os.waitpid(child, 0)
"""


def test_a_request_id_is_a_prefix_and_96_bits() -> None:
    assert re.fullmatch(r"req_[0-9a-f]{24}", new_request_id())


def test_no_two_calls_have_one() -> None:
    assert len({new_request_id() for _ in range(10_000)}) == 10_000


def test_a_process_and_its_fork_give_different_ones() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, cwd=root, check=True)
    assert len(set(done.stdout.split())) == 2
