"""Why a picture is not seen: one word for metrics, a sentence for people, and whether it is worth another try."""

from __future__ import annotations

from typing import Final

#: Reason → what it means. Each is a ``kind`` of streamrec_pictures_total.
REASONS: Final[dict[str, str]] = {
    "url": "no http or https address, or with credentials, without a host, or too long",
    "port": "a port that is not in pictures.ports",
    "private_address": "the host, or one it redirects to, has an address that is not public",
    "unresolved": "the host's name leads nowhere",
    "unreachable": "no connection, or it broke",
    "timeout": "not all there within pictures.total_timeout_s",
    "redirects": "more redirects than pictures.max_redirects, in a circle, without a target, or from https to http",
    "missing": "the server says 4xx: there is no such picture for us",
    "server": "the server says 5xx or 429",
    "answer": "no answer that a client can use: another status, compressed, or against the protocol",
    "type": "the server says that it is no JPEG, PNG, WebP or GIF",
    "lying_type": "its first bytes are not those of the type that the server says",
    "too_large": "more bytes than pictures.max_bytes",
    "too_many_pixels": "more pixels than pictures.max_pixels",
    "broken": "it cannot be decoded: cut off, or no picture",
    "base64": "an inline picture that is no base64",
}

#: What may be otherwise in a moment.
PASSING: Final = frozenset({"unresolved", "unreachable", "timeout", "server"})


class Refused(Exception):  # noqa: N818 - an outcome of looking at a picture, which no caller of the library meets
    """A picture is not seen; ``reason`` is one of ``REASONS``, ``detail`` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        assert reason in REASONS, reason
        super().__init__(f"{reason}: {REASONS[reason]}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail

    @property
    def passing(self) -> bool:
        """Whether another try may end otherwise."""
        return self.reason in PASSING
