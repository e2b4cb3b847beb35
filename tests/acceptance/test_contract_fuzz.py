"""The whole contract under a property-based fuzzer, against the installed program.

`make fuzz-api REQUESTS=10000` does the same for long, with other values each time.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
HERE = Path(__file__).parent
CONTRACT = HERE.parents[1] / "contracts" / "openapi.yaml"
UNLIMITED = {
    "CHILLY_RATE_LIMIT_START": "900000/minute",
    "CHILLY_RATE_LIMIT_CANCEL": "900000/minute",
    "CHILLY_MAX_ACTIVE": "20",
}
ENDLESS = r"^/(events|stream/\{id\}($|/))"
"""Events, which never end, and films, which are as long as films; the playlist is neither."""


async def test_no_request_made_from_the_contract_breaks_the_contract(tmp_path: Path) -> None:
    async with Backend(tmp_path, UNLIMITED, "--mock", warm=True) as ours:
        fuzzer = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "schemathesis",
            "--config-file", HERE / "schemathesis.toml",
            "run", CONTRACT, "--url", ours.url,
            "--exclude-path-regex", ENDLESS,
            "--checks", "all", "--max-examples", "6", "--seed", "20261122",
            "--request-timeout", "10",
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await fuzzer.communicate()
        healthy = await ours.http.get("/health")
    assert fuzzer.returncode == 0, said.decode(errors="replace")[-20000:]
    assert healthy.status_code == 200
    assert '"level": "error"' not in ours.log()
