"""The Ray cluster that runs are sent to."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from recbole_darec.keys import ConfigError

_PATIENCE = 5.0


def connect(address: str | None = None, cpus: int | None = None) -> Any:
    """Ray, connected to a running cluster or to one of its own on this machine.

    Args:
        address: ``host:port`` of a cluster, ``auto`` for the one of this machine; None starts one.
        cpus: size of the one to start; default all.

    Returns:
        The module ``ray``.

    Raises:
        ConfigError: if no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if address == "auto":  # Ray looks there first, and waits minutes
        address = os.environ.get("RAY_ADDRESS") or address
    if address not in {None, "auto"}:
        _check_answers(address)
    if ray.is_initialized():
        return ray
    if address is None:
        _start_here(ray, cpus)
        return ray
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(_NO_CLUSTER.format(address, error)) from error
    return ray


def check_room(address: str | None, cpus: float, gpus: float) -> None:
    """Tell of what no node of the connected cluster has: Ray waits for one without a word.

    Args:
        address: as ``connect`` had it. A cluster may still grow, so that its user is warned.
        cpus: that a run occupies.
        gpus: that a run occupies.

    Raises:
        ConfigError: if this machine, which will not grow, has too little.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    asked = f"a run takes {cpus:g} CPUs and {gpus:g} GPUs, but no node of Ray has as many"
    if address is None:
        had = ", ".join(f"{n.get('CPU', 0):g} and {n.get('GPU', 0):g}" for n in nodes)
        raise ConfigError(f"{asked} (here: {had}); ask for fewer")
    logging.getLogger().warning(
        f"{asked} at '{address}': the runs wait until one joins; if none will, ask for fewer"
    )


def _start_here(ray: Any, cpus: int | None) -> None:
    try:
        ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    except Exception as error:
        raise ConfigError(
            f"Ray could not be started on this machine: {error} Free memory or processors, or "
            "give the --ray_address of a running cluster"
        ) from error


_NO_CLUSTER = (
    "no Ray cluster answers at '{}' ({}): start one by 'ray start --head', or leave --ray_address "
    "out to use this machine"
)


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not (host and port.isdigit()):
        raise ConfigError(f"--ray_address is '{address}'; expected host:port or auto")
    try:
        with socket.create_connection((host, int(port)), _PATIENCE) as connection:
            connection.settimeout(_PATIENCE)
            if not _speaks_http2(connection):
                raise ConnectionError("something else answers there")
    except OSError as error:
        raise ConfigError(_NO_CLUSTER.format(address, error.strerror or error)) from error


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether a gRPC server, as Ray's are, answers; ``ray.init`` waits minutes for any other.

    The server answers the client's preface by a SETTINGS frame (RFC 9113, sections 3.4, 4.1, 6.5).
    """
    if os.environ.get("RAY_USE_TLS") == "1":
        return True
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
    return connection.recv(4)[3:] == b"\x04"
