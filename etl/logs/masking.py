"""Hides secrets, and characters that a terminal would obey, in every text that is shown.

``hide`` registers a secret. Tokens, passwords in URLs and private keys are recognised by their form.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote, unquote_plus

MASK = "***"
_SHORT = 6
_JWT = r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_LOOKS_SECRET = re.compile(f"{_JWT}|{_PRIVATE_KEY}", re.DOTALL)
# Up to the last @: this hides the whole password even with an unescaped / or @, at worst with the host.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*):(?!\d{1,5}(?:[/?#,\s]|$))\S+@")
_SCHEME = re.compile(r"[\w+.-]*:?/+")
_PASSWORD_PARAMETER = re.compile(r"(\w*password|passwd|pwd)\s*=(.*)", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]*\]|[^:/?#]*)(?::\d{1,5})?(?:[,/?#]|$)")
# C0 and C1 controls, line and paragraph separators, directions that reorder text, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_hidden: set[str] = set()
_hidden_pattern: re.Pattern[str] | None = None


def hide(secret: str) -> None:
    """Show ``secret`` as ``***`` from now on, also in its form in JSON, repr or a URL."""
    global _hidden_pattern  # noqa: PLW0603 - one process has one set of secrets
    if not secret.strip():
        return
    lines = [line for line in secret.splitlines() if len(line) >= _SHORT]
    for text in (secret, secret.strip(), *lines):
        _hidden.update((text, quote(text, safe=""), repr(text)[1:-1], json.dumps(text)[1:-1]))
    _hidden_pattern = re.compile("|".join(map(_exact, sorted(_hidden, key=len, reverse=True))))


def hide_passwords(url: str) -> None:
    """Hide the passwords of a URL from now on, both escaped and plain."""
    user_info = _SCHEME.sub("", url).rpartition("@")[0]
    written = [user_info.partition(":")[2]]
    for _, rest in _PASSWORD_PARAMETER.findall(url):
        written += [rest, rest.partition("&")[0]]
    for text in written:
        hide(text)
        hide(unquote(text))
        hide(unquote_plus(text))


def without_password(url: str) -> str:
    """Return a URL with ``***`` for its passwords; of a malformed one it hides more, never less."""
    if url.startswith("sqlite:///"):
        return url
    shown = _PASSWORD_PARAMETER.sub(rf"\1={MASK}", url)
    scheme, separator, rest = shown.partition("://")
    if not separator or ":" in scheme or "@" in scheme:
        return MASK if ":" in shown or "@" in shown else shown
    user_info, at, host = rest.rpartition("@")
    if at:
        user, colon, _ = user_info.partition(":")
        return f"{scheme}://{user}{f':{MASK}' if colon else ''}@{host}"
    if _HOST_AND_PORT.match(rest):
        return f"{scheme}://{rest}"
    return f"{scheme}://{rest.partition(':')[0]}:{MASK}"


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password."""
    return MASK in without_password(url)


def _exact(secret: str) -> str:
    # A very short secret is hidden only as a whole word, or no log would be readable.
    escaped = re.escape(secret)
    return escaped if len(secret) >= _SHORT else rf"(?<!\w){escaped}(?!\w)"


def redact(text: str) -> str:
    """Return the text with ``***`` for every hidden secret, token, private key and URL password."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(MASK, text)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", _LOOKS_SECRET.sub(MASK, text))


def clean(text: str, keep: str = "") -> str:
    """Return the text with escapes for characters that move a terminal's cursor or forge a line."""
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
