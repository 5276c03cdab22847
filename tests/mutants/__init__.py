"""Mutants: small wrong changes to the library, which its own tests must notice.

`python -m tests.mutants` runs, for every module with a registered factory, the module's test
file once per mutant, and prints how many were killed: by a failing test, an error or the time
limit. In `_core`, `tuning`, `serialize` and `diagnostics` it takes every function, but of all
these mutants only 200, always the same, and runs the tests of the chapter.

`--only NAME` chooses modules or a chapter, and all their mutants; `--mutant TEXT` chooses mutants;
`--sample N` takes so many of each module and asks for the required share of all together. With
`--out FILE` the same command goes on where it was cut off.
"""
