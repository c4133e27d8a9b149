"""What a snapshot says of itself: what it is of, up to where in Kafka, and the size and checksum of each of its files."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from streamrec.errors import SnapshotError

#: How a snapshot's folder is laid out.
FORMAT: Final = 1
NAME: Final = "manifest.json"
#: What a torn snapshot means for whoever reads the message.
READ_INSTEAD: Final = "the next older one or the topics are read instead; nothing is lost"
_CHUNK: Final = 1 << 22
#: CRC-32 runs at 2.7 GB/s on one core (measured), and without the interpreter's lock.
_THREADS: Final = 2


class FileNote(msgspec.Struct, frozen=True, array_like=True):
    """Bytes and CRC-32 of one file."""

    size: int
    crc32: int


class TopicNote(msgspec.Struct, frozen=True):
    """A topic by the id that it got when it was made, and per partition the offset after the last record that counts."""

    id: str
    next_offsets: dict[int, int]


class Manifest(msgspec.Struct, frozen=True):
    """Times in ms since the epoch; ``files`` names each file relative to the folder."""

    #: The version of what the files hold.
    state: int
    made_at: int
    model_digest: str
    dim: int
    #: Settings that numbers in the files depend on.
    made_with: dict[str, str]
    #: Kafka's id of the cluster.
    cluster: str
    topics: dict[str, TopicNote]
    files: dict[str, FileNote] = {}

    @property
    def next_offsets(self) -> dict[tuple[str, int], int]:
        """Per topic and partition, where reading goes on."""
        return {(topic, number): offset for topic, note in self.topics.items() for number, offset in note.next_offsets.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(note.size for note in self.files.values())


class _Sealed(msgspec.Struct):
    """A manifest as it stands in its file: of another format nothing but the number is understood."""

    format: int
    crc32: int = -1
    manifest: msgspec.Raw = msgspec.Raw(b"")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it beside the files and sync both."""
    said = msgspec.json.encode(manifest)
    path = folder / NAME
    path.write_bytes(msgspec.json.encode(_Sealed(FORMAT, zlib.crc32(said), msgspec.Raw(said))))
    sync(path)


def read_manifest(folder: Path) -> Manifest:
    """Return what a snapshot says of itself. Raises SnapshotError (torn, format)."""
    try:
        sealed = msgspec.json.decode((folder / NAME).read_bytes(), type=_Sealed)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _torn(folder, f"its {NAME} cannot be read ({error})") from error
    if sealed.format != FORMAT:
        msg = f"{folder} has format {sealed.format}, this version reads {FORMAT}; {READ_INSTEAD}"
        raise SnapshotError("format", msg)
    if zlib.crc32(sealed.manifest) != sealed.crc32:
        raise _torn(folder, f"its {NAME} has another checksum than it says")
    try:
        return msgspec.json.decode(sealed.manifest, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _torn(folder, f"its {NAME} cannot be read ({error})") from error


def note_files(folder: Path) -> dict[str, FileNote]:
    """Sync every file below ``folder`` and return their notes; by one thread, as a forked child must."""
    notes = {}
    for path in _files(folder):
        sync(path)
        notes[str(path.relative_to(folder))] = _note(path)
    return notes


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raise SnapshotError (torn) unless exactly the files of the manifest are there, whole."""
    try:
        there = {str(path.relative_to(folder)) for path in _files(folder)} - {NAME}
        if there != manifest.files.keys():
            raise _torn(folder, f"files are missing or too many: {', '.join(sorted(there ^ manifest.files.keys()))}")
        # Sizes first: a file that was cut is told without reading the others.
        cut = [name for name, note in manifest.files.items() if (folder / name).stat().st_size != note.size]
        with ThreadPoolExecutor(_THREADS) as pool:
            notes = (
                {} if cut else dict(zip(manifest.files, pool.map(lambda name: _note(folder / name), manifest.files), strict=True))
            )
    except OSError as error:
        raise _torn(folder, f"a file cannot be read ({error})") from error
    bad = cut or [name for name, note in manifest.files.items() if notes[name] != note]
    if bad:
        raise _torn(folder, f"these files are not what was written: {', '.join(sorted(bad))}")


def sync(path: Path) -> None:
    """Have the disk hold a file or a folder before anything that comes after it."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _note(path: Path) -> FileNote:
    size = crc = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return FileNote(size, crc)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _torn(folder: Path, what: str) -> SnapshotError:
    return SnapshotError("torn", f"{folder} is torn: {what}; {READ_INSTEAD}")
