"""States in parts: what comes again from checkpoint to checkpoint, above all the messages of a growing list, is stored once.

A state becomes a manifest, JSON like it, in which large parts are named by their SHA-256:

    {"$wflo.json": digest}           any value, as JSON
    {"$wflo.list": [digest, ...]}    a list, in chunks of CHUNK items, each packed JSON

The chunks of a list that only grows stay what they are, so its manifest grows by a digest every CHUNK items. A part that
itself has such a key is stored whole, so that nothing of a state can be taken for a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import orjson

CHUNK = 16
WHOLE_FROM_BYTES = 200  # as JSON; smaller parts stay in the manifest
DEPTH_MAX = 8  # below it a part is stored as it is
_JSON, _LIST, _PREFIX = "$wflo.json", "$wflo.list", "$wflo."

Parts = dict[bytes, bytes]  # digest -> JSON


def pack(state: Any) -> tuple[Any, Parts]:
    """The manifest, and the parts it names. Raises TypeError for what is no JSON."""
    parts: Parts = {}
    return _packed(state, parts, 0), parts


def unpack(manifest: Any, parts: Mapping[bytes, bytes]) -> Any:
    """The state. Raises KeyError for a part that is not there."""
    if isinstance(manifest, list):
        return [unpack(item, parts) for item in manifest]
    if not isinstance(manifest, dict):
        return manifest
    if len(manifest) == 1:
        ((name, value),) = manifest.items()
        if name == _JSON:
            return orjson.loads(parts[bytes.fromhex(value)])
        if name == _LIST:
            chunks = (orjson.loads(parts[bytes.fromhex(digest)]) for digest in value)
            return [unpack(item, parts) for chunk in chunks for item in chunk]
    return {name: unpack(value, parts) for name, value in manifest.items()}


def names(manifest: Any, load: Callable[[list[bytes]], Parts]) -> Parts:
    """All parts a manifest needs, loaded level by level: chunks name further parts."""
    found: Parts = {}
    wanted = _named(manifest)
    while wanted:
        loaded = load(sorted(wanted))
        found |= loaded
        chunks = [orjson.loads(loaded[digest]) for digest, is_chunk in wanted.items() if is_chunk and digest in loaded]
        wanted = {digest: kind for digest, kind in _named(chunks).items() if digest not in found}
    return found


def _packed(value: Any, parts: Parts, depth: int) -> Any:
    if isinstance(value, dict):
        if any(name.startswith(_PREFIX) for name in value) or depth >= DEPTH_MAX:
            return _whole(value, parts)
        return {name: _packed(inner, parts, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return _packed_list(value, parts, depth)
    if isinstance(value, str) and len(value) >= WHOLE_FROM_BYTES:
        return _whole(value, parts)
    return value


def _packed_list(value: list[Any], parts: Parts, depth: int) -> Any:
    items = [_item(item, parts) for item in value]
    if len(items) <= CHUNK:
        return items
    digests = [_stored(orjson.dumps(items[place : place + CHUNK]), parts) for place in range(0, len(items), CHUNK)]
    return {_LIST: digests}


def _item(item: Any, parts: Parts) -> Any:
    """One of a list: stored by itself where it is worth it, and whole, since it is what comes again."""
    if isinstance(item, dict | list | str):
        raw = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        if len(raw) >= WHOLE_FROM_BYTES or (isinstance(item, dict) and any(_PREFIX in name for name in item)):
            return {_JSON: _stored(raw, parts)}
        if isinstance(item, list | dict) and _PREFIX.encode() in raw:
            return {_JSON: _stored(raw, parts)}
    return item


def _whole(value: Any, parts: Parts) -> Any:
    return {_JSON: _stored(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), parts)}


def _stored(raw: bytes, parts: Parts) -> str:
    digest = sha256(raw).digest()
    parts[digest] = raw
    return digest.hex()


def _named(manifest: Any) -> dict[bytes, bool]:
    """digest -> whether it is a chunk, of all that the manifest names itself."""
    found: dict[bytes, bool] = {}
    pending = [manifest]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            if len(value) == 1 and _JSON in value:
                found[bytes.fromhex(value[_JSON])] = False
            elif len(value) == 1 and _LIST in value:
                found |= {bytes.fromhex(digest): True for digest in value[_LIST]}
            else:
                pending += value.values()
    return found
