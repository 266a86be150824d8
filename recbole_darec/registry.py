"""Which backbones, alignments and standalone models exist: ours and those of other packages.

Another package adds a part by an entry point, without touching this one::

    [options.entry_points]
    recbole_darec.backbones =
        MyBackbone = my_package.my_backbone:MyBackbone

Its defaults stand in a yaml of the part's name beside the module (``MyBackbone.yaml``).
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from logging import getLogger
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_darec.compat import general_recommenders
from recbole_darec.keys import ConfigError
from recbole_darec.paths import properties_dir

if TYPE_CHECKING:
    from recbole_darec.alignment.base import Alignment
    from recbole_darec.backbone.base import Backbone

ADAPTED = "recbole/"
BARE = "Backbone"
_OURS = "recbole-darec"


@dataclass(frozen=True)
class Part:
    """A registered part; its module is imported by ``load`` only.

    Attributes:
        family: ``backbone``, ``alignment`` or ``standalone`` (a model that uses text but has no
            backbone).
        name: the name that users type.
        target: ``module:Class``.
        package: the distribution that registers it, None for our own.
    """

    family: str
    name: str
    target: str
    package: str | None = None

    def load(self) -> type[Any]:
        """Import the class.

        Raises:
            ConfigError: if a third party's cannot be imported or does not declare its keys.
        """
        module, _, attribute = self.target.partition(":")
        try:
            loaded: type[Any] = getattr(importlib.import_module(module), attribute)
            attrgetter("keys", "search_space")(loaded)
            if self.family == "alignment":
                _check_weights(loaded)
        except Exception as error:  # another's module may raise anything
            if self.package is None:
                raise
            raise ConfigError(
                f"{self} cannot be loaded from '{self.target}': {type(error).__name__}: {error}; "
                "mend or uninstall that package"
            ) from error
        return loaded

    def properties(self) -> Path:
        """The yaml with the defaults: ours, RecBole's, or a third party's beside its module.

        Raises:
            ConfigError: if a third party's cannot be imported or has no yaml.
        """
        if self.name.startswith(ADAPTED):
            return recbole_properties(self.name.removeprefix(ADAPTED))
        if self.package is None:
            return properties_dir() / self.family / f"{self.name}.yaml"
        self.load()
        spec = importlib.util.find_spec(self.target.partition(":")[0])
        assert spec is not None
        assert spec.origin is not None
        file = Path(spec.origin).with_name(f"{self.name}.yaml")
        if not file.is_file():
            raise ConfigError(
                f"{self} has no defaults: expected {file} (declare it as package data)"
            )
        return file

    def __str__(self) -> str:
        return f"{self.family} '{self.name}' of package '{self.package or _OURS}'"


_OWN = {
    "backbone": {
        "AutoCF": "recbole_darec.backbone.autocf:AutoCF",
        "DCCF": "recbole_darec.backbone.dccf:DCCF",
        "GCCF": "recbole_darec.backbone.gccf:GCCF",
        "LightGCN": "recbole_darec.backbone.lightgcn:LightGCN",
        "MF": "recbole_darec.backbone.mf:MF",
        "SGL": "recbole_darec.backbone.sgl:SGL",
        "SimGCL": "recbole_darec.backbone.simgcl:SimGCL",
    },
    "alignment": {
        "DaRec": "recbole_darec.alignment.darec:DaRec",
        "KAR": "recbole_darec.alignment.kar:KAR",
        "RLMRecCon": "recbole_darec.alignment.rlmrec_con:RLMRecCon",
        "RLMRecGen": "recbole_darec.alignment.rlmrec_gen:RLMRecGen",
    },
    "standalone": {"AlphaRec": "recbole_darec.standalone.alpharec:AlphaRec"},
}

FAMILIES = tuple(_OWN)


@cache
def parts(family: str) -> dict[str, Part]:
    """Registered parts of a family (one of ``FAMILIES``) by name.

    Of two parts of one name the second is left out with a warning; ours come first. So is a model
    with the name of one of RecBole's (a backbone has another key), and a name with a slash.
    """
    found = {name: Part(family, name, target) for name, target in _OWN[family].items()}
    for point in entry_points(group=f"recbole_darec.{family}s"):
        assert point.dist is not None
        part = Part(family, point.name, point.value, point.dist.name)
        if family != "backbone" and point.name in (BARE, *general_recommenders()):
            getLogger().warning(f"{part} is left out, for there is a model of that name; rename it")
            continue
        if "/" in point.name:
            getLogger().warning(f"{part} is left out, for '/' is not for names; rename it")
            continue
        first = found.setdefault(point.name, part)
        if first is not part:
            getLogger().warning(f"{part} is left out, for there is {first}; rename its entry point")
    return found


def backbone_part(name: str) -> Part | None:
    """The backbone of that name: registered, or ``recbole/NAME`` through the adapter."""
    if name.startswith(ADAPTED):
        return Part("backbone", name, "recbole_darec.backbone.recbole:RecBoleBackbone")
    return parts("backbone").get(name)


def _check_weights(alignment: type[Alignment]) -> None:
    weights = alignment.term_weights.values()
    for key in ["alignment_weight", *weights] if weights else []:
        if key not in alignment.keys:
            raise ValueError(f"its term_weights need a key '{key}', which is not in its 'keys'")


def recbole_properties(model: str) -> Path:
    """RecBole's yaml of one of its models."""
    spec = importlib.util.find_spec("recbole")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("properties") / "model" / f"{model}.yaml"


def backbone_class(name: str) -> type[Backbone]:
    """The backbone of that name, the adapter for ``recbole/NAME``."""
    part = backbone_part(name)
    assert part is not None
    return part.load()


def alignment_class(name: str) -> type[Alignment]:
    """The alignment of that name."""
    return parts("alignment")[name].load()
