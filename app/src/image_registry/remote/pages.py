"""Lists of other registries come in pages; each says where the next one is."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from image_registry.remote.wire import Answer


def next_page(answer: Answer) -> str:
    """The query of the next page; of the address only that, so that it leads nowhere else."""
    target, _, rest = answer.headers.get("link", "").partition(">")
    if not target.startswith("<") or 'rel="next"' not in rest.replace("rel=next", 'rel="next"'):
        return ""
    query = urlsplit(urljoin(answer.url, target[1:])).query
    return f"?{urlencode(parse_qsl(query))}" if query else ""
