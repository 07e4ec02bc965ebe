"""Reads pages of `keras-dqn report`, as a browser does."""

import html.parser
import json


class Page(html.parser.HTMLParser):
    """The parts of a page.

    Attributes:
        tags: List of `(tag, attributes)` of every element.
        texts: Dictionary from tags to the texts in elements of the tag.
        tables: List of tables: lists of rows, each a list of texts.
        marked: First cells of the rows that are marked.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.tables, self.marked = [], {}, [], []
        self._open = []
        self._is_marked = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
            self._is_marked = attributes.get("class") == "changed"
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass  # elements without an end, such as <meta>
        if tag == "tr" and self._is_marked:
            self.marked.append(self.tables[-1][-1][0])

    def handle_data(self, data):
        if self._open:
            self.texts[self._open[-1]][-1] += data
            if self._open[-1] in ("td", "th"):
                self.tables[-1][-1][-1] += data

    @property
    def charts(self):
        """The charts by their title."""
        charts = json.loads(self.texts["script"][0])
        return {chart["title"]: chart for chart in charts}

    def table_of(self, head):
        """The rows of the table with this first cell in its head, without the head."""
        [found] = [table for table in self.tables if table[0][0] == head]
        return found[1:]
