from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.local.home import Home, HomeTaken

OWN_AND_WAIT = """
import sys
from pathlib import Path
from app.local.home import Home
home = Home(Path(sys.argv[1]))
home.own()
print("mine", flush=True)
input()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Home(tmp_path).secret("master_key", prefix="sk-")
    assert first.startswith("sk-")
    assert len(first) > 30
    assert Home(tmp_path).secret("master_key", prefix="sk-") == first


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    assert Home(tmp_path / "a").secret("master_key") != Home(tmp_path / "b").secret("master_key")


def test_only_the_owner_may_read_what_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path / ".tollgate")
    home.secret("valkey/password")
    paths = [home.path, home.path / "valkey", home.path / "valkey" / "password"]
    assert [mode(path) for path in paths] == [0o700, 0o700, 0o600]


def test_a_home_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    path = tmp_path / ".tollgate"
    path.mkdir(mode=0o755)
    Home(path)
    assert mode(path) == 0o700


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    Home(tmp_path).own()
    with pytest.raises(HomeTaken, match=f"^{os.getpid()}$"):
        Home(tmp_path).own()


def test_a_killed_owner_gives_the_home_back(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWN_AND_WAIT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"mine\n"
        with pytest.raises(HomeTaken):
            Home(tmp_path).own()
        owner.kill()
        owner.wait()
        Home(tmp_path).own()
