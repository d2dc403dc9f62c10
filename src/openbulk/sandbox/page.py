"""The plain web page that shows the data of a sandbox."""

from collections.abc import Iterable, Sequence
from html import escape

from aiohttp import web

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top }
th { background: #f5f5f5 } td { overflow-wrap: anywhere }
time { white-space: nowrap }
.note { color: #666 }
button { font: inherit; padding: .4rem 1.2rem; margin-right: .5rem }
input { font: inherit; padding: .3rem }
"""


class Time(str):
    """A time in a table: it stays on one line."""


def page(title: str, *sections: str, status: int = 200) -> web.Response:
    """A whole page."""
    head = (
        "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = f"<h1>{escape(title)}</h1>{''.join(sections)}"
    text = f"<!doctype html><html lang=en>{head}{body}"
    return web.Response(text=text, status=status, content_type="text/html")


def paragraph(text: str) -> str:
    """A note in grey."""
    return f"<p class=note>{escape(text)}</p>"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table under a heading, or a note if it has no rows."""
    heading = f"<h2>{escape(title)}</h2>"
    body = "".join(f"<tr>{_cells('td', row)}" for row in rows)
    if not body:
        return heading + paragraph("Nothing yet.")
    return f"{heading}<table><thead><tr>{_cells('th', columns)}<tbody>{body}</table>"


def _cells(tag: str, values: Iterable[object]) -> str:
    return "".join(f"<{tag}>{_cell_html(value)}" for value in values)


def _cell_html(value: object) -> str:
    text = escape(str(value))
    return f"<time>{text}</time>" if isinstance(value, Time) else text
