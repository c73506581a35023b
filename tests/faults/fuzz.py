"""Looks for answers that break the program, following which code each one reaches.

    python -m tests.faults.fuzz -max_total_time=60 FOLDER tests/faults/corpus

What it finds worth keeping goes to FOLDER.
"""

import sys

import atheris

with atheris.instrument_imports(include=["etl"]):
    from tests.faults.fuzz_target import digest


def main() -> None:
    atheris.Setup(sys.argv, digest)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
