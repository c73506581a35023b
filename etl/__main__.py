"""``python -m etl`` is ``kore-etl``."""

from __future__ import annotations

from etl.cli.main import main

if __name__ == "__main__":
    main()
