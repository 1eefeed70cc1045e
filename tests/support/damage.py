"""Kinds of damage to the files of a finished run, most of them to its journal."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ZEROS = bytes(4096)
GARBAGE = b"\x93\xff\x00PAR0\r\n{\xfe" * 40

Damage = Callable[[Path], None]
"""Damages the files of a run; the argument is a journal's folder, or a file."""


@dataclass(frozen=True)
class Kind:
    """One kind of damage, and what the next run does about it.

    Attributes:
        damage: Does it.
        refusal: Part of the sentence with which the run is refused; empty if it succeeds.
        warning: Part of what the run writes.
        in_status: Part of what the status command writes before the run.
        params: Further parameters of the run.
        as_user: Whether file permissions must hold, also for root.
    """

    damage: Damage
    refusal: str = ""
    warning: str = ""
    in_status: str = ""
    params: str = ""
    as_user: bool = False


def shards(journal: Path) -> list[Path]:
    return sorted(path for path in journal.glob("shard-*.jsonl") if path.is_file())


def seal(fields: Mapping[str, Any]) -> bytes:
    """Return a journal line with its checksum."""
    return _seal(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()[:-1])


def _seal(body: bytes) -> bytes:
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def _first(change: Callable[[bytes], bytes]) -> Damage:
    """Return the damage of the first shard as a whole."""

    def damage(journal: Path) -> None:
        path = shards(journal)[0]
        path.write_bytes(change(path.read_bytes()))

    return damage


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Damage:
    """Return the damage of the first shard's lines; the first one is its header."""
    return _first(lambda content: b"".join(change(content.splitlines(keepends=True))))


