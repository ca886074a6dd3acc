"""The peers, each installed in an environment of its own under .bench/, at versions that are named here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parents[1] / ".bench"
LITELLM = "1.109.1"
PORTKEY = "1.15.2"
# With newer ones, which a fresh install brings, every stream of Portkey's gateway fails.
PORTKEY_WITH = {"hono": "4.9.7", "@hono/node-server": "1.13.8"}
PORTKEY_SERVER = PEERS / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"


def install(names: list[str]) -> None:
    """Those of the named ones that are not there yet."""
    if "litellm" in names and not (PEERS / "litellm/bin/litellm").exists():
        _litellm()
    if "portkey" in names and not _has_portkey():
        _portkey()


def missing(name: str) -> str | None:
    """Why a system cannot be measured here; None where it can."""
    if name == "nginx" and not Path(nginx()).exists():
        return "nginx is not installed (on Debian: apt install nginx-light)"
    if name == "portkey" and not (shutil.which("npm") and shutil.which("node")):
        return "node and npm are not installed"
    return None


def nginx() -> str:
    """Its binary, which Debian puts where only root looks."""
    return shutil.which("nginx") or "/usr/sbin/nginx"


def _litellm() -> None:
    subprocess.run([sys.executable, "-m", "venv", str(PEERS / "litellm")], check=True)
    python = str(PEERS / "litellm/bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True)
    # It pins versions of these two that are not to be had any more.
    overrides = PEERS / "overrides.txt"
    overrides.write_text("certifi\nlitellm-proxy-extras\n", encoding="utf-8")
    uv = [str(PEERS / "litellm/bin/uv"), "pip", "install", "--quiet", "--python", python]
    # uvicorn is about a tenth faster with httptools, and takes it where it is there.
    subprocess.run([*uv, "--override", str(overrides), f"litellm[proxy]=={LITELLM}", "httptools"], check=True)


def _has_portkey() -> bool:
    """Whether all of its packages are there at the versions named: a second, newer copy would be taken first."""
    if not PORTKEY_SERVER.exists():
        return False
    for name, wanted in PORTKEY_WITH.items():
        for found in (PEERS / "portkey").rglob(f"node_modules/{name}/package.json"):
            if json.loads(found.read_text(encoding="utf-8"))["version"] != wanted:
                return False
    return True


def _portkey() -> None:
    place = PEERS / "portkey"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wanted = {"@portkey-ai/gateway": PORTKEY} | PORTKEY_WITH
    # Overrides reach the gateway's own dependencies, too.
    package = {"private": True, "dependencies": wanted, "overrides": PORTKEY_WITH}
    (place / "package.json").write_text(json.dumps(package), encoding="utf-8")
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(["npm", "install", *options], cwd=place, check=True)
