"""The report: facts in, one self-contained page out. Nothing here reads a database, a clock or the network."""
