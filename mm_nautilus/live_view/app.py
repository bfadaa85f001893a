"""The live page's routes, and what every request has to pass before it reaches one."""

import asyncio
import json
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from mm_nautilus.live_view.access import Access
from mm_nautilus.live_view.document import ACCOUNT_FIGURES, DAY_COLUMNS, FILL_COLUMNS, SYMBOL_FIGURES
from mm_nautilus.live_view.publisher import Publisher
from mm_nautilus.report.html import digest, html, source, templates
from mm_nautilus.risk.kill_switch import HaltOrder, KillSwitch

_FROM_WHERE: Final = "the live page"
_FROM_PAGE: Final = "must come from the page itself, or have the token in a header\n"
_SCRIPTS: Final = ("live.js", "live_charts.js", "live_connection.js")
_LARGEST_BODY: Final = 4_096
_REFUSAL_SECONDS: Final = 0.5
"""How long a wrong token waits for its answer; one at a time."""
_MOST_REFUSED: Final = 8
"""Wrong tokens that may wait; more would take the connections of those who know the right one."""
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_CLOSED: Final = "default-src 'none'; frame-ancestors 'none'"


class Page(NamedTuple):
    """A page's text, and the policy to send with it: its own script and style, requests to where it came from."""

    html: str
    policy: str


def live_page(name: str, *, can_halt: bool) -> Page:
    """Return the live page of a run, with or without halt and resume buttons; the server sends what it shows."""
    tables = {
        "account": ACCOUNT_FIGURES,
        "day": DAY_COLUMNS,
        "symbol": SYMBOL_FIGURES,
        "fill": FILL_COLUMNS,
    }
    labels = {table: [label._asdict() for label in found] for table, found in tables.items()}
    return _page("live.html.jinja", *_SCRIPTS, name=name, can_halt=can_halt, labels=labels)


