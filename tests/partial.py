"""Transformations of some parameters, chosen by a tree of booleans."""

import jax

import optcore


def masked(tx, mask):
    """`tx` where the mask is true; the other updates pass as they are."""
    labels = jax.tree.map(lambda chosen: "chosen" if chosen else "other", mask)
    rules = (("chosen", tx), ("other", optcore.identity()))
    return optcore.route(*rules, labels=labels, unused_rules="ignore")
