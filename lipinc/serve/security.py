"""Who may use the server: requests with its token, from its own pages, in a browser on this machine.

Other users of the machine reach the port, and so do the pages of the web that run in a browser on it. The token keeps
both out; the `Host` header stops a site whose name was pointed to this machine (DNS rebinding), and the `Origin` header
stops requests that other pages send on behalf of the user (cross-site request forgery).

Browsers send a cookie to all ports of a host, so other servers on this machine could collect it. It is limited to a
path that they do not know.
"""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",  # one request per connection: nobody holds an idle one, or sends on after a refusal
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every response."""
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every response that sets none of its own."""
LOCKED = "This page needs its token: open the address that lipinc serve printed in its terminal."


class Guard:
    """ASGI middleware that lets only authorised requests through and secures every response."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """
        Args:
            app: the application.
            token: the secret of this server.
            port: the port that it listens on.
        """
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self._hosts |= {"127.0.0.1", "localhost"}
        self._cookie = f"lipinc-{port}"
        self._home = f"/{secrets.token_urlsafe(16)}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            await send(message)

        response = self._refusal(Request(scope))
        # The paths of the application are those below the home.
        await (response or self._app)({**scope, "root_path": self._home[:-1]}, receive, send_secured)

    def _refusal(self, request: Request) -> Response | None:
        """Return the response to a request that may not pass; None if it may."""
        host = request.headers.get("host", "").lower()
        if host not in self._hosts:
            return PlainTextResponse("This server answers to 127.0.0.1 and localhost only.", 421)
        if request.method not in ("GET", "HEAD") and request.headers.get("origin") != f"http://{host}":
            return PlainTextResponse("This request does not come from the page of this server.", 403)
        if self._is_token(request.cookies.get(self._cookie)):
            return None if request.url.path.startswith(self._home) else PlainTextResponse("Not Found", 404)
        if request.method == "GET" and self._is_token(request.query_params.get("token")):
            response = RedirectResponse(self._home, 303)  # the address bar must not show the token
            response.set_cookie(self._cookie, self._token.decode(), path=self._home, httponly=True, samesite="strict")
            return response
        return PlainTextResponse(LOCKED, 403)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self._token)
