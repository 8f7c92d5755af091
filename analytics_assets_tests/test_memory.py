"""What keeps a run small: memory that is no longer used is given back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

_HOLD = """if True:
    import ctypes, sys, threading
    from analytics_assets.memory import give_back
    if sys.argv[1] == "give back":
        give_back()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
    barrier = threading.Barrier(8)

    def hold():
        libc.malloc(1000)
        barrier.wait()

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the C library of Linux")
def test_many_threads_share_few_stores_of_memory(tmp_path: Path) -> None:
    def stores(what: str) -> int:
        info = tmp_path / "info.xml"
        subprocess.run([sys.executable, "-c", _HOLD, what, str(info)], check=True, timeout=60)
        return info.read_text().count("<heap ")

    assert stores("give back") <= 3 < stores("leave it")


def test_a_run_takes_memory_for_rows_from_the_system(
    synced: object, sync: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [name for name in pa.supported_memory_backends() if name != "system"]
    if not others:
        pytest.skip("this build of pyarrow has no other pool")
    before = pa.default_memory_pool()
    try:
        pa.set_memory_pool(getattr(pa, f"{others[0]}_memory_pool")())
        sync()
        assert pa.default_memory_pool().backend_name == "system"
    finally:
        pa.set_memory_pool(before)
