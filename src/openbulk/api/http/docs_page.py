"""`/docs`: the OpenAPI document as a page.

This server also serves its script and styles, so it needs no internet.
"""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from openbulk.api.http.openapi import document_of
from openbulk.domain.errors import NotFound

router = APIRouter(include_in_schema=False)

_SWAGGER_UI = Path(str(files("fastapi_offline") / "static"))
_FILES = {
    "swagger-ui.css": _SWAGGER_UI / "swagger-ui.css",
    "swagger-ui.js": _SWAGGER_UI / "swagger-ui-bundle.js",
    "page.css": Path(__file__).parent / "page" / "page.css",
    "page.js": Path(__file__).parent / "page" / "page.js",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>openbulk API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/page.css">
</head>
<body>
<main id="document">
<noscript>The document is at <a href="openapi.json">openapi.json</a>.</noscript>
</main>
<script src="docs/swagger-ui.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
# People type secrets into this page, so it may run only what this server sends, and call only this
# server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
}
_FILE_HEADERS = {"cache-control": "max-age=3600"}


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """The document."""
    return JSONResponse(await document_of(request.app))


@router.get("/docs")
async def page() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    """A script or a style of the page."""
    if name not in _FILES:
        raise NotFound(f"there is no file {name!r}; the page is at /docs")
    return FileResponse(_FILES[name], headers=_FILE_HEADERS)
