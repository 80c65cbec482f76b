"""A mail server for the tests of notifications: TLS is required, and a login.

Arguments: logging.getLogger("mail").setLevel(logging.ERROR)
certificate, key, user, password, file for what arrives (a JSON line for each attempt, with what it was
answered), and how many mails are refused for now. Prints its port, ends when its standard input does.
"""

import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key, user, password, inbox, refused = sys.argv[1:]
left_to_refuse = int(refused)


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        global left_to_refuse
        answer = "250 taken"
        if left_to_refuse > 0:
            left_to_refuse -= 1
            answer = "451 not now"
        mail = {
            "answer": answer,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data.login.decode(),
            "encrypted": session.ssl is not None,
            "text": envelope.content.decode(),
        }
        with open(inbox, "a", encoding="utf-8") as file:
            file.write(json.dumps(mail) + "\n")
        return answer


def authenticate(server, session, envelope, mechanism, auth_data):
    right = (auth_data.login, auth_data.password) == (user.encode(), password.encode())
    return AuthResult(success=right, auth_data=auth_data)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    make = lambda: SMTP(
        Inbox(),
        hostname="localhost",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
