"""A Dask cluster that somebody has started, through its scheduler's address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dspsep.errors import DspsepError, InputError

__all__ = ["connected"]

_SECONDS = 10


@contextmanager
def connected(cluster: object) -> Iterator[Any]:
    """Give a client of a cluster; None if there is no cluster.

    Parameters
    ----------
    cluster : str, distributed.Client or None
        The address of a scheduler, as it prints it; or a client, which is left open.

    Yields
    ------
    distributed.Client or None
        Ready to be used, with workers.

    Raises
    ------
    InputError
        If Dask is not installed, or it is neither an address nor a client.
    DspsepError
        If nobody answers, or there are no workers.
    """
    if cluster is None:
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        remedy = "pip install 'dspsep[dask]', here and wherever workers run."
        raise InputError("cluster", "None where Dask is not installed", repr(cluster)[:60], remedy) from error
    if isinstance(cluster, distributed.Client):
        _require_workers(cluster)
        yield cluster
        return
    if not isinstance(cluster, str) or "://" not in cluster:
        remedy = "`dask scheduler` prints it when it starts."
        raise InputError("cluster", "an address such as tcp://host:8786", repr(cluster)[:60], remedy)
    with _client(cluster) as client:
        _require_workers(client)
        yield client


def _client(address: str) -> Any:
    """Return a client of a scheduler; wait for no more than a while, whatever is at the address."""
    import distributed

    made: list[Any] = []

    def make() -> None:
        try:
            made.append(distributed.Client(address, timeout=_SECONDS))
        except Exception as error:  # noqa: BLE001 - what does not speak Dask's language may cause any
            made.append(error)

    # Dask sets no limit to how long it waits for the first word of who has taken a connection.
    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(1.5 * _SECONDS)
    found = made[0] if made else TimeoutError(f"nobody has said a word for {1.5 * _SECONDS:g} s")
    if isinstance(found, Exception):
        reason = str(found)[:200] or type(found).__name__
        raise DspsepError(f"No scheduler answers at {address!r}: {reason}") from found
    return found


def _require_workers(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=_SECONDS)
    except TimeoutError as error:
        address = client.scheduler.address if client.scheduler is not None else "the scheduler"
        raise DspsepError(
            f"{address} has no workers: start one with `dask worker {address} --nthreads 1`."
        ) from error
