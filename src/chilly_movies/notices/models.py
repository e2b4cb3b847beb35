"""What a webhook is, and what becomes of its deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of stored changes.

    Attributes:
        id: our name for it.
        address: an http or https URL.
        events: names of the events it wants; none = all that are stored.
        secret: what its deliveries are signed with; never shown.
        created_at: when it was added.
        seq: the number of the change up to which it was told all.
    """

    id: str
    address: str
    events: tuple[str, ...]
    secret: str = field(repr=False)
    created_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the delivery of one change went so far.

    Attributes:
        id: the same at each try, so that a receiver knows what it has already.
        seq: the number of the change.
        event: its name, `resync` for none.
        job_id: of which job, None for `resync`.
        at: when it was tried the last time.
        attempts: how often it was tried since the program began.
        status: the HTTP status of the answer, None if there was none.
        error: one sentence for why it did not arrive, None if it did.
    """

    id: str
    seq: int
    event: str
    job_id: str | None
    at: datetime
    attempts: int
    status: int | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.error is None
