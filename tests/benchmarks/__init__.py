"""The benchmark: one table of ratios against peers measured in the same run.

`python -m tests.benchmarks` runs all of it; `--help` lists the options. A row is a line of data
in `rows.py`; the code that measures a group of rows is in a separate module.
"""
