"""The figures of `compare_optimizers.py`: each module draws some, and says what they show."""
