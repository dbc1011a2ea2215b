"""A page as a tree of elements, for tests that ask what is on it."""

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Node:
    """An element: its name, attributes, and what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.inside: list[Node | str] = []

    def __getitem__(self, name: str) -> str:
        """The attribute, which must be there."""
        value = self.attributes[name]
        assert value is not None
        return value

    def all(self, tag: str, **attributes: str) -> list["Node"]:
        """The elements in it of this name that have these attributes."""
        return [node for node in self.walk() if node.tag == tag and attributes.items() <= node.attributes.items()]

    def walk(self) -> Iterator["Node"]:
        """Every element in it, in the order of the document."""
        for child in self.inside:
            if isinstance(child, Node):
                yield child
                yield from child.walk()

    @property
    def text(self) -> str:
        """What is read out: blanks as one, without what is hidden from readers."""
        return " ".join("".join(self._words()).split())

    def _words(self) -> Iterator[str]:
        for child in self.inside:
            if isinstance(child, str):
                yield child
            elif child.attributes.get("aria-hidden") != "true":
                yield from child._words()
                yield " " if child.tag in {"dt", "dd"} else ""


class Tree(HTMLParser):
    """Reads strictly: whatever is opened is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.declarations: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [self.root]

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {self.get_starttag_text()}"
        node = Node(tag, dict(attrs))
        self.open[-1].inside.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)
