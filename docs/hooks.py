"""What the site has beyond docs/: files of the repository, notebooks as pages, typeset formulas.

README.md is the first page, and pages may link to any file of the repository: these become part of
the site. So a link is written as it is right in the repository (``../RESULTS.md``), and every fact
has one place. In the site the repository's root and docs/ are one folder.

A notebook becomes a page with the outputs that it was saved with. A block of ``math`` becomes
MathML, which browsers show without a script.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
DOCS, README, CHANGES = ROOT / "docs", ROOT / "README.md", ROOT / "CHANGELOG.md"
LINK = re.compile(r"(?<=\]\()[^)#:\s]+")
FORMULA = re.compile(r"^```math\n(.*?)^```", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add README, every file that is linked to, and what it links to in turn."""
    waiting, seen = [README, CHANGES, *DOCS.rglob("*.md")], {README, CHANGES, *DOCS.rglob("*")}
    for page in (README, CHANGES):
        files.append(_file(page, config))
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.read_text()):
            target = (page.parent / link).resolve()
            if target in seen or not target.is_file():
                continue
            seen.add(target)
            if target.suffix == ".ipynb":
                for file in _notebook(target, config):
                    files.append(file)
                continue
            files.append(_file(target, config))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Typeset formulas, and turn links between places in the repository into links in the site."""
    path = page.file.abs_src_path
    source = Path(path) if path else ROOT.joinpath(page.file.src_uri).with_suffix(".ipynb")

    def moved(match: re.Match[str]) -> str:
        target = (source.parent / match[0]).resolve()
        if not target.is_file():  # no link but an equation, or one that mkdocs will complain of
            return match[0]
        return os.path.relpath(_place(target), _place(source).parent)

    return FORMULA.sub(_typeset, LINK.sub(moved, markdown))


def _typeset(match: re.Match[str]) -> str:
    return f'<div class="formula">{convert(match[1].strip(), display="block")}</div>'


def _notebook(path: Path, config: MkDocsConfig) -> list[File]:
    """The page of a notebook, and the pictures in it."""
    text, resources = MarkdownExporter().from_filename(
        path, resources={"output_files_dir": path.stem}
    )
    place = _place(path)
    return [
        File.generated(config, place.as_posix(), content=text),
        *(
            File.generated(config, (place.parent / name).as_posix(), content=picture)
            for name, picture in resources["outputs"].items()
        ),
    ]


def _file(path: Path, config: MkDocsConfig) -> File:
    return File.generated(config, _place(path).as_posix(), abs_src_path=path)


def _place(file: Path) -> Path:
    """Where a file of the repository is in the site."""
    if file == README:
        return Path("index.md")
    place = file.relative_to(DOCS if file.is_relative_to(DOCS) else ROOT)
    return place.with_suffix(".md") if place.suffix == ".ipynb" else place
