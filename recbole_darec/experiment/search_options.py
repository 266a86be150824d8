"""How the trials of a search are chosen and stopped, and what they run on."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace

from recbole_darec.keys import ConfigError

SEARCHERS = ("random", "grid", "optuna")
SCHEDULERS = ("asha", "median", "pbt", "none")


@dataclass(frozen=True)
class SearchOptions:
    """Options of ``tune`` by name.

    Attributes:
        searcher: one of ``SEARCHERS``.
        scheduler: one of ``SCHEDULERS``.
        num_samples: trials (a grid has as many as it has points).
        grace_period: validations before which no trial is stopped; with ``pbt`` those from one
            exchange to the next.
        reduction_factor: ASHA keeps one trial of so many at each rung.
        search_seed: of the searcher.
        workers: trials at a time; None: as many as fit.
        cpus_per_trial: PyTorch takes so many threads.
        gpus_per_trial: a fraction shares one.
        retries: how often a trial that failed is taken up again.
        ray_address: of a cluster; None: this machine.
    """

    searcher: str = "random"
    scheduler: str = "asha"
    num_samples: int = 20
    grace_period: int = 5
    reduction_factor: int = 3
    search_seed: int = 0
    workers: int | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    retries: int = 1
    ray_address: str | None = None

    @classmethod
    def of(cls, args: argparse.Namespace, defaults: SearchOptions | None = None) -> SearchOptions:
        """From the command line.

        Args:
            args: options by name, None where one is not given.
            defaults: what holds then; those of a search that is resumed.

        Raises:
            ConfigError: if a number is out of range or two options exclude each other.
        """
        given = {f.name: getattr(args, f.name) for f in fields(cls)}
        given = {name: value for name, value in given.items() if value is not None}
        options = replace(defaults or cls(), **given)
        for name, least in _LEAST.items():
            value = getattr(options, name)
            if value is not None and value < least:
                raise ConfigError(f"--{name} is {value}; it must be >= {least}")
        if options.scheduler == "pbt" and options.searcher == "optuna":
            raise ConfigError("--scheduler pbt changes values itself; take --searcher random")
        return options


_LEAST = {
    "num_samples": 1,
    "grace_period": 1,
    "reduction_factor": 2,
    "workers": 1,
    "cpus_per_trial": 1,
    "gpus_per_trial": 0,
    "retries": 0,
}
