"""A cache of prefixes (chip and prior, encoded): the next question about a chip starts at its prompt."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from fusar_gpt.engine.engine import DecodeRequest
from fusar_gpt.model.decoding import Prefix


def prefix_key(request: DecodeRequest, checkpoint_hash: str) -> bytes:
    """SHA-256 of everything that decides a prefix: the chip's pixels, its prior and the checkpoint."""
    digest = hashlib.sha256(checkpoint_hash.encode())
    for array in (request.image, request.values, request.positions):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


class PrefixCache:
    """An LRU cache limited in bytes; thread-safe.

    The newest prefix is kept whatever its size, since questions about one chip follow each other.
    """

    def __init__(self, budget: int) -> None:
        if budget < 0:
            raise ValueError(f"the cache's budget must be at least 0 bytes, not {budget}")
        self._budget = budget
        self._kept: OrderedDict[bytes, Prefix] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes of all prefixes kept."""
        return self._nbytes

    def get(self, key: bytes) -> Prefix | None:
        """The prefix, which becomes the newest, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: bytes, prefix: Prefix) -> None:
        """Keep a prefix; drop the oldest ones until the budget holds."""
        with self._lock:
            self._drop(key)
            self._kept[key] = prefix
            self._nbytes += prefix.nbytes
            while self._nbytes > self._budget and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Drop all prefixes."""
        with self._lock:
            self._kept.clear()
            self._nbytes = 0

    def _drop(self, key: bytes) -> None:
        old = self._kept.pop(key, None)
        self._nbytes -= old.nbytes if old else 0
