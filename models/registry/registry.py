"""The registry: a folder with one file for each version of each line of models.

``<folder>/<name>/<version, eight digits>.json`` holds one line of JSON: the SHA-256 of the snapshot's bytes, then the
snapshot. A file is written beside its place, flushed to the disk and renamed, so that it is there whole or not at all.
Nothing in it is executed. The graph of a model of kind ``onnx`` stands beside as ``<name>/<SHA-256>.onnx``, and is
parsed by nobody before it is known to have that hash.

What a line learns with that has no form but River's own is kept beside, as ``<version>.checkpoint``, of the latest
version only. That is a pickle: it is given to nobody unless it has the SHA-256 that the version's file names. Whoever
can write both can have the learner execute what they like: it is a folder for the learner and those who train models.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from models.kinds.table import KINDS
from models.learning.training import Snapshot
from services.contract.announcement import ModelAnnouncement
from services.contract.codec import RecordInvalid, decode, encode
from services.contract.errors import TocsinError
from services.contract.fields import NAME_PATTERN
from services.contract.identity import hash_of
from services.runtime.files import write_durably
from services.scorer.path.scoring.model import ModelRefused, Scoring

_VERSION = re.compile(r"^(\d{8})\.json$")
_CHECKPOINT = ".checkpoint"
_NAME = re.compile(NAME_PATTERN)
_NAME_IS = "a name is letters, digits, dots, dashes and underscores, 64 at most"


class RegistryError(TocsinError, RuntimeError):
    """A version cannot be read, or would be replaced by another one. The message names the file."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    sha256: str
    snapshot: msgspec.Raw
    checkpoint: str = ""
    """SHA-256 of the checkpoint beside it; empty where there is none."""


