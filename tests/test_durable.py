from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys

import pytest

from k150k_pipeline.durable import (
    UnwritableError,
    is_kept,
    keep,
    move_aside,
    replacing,
    write_text,
    write_whole,
)


def test_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    script = (
        "import os, sys; from pathlib import Path; from k150k_pipeline.durable import *\n"
        "with replacing(Path(sys.argv[1])) as t:\n t.write_text('ne'); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(path)])
    assert died.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "new"


def test_file_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    seen = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (seen.append(sorted(p.name for p in tmp_path.iterdir())), real(fd))
    )
    write_text(tmp_path / "a.txt", "x")
    assert [names == ["a.txt"] for names in seen] == [False, True]


def test_a_kept_file_has_a_second_name_and_no_other_file_is_touched(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    (tmp_path / "a.txt.original").write_text("somebody's")
    assert keep(path).name == keep(path).name == "a.txt.original-2"
    write_text(path, "two")
    assert move_aside(path).name == "a.txt.original-3"
    texts = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert texts == {
        "a.txt.original": "somebody's", "a.txt.original-2": "one", "a.txt.original-3": "two",
    }  # fmt: skip


def test_a_file_is_copied_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.txt"
    for text in ("one", "two"):
        path.write_text(text)
        assert keep(path) == keep(path)
    assert (tmp_path / "a.txt.original").read_text() == "one"
    assert (tmp_path / "a.txt.original-2").read_text() == "two"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_to_the_name_itself_keeps_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    (tmp_path / "a.txt.original").symlink_to("a.txt")
    (tmp_path / "a.txt.original-2").mkdir()
    assert not is_kept(path)
    assert keep(path).name == "a.txt.original-3" and is_kept(path)
    write_text(path, "two")
    assert not is_kept(path)
    assert (tmp_path / "a.txt.original-3").read_text() == "one"


def test_a_link_is_kept_as_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("one")
    link = tmp_path / "a.txt"
    link.symlink_to("real.txt")
    kept = keep(link)
    write_text(link, "two")
    assert kept.read_text() == "one" and (tmp_path / "real.txt").read_text() == "one"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_error_of_the_disk_names_the_file_the_reason_and_the_remedy(tmp_path, number):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnwritableError) as caught, replacing(path) as temporary:
        temporary.write_text("new")
        raise OSError(number, "as a write does, without a name")
    message = str(pickle.loads(pickle.dumps(caught.value)))
    assert message.startswith(f"{path} cannot be written: {os.strerror(number)}. ")
    assert message.endswith(", then run the same command again")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_error_of_a_file_that_is_read_meanwhile_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "missing").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(UnwritableError, match=r"/folder.* cannot be written: "):
        write_text(tmp_path / "folder" / "a.txt", "x")


def test_what_a_pipe_takes_in_pieces_is_written_whole():
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        write_whole(write, b"x" * (1 << 20))  # no room for all of it: an error, not a short write
    assert len(os.read(read, 1 << 20)) > 0
    os.close(read)
    os.close(write)
