"""Sphinx: Markdown prose, notebooks as text, a reference from docstrings."""

from __future__ import annotations

from importlib import metadata

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
