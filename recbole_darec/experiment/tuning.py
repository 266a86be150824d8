"""A search carried out by Ray Tune, and what it leaves."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from recbole_darec import ray_cluster
from recbole_darec.experiment.exchange import STATE, take_over
from recbole_darec.experiment.execute import finished_folder, run_or_resume
from recbole_darec.experiment.files import write_text
from recbole_darec.experiment.search import Search
from recbole_darec.experiment.search_options import SearchOptions
from recbole_darec.experiment.trial import METRIC, TIME, run_trial
from recbole_darec.keys import ConfigError

BEST = "best.yaml"
# A trial may take over a state that another one has left behind since then.
_KEPT_STATES = 4


def connect(options: SearchOptions) -> Any:
    """Ray on the cluster, or one started here for as many workers as were asked for.

    Raises:
        ConfigError: if no cluster answers.
    """
    workers = None if options.ray_address else options.workers
    here = workers * options.cpus_per_trial if workers else None
    return ray_cluster.connect(options.ray_address, here)


def check_room(options: SearchOptions) -> None:
    """See ``ray_cluster.check_room``."""
    ray_cluster.check_room(options.ray_address, options.cpus_per_trial, options.gpus_per_trial)


def run_search(search: Search, output: Path, resume: bool) -> Any:
    """Carry out a search, or what is left of it.

    The dataset is read once, here, with the vectors of its items, and lies in Ray's object store.
    No trial looks at the test part.

    Args:
        search: what to search.
        output: its folder, seen by all nodes.
        resume: go on with the search that was killed.

    Returns:
        Ray's ``ResultGrid``.

    Raises:
        ConfigError: if the data cannot be used or no cluster answers.
    """
    from ray import tune

    loaded = _load_data(search, output)
    connect(search.options)
    # The state of the search on disk is what a killed one is resumed from.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1")
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, search=search, output=str(output), loaded=loaded),
        {"cpu": search.options.cpus_per_trial, "gpu": search.options.gpus_per_trial},
    )
    if resume and tune.Tuner.can_restore(str(output)):
        tuner = tune.Tuner.restore(
            str(output), trainable, restart_errored=True, param_space=search.ray_space()
        )
    else:
        tuner = _new_tuner(search, output, trainable)
    return tuner.fit()


def _new_tuner(search: Search, output: Path, trainable: Any) -> Any:
    from ray import tune

    from recbole_darec.experiment.trial_lines import TrialLines

    options, on_terminal = search.options, sys.stdout.isatty()
    run_config = tune.RunConfig(
        name=output.name,
        storage_path=str(output.parent),
        failure_config=tune.FailureConfig(max_failures=options.retries),
        checkpoint_config=tune.CheckpointConfig(num_to_keep=_KEPT_STATES),
        verbose=1 if on_terminal else 0,
        callbacks=[] if on_terminal else [TrialLines()],
    )
    tune_config = tune.TuneConfig(
        metric=METRIC,
        mode=search.mode,
        num_samples=1 if options.searcher == "grid" else options.num_samples,
        search_alg=searcher(options),
        scheduler=scheduler(search),
        # A process takes seconds to import PyTorch, Ray and RecBole.
        reuse_actors=True,
    )
    space = search.ray_space()
    return tune.Tuner(trainable, param_space=space, tune_config=tune_config, run_config=run_config)


def _load_data(search: Search, output: Path) -> Any:
    """The dataset where all trials share it, else None; either way its errors come now."""
    from recbole.utils.argument_list import dataset_arguments

    from recbole_darec.config import Config
    from recbole_darec.data.preparation import create_dataset, prepare_data
    from recbole_darec.embedding.keys import KEYS as EMBEDDING_KEYS

    base = output / "base.yaml"
    write_text(base, yaml.safe_dump(search.parameters, allow_unicode=True))
    config = Config(config_file_list=[base])
    dataset = create_dataset(config)
    if config.uses_text and not EMBEDDING_KEYS.keys() & search.space.keys():
        dataset.read_side_rows()
    loaded = copy.deepcopy(dataset)
    loaders = prepare_data(config, dataset)
    if loaders[1] is None:
        raise ConfigError(
            f"key 'eval_args' leaves no validation part ({config['eval_args']['split']}), by which "
            "a search judges"
        )
    if search.options.scheduler == "pbt":
        _require_same_shapes(search, base, loaders[0]._dataset)
    loaded.config = None
    own = {*dataset_arguments, "data_path", "dataset", "model"} & search.space.keys()
    return None if own else loaded


def _require_same_shapes(search: Search, base: Path, dataset: Any) -> None:
    """Trials that hand weights to each other must have weights of the same sizes."""
    from recbole_darec.config import Config
    from recbole_darec.quick_start import build_model

    def shapes(chosen: dict[str, Any]) -> dict[str, Any]:
        config = Config(config_file_list=[base], config_dict=chosen)
        return {k: v.shape for k, v in build_model(config, dataset).state_dict().items()}

    first = {key: dimension.corners()[0] for key, dimension in search.dimensions.items()}
    expected = shapes(first)
    for key, dimension in search.dimensions.items():
        for value in dimension.corners()[1:]:
            if shapes({**first, key: value}) != expected:
                raise ConfigError(
                    f"--scheduler pbt hands weights from trial to trial, but {key} = {value!r} "
                    f"changes their sizes; leave '{key}' out of the space"
                )


def searcher(options: SearchOptions) -> Any:
    """Ray's search algorithm.

    Raises:
        ConfigError: if its package is not installed.
    """
    if options.searcher == "optuna":
        from ray.tune.search import ConcurrencyLimiter
        from ray.tune.search.optuna import OptunaSearch

        try:
            found = OptunaSearch(seed=options.search_seed)
        except (ImportError, AssertionError) as error:
            raise ConfigError(
                "--searcher optuna needs the package 'optuna': pip install recbole-darec[optuna]"
            ) from error
        workers = options.workers
        return ConcurrencyLimiter(found, max_concurrent=workers) if workers else found
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(
        max_concurrent=options.workers or 0, random_state=options.search_seed
    )


def scheduler(search: Search) -> Any:
    """Ray's scheduler, None for none; it counts validations."""
    from ray.tune import schedulers

    options, grace = search.options, search.interval
    if options.scheduler == "asha":
        return schedulers.ASHAScheduler(
            time_attr=TIME,
            max_t=search.n_validations + 1,
            grace_period=grace,
            reduction_factor=options.reduction_factor,
        )
    if options.scheduler == "median":
        return schedulers.MedianStoppingRule(time_attr=TIME, grace_period=grace)
    if options.scheduler == "pbt":
        return schedulers.PopulationBasedTraining(
            time_attr=TIME,
            perturbation_interval=grace,
            hyperparam_mutations=search.mutations(),
            custom_explore_fn=search.admissible,
        )
    return None


