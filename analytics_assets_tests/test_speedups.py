"""What is there for speed: in force within its bounds alone, and switched off by name."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from analytics_assets.errors import ReadError
from analytics_assets.speedups import rarely_collecting


def test_the_garbage_collector_looks_rarely_for_a_while():
    usual = gc.get_threshold()
    with rarely_collecting():
        assert gc.get_threshold()[0] > 100 * usual[0]
    assert gc.get_threshold() == usual
    with pytest.raises(ReadError), rarely_collecting():
        raise ReadError("the API fails")
    assert gc.get_threshold() == usual


def test_the_garbage_collector_looks_as_usual_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", "frozen_imports,rarely_collecting")
    usual = gc.get_threshold()
    with rarely_collecting():
        assert gc.get_threshold() == usual


@pytest.mark.parametrize(("without", "frozen"), [("", True), ("frozen_imports", False)])
def test_imports_that_the_garbage_collector_does_not_see(monkeypatch, without: str, frozen: bool):
    monkeypatch.setenv("ANALYTICS_ASSETS_WITHOUT", without)
    code = """if True:
        import gc
        from analytics_assets.speedups import frozen_imports
        with frozen_imports():
            import decimal
        print(gc.isenabled(), gc.get_freeze_count() > 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(frozen)]
