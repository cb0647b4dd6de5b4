"""How the documentation is built: pages in MyST Markdown, whose code is executed.

sphinx-build -W --keep-going docs build/docs
"""

import os
import pkgutil
import re
import shutil
import sys
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent

# What the code of a page needs: this Python, the scripts, the look of pictures, one thread.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["ADAPTSAMPLE_ROOT"] = str(ROOT)
os.environ["MATPLOTLIBRC"] = str(DOCS / "matplotlibrc")
os.environ["OMP_NUM_THREADS"] = "1"

# The pages of results are copied, and an overview gets the pages beside it as its children.
shutil.rmtree(DOCS / "results", ignore_errors=True)
for pattern in (
    "*.md",
    "precision/*.md",
    "strategies/*.md",
    "experiments/*.md",
    "experiments/*.png",
):
    for path in (ROOT / "results").glob(pattern):
        copy = DOCS / "results" / path.relative_to(ROOT / "results")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
for overview, pages in (("", "*\nprecision/*\nstrategies/*"), ("experiments", "*")):
    with (DOCS / "results" / overview / "README.md").open("a") as file:
        file.write(f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{pages}\n```\n")

project = "adaptsample"
author = "the authors of adaptsample"
version = release = installed_version("adaptsample")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_*"]

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds of wall time for a cell, on a busy machine
nb_output_stderr = "warn"  # and a warning fails the build
nb_render_markdown_format = "myst"
nb_merge_streams = True
nb_code_prompt_show = "Show the answer"
nb_code_prompt_hide = "Hide the answer"
myst_heading_anchors = 3

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "adaptsample"
html_theme_options = {
    "light_css_variables": {"code-font-size": "80%"},  # 95 characters to a line
    "dark_css_variables": {"code-font-size": "80%"},
}
html_show_copyright = False
html_show_sourcelink = False


def every_module(_app: Sphinx, _docname: str, source: list[str]) -> None:
    """Replace `EVERY MODULE OF package` by a section for each module of it that is public.

    A new strategy or surrogate is found here, as everywhere, with no list to edit.
    """

    def sections(match: re.Match[str]) -> str:
        package = import_module(match[1])
        modules = [m for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_"]
        return "\n".join(
            f"## {m.name}\n\n```{{eval-rst}}\n.. automodule:: {match[1]}.{m.name}\n"
            + ("   :imported-members:\n" if m.ispkg else "")  # what a family hands on
            + "```\n"
            for m in modules
            if m.name != "protocol"
        )

    source[0] = re.sub(r"^EVERY MODULE OF (\S+)$", sections, source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Connect what is defined here."""
    app.connect("source-read", every_module)
