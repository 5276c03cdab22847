"""One hidden layer on scikit-learn's handwritten digits, which several of the examples train."""

import math

import jax
import jax.numpy as jnp
from train_digits import Images

Params = dict[str, jax.Array]


def init_network(key: jax.Array) -> Params:
    """64 pixels, 32 hidden units, 10 digits."""
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 32)) * math.sqrt(2 / 64),
        "hidden_bias": jnp.zeros(32),
        "out": jax.random.normal(second, (32, 10)) * math.sqrt(2 / 32),
        "out_bias": jnp.zeros(10),
    }


def network(params: Params, pixels: jax.Array) -> jax.Array:
    """Images (..., 8, 8) to logits (..., 10)."""
    x = pixels.reshape(*pixels.shape[:-2], 64)
    x = jax.nn.relu(x @ params["hidden"] + params["hidden_bias"])
    return x @ params["out"] + params["out_bias"]


def cross_entropy(params: Params, images: Images) -> jax.Array:
    """The mean over the images, in nats."""
    log_p = jax.nn.log_softmax(network(params, images.pixels))
    return -jnp.take_along_axis(log_p, images.digits[..., None], axis=-1).mean()


def accuracy(params: Params, images: Images) -> jax.Array:
    """The share of images whose digit is found."""
    return (network(params, images.pixels).argmax(axis=-1) == images.digits).mean()
