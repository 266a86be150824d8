"""Whether a backbone can serve under an alignment that changes what is scored."""

from __future__ import annotations

from recbole_darec.keys import ConfigError


def require_fit(alignment: str, backbone: str, *, unread: bool, unlike: bool) -> None:
    """Refuse an alignment and a backbone that do not go together.

    Args:
        alignment: name of the alignment.
        backbone: name of the backbone.
        unread: whether the alignment changes representations that the backbone's loss does not
            read.
        unlike: whether it adds columns to representations whose inner products are not the scores.

    Raises:
        ConfigError: if either is so.
    """
    if unread:
        raise ConfigError(
            f"'{alignment}' changes the representations that are scored, but the "
            f"objective of backbone '{backbone}' does not read them, so that nothing "
            "would be learnt; take another backbone, or one of the alignments by loss terms alone"
        )
    if unlike:
        raise ConfigError(
            f"'{alignment}' puts representations beside those of the backbone, "
            f"but backbone '{backbone}' does not score by inner products; take another "
            "one, or score the backbone alone"
        )
