"""What type checkers see: a file of typical user code, and the READMEs' code."""
