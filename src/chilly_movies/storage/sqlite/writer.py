"""One thread that owns the connection, and commits in groups.

A commit waits for the disk; while it does, more calls arrive. They all share the next
transaction, so the number of commits follows the disk and not the number of jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from chilly_movies.errors import StoreError
from chilly_movies.runtime.tasks import answer
from chilly_movies.storage.sqlite.faults import FOREIGN, translate

T = TypeVar("T")

THREAD_NAME: Final = "chilly-store"


@dataclass(slots=True, eq=False)
class _Call:
    """A closure that waits for its turn, and later what came of it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Writer:
    """Runs closures on one connection in one thread. Made and used in a running event loop.

    Args:
        connect: opens the connection; called in the thread.
        disconnect: closes it; called in the thread, must not raise.
    """

    def __init__(
        self, connect: Callable[[], Connection], disconnect: Callable[[Connection], None]
    ) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        # Holds the error instead of raising it: an exception nobody asks for would be logged.
        self._opened: asyncio.Future[Exception | None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        # A daemon, so that a forgotten `stop` cannot keep the process alive. A write that is cut
        # off so is a write that was never acknowledged.
        self._thread = Thread(target=self._main, name=THREAD_NAME, daemon=True)
        self._thread.start()

    async def opened(self) -> None:
        """Wait for the connection.

        Raises:
            StoreError: it could not be opened; the thread has ended or is about to.
        """
        error = await asyncio.shield(self._opened)
        if error is not None:
            raise error

    async def call(self, work: Callable[[Connection], T]) -> T:
        """Run a closure in the next transaction.

        It is queued before this method waits for anything: a cancelled caller does not hear how
        it went, but the work is done.

        Args:
            work: runs in the thread, in a savepoint of its own.

        Returns:
            What `work` returned, once it is durable.

        Raises:
            StoreError: the database could not do it, or is not open.
        """
        if self._stopping or not self._opened.done() or self._opened.result() is not None:
            raise StoreError("The database is not open.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.put(_Call(work, future))
        return await future

    async def stop(self) -> None:
        """Finish what is queued, close the connection and end the thread. Idempotent."""
        if not self._stopping:
            self._stopping = True
            self._calls.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()  # its last act was to say that it ends

    def _main(self) -> None:
        """The thread."""
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - raised by `opened`
            self._tell(answer, self._opened, translate(error))
        else:
            self._tell(answer, self._opened, None)
            while (call := self._calls.get()) is not None:
                batch = [call]
                with suppress(Empty):  # what waits now goes with it
                    while (call := self._calls.get_nowait()) is not None:
                        batch.append(call)
                _run_batch(connection, batch)
                self._tell(_resolve_all, batch)
                if call is None:
                    break
            self._disconnect(connection)
        self._tell(answer, self._ended, None)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        """Call a function in the event loop, if there still is one."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def _run_batch(connection: Connection, batch: list[_Call]) -> None:
    """Run all calls in one transaction and note in each how it went."""
    if not batch:
        return
    try:
        with connection.begin():
            for call in batch:
                _run_call(connection, call)
    except Exception as error:  # noqa: BLE001 - raised by every `call` of the batch
        for call in batch:
            call.error = translate(error)
        # A failed commit leaves the transaction open below SQLAlchemy. If it cannot be undone
        # either, the next batch hears of it.
        with suppress(*FOREIGN):
            connection.connection.rollback()


def _run_call(connection: Connection, call: _Call) -> None:
    """Run one call so that its failure undoes nothing but itself."""
    savepoint = connection.begin_nested()
    try:
        call.result = call.work(connection)
        savepoint.commit()
    except Exception as error:  # noqa: BLE001 - raised by its `call`
        call.error = translate(error)
        try:
            savepoint.rollback()
        except SQLAlchemyError:
            # On a full or broken disk SQLite undoes the whole transaction, savepoints included.
            # Nothing of the batch is left, so all of it fails, and for the first reason.
            raise error from None


def _resolve_all(batch: list[_Call]) -> None:
    """Wake all waiting callers, in the order in which they came."""
    for call in batch:
        if call.future.done():  # its caller was cancelled
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)
