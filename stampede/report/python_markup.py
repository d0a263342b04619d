"""Python source as HTML with light syntax colours, for the script of a run."""

import io
import itertools
import keyword
import tokenize
from collections.abc import Iterator

from markupsafe import Markup, escape

STRINGS = {tokenize.STRING, tokenize.FSTRING_START, tokenize.FSTRING_MIDDLE, tokenize.FSTRING_END}
DEFINING = {"def", "class"}


def highlight(source: str) -> Markup:
    """The source, escaped, with spans of class c (comment), s (string), n (number), k (keyword), d (defined name).

    Source that is not valid Python is escaped, and plain from the first error on.
    """
    starts = [0, *itertools.accumulate(len(line) for line in source.splitlines(keepends=True))]
    parts: list[Markup] = []
    done = 0
    try:
        for kind, token in _kinds(source):
            start = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            if start < done or end <= start:
                continue
            parts.append(escape(source[done:start]))
            parts.append(Markup('<span class="{}">{}</span>').format(kind, source[start:end]))
            done = end
    except (tokenize.TokenError, SyntaxError, IndexError):
        pass  # the rest stays plain
    parts.append(escape(source[done:]))
    return Markup().join(parts)


def _kinds(source: str) -> Iterator[tuple[str, tokenize.TokenInfo]]:
    """The tokens that have a colour, each with its kind."""
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield "c", token
        elif token.type in STRINGS:
            yield "s", token
        elif token.type == tokenize.NUMBER:
            yield "n", token
        elif token.type == tokenize.NAME and keyword.iskeyword(token.string):
            yield "k", token
        elif token.type == tokenize.NAME and previous in DEFINING:
            yield "d", token
        if token.type == tokenize.NAME:
            previous = token.string
