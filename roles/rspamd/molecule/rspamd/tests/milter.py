"""A mail server's side of the milter protocol (Sendmail's libmilter, version 6): it says who sends what and tells what becomes of it."""

from __future__ import annotations

import dataclasses
import email
import email.message
import email.policy
import socket
import struct
import uuid


@dataclasses.dataclass
class Decision:
    """What the milter decided."""

    code: int  # 250, or that of the refusal
    text: str  # of the refusal
    message: bytes  # with the headers that the milter took away and added

    def headers(self, name: str) -> list[str]:
        """All values of a header, unfolded."""
        parsed = email.message_from_bytes(self.message, policy=email.policy.compat32)
        return [" ".join(value.split()) for value in parsed.get_all(name, [])]


def decide(
    address: tuple[str, int],
    message: bytes,
    sender: str | None = None,
    rcpts: tuple[str, ...] = ("an@example.gov.vn",),
    ip: str = "10.201.0.1",
    user: str | None = None,
) -> Decision:
    """Offer a message (CRLF lines) as if it came from `ip`, of the logged-in `user` if any; the decision.

    The default: the host that may send for outside.example, and a sender nobody knows, for the greylist remembers them."""
    sender = f"{uuid.uuid4()}@outside.example" if sender is None else sender
    with socket.create_connection(address, 60) as connection:
        connection.settimeout(60)
        stream = connection.makefile("rwb")

        def say(command: bytes, data: bytes = b"") -> None:
            stream.write(struct.pack(">I", len(data) + 1) + command + data)
            stream.flush()

        def hear() -> tuple[bytes, bytes]:
            size = struct.unpack(">I", stream.read(4))[0]
            data = stream.read(size)
            return data[:1], data[1:]

        # Each step's command, and the flag by which the milter says that it will not answer it (mfdef.h: SMFIP_NR_*).
        unanswered = {b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000, b"N": 0x40000, b"B": 0x80000}
        answer = (b"c", b"")

        def step(command: bytes, data: bytes = b"") -> None:
            nonlocal answer
            if answer[0] == b"c":
                say(command, data)
                if not unanswered.get(command, 0) & flags:
                    answer = hear()

        def macros(stage: bytes, **values: str) -> None:
            say(b"D", stage + b"".join(f"{name}\0{value}\0".encode() for name, value in values.items()))

        say(b"O", struct.pack(">III", 6, 0x1FF, sum(unanswered.values())))
        flags = struct.unpack(">III", hear()[1][:12])[2]
        macros(b"C", **{"j": "rspamd.lab.test", "{daemon_name}": "ORIGINATING"})
        step(b"C", b"client.outside.example\0" + b"4" + struct.pack(">H", 4025) + ip.encode() + b"\0")
        step(b"H", b"client.outside.example\0")
        macros(b"M", **({"{auth_authen}": user, "{auth_type}": "PLAIN"} if user else {"i": "4TEST"}))
        step(b"M", f"<{sender}>\0".encode())
        for rcpt in rcpts:
            step(b"R", f"<{rcpt}>\0".encode())
        head, _, body = message.partition(b"\r\n\r\n")
        lines = head.replace(b"\r\n\t", b"\n\t").replace(b"\r\n ", b"\n ").split(b"\r\n")
        headers = [[name, value.removeprefix(b" ")] for name, value in (line.split(b":", 1) for line in lines)]
        for name, value in headers:
            step(b"L", name + b"\0" + value + b"\0")
        step(b"N")
        for start in range(0, len(body), 65535):
            step(b"B", body[start : start + 65535])
        if answer[0] == b"c":
            say(b"E")
            answer = hear()
        code, text = 250, ""
        while answer[0] not in (b"a", b"c", b"r", b"t", b"y"):
            kind, data = answer
            if kind in (b"h", b"i", b"m"):
                index = 0 if kind == b"h" else struct.unpack(">I", data[:4])[0]
                name, value = (data if kind == b"h" else data[4:]).split(b"\0")[:2]
                if kind == b"h":
                    headers.append([name, value])
                elif kind == b"i":
                    headers.insert(index, [name, value])
                else:
                    places = [n for n, header in enumerate(headers) if header[0].lower() == name.lower()]
                    for place in places[index - 1 : index]:
                        headers[place][1] = value
                    headers = [header for header in headers if header[1] or header[0].lower() != name.lower()]
            answer = hear()
        if answer[0] == b"y":
            code, text = int(answer[1][:3]), answer[1][4:].rstrip(b"\0").decode()
        elif answer[0] in b"rt":
            code = 554 if answer[0] == b"r" else 451
        say(b"Q")
    lines = [name + b": " + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for name, value in headers]
    return Decision(code, text, b"\r\n".join(lines) + b"\r\n\r\n" + body)
