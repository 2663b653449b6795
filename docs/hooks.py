"""Pages may link to files of the repository beside docs/: these become part of the site.

So a link is written as it is right in the repository (``../RESULTS.md``), and every fact has one
place. In the site the repository's root and docs/ are one folder.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()[^)#:\s]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file that is linked to, and what it links to in turn."""
    waiting, seen = list(DOCS.rglob("*.md")), set(DOCS.rglob("*"))
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.read_text()):
            target = (page.parent / link).resolve()
            if target in seen or not target.is_file():
                continue
            seen.add(target)
            files.append(File.generated(config, _place(target).as_posix(), abs_src_path=target))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between places in the repository into links between places in the site."""
    source = Path(page.file.abs_src_path)

    def moved(match: re.Match[str]) -> str:
        target = (source.parent / match[0]).resolve()
        if not target.is_file():  # no link but an equation, or one that mkdocs will complain of
            return match[0]
        return os.path.relpath(_place(target), _place(source).parent)

    return LINK.sub(moved, markdown)


def _place(file: Path) -> Path:
    return file.relative_to(DOCS if file.is_relative_to(DOCS) else ROOT)
