"""Profiles of items and users, written by a language model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from logging import getLogger
from typing import Any

from recbole_darec.embedding.concurrent_map import concurrent_map
from recbole_darec.embedding.endpoint import EndpointError
from recbole_darec.embedding.generator import Answer, Generator
from recbole_darec.embedding.history import TrainingInteractions, user_histories
from recbole_darec.embedding.profile_file import ProfileFile
from recbole_darec.embedding.progress import Progress
from recbole_darec.embedding.prompt import Prompt, PromptTemplate
from recbole_darec.embedding.source import history_item_source
from recbole_darec.embedding.text import file_source, template_source
from recbole_darec.embedding.text_source import Batch, TextSource
from recbole_darec.embedding.text_table import TextTable
from recbole_darec.keys import ConfigError

_HOPELESS = 10


@dataclass(frozen=True)
class Request:
    """A prompt for an item or a user, with what tells its answer apart."""

    identity: str
    prompt: Prompt
    digest: str


Requests = list[Request]
Engine = Callable[[Generator, Iterable[Requests]], Iterator[tuple[Requests, list[Answer]]]]


def in_this_process(
    generator: Generator, batches: Iterable[Requests]
) -> Iterator[tuple[Requests, list[Answer]]]:
    """Batches with their answers, as they are ready."""
    return concurrent_map(
        lambda batch: generator.generate([request.prompt for request in batch]),
        batches,
        generator.concurrency,
    )


def item_metadata(config: Mapping[str, Any]) -> TextSource:
    """What is known of each item: the template if there is one, else the texts of a file.

    Raises:
        ConfigError: if there is neither.
    """
    if config["item_template"] is not None:
        if config["item_text_file"] is not None:
            getLogger().warning(
                f"Profiles are made of item_template; {config['item_text_file']} (item_text_file) "
                "is not read for them: to use it set item_template to ~"
            )
        return template_source(config, "item")
    if config["item_text_file"] is not None:
        return file_source(config, "item")
    raise ConfigError(
        "profiles need to know something of the items: set 'item_template' or 'item_text_file'"
    )


def user_data(
    config: Mapping[str, Any],
    interactions: TrainingInteractions,
    profiles: Mapping[str, str],
) -> TextSource:
    """What is known of each user: the training items, each with its profile if it has one.

    Args:
        config: keys ``user_history_*`` (but the template) and those of the items' texts.
        interactions: of the training part alone.
        profiles: of items, by id.

    Raises:
        ConfigError: if nothing is known of the items.
    """
    known = TextTable(
        history_item_source(config)
        if config["user_history_item"] is not None
        else item_metadata(config)
    )

    def line(item: str) -> str:
        return f"- {known[item]}" + (f"\n  {profiles[item]}" if item in profiles else "")

    def read(_: bool) -> Iterator[Batch]:
        histories = user_histories(config, interactions, known)
        while batch := list(islice(histories, 256)):
            yield [(user, "\n".join(map(line, items))) for user, items in batch]

    return TextSource(read, "items of the training part")


@dataclass(frozen=True)
class ProfilePlan:
    """Which profiles are to be written.

    Attributes:
        source: what is known of each item or user.
        template: of the prompts.
        generator: who writes.
        limit: how many of the source's first; None: all.
    """

    source: TextSource
    template: PromptTemplate
    generator: Generator
    limit: int | None = None

    def requests(self) -> Iterator[Request]:
        """One for each item or user, made anew at each call."""
        for identity, data in islice(self._known(), self.limit):
            prompt = self.template.fill(data)
            yield Request(identity, prompt, prompt.digest(self.generator.settings))

    def _known(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for identity, data in (pair for batch in self.source for pair in batch):
            if identity not in seen:
                seen.add(identity)
                yield identity, data


@dataclass(frozen=True)
class OpenBatches:
    """The requests of a plan that have no profile yet, ``generator.batch`` at a time.

    Attributes:
        plan: what to write.
        made: the profiles that are there, by id.
    """

    plan: ProfilePlan
    made: Mapping[str, str]

    def __iter__(self) -> Iterator[Requests]:
        requests = (each for each in self.plan.requests() if each.identity not in self.made)
        while batch := list(islice(requests, self.plan.generator.batch)):
            yield batch


@dataclass
class ProfileSurvey:
    """What a plan meets.

    Attributes:
        wanted: profiles of the plan.
        open: those that are not written yet.
        stale: ids whose profile was made from something else.
        tokens: of the open and the stale prompts.
    """

    wanted: int = 0
    open: int = 0
    stale: set[str] = field(default_factory=set)
    tokens: int = 0


def survey_profiles(plan: ProfilePlan, made: Mapping[str, str], count: bool) -> ProfileSurvey:
    """Compare a plan with the profiles that are there; ``count`` tokens or not."""
    found = ProfileSurvey()
    for request in plan.requests():
        found.wanted += 1
        digest = made.get(request.identity)
        if digest == request.digest:
            continue
        if digest is None:
            found.open += 1
        else:
            found.stale.add(request.identity)
        if count:
            found.tokens += sum(plan.generator.token_counts([request.prompt]))
    return found


def write_profiles(
    plan: ProfilePlan, file: ProfileFile, n_open: int, engine: Engine = in_this_process
) -> dict[str, str]:
    """Write the profiles that are missing, each as soon as it is there.

    Args:
        plan: what to write.
        file: where; entered.
        n_open: how many are missing, for the progress.
        engine: where the model runs.

    Returns:
        What was wrong, by id, where there is no profile.

    Raises:
        EndpointError: if the endpoint fails, or the first answers of all are of no use.
    """
    failed: dict[str, str] = {}
    if not n_open:
        return failed
    written = 0
    batches = OpenBatches(plan, file.made)
    with Progress(n_open, "Profiles") as progress:
        for batch, answers in engine(plan.generator, batches):
            for request, answer in zip(batch, answers, strict=True):
                if answer.problem:
                    failed[request.identity] = answer.problem
                else:
                    file.append(request.identity, answer.text, plan.generator.name, request.digest)
                    written += 1
            progress.advance(len(batch))
            if not file.made and len(failed) >= _HOPELESS:
                first = next(iter(failed.items()))
                raise EndpointError(
                    f"none of the first {len(failed)} answers is of use, e.g. that for "
                    f"'{first[0]}': {first[1]}"
                )
    getLogger().info(f"{written} profiles written, {len(failed)} failed")
    return failed