class Registry:
    """Snapshots on disk, by name and version. ``folder`` is made when the first is saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, version: int) -> Path:
        """Where a version is, or would be.

        Raises
        ------
        RegistryError
            When ``name`` is no name, and might lead out of the folder. So does every method that takes one.
        """
        return self._line(name) / f"{version:08d}.json"

    def _line(self, name: str) -> Path:
        if not _NAME.match(name):
            raise RegistryError(f"{name!r}: {_NAME_IS}")
        return self.folder / name

    def names(self) -> list[str]:
        """The lines that have a version, in alphabetical order."""
        folders = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted(each.name for each in folders if _NAME.match(each.name) and self.versions(each.name))

    def versions(self, name: str) -> list[int]:
        """The versions of a line, ascending."""
        line = self._line(name)
        found = line.iterdir() if line.is_dir() else iter(())
        return sorted(int(match.group(1)) for match in (_VERSION.match(file.name) for file in found) if match)

    def latest(self, name: str) -> Snapshot | None:
        """The highest version of a line; ``None`` when it has none.

        Raises
        ------
        RegistryError
            As ``load``. An older version is never taken in its stead.
        """
        versions = self.versions(name)
        return self.load(name, versions[-1]) if versions else None

    def named(self, model: str) -> Snapshot:
        """The version that ``name/version`` names; the latest of a line that is named alone.

        Raises
        ------
        RegistryError
            When there is none, or as ``load``.
        """
        line, _, version = model.rpartition("/")
        name, number = (line, int(version)) if line and version.isdecimal() else (model, None)
        versions = self.versions(name)
        if number not in (*versions, None) or not versions:
            raise RegistryError(f"{self.folder}: has no model {model}; `tocsin model list` shows those it has")
        return self.load(name, versions[-1] if number is None else number)

    def load(self, name: str, version: int) -> Snapshot:
        """One version, checked against the hashes it carries.

        Raises
        ------
        RegistryError
            When the file is missing, is not as it was written, or is not what its name says.
        """
        path = self.path(name, version)
        file = _read(path)
        try:
            snapshot = decode(bytes(file.snapshot), Snapshot)
        except RecordInvalid as error:
            raise RegistryError(f"{path}: not a snapshot: {error}") from error
        said = snapshot.announcement
        if (said.name, said.version) != (name, version):
            raise RegistryError(f"{path}: holds version {said.version} of {said.name}")
        try:
            KINDS[said.kind].check(said, lambda: self._graph(said))
        except ModelRefused as error:
            raise RegistryError(f"{path}: {error}") from error
        return snapshot

    def scoring(self, said: ModelAnnouncement, feature_schema_hash: str) -> Scoring:
        """What scores as ``said`` announces: the model that the announcement carries, or a graph of this registry.

        Raises
        ------
        ModelRefused
            When it cannot be used, or its graph is not here.
        """
        return KINDS[said.kind].scoring(said, lambda: self._graph(said), feature_schema_hash)

    def save_graph(self, name: str, data: bytes) -> None:
        """Put the graph of a model of the line ``name`` under its hash, before the snapshot that names it."""
        path = self._graph_path(name, hash_of(data))
        if not path.exists() or path.read_bytes() != data:
            write_durably(path, data)

    def files(self, said: ModelAnnouncement) -> list[Path]:
        """Where a version and all that it cannot score without stand: its own file, and a graph's."""
        graph = [] if said.onnx is None else [self._graph_path(said.name, said.onnx.sha256)]
        return [self.path(said.name, said.version), *graph]

    def _graph(self, said: ModelAnnouncement) -> bytes:
        if said.onnx is None:
            return b""
        try:
            return self._graph_path(said.name, said.onnx.sha256).read_bytes()
        except OSError as error:
            raise ModelRefused(f"its graph {said.onnx.sha256[:12]} cannot be read: {error.strerror}") from error
        except RegistryError as error:  # it repeats the name, which may be anything that somebody announced
            raise ModelRefused(f"its name is none of a line: {_NAME_IS}") from error

    def _graph_path(self, name: str, sha256: str) -> Path:
        return self._line(name) / f"{sha256}.onnx"

    def checkpoint(self, name: str, version: int) -> bytes | None:
        """What was saved beside a version; ``None`` where that is gone, or is not what the version's file names.

        Raises
        ------
        RegistryError
            When the version's file is missing or is not as it was written.
        """
        path = self.path(name, version)
        expected = _read(path).checkpoint
        try:
            data = path.with_suffix(_CHECKPOINT).read_bytes()
        except OSError:
            return None
        return data if hash_of(data) == expected else None

    def save(self, snapshot: Snapshot, checkpoint: bytes = b"") -> Path:
        """Write a version so that it survives a crash of the machine. To write the same again changes nothing, but that
        a checkpoint takes the place of the one before.

        Raises
        ------
        RegistryError
            When the version is there with other content: a version is never replaced.
        """
        path = self.path(snapshot.announcement.name, snapshot.announcement.version)
        content = encode(snapshot)
        sha256 = hash_of(content)
        if path.exists():
            if _read(path).sha256 != sha256:
                raise RegistryError(f"{path}: is there already, with other content")
            if not checkpoint:
                return path
        if checkpoint:
            write_durably(path.with_suffix(_CHECKPOINT), checkpoint)
        write_durably(
            path, encode(_File(sha256, msgspec.Raw(content), hash_of(checkpoint) if checkpoint else "")) + b"\n"
        )
        for earlier in path.parent.glob(f"*{_CHECKPOINT}"):
            if earlier.stem < path.stem:
                earlier.unlink()
        return path


def _read(path: Path) -> _File:
    """A version's file, whose snapshot has the hash that it was written with.

    Raises
    ------
    RegistryError
        When it is missing or is not as it was written.
    """
    try:
        file = decode(path.read_bytes(), _File)
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}") from error
    except RecordInvalid as error:
        raise RegistryError(f"{path}: not a snapshot: {error}") from error
    if hash_of(bytes(file.snapshot)) != file.sha256:
        raise RegistryError(f"{path}: its content does not have the SHA-256 it was written with")
    return file
