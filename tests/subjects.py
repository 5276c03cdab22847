"""The library's own factories as subjects of the conformance suite, made when a test asks."""

import functools

import optcore
from optcore.testing._subject import subject as example_of

# Tests declare factories too.
OWN = {f.name: f for f in optcore.registry().values() if f.key.startswith("optcore:")}
TYPICAL = {"momentum": "sgd", "diagonal": "adamw"}
"""Which optimizer stands for its family; for one that is not here the first by name does."""


def names(*kinds):
    """The names of one kind or several."""
    return [name for name, factory in OWN.items() if factory.kind in kinds]


TRANSFORMATIONS = [name for name in OWN if name not in names("schedule")]


@functools.cache
def subject(name):
    """Making them all takes seconds, which every worker would spend when it collects."""
    return example_of(OWN[name])


def families():
    """The optimizers of each family, which is the folder that their module is in."""
    found = {}
    for name in names("optimizer"):
        family = OWN[name].function.__module__.split(".")[-2]
        found.setdefault(family, []).append(name)
    return found


def representatives():
    """One optimizer of each family."""
    return {family: TYPICAL.get(family, min(members)) for family, members in families().items()}