def _page(template: str, *script_names: str, **parts: Any) -> Page:
    environment = templates("mm_nautilus.live_view", "mm_nautilus.report")
    style = source(environment, "page.css", "live.css")
    script = source(environment, "theme.js", *script_names)
    policy = (
        f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = html(environment, template, style=style, scripts=[script], policy=policy, **parts)
    return Page(text, f"{policy}; frame-ancestors 'none'")


class LiveApp:
    """The page as an ASGI application.

    The sign-in says that the token is in `token_variable`. The cookie's name has the port, as browsers keep cookies by
    host alone. The halt and resume buttons work the kill switch; None leaves buttons and routes out.
    """

    def __init__(
        self,
        name: str,
        access: Access,
        *,
        token_variable: str,
        port: int,
        publisher: Publisher,
        kill_switch: KillSwitch | None,
    ) -> None:
        self._access, self._publisher, self._kill_switch = access, publisher, kill_switch
        self._cookie = f"mm_nautilus_{port}"
        self._refusing, self._refused = asyncio.Lock(), 0
        self._page = live_page(name, can_halt=kill_switch is not None)
        self._sign_in = _page("sign_in.html.jinja", "sign_in.js", token_variable=token_variable)
        routes = [
            Route("/", self._answer_page, methods=["GET"]),
            Route("/api/state", self._answer_state, methods=["GET"]),
            Route("/events", self._answer_events, methods=["GET"]),
            Route("/healthz", self._answer_health, methods=["GET"]),
        ]
        if access.token is not None:
            routes.append(Route("/sign-in", self._answer_sign_in, methods=["POST"]))
        if kill_switch is not None:
            routes.append(Route("/api/halt", self._answer_halt, methods=["POST"]))
            routes.append(Route("/api/resume", self._answer_resume, methods=["POST"]))
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        request = Request(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("content-security-policy", _CLOSED)
            await send(message)

        refusal = self._refusal(request)
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    # -- Access -----------------------------------------------------------------------------------------

    def _refusal(self, request: Request) -> Response | None:
        access = self._access
        if not access.is_host_allowed(request.headers.get("host")):
            return PlainTextResponse("this page answers only to localhost and loopback addresses\n", 421)
        if access.token is None or request.url.path == "/sign-in" or self._is_known(request):
            return None
        if request.url.path == "/":
            return _page_response(self._sign_in, 401)
        return PlainTextResponse("a token is needed\n", 401, {"www-authenticate": "Bearer"})

    def _is_known(self, request: Request) -> bool:
        access = self._access
        return access.is_bearer(request.headers.get("authorization")) or access.is_session(
            request.cookies.get(self._cookie)
        )

    def _is_from_page(self, request: Request) -> bool:
        """Return whether a request that changes something comes from the page itself, or from no browser at all."""
        origin, host = request.headers.get("origin"), request.headers.get("host")
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        if origin is None:
            return self._access.is_bearer(request.headers.get("authorization"))
        return self._access.is_same_origin(origin, host)

    # -- Answers ----------------------------------------------------------------------------------------

    async def _answer_page(self, _request: Request) -> Response:
        return _page_response(self._page)

    async def _answer_state(self, _request: Request) -> Response:
        return JSONResponse(self._publisher.document())

    async def _answer_health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _answer_events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(self._publisher.listen(), media_type="text/event-stream")

    async def _answer_sign_in(self, request: Request) -> Response:
        if request.headers.get("origin") is None or not self._is_from_page(request):
            return PlainTextResponse("sign in on the page itself\n", 403)
        token = (await _json_body(request) or {}).get("token")
        if not isinstance(token, str) or not self._access.is_token(token):
            return await self._refuse_token()
        response = Response(status_code=204)
        response.set_cookie(self._cookie, self._access.session, httponly=True, samesite="strict", path="/")
        return response

    async def _refuse_token(self) -> Response:
        if self._refused >= _MOST_REFUSED:
            return PlainTextResponse("wrong token, after too many wrong ones\n", 429)
        self._refused += 1
        try:
            async with self._refusing:
                await asyncio.sleep(_REFUSAL_SECONDS)
        finally:
            self._refused -= 1
        return PlainTextResponse("this is not the token\n", 401)

    async def _answer_halt(self, request: Request) -> Response:
        kill_switch = self._kill_switch
        if kill_switch is None or not self._is_from_page(request):
            return PlainTextResponse(f"a halt {_FROM_PAGE}", 403)
        flatten = (await _json_body(request) or {}).get("flatten")
        if not isinstance(flatten, bool):
            return PlainTextResponse('the body must be {"flatten": true} or {"flatten": false}\n', 400)
        try:
            await asyncio.to_thread(kill_switch.halt, HaltOrder(_FROM_WHERE, flatten))
        except OSError as error:
            return PlainTextResponse(f"{kill_switch.halt_path} cannot be written: {error.strerror}\n", 500)
        return JSONResponse(
            {"halt_file": str(kill_switch.halt_path), "reason": _FROM_WHERE, "flatten": flatten}
        )

    async def _answer_resume(self, request: Request) -> Response:
        """Clear every halt, if the symbols that are halted are those that the asker knows of."""
        kill_switch = self._kill_switch
        if kill_switch is None or not self._is_from_page(request):
            return PlainTextResponse(f"a resume {_FROM_PAGE}", 403)
        known, halted = (await _json_body(request) or {}).get("halted"), self._publisher.halted()
        if not isinstance(known, list) or not all(isinstance(symbol, str) for symbol in known):
            return PlainTextResponse('the body must be {"halted": [the halted symbols]}\n', 400)
        if not halted:
            return PlainTextResponse("nothing is halted\n", 409)
        if set(known) != set(halted):
            text = f"other symbols are halted by now, look again: {', '.join(halted)}\n"
            return PlainTextResponse(text, 409)
        try:
            await asyncio.to_thread(kill_switch.resume, _FROM_WHERE)
        except OSError as error:
            return PlainTextResponse(f"{kill_switch.resume_path} cannot be written: {error.strerror}\n", 500)
        return JSONResponse({"resume_file": str(kill_switch.resume_path), "halted": halted})


def _page_response(page: Page, status: int = 200) -> Response:
    return HTMLResponse(page.html, status, {"content-security-policy": page.policy})


async def _json_body(request: Request) -> dict[str, Any] | None:
    """Return a request's JSON object, None where it has none: another type of content can come from any site."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_BODY:
                return None
        given = json.loads(body)
    except (ClientDisconnect, ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None
