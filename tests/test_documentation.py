"""What README and docs/ show runs, what they name exists, and the site builds without a warning."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training import command_line, settings

REPOSITORY = Path(__file__).parents[1]
DOCS = sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))
REFERENCE = sorted(f"docs/reference/{p.name}" for p in (REPOSITORY / "docs/reference").glob("*.md"))
IN_THE_SITE = ["RESULTS.md", "CHANGELOG.md"] + [
    f"{folder}/README.md" for folder in ("benchmarks", "demo", "runs", "saved")
]
ALL = ["README.md", *DOCS, *REFERENCE, *IN_THE_SITE]


def read(page):
    return (REPOSITORY / page).read_text()


@pytest.mark.parametrize("page", ["README.md", *DOCS])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    """One after the other in one namespace, where they may write. Every guide has some."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text, namespace = read(page), {}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert blocks
    for block in blocks:
        above = "\n" * text.count("\n", 0, block.start(1))  # for the line numbers of a traceback
        exec(compile(above + block[1], page, "exec"), namespace)


@pytest.mark.parametrize("page", ALL)
def test_links_lead_to_files(page):
    prose = re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        file = link.partition("#")[0]
        if file and not file.startswith("http"):
            assert (REPOSITORY / page).parent.joinpath(file).exists(), link


@pytest.mark.parametrize("page", ALL)
def test_commands_exist(page):
    code = re.findall(r"^```\w*\n(.*?)^```|`([^`\n]+)`", read(page), re.DOTALL | re.MULTILINE)
    code = "\n".join(block or span for block, span in code)
    for module in re.findall(r"python -m (\w+(?:\.\w+)*)", code):
        assert importlib.util.find_spec(module), f"python -m {module}"
    targets = re.search(r"^\.PHONY: (.*)", read("Makefile"), re.MULTILINE)[1].split()
    for target in re.findall(r"^make (\w+)", code, re.MULTILINE):
        assert target in targets, f"make {target}"
    for arguments in re.findall(r"python main\.py (--config\.[^\n#]+)", code):
        settings.resolve(command_line.parse(shlex.split(arguments)))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},  # of the theme, about a program not used
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_site(site):
    for page in ALL:
        place = page.removeprefix("docs/").removesuffix(".md").removesuffix("README")
        assert (site / place / "index.html").is_file(), page


def test_notebooks_are_pages_with_their_outputs(site):
    for notebook in (REPOSITORY / "demo").glob("*.ipynb"):
        page = (site / "demo" / notebook.stem / "index.html").read_text()
        assert re.search(r'<img [^>]*src="output_', page) or (
            "image/png" not in notebook.read_text()
        ), notebook


def test_formulas_are_typeset(site):
    for page in ("mathematics", "convolution"):
        text = (site / page / "index.html").read_text()
        blocks = read(f"docs/{page}.md").count("```math")
        assert blocks and text.count('<math xmlns="http://www.w3.org/1998/Math/MathML"') == blocks
        shown = re.findall(r"<math.*?</math>", text, re.DOTALL)
        assert not any("\\" in block or "<mi>&amp;" in block for block in shown)


@pytest.mark.parametrize("name", ["groups", "functional", "nn", "models", "datasets", "testing"])
def test_the_reference_has_what_the_library_exports(site, name):
    module = importlib.import_module(f"g_selfatt.{name}")
    page = (site / "reference" / name / "index.html").read_text()
    headings = re.findall(rf'<h[23] id="g_selfatt\.{name}\.([\w.]+)"', page)
    assert len(headings) == len(set(headings))
    exports = {export for export in module.__all__ if callable(getattr(module, export))}
    assert exports <= {heading.split(".")[-1] for heading in headings}


class Loads(HTMLParser):
    """What a browser fetches to show a page, unlike what its reader may click."""

    def __init__(self):
        super().__init__()
        self.urls = []

    def handle_starttag(self, tag, attributes):
        if tag != "a":
            self.urls += [value for name, value in attributes if name in ("src", "href")]


def test_pages_fetch_nothing_from_elsewhere(site):
    for file in site.rglob("*.html"):
        loads = Loads()
        loads.feed(file.read_text())
        assert loads.urls
        assert not [url for url in loads.urls if url.startswith(("http", "//"))], file
