"""Secrets of webhooks and backups."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chilly_movies.cli import main
from chilly_movies.notices.models import Webhook
from chilly_movies.storage.opened import open_all

pytestmark = pytest.mark.anyio
SECRET = "correct-horse-battery-staple"
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_backup_holds_webhooks_with_their_secrets_only_if_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    stores = open_all(tmp_path / "state" / "chilly.db")
    await stores.jobs.load()
    for number in range(40):  # more than a page
        await stores.webhooks.add(
            Webhook(f"{number}", "https://receiver.example/", (), SECRET, NOON, 0)
        )
    await stores.jobs.aclose()
    flags = ["--with-secrets"] if wanted else []
    file = tmp_path / "backup.tar.gz"
    assert main(["backup", str(file), "--state-dir", str(tmp_path / "state"), *flags]) == 0
    with tarfile.open(file) as packed:
        parts = [packed.extractfile(member) for member in packed.getmembers()]
        content = b"".join(part.read() for part in parts if part is not None)
    assert (SECRET.encode() in content) == wanted
