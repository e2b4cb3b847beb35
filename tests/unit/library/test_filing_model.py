"""A slice of the random sequences that `make filing-model` runs, and of `make filing-undo`."""

from __future__ import annotations

from lab.filing_model import one_run, undo_many


async def test_random_sequences_with_kills_and_full_disks_lose_no_film_and_touch_nothing() -> None:
    for seed in range(1, 41):
        await one_run(seed)


async def test_undoing_forty_filings_restores_every_byte_inode_and_link_count() -> None:
    assert "40 filings" in await undo_many(40)
