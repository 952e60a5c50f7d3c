"""A mail server with STARTTLS and AUTH (aiosmtpd), for the tests of flota.

It listens on a loopback port chosen by the kernel and tells what happens, one JSON object per line:
{"port": ...} once, {"heard": ...} for a command, {"login": ..., "accepted": ...}, {"mail": {...}}.
It ends when its standard input does.
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl
import sys
from pathlib import Path

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import MISSING, AuthResult, LoginPassword


def tell(**what):
    print(json.dumps(what), flush=True)


def text_of(message, kind):
    part = message.get_body((kind,))
    return part.get_content() if part else None


class Handler:
    """Tells of every command that could carry something of a message, and keeps no mail."""

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        tell(heard="EHLO", tls=session.ssl is not None)
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        tell(heard="MAIL", tls=session.ssl is not None)
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_AUTH(self, server, session, envelope, words):
        tell(heard="AUTH", tls=session.ssl is not None)
        return MISSING

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        tell(mail={
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": session.auth_data.login.decode() if session.auth_data else None,
            "tls": session.ssl["cipher"][1] if session.ssl else None,
            "headers": {name: str(message[name]) for name in ("From", "To", "Subject", "Message-ID")},
            "text": text_of(message, "plain"),
            "html": text_of(message, "html"),
            "defects": [str(defect) for part in message.walk() for defect in part.defects],
        })
        return "250 2.0.0 kept"


def authenticator(user, password):
    expected = LoginPassword(user.encode(), password.encode())

    def judge(server, session, envelope, mechanism, given):
        accepted = given == expected
        tell(login=given.login.decode(), mechanism=mechanism, accepted=accepted)
        return AuthResult(success=accepted, handled=False, auth_data=given)

    return judge


def protection(arguments):
    if arguments.without_tls:
        return {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = Path(arguments.certificates)
    context.load_cert_chain(folder / "localhost.pem", folder / "localhost.key.pem")
    return {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticator(arguments.user, arguments.password),
    }


def main():
    parser = argparse.ArgumentParser()
    for name in ("--user", "--password", "--certificates"):
        parser.add_argument(name, required=True)
    parser.add_argument("--without-tls", action="store_true")
    arguments = parser.parse_args()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    controller = UnthreadedController(
        Handler(), hostname="127.0.0.1", port=0, loop=loop, server_hostname="localhost", **protection(arguments)
    )
    controller.begin()
    tell(port=controller.server.sockets[0].getsockname()[1])
    loop.add_reader(sys.stdin, lambda: sys.stdin.buffer.read1() or loop.stop())
    loop.run_forever()
    controller.end()


main()
