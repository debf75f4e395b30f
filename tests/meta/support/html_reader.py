"""Pages as a browser's parser sees them, and a text that tries to break out of one."""

from html.parser import HTMLParser

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=y>\u202e\x1b[31m\x00 \"'&"


class Reader(HTMLParser):
    """Collects tags, links and all text of a page."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text += data


def read(html: str) -> Reader:
    """The page as a browser's parser sees it."""
    reader = Reader()
    reader.feed(html)
    return reader
