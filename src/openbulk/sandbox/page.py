"""The plain web page on which a sandbox shows what it holds."""

from collections.abc import Iterable, Sequence
from html import escape

from aiohttp import web

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
th { background: #f5f5f5 } td { overflow-wrap: anywhere } .note { color: #666 }
button { font: inherit; padding: .4rem 1.2rem; margin-right: .5rem } input { font: inherit; padding: .3rem }
"""


def page(title: str, *sections: str) -> web.Response:
    """A whole page."""
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(title)}</title>"
    body = f"<h1>{escape(title)}</h1>{''.join(sections)}"
    return web.Response(
        text=f"<!doctype html><html lang=en>{head}<style>{_STYLE}</style>{body}", content_type="text/html"
    )


def paragraph(text: str) -> str:
    """A note in grey."""
    return f"<p class=note>{escape(text)}</p>"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table under a heading; it says so where it has no rows."""
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}' for cell in row)}" for row in rows)
    head = "".join(f"<th>{escape(column)}" for column in columns)
    content = f"<table><thead><tr>{head}<tbody>{body}</table>" if body else paragraph("Nothing yet.")
    return f"<h2>{escape(title)}</h2>{content}"
