"""The package shows its subpackages before they are imported, and imports them when asked."""

from pathlib import Path

import g_selfatt


def test_every_subpackage_is_listed_and_found(monkeypatch):
    folder = Path(g_selfatt.__file__).parent
    there = {path.parent.name for path in folder.glob("*/__init__.py")}
    for name in there:  # as before the import
        monkeypatch.delattr(g_selfatt, name, raising=False)
    assert there == set(g_selfatt.__all__) - {"__version__"}
    assert there <= set(dir(g_selfatt))
    assert all(getattr(g_selfatt, name).__name__ == f"g_selfatt.{name}" for name in there)
