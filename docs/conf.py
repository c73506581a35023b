"""The site of the documentation: `make docs` builds these pages with Sphinx, and fails where a link leads nowhere.

The same pages are read on a code host. What only that one can show is put into words here: a diagram of relations is a
table. Nothing that a page needs comes from elsewhere.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from etl import __version__

_CHECKOUT = Path(__file__).resolve().parent.parent

project = "kore-etl"
version = release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["generate"]
nitpicky = True
myst_heading_anchors = 4
myst_links_external_new_tab = False
pygments_style = "friendly"
pygments_dark_style = "native"
suppress_warnings = ["misc.highlighting_failure"]  # a line that is left out is no TOML or JSON

html_theme = "furo"
html_title = "kore-etl"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["style"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}

# Pages that stand at the top of the checkout.
_AT_THE_TOP = {"readme": "README.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}


def setup(app: Sphinx) -> None:
    """Have every page prepared before it is read."""
    app.connect("source-read", _prepare)


def _prepare(_app: Sphinx, page: str, source: list[str]) -> None:
    text = source[0]
    if page in _AT_THE_TOP:
        text = (_CHECKOUT / _AT_THE_TOP[page]).read_text("utf-8")
        text = re.sub(r"\]\(docs/", "](", text)
        text = re.sub(r"\]\((config|benchmarks)/", r"](../\1/", text)
    for name, file in _AT_THE_TOP.items():
        text = re.sub(rf"\]\((?:\.\./)*{re.escape(file)}(?=[#)])", f"](/{name}.md", text)
    text = re.sub(r"^```sql \w+$", "```sql", text, flags=re.MULTILINE)
    source[0] = re.sub(r"^```mermaid\nerDiagram\n(.*?)^```$", _relations, text, flags=re.MULTILINE | re.DOTALL)


def _relations(diagram: re.Match[str]) -> str:
    found = re.findall(r"^ +(\w+) \|\|--o[{|] (\w+) : \"?(.*?)\"?$", diagram[1], re.MULTILINE)
    parents: dict[str, list[str]] = {}
    for one, many, words in found:
        parents.setdefault(many, []).append(f"`{one}` ({words.replace('_', chr(92) + '_')})")
    rows = [f"| `{table}` | {', '.join(others)} |" for table, others in parents.items()]
    return "\n".join(["| Rows of | belong to a row of |", "| --- | --- |", *rows])
