"""Whose fault an end is, told from its signal, its last words and the kernel's own count."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from k150k_pipeline.isolation.deaths import (
    count_oom_kills,
    describe_end,
    lacks_memory,
    reason_of_death,
)


def test_kernel_counts_its_kills():
    text = Path("/proc/vmstat").read_text()
    assert count_oom_kills() == int(re.findall(r"^oom_kill (\d+)$", text, re.MULTILINE)[0])


@pytest.mark.parametrize(
    ("returncode", "kills_meanwhile", "reason"),
    [
        (-signal.SIGKILL, 1, "memory"),
        (-signal.SIGKILL, 0, "killed"),
        (-signal.SIGTERM, 1, "killed"),
        (-signal.SIGINT, 0, "killed"),
        (-signal.SIGSEGV, 1, "crashed"),
        (-signal.SIGSEGV, 0, "crashed"),
        (-signal.SIGRTMIN, 0, "killed"),
        (1, 1, "crashed"),
    ],
)
def test_reason_of_death(returncode, kills_meanwhile, reason):
    assert reason_of_death(returncode, count_oom_kills() - kills_meanwhile) == reason


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        ("Error while filtering: Cannot allocate memory", True),
        ("memory allocation of 196608 bytes failed", True),
        ("what():  std::bad_alloc", True),
        ("MemoryError", True),
        ("double free or corruption (!prev)", False),
        ("", False),
    ],
)
def test_want_of_memory_is_read_from_last_words(words, lacking):
    assert lacks_memory(words) is lacking
    assert reason_of_death(-signal.SIGABRT, 0, words) == ("memory" if lacking else "crashed")


def test_ends_are_named():
    assert describe_end(-9) == "signal SIGKILL"
    assert describe_end(-signal.SIGRTMIN - 1) == f"signal {signal.SIGRTMIN + 1}"
    assert describe_end(3) == "exit status 3"