def trial_table(results: Any, search: Search) -> pd.DataFrame:
    """One row a trial: its id, how it ended, its validation score and the searched values.

    ``status`` is ``finished``, ``stopped`` (by the scheduler) or ``failed``.
    """
    rows = []
    for result in results:
        metrics = result.metrics or {}
        ended = "finished" if metrics.get("finished") else "stopped"
        rows.append(
            {
                "trial": metrics.get("trial_id", Path(result.path).name),
                "status": "failed" if result.error else ended,
                METRIC: metrics.get(METRIC),
                "validations": metrics.get(TIME),
                "seconds": metrics.get("time_total_s"),
                "node_id": metrics.get("node_id"),
                "error": _last_line(result.error),
                **{k: search.dimensions[k].plain(v) for k, v in (result.config or {}).items()},
            }
        )
    # Columns of objects keep an empty choice (None) and whole numbers beside it.
    return pd.DataFrame(rows, dtype=object).astype({METRIC: float})


def winner_of(trials: pd.DataFrame, search: Search) -> str:
    """The trial with the best validation score of those that were run to their end.

    Raises:
        ConfigError: if there is none.
    """
    finished = trials[trials["status"] == "finished"]
    if finished.empty:
        errors = trials["error"].dropna().unique()
        raise ConfigError(f"no trial finished: {'; '.join(errors[:3])}")
    scores = finished[METRIC]
    best = scores.idxmax() if search.bigger else scores.idxmin()
    return str(finished.loc[best, "trial"])


def write_best(output: Path, trial: str, options: SearchOptions) -> Path:
    """Write ``best.yaml``: the resolved configuration of a trial, for ``--config_files``."""
    (file,) = (output / "runs" / trial).glob("*/config.yaml")
    parameters = yaml.safe_load(file.read_text("utf-8"))
    for key in ("checkpoint_dir", "resume"):
        parameters.pop(key)
    best = output / BEST
    threads = options.cpus_per_trial
    said = f"# Found with {threads} threads; OMP_NUM_THREADS={threads} gives the same digits.\n"
    write_text(best, said + yaml.safe_dump(parameters, allow_unicode=True))
    return best


def train_winner(output: Path, trial: str, options: SearchOptions) -> dict[str, Any]:
    """Train the winner again, as a plain run, and look at the test part: the only time.

    With population-based training it goes on from its last exchange, since no single
    configuration has led there.

    Args:
        output: folder of the search.
        trial: the winner's id; its run goes below ``winner/`` by it, since a resumed search may
            have another winner than it had before.
        options: what to run on.

    Returns:
        The result of ``run_recbole_darec``.
    """
    ray = connect(options)
    size = {"num_cpus": options.cpus_per_trial, "num_gpus": options.gpus_per_trial}
    remote = ray.remote(**size)(_run_winner)
    parameters = yaml.safe_load((output / BEST).read_text("utf-8"))
    state = output / "runs" / trial / STATE
    result: dict[str, Any] = ray.get(remote.remote(output / "winner" / trial, parameters, state))
    return result


def _run_winner(place: Path, parameters: dict[str, Any], state: Path) -> dict[str, Any]:
    if state.is_dir() and finished_folder(place) is None:
        take_over(place, parameters, state)
    return run_or_resume(place, parameters)


def _last_line(error: Any) -> str | None:
    return str(error).strip().splitlines()[-1] if error else None
