"""Mutants: small wrong changes to the algorithms, which the algorithms' own tests must notice.

`python -m tests.mutants` runs, for every module with a registered factory, the module's test
file once per mutant, and prints how many were killed: by a failing test, an error or the time
limit. `--only NAME` chooses modules, `--mutant TEXT` chooses mutants, `--sample N` takes so many of
each module and asks for the required share of all together.
"""
