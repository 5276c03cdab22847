"""The modules of `optax._src` that programs import from."""
