"""Sphinx: Markdown prose, notebooks as text, a reference from docstrings."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from autopay_core._checks import Readable

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "autopay_core"
author = "the autopay_core authors"
copyright = f"2026, {author}"  # noqa: A001  Sphinx names it so.
release = version = metadata.version("autopay_core")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "jupyter_execute"]
default_role = "py:obj"

# Notebooks are Markdown files with {code-cell}s, executed at every build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "smartquotes"]
myst_heading_anchors = 3

# An extra; its names stand in signatures only.
autodoc_mock_imports = ["psycopg"]
autoclass_content = "class"
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 79
toc_object_entries_show_parents = "hide"

napoleon_numpy_docstring = False
napoleon_use_ivar = True  # Else an attribute is described twice.
napoleon_custom_sections = ["Source"]

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sourcelink = False


# "PG-1  A key seen before …", with its further lines indented: a clause of a
# port. For docutils it is a paragraph that goes wrong.
_CLAUSE = re.compile(r"([A-Z]{2}-\d+) +(.*)")


def list_clauses(
    _app: Sphinx,
    _what: str,
    _name: str,
    _thing: object,
    _options: object,
    lines: list[str],
) -> None:
    """Make a list of the clauses in a docstring."""
    listed: list[str] = []
    in_clause = False
    for line in lines:
        clause = _CLAUSE.fullmatch(line)
        if clause is not None:
            listed += ["", f"* **{clause[1]}** {clause[2]}"]
            in_clause = True
        elif in_clause and line.startswith(" "):
            listed.append(f"  {line.strip()}")
        else:
            listed.append(line)
            in_clause = False
    lines[:] = listed


def hide_readable(
    _app: Sphinx,
    _name: str,
    _thing: object,
    _options: object,
    bases: list[type],
) -> None:
    """Leave out a base that is nobody's business."""
    bases[:] = [object if each is Readable else each for each in bases]


def setup(app: Sphinx) -> None:
    """Get hold of docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", list_clauses, priority=400)
    app.connect("autodoc-process-bases", hide_readable)
