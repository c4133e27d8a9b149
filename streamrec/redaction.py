"""No secret leaves the process: what is printed, logged or shown passes through here."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, MutableMapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
#: Names of fields and settings whose values are secret, whoever gave them the name: ours, librdkafka's, a library's.
SECRET_NAMES: Final = re.compile(
    r"passw|passphrase|secret|token(?!izer|s\b|[._]endpoint|_url)|credential|api_?key|jaas|\.pem$|private", re.IGNORECASE
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class Redact:
    """Masks credentials: fields whose names say so, users and passwords in URLs, and ``secrets`` wherever they stand.

    A secret is found in the ways in which texts hold it: as it is, quoted in a URL, escaped in JSON or in Python's ``repr``.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._secrets = sorted(spelled, key=len, reverse=True)  # one secret may be a part of another

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the event with everything secret replaced by three stars; a structlog processor."""
        for name, value in event.items():
            event[name] = MASK if SECRET_NAMES.search(name) else self.value(value)
        return event

    def value(self, value: Any) -> Any:
        """Return a value without secrets: containers inside out, objects by the text that would be printed."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: MASK if SECRET_NAMES.search(str(name)) else self.value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        shown = str(value)  # an exception or an object of somebody's: a log prints it by its text
        masked = self.text(shown)
        return value if masked == shown else masked

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _CREDENTIALS.sub(MASK, text)


def _spellings(secret: str) -> Iterator[str]:
    if secret:
        yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
        yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        yield from (repr(secret)[1:-1], repr(secret.encode())[2:-1])