def _header(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Damage:
    return _lines(lambda lines: [_resealed(lines[0], change), *lines[1:]])


def entry(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Damage:
    """Return the damage of the last line of the first shard, whose checksum is right again."""
    return _lines(lambda lines: [*lines[:-1], _resealed(lines[-1], change)])


def _resealed(line: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    fields = json.loads(line)
    del fields["crc"]
    return seal(change(fields))


def _payload(change: Callable[[Any], Any]) -> Damage:
    return entry(lambda fields: {**fields, "payload": change(fields["payload"])})


def _without(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda fields: {name: value for name, value in fields.items() if name not in names}


def _zeros_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(200) + content[middle + 200 :]


def _shard_of_another_corpus(journal: Path) -> None:
    lines = shards(journal)[0].read_bytes().splitlines(keepends=True)
    foreign = [
        _resealed(line, lambda f: {**f, "clip": f"foreign_{f['clip']}"}) for line in lines[1:]
    ]
    (journal / "shard-0000-elsewhere-1-1.jsonl").write_bytes(b"".join([lines[0], *foreign]))


def _copy_of_a_shard(journal: Path) -> None:
    path = shards(journal)[0]
    shutil.copy(path, path.with_name(f"{path.stem}-copy.jsonl"))


def _one_shard_lost(journal: Path) -> None:
    shards(journal)[0].unlink()


def _every_shard_lost(journal: Path) -> None:
    for path in shards(journal):
        path.unlink()


def _unreadable_shard(journal: Path) -> None:
    shards(journal)[0].chmod(0)


def _read_only(journal: Path) -> None:
    _one_shard_lost(journal)
    for path in (*journal.iterdir(), journal):
        path.chmod(path.stat().st_mode & ~0o222)


def _lock_is_a_folder(journal: Path) -> None:
    lock = journal / "run.lock"
    lock.unlink()
    lock.mkdir()


def _stale_lock(journal: Path) -> None:
    holder = {"host": "elsewhere", "pid": 1, "since": "2001-01-01 00:00:00", "command": "kedro"}
    (journal / "run.lock").write_text(json.dumps(holder))


def write(name: str, content: bytes) -> Damage:
    """Return the damage that replaces a file of a journal's folder."""

    def damage(journal: Path) -> None:
        path = journal / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return damage


def in_place_of(name: str, make: Callable[[Path], object]) -> Damage:
    """Return the damage that makes something else under the name of a file."""

    def damage(journal: Path) -> None:
        path = journal / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        make(path)

    return damage


def all_of(*damages: Damage) -> Damage:
    def damage(journal: Path) -> None:
        for one in damages:
            one(journal)

    return damage


_LINES = "lines of the journal"
_FORMAT = "and this version reads format 1"

JOURNAL: dict[str, Kind] = {
    "zeros in the middle": Kind(_first(_zeros_in_the_middle), warning=_LINES),
    "zeros at the end": Kind(_first(lambda content: content + ZEROS)),
    "zeros at the end and a newline": Kind(
        _first(lambda content: content + ZEROS + b"\n"), warning=_LINES
    ),
    "nothing but zeros": Kind(_first(lambda content: bytes(len(content)))),
    "wrong checksum": Kind(
        _lines(lambda lines: [*lines[:-1], lines[-1].replace(b'"clip":"', b'"clip":"x')]),
        warning=_LINES,
    ),
    "torn last line": Kind(_first(lambda content: content[:-40])),
    "last line without its newline": Kind(_first(lambda content: content[:-1])),
    "duplicated lines": Kind(_lines(lambda lines: [*lines, *lines[1:]])),
    "copy of a shard": Kind(_copy_of_a_shard),
    "format 2, same keys": Kind(
        _header(lambda f: {**f, "journal": 2}), refusal=_FORMAT, in_status=_FORMAT
    ),
    "format 2, other keys": Kind(
        _lines(lambda lines: [b'{"journal":2,"engine":{"name":"x"}}\n', *lines[1:]]),
        refusal=_FORMAT,
        in_status=_FORMAT,
    ),
    "format 2, other keys, sealed": Kind(
        _lines(lambda lines: [seal({"journal": 2, "engine": "x"}), *lines[1:]]),
        refusal=_FORMAT,
        in_status=_FORMAT,
    ),
    "header missing": Kind(_lines(lambda lines: lines[1:]), warning="(the header"),
    "header damaged": Kind(
        _lines(lambda lines: [lines[0].replace(b"scoring", b"sc0ring"), *lines[1:]]),
        warning="(the header",
    ),
    "header without its fingerprint": Kind(_header(_without("fingerprint")), warning="(the header"),
    "header without its scoring": Kind(_header(_without("scoring")), warning="(the header"),
    "shard of another corpus": Kind(_shard_of_another_corpus),
    "payload without a key": Kind(_payload(lambda p: dict(list(p.items())[1:])), warning=_LINES),
    "payload with other types": Kind(_payload(lambda p: dict.fromkeys(p, "text")), warning=_LINES),
    "payload that is a list": Kind(_payload(lambda p: [1, 2]), warning=_LINES),
    "payload that is not JSON": Kind(
        _lines(
            lambda lines: [*lines[:-1], _seal(lines[-1].split(b'"payload"')[0] + b'"payload":{]')]
        ),
        warning=_LINES,
    ),
    "entry without its payload": Kind(entry(_without("payload")), warning=_LINES),
    "entry without its clip": Kind(entry(_without("clip")), warning=_LINES),
    "entry without its status": Kind(entry(_without("status")), warning=_LINES),
    "entry with another status": Kind(entry(lambda f: {**f, "status": "new"}), warning=_LINES),
    "entry with a text for its time": Kind(entry(lambda f: {**f, "at": "now"}), warning=_LINES),
    "CR LF": Kind(_first(lambda content: content.replace(b"\n", b"\r\n"))),
    "BOM and CR LF": Kind(
        _first(lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    ),
    "UTF-16": Kind(
        _first(lambda content: content.decode().encode("utf-16")), warning="(the header"
    ),
    "empty shard": Kind(_first(lambda content: b"")),
    "shard of garbage": Kind(_first(lambda content: GARBAGE), warning=_LINES),
    "folder named like a shard": Kind(
        lambda journal: (journal / "shard-0000-x.jsonl").mkdir(), warning="(not a file)"
    ),
    "pipe named like a shard": Kind(
        lambda journal: os.mkfifo(journal / "shard-0000-x.jsonl"), warning="(not a file)"
    ),
    "dangling link named like a shard": Kind(
        lambda journal: (journal / "shard-0000-x.jsonl").symlink_to("nowhere"),
        warning="(not a file)",
    ),
    "unreadable shard": Kind(
        _unreadable_shard, refusal="cannot be read: Permission denied", as_user=True
    ),
    "read-only journal": Kind(_read_only, refusal="cannot be written", as_user=True),
    "one shard lost": Kind(_one_shard_lost),
    "every shard lost": Kind(_every_shard_lost),
    "journal lost": Kind(shutil.rmtree),
    "run.json empty": Kind(write("run.json", b""), in_status="run.json cannot be read"),
    "run.json a list": Kind(write("run.json", b"[1, 2]\n"), in_status="run.json cannot be read"),
    "run.json binary": Kind(write("run.json", GARBAGE), in_status="run.json cannot be read"),
    "run.json without its keys": Kind(
        write("run.json", b'{"due": 3}\n'), in_status="run.json cannot be read"
    ),
    "plan garbage": Kind(write("run/plan.json", GARBAGE)),
    "start marks garbage": Kind(write("run/started_0000.json", GARBAGE)),
    "start mark of another form": Kind(
        write("run/started_0000.json", b'{"run": 1, "clip": 2, "files": 3}\n')
    ),
    "run folder lost": Kind(lambda journal: shutil.rmtree(journal / "run")),
    "run folder is a file": Kind(
        in_place_of("run", lambda path: path.write_bytes(b"")), refusal="/run"
    ),
    "stale lock of another host": Kind(_stale_lock),
    "lock of garbage": Kind(write("run.lock", GARBAGE)),
    "lock is a folder": Kind(_lock_is_a_folder, refusal="run.lock cannot be written"),
}
"""Damage to a journal that every clip-wise pipeline has."""
