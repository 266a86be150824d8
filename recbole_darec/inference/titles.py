"""Titles of items by external id."""

from __future__ import annotations

from collections.abc import Mapping
from logging import getLogger
from typing import Any

from recbole_darec.embedding.text import (
    atomic_file,
    atomic_header,
    fill_template,
    id_field,
    read_atomic,
    spaced,
    template_fields,
)
from recbole_darec.keys import ConfigError

_LIKELY = ("title", "name")


def item_titles(config: Mapping[str, Any], title: str | None = None) -> dict[str, str]:
    """Title of each item that has one.

    Args:
        config: the configuration; titles come from the fields of ``<dataset>.item``.
        title: a field's name or a template such as ``{movie_title} ({release_year})``; default:
            the field whose name holds ``title``, else the one whose name holds ``name``.

    Returns:
        By external id; empty where the dataset has no such file or field and, with a warning, where
        nobody asked for titles and the file cannot be read.

    Raises:
        ConfigError: if the field that was asked for does not exist or cannot be read.
    """
    if title:
        file = atomic_file(config, "item")
        if not file.is_file():
            raise ConfigError(
                f"a title was asked for ('{title}'), but titles are in {file}, which does not "
                "exist; provide it, or ask for none"
            )
        return _titles(config, _as_template(title))
    try:
        template = _default(config)
        return {} if template is None else _titles(config, template)
    except ConfigError as error:
        getLogger().warning(f"Items go without titles: {error}")
        return {}


def _titles(config: Mapping[str, Any], template: str) -> dict[str, str]:
    identifier = id_field(config, "item")
    fields = dict.fromkeys([identifier, *template_fields(template)])
    rows = spaced(config, "item", read_atomic(config, "item", list(fields), "title"))
    # As the texts are encoded: of rows with the same id the first.
    rows = rows.drop_duplicates(identifier)
    return {str(row[identifier]): fill_template(template, row) for row in rows.to_dict("records")}


def _as_template(title: str) -> str:
    return title if "{" in title else f"{{{title}}}"


def _default(config: Mapping[str, Any]) -> str | None:
    if not atomic_file(config, "item").is_file():
        return None
    names = [column.partition(":")[0] for column in atomic_header(config, "item")]
    for word in _LIKELY:
        for name in names:
            if word in name.lower() and name != id_field(config, "item"):
                return _as_template(name)
    return None
