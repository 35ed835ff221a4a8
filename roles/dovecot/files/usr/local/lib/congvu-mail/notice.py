# SPDX-License-Identifier: Apache-2.0
"""Notices of the system in a mailbox, for the programs beside this file. They run as the mail user."""

import email.message
import email.policy
import email.utils
import subprocess


def put(sender: str, mailbox: str, subject: str, text: str, **headers: str) -> None:
    """Put a notice into the inbox of a mailbox (address or uid), past the user's Sieve scripts (no redirect or vacation reply of it) and
    its quota. subprocess.CalledProcessError with an exit status of sysexits.h when it could not be done.
    """
    message = email.message.EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit"))
    message["From"] = email.utils.formataddr(("Hệ thống thư điện tử công vụ", sender))
    message["To"] = mailbox if "@" in mailbox else "undisclosed-recipients:;"
    message["Subject"] = subject
    message["Date"] = email.utils.formatdate(localtime=True)
    message["Message-ID"] = email.utils.make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    for name, value in headers.items():
        message[name] = value
    message.set_content(text)
    deliver = ["/usr/lib/dovecot/dovecot-lda", "-d", mailbox, "-f", "", "-o", "quota_enforce=no", "-o", "sieve_enabled=no"]
    subprocess.run(deliver, input=bytes(message), check=True)
