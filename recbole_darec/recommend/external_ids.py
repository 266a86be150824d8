"""External ids that somebody gives, checked against those of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recbole_darec.keys import ConfigError

_SHOWN = 10


def known_rows(
    given: Sequence[str], rows: Mapping[str, int], what: str, skip_unknown: bool = False
) -> dict[str, int]:
    """Internal id of each given external id, in the given order, each once.

    Args:
        given: external ids.
        rows: internal id by external id.
        what: ``users`` or ``items``, for messages.
        skip_unknown: leave out what the data do not have instead of refusing.

    Raises:
        ConfigError: if some are unknown and are not to be skipped, or none is known.
    """
    unknown = [identity for identity in given if identity not in rows]
    if unknown and (not skip_unknown or len(unknown) == len(given)):
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        remedy = "skip_unknown (--skip_unknown) serves the rest"
        remedy = "none is left to serve" if skip_unknown else remedy
        if any("," in identity for identity in unknown):
            remedy += "; a comma does not separate ids, a space does"
        raise ConfigError(
            f"unknown {what}: {', '.join(unknown[:_SHOWN])}{more} ({len(unknown)} of "
            f"{len(given)}); the data's ids look like {', '.join(list(rows)[:3])}; {remedy}"
        )
    return {identity: rows[identity] for identity in given if identity in rows}
