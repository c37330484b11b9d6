"""Sphinx: Markdown prose, notebooks as text, a reference from docstrings."""

from __future__ import annotations

import re
import sys
from enum import Enum
from importlib import metadata
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import attrs
from sphinx.util import inspect

from autopay_core._checks import Choice, Readable

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
    "sphinx_copybutton",
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
autodoc_mock_imports = ["procrastinate", "psycopg"]
autoclass_content = "class"
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
# A module's names in the order of its source; `keep_public` asks `__all__`.
autodoc_default_options = {"ignore-module-all": True}
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 79
toc_object_entries_show_parents = "hide"

napoleon_numpy_docstring = False
napoleon_use_ivar = True  # Else an attribute is described twice.
napoleon_custom_sections = ["Source"]

# A block is copied as it is typed: no prompt, and nothing that was printed.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_remove_prompts = True

html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_js_files = ["focus.js"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sourcelink = False


# "PG-1  A key seen before …", with its further lines indented: a clause of a
# port. For docutils it is a paragraph that goes wrong.
_CLAUSE = re.compile(r"((?:[A-Z]{2}|PORT)-\d+) +(.*)")
# "Imports: `money` and the standard library.": for maintainers only.
_IMPORTS = re.compile(r"Imports: (?:`[^`]*`|[^.`])*\.\s?")
_VALUE_MAX = 60


def list_clauses(
    _app: Sphinx,
    what: str,
    _name: str,
    _thing: object,
    _options: object,
    lines: list[str],
) -> None:
    """
    Make a list of the clauses in a docstring; leave out what it imports.

    Of "text: more" on the first line of an attribute, napoleon would make a
    type and a text; an empty line of a kind comes before it.
    """
    if what in {"attribute", "data", "property"} and lines:
        lines.insert(0, "\\ ")
    if what == "module":
        lines[:] = _IMPORTS.sub("", "\n".join(lines)).split("\n")
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


def keep_public(
    app: Sphinx,
    _what: str,
    name: str,
    _thing: object,
    _skip: bool,  # noqa: FBT001 - as Sphinx calls it
    _options: object,
) -> bool | None:
    """Skip what a module does not list in its `__all__`."""
    module = sys.modules.get(app.env.current_document.autodoc_module)
    if app.env.current_document.autodoc_class or module is None:
        return None
    return True if name not in getattr(module, "__all__", [name]) else None


class Shown:
    """A default, as it is shown in a signature."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        """Return the text."""
        return self.text


def show_defaults(_app: Sphinx, made: Any, _bound: object) -> None:  # noqa: ANN401
    """Show the defaults of a value's fields, which attrs keeps elsewhere."""
    kind = getattr(made, "__globals__", {}).get("attr_dict")
    if kind is None:
        return
    shown: dict[str, Shown] = {}
    for name, field in kind.items():
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = Shown("…") if default.takes_self else default.factory()
        if default is not attrs.NOTHING:
            shown[field.alias or name] = Shown(repr(default))
    found = signature(made)
    made.__signature__ = found.replace(
        parameters=[
            each.replace(default=shown.get(each.name, each.default))
            if each.default is not Parameter.empty
            else each
            for each in found.parameters.values()
        ]
    )


def call_nobody(
    _app: Sphinx,
    _what: str,
    _name: str,
    thing: object,
    _options: object,
    _signature: str | None,
    _returns: str | None,
) -> tuple[str, str] | None:
    """Show no call of what is not called: enumerations and protocols."""
    if isinstance(thing, type) and (
        issubclass(thing, Enum) or getattr(thing, "_is_protocol", False)
    ):
        return "", ""
    return None


def shorten_values() -> None:
    """Leave out a table where the value of a name is shown."""
    describe = inspect.object_description

    def describe_briefly(thing: object, **more: Any) -> str:  # noqa: ANN401
        text = describe(thing, **more)
        return text if len(text) <= _VALUE_MAX else "…"

    inspect.object_description = describe_briefly


def hide_readable(
    _app: Sphinx,
    _name: str,
    _thing: object,
    _options: object,
    bases: list[type],
) -> None:
    """Leave out a base that is nobody's business."""
    shown = {Readable: object, Choice: Enum}
    bases[:] = [shown.get(each, each) for each in bases]


def mend_html(
    _app: Sphinx,
    _page: str,
    _template: str,
    context: dict[str, Any],
    _tree: object,
) -> None:
    """
    Mend what a screen reader would be told wrongly.

    A signature of many lines is no list of definitions, for it has no terms,
    and the caption of a table of contents is a heading of some level.
    """
    if "body" in context:
        context["body"] = (
            context["body"]
            .replace(
                '<dl>\n<dd><em class="sig-param">',
                '<dl role="presentation">\n<dd><em class="sig-param">',
            )
            .replace(
                '<p class="caption" role="heading">',
                '<p class="caption" role="heading" aria-level="2">',
            )
        )


def setup(app: Sphinx) -> None:
    """Get hold of docstrings before napoleon does."""
    app.connect("html-page-context", mend_html)
    app.connect("autodoc-process-docstring", list_clauses, priority=400)
    app.connect("autodoc-process-bases", hide_readable)
    app.connect("autodoc-skip-member", keep_public)
    app.connect("autodoc-before-process-signature", show_defaults)
    app.connect("autodoc-process-signature", call_nobody)
    shorten_values()
