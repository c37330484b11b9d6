"""
SHA-256 and its HMAC, loaded when they are first asked for (R2, P1).

Holds: `sha256` and `hmac_sha256`. Imports: nothing of the package. Loading
OpenSSL takes a twentieth of the time of `import autopay_core`, and who only
builds schedules needs none of it.
"""

from __future__ import annotations

__all__ = ["hmac_sha256", "sha256"]


def sha256(text: str) -> str:
    """Return the SHA-256 of *text* in UTF-8, in hexadecimal."""
    import hashlib  # noqa: PLC0415 - see above

    return hashlib.sha256(text.encode()).hexdigest()


def hmac_sha256(secret: bytes, text: str) -> str:
    """Return the HMAC with SHA-256 of *text* in UTF-8, in Base32."""
    import base64  # noqa: PLC0415 - see above
    import hmac  # noqa: PLC0415

    digest = hmac.digest(secret, text.encode(), "sha256")
    return base64.b32encode(digest).decode("ascii")
