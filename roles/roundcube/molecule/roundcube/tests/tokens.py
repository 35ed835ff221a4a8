"""Runs on the webmail's host: tokens.py USER PERSON APPLICATION PROTOCOL...: what each protocol answers to USER with a token of PERSON.

The token is one that the provider gives to APPLICATION; of "unsigned" one made by hand, of "ended" one whose session is over, of
"token=X" X. Without a protocol: the token.
"""

import base64
import concurrent.futures
import html
import http.cookiejar
import imaplib
import json
import re
import smtplib
import socket
import ssl
import sys
import urllib.parse
import urllib.request

PROVIDER, MAIL, ADDRESS = "https://sso.lab.test/oauth2", "mail.lab.test", "@lab.test"
REDIRECTS = {"webmail": "https://mail.lab.test/index.php/login/oauth", "portal": "https://portal.lab.test/callback"}
SECRETS = {"webmail": "bi-mat-1", "portal": "portal-secret"}
CONTEXT = ssl.create_default_context(cafile="/etc/congvu-mail/tls/ca.crt")


class Arrived(Exception):
    """The provider sends the browser back to the application."""


class Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, url):
        if url.startswith(tuple(REDIRECTS.values())):
            raise Arrived(url)
        return super().redirect_request(request, file, code, message, headers, url)


def token_of(person: str, application: str) -> tuple[str, urllib.request.OpenerDirector]:
    """Log in at the provider as a browser does; the access token that the application gets for it, and the browser."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=CONTEXT), cookies, Redirects())
    asked = {
        "response_type": "code",
        "client_id": application,
        "scope": "openid email",
        "redirect_uri": REDIRECTS[application],
        "state": "x",
    }
    form = opener.open(f"{PROVIDER}/authorize?{urllib.parse.urlencode(asked)}")
    hidden = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form.read().decode())
    fields = {name: html.unescape(value) for name, value in hidden} | {"user": person, "password": f"tinh-{person}"}
    try:
        opener.open(form.geturl(), urllib.parse.urlencode(fields).encode())
    except Arrived as arrived:
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(arrived.args[0]).query)["code"][0]
    claim = {"code": code, "client_id": application, "client_secret": SECRETS[application], "redirect_uri": REDIRECTS[application]}
    answer = opener.open(f"{PROVIDER}/token", urllib.parse.urlencode(claim | {"grant_type": "authorization_code"}).encode())
    return json.load(answer)["access_token"], opener


def made_by_hand(user: str) -> str:
    parts = ({"alg": "none"}, {"iss": "https://sso.lab.test", "aud": "webmail", "client_id": "webmail", "sub": user, "active": True})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), ""])


def imap(initial: bytes) -> str:
    session = imaplib.IMAP4_SSL(MAIL, ssl_context=CONTEXT)
    try:
        kind, said = session.authenticate("XOAUTH2", lambda challenge: b"" if challenge else initial)
    except imaplib.IMAP4.error as error:
        return f"NO {error}"
    return f"{kind} {said[0].decode()}"


def submission(initial: bytes) -> str:
    session = smtplib.SMTP(MAIL, 587)
    session.starttls(context=CONTEXT)
    session.ehlo()
    code, said = session.docmd("AUTH", f"XOAUTH2 {base64.b64encode(initial).decode()}")
    if code == 334:
        code, said = session.docmd("")
    return f"{code} {said.decode()}"


def sieve(initial: bytes) -> str:
    def answer() -> str:
        while True:
            line = stream.readline().decode().strip()
            if not line or line.startswith(("OK", "NO", "BYE")):
                return line
            if line.startswith("{") or line.startswith('"ey'):
                connection.sendall(b'""\r\n')

    connection = socket.create_connection((MAIL, 4190))
    stream = connection.makefile("rb")
    answer()
    connection.sendall(b"STARTTLS\r\n")
    answer()
    connection = CONTEXT.wrap_socket(connection, server_hostname=MAIL)
    stream = connection.makefile("rb")
    answer()
    connection.sendall(f'AUTHENTICATE "XOAUTH2" "{base64.b64encode(initial).decode()}"\r\n'.encode())
    return answer()


user, person, application, *protocols = sys.argv[1:]
if person == "unsigned":
    token = made_by_hand(user)
elif person.startswith("token="):
    token = person.removeprefix("token=")
else:
    token, browser = token_of("nguyenvanan" if person == "ended" else person, application)
    if person == "ended":
        browser.open("https://sso.lab.test/?logout=1").read()
initial = f"user={user}\1auth=Bearer {token}\1\1".encode()
# All at the same time: Dovecot answers wrong ones ever later.
with concurrent.futures.ThreadPoolExecutor() as pool:
    answers = pool.map(lambda protocol: {"imap": imap, "submission": submission, "sieve": sieve}[protocol](initial), protocols)
print(json.dumps(dict(zip(protocols, answers, strict=True)) or token))
