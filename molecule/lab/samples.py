# SPDX-License-Identifier: Apache-2.0
"""Files that a mail filter has to know: archives of every kind, with programs, with passwords. Built here, or small ones packed below."""

from __future__ import annotations

import base64
import io
import struct
import tarfile
import zipfile
import zlib

# The test virus and the test spam everybody uses; in pieces so that no scanner of this file takes them for the real thing.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
# What begins like a Windows program.
PROGRAM = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0d\x86" + bytes(300)


def zipped(*files: tuple[str, bytes], depth: int = 1) -> bytes:
    """A ZIP archive of (name, content) pairs; deeper: in an archive in an archive."""
    for _ in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        files = (("goi.zip", buffer.getvalue()),)
    return buffer.getvalue()


def tarred(name: str, content: bytes = b"x", form: int = tarfile.PAX_FORMAT, mode: str = "w:gz") -> bytes:
    """A tar archive of one file, by default compressed; `form` and `mode` as tarfile's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def locked_zip(name: str) -> bytes:
    """A ZIP archive that says of its member that it is encrypted."""
    data = bytearray(zipped((name, b"nothing to read here")))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def rar(name: str, content: bytes = b"x", locked: bool = False) -> bytes:
    """A RAR 4 archive of one stored file."""

    def block(kind: int, flags: int, body: bytes) -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head

    size, label = len(content), name.encode()
    file = struct.pack("<IIBIIBBHI", size, size, 2, zlib.crc32(content), 0x5A000000, 20, 0x30, len(label), 0x20) + label
    return (
        b"Rar!\x1a\x07\x00"
        + block(0x73, 0, bytes(6))
        + block(0x74, 0x8004 if locked else 0x8000, file)
        + content
        + block(0x7B, 0x4000, b"")
    )


def winmail(name: str, content: bytes = b"x", long_name: bool = False) -> bytes:
    """A winmail.dat (MS-OXTNEF) with one attachment; with `long_name` the name is a MAPI property and the title says nothing."""

    def attribute(level: int, tag: int, data: bytes) -> bytes:
        return struct.pack("<BII", level, tag, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    wide = (name + "\0").encode("utf-16-le")
    wide += bytes(-len(wide) % 4)
    properties = struct.pack("<IIII", 1, 0x3707001F, 1, len(wide)) + wide
    parts = [
        attribute(1, 0x00089006, struct.pack("<I", 0x00010000)),
        attribute(2, 0x00069002, bytes(14)),
        attribute(2, 0x00018010, (b"TEP.DAT" if long_name else name.encode()) + b"\0"),
        attribute(2, 0x0006800F, content),
        *([attribute(2, 0x00069005, properties)] if long_name else []),
    ]
    return struct.pack("<IH", 0x223E9F78, 1) + b"".join(parts)


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


# Made once with py7zr, pypdf and msoffcrypto-tool; the password is "pw". EXE_7Z holds setup.exe, PROGRAM_7Z the program as anh.jpg,
# BZIP2_7Z the test virus as a.txt, compressed with bzip2;
# OWNER_PDF may be read by everybody, only printing and changing it ask for a password.
EXE_7Z = _unpacked(
    "eNozr9qzXl2GgcV5lqZTEgMEiEBpC2O/bEYGhgqGBwwRDKGxDAyNxuzr+M++933DnH+jYO+juyd5VRI0/yRwtKxVPl1+9O2N+w08m/vMEzSOXbL8etr4deS14182T"
    "YlWr9b/wdti8jf4yRF3mWZW6W+qi0sSXk0oK/7XALJFnI2VkTOWgZ2bkYFRUZFRgieSgQEAp3YzVA=="
)
PROGRAM_7Z = _unpacked(
    "eNozr9qzXl2GgaVKxnRVKQMEiEDpw22KGQ8YCxlEYxnUptVI96y2Y67eu1RwVyOzc4qO9QUGhgcMIQwBsQwMjcbs6/jP38zfw38lK6726fW7HLaVFkv2r7JwT2Tbs"
    "mQfU0TEihtMs1LF6niF1Cv6jfnWX5ffc/JcS+oGQwlrrZVX1/P/v6yqoRr8gumO/AWQxeJssoycEQzs3IwMjIqKjBI8oQwMAJ3qNUE="
)
BZIP2_7Z = _unpacked(
    "eNozr9qzXl2GgUVJmidsBwMEiEDpe1ffnHWKyrA0dIxUC45sCzp9mYFBXq5BrYqtIT/1fiwDkwKDR1fmAoNmf49jyxdVtQRfyUhJudhyyOTLlXsa+2UmdHAGtL9md+T5"
    "PXnWotlnnhwTelZ2civjIr1VPO83azCfj5KcIPD9x+5JmodaWoymxc1gZPBgZGFjYOTMZmDnZmRgZGZhYuJxYeDgYrQ5H5jBwMDKKMkMdJUgL0Migx5DCUMFEAMdy8XI"
    "UNA6J+d51V1GUTZGBoWGhkagsDhbNiOnL8QgRUVGCR5PBgYAzOdENw=="
)
LOCKED_7Z = _unpacked(
    "eNozr9qzXl2GgcV1Rt/BSgYIEIHSjdf2nmKXVo/8LJ27XVNn4qvE17dEGBlSGFnYGBg5BbgYdeMesDGwczMyMKmwfWRnFArmt3H59a2VS7vGRv9TldIxTlNFRUYJR"
    "gYeLjYGDi7Gpy8WxTAwsDIK8jIkMugxlDBUADHQNi5GBobX7zQ6q+4yirIxMig0NDQChcXZBBg5M8HGM4KM4UllYAAAZG8l1Q=="
)
LOCKED_PDF = _unpacked(
    "eNqNU01vHDcMvc+v0MXHZkh9C1gYSO1doGgDG3abS5GDJJLOFs6OMR4XSf9kD/0H7R8pZ5O6i7iHDmYAieJ7FN88nl1f7r7BV244+/Ov3/8Y0ICZ2i/DZjOM1/NET"
    "51ns8GC1JyDzLXULN6zR2DsLN2G2lIkdBkInB6Qr4SC7AvaEGolDnI+nJ8PfKCV2Z5U+PHTA5vxut7x4zBeTE+HxeAwfr+nR/Oz8Zp4Y96dQN0L6EVd6v10N3zmMC"
    "v3zQnA/2etYbzhx+lp7orQE00f3zDt67fTRy0Lr+D4Jbu+71bqmfViX3OHE+63JiipicP4Ax/ulvfGBl1fG2+LLzHZYodxt79fVMvxdqkHqjMN45XZuFyaE9+LNGm"
    "55GKTVEsWmi2BMPZeGhQL2ReowJ7FU2ksISZGaxtgI1A8Uo8M3CtkKqkiYXbosWprP5kNhwLWu5CpCXVhm52vEHyL2FqLIbZUtUztESX0bqUFX0K1URJzrj1kRWaX"
    "MtoYCwfuEVKO4LAmYEla5WK3SqnN0ZfV66fl/fbXVbjxcupXD3xYk96Y8fX29q17FsrZVdL1F9wuH3bmM8G6mf/dXG3NJmVO4tCFipJBO4ssenWKWaKnXHqn1Ej7R"
    "EAPklksko3saoyuIa1CKA2kHkvzUISgskPbXO+hdkX1htEX6YFV3ES9MyJ3rlKyJL9KX0pXmmueP6hvcuQEov72ohchB5RRJWkFpFRI4dTyH2eWAdQe8PyYGIILRs"
    "xzDNVQx5PDcwzRvYypKb+OWYsvYu4Uu8x1f8/z0au3+994derNNC3GHU09fneQyeCX9aUOwUZLo/VCzrJFl1zMaqtYqEawOQmc/58UHZ7toc+fHhYT/pmex6XOy1G"
    "QHPNwdra92g1/A3lmLuw="
)
OWNER_PDF = _unpacked(
    "eNqNUs1uEzEQvvspfMmR+v9PiiKV/EgIqkQJ9IJ6mLXHaVDYjTYb1PKSHHgDeBG8aUmjhgPWeuUZz/fN+JsZLCazN+JKkcGv3z9+EkE5baovZDgkbNE26RCxpUPuN"
    "EaegdvoK2+idjxZBzklaTSamCFXVQBEk8FKhRxiEFWygMroGPOIjEYE69Qzy7MMHx93SNkC1rgnbNwc6o4Kwt5v0p5+proELundGVRdQMfQwbZZkycO2nMvzwD6n7"
    "kIW+K+ObSxIMpNCWc3mDbwtnkoafkVP24n+++up26xFPaa25xx31JdSPvfB6zX3T0V0hcg1TLoYJ0MkrDZZtsVLdmqgzpBmwib06GxNoN3ClGp6IKLSVWB65wgZS8"
    "0ZFA65QDKZ4tJiyp4jTLaBBLAZlNK/0SH6Bx4KXUwDkFlDhiFlCUIU+SotfRVLm1Cjc540MJqzottcy4tFdwXlvGsl6IUl55P14fufvqtfzibNHG+w7oPuqHserq6"
    "lS8Ptb0kvYSr7uuMPhH0RnsyXiR7aDETTi3hp0WtMcrQTE8+UYQ93tQnnxDq0lea89onpbjwqXNs18Jmi+2xZ6vNdyylsGXTdFQdm8ve1bmh4vk8KcMw5Mk7HoPmo"
    "L0VQTquQFdRVq6fd+dG/xNShmhax/Zx11Hzd4r2HbTdURArORkMpvMZ+QMfl+1W"
)
LOCKED_DOCX = _unpacked(
    "eNrtV+ly2lYUvniL7W5OlzR101Sjv5lY7IsHnAqQEMY4xBiM+VUhBAi0IYlFdPoCfYs8Qt+i/9oX6Ez7ILV7JAQGbKfISafL+Gg+Xd17dc93z3KP4JefH/72+sfd3"
    "9GCHKBVdHG5hTZmxjyAlUlnZ9y3cHF5eTkZvryX/5T8AbDitwqxW3NiacX8AWDT6V/cu+l/K5PzuzoT68X4b0P7HuB9wAeADwEfjUsAegj4GPAJ4FPAZ4BHgM8Bjw"
    "FfAHYBXwKeAL4CPAV87ei+l39WTpACl4EwRCEZWg2ZyI08QuvTmr99yzs76Fvqh9Gvnkm7jpzkArFYOZtVBXYe1VEBsTDSgXsT+n8lOHyRZu1Zhn8Lxiqe8dwGSgO"
    "TASjCDixmHuku7H8MX8AJ99qS9s/OlYFPA0YBoiAj97KDVjxu7bfGjpy569bnoVWX5t8Ffqt2rDvf/mX4rd8Q6q38WfBDA7yxnDxBHtv+B3Ys3fu/aOe85fvmQi6O"
    "I3J9f/MSvIP/rTz5xpk7BT4WeHTbZg1J7u2f5t/m32D/9f0t2u+Z2r91B/4NOO8acEnA4rb2IPvb497/Vq7+hG6qP2Ob3UTgKfCvOL+D3dSf1+voXyFxQB7s5uws0"
    "AEN8MMeStmesDJfgNaqUXs3VsrJfwDPHfk3nbWtGR3YEt8F/zs4u7P8/juehYqz3qqn3yEarhgiUQBaL9yfoxAKgy4anoLw5LPHkrCzNMxYsySM+8DbPhjxogjsw3"
    "rve3TsIi7L7vW2WK29Rf6swWXVsviLoSRifV7TBUVO4L49L47xMqfUBbmZwEun9PMojukGK9dZUZH5BG7yOv7iYDsOL2mmasAqDDTIegJvGYa6TxA61+IlVt+TBE5"
    "TdKVh7HGKRCiNhsDxhN/rDRNXS/Hx2n3VxeoOb1JjBYpGqKyuDxStPlHE3VURx2uGAHOsweMH2xhIHObTrMFiOisaRWEEtvvCOFYTFa5z1YWXkoIB1vtD0Guxems8"
    "Fw7itpapcILa4jVSbCqaYLSkBE5SRdwZTbVYQbYdPnnKK3U+lUyNNc4sKjJkyOfH7T2VWbEHTFmhVjmN9sNEmaxUiFzBpGgqNUgkcIxwDKmDFVnZ4JugxMQc7/N1R"
    "mK5HG8mcEoPRE4VJffMiGTS5WieUHvJzijEkvJhP9SIUpovFmyPim2qmmkr/UgxUI76vVWZrgXFsEgmh70MXa29OtOyRzGWHIi50FG4UCOtHcxxOfvVDKoQOFZ7Rt"
    "6fyrD941LV7OXDyXo20G+b5TATqBZNQTCTpfNGlO2wosQo2R70ZIYOVo6rZeYslRuGtEH0qGR6B12lkB/R9Jy9s4HVD6ZhmBvHeprw1kl3MBfiuLo/tRf8iumqIKe"
    "UnmxApngtwV2k0nzyLMhcmr3bzHoj70zWsf58is4GXhJDKcMyLS1dUQon8zEv8xqcKF5jgCgrQ8ATeKAwbAyr5xlJPGv2+ZpBntAkb616I+2NGp19GJ3q4CTF94xQ"
    "M+LrDgq+htRIBUakrytkh3RSehmOlbhz+VBpFyNBRtW8pSpj6KWwn9ePBnVB6hRpUTjve5lu7FDMxIoFjpLZV3N2QCwdsmY6xPa7o377xDc4Y9udHN0qDCtUlOj6z"
    "33V4NnhM4NgGKJa8VNX6WinxlwCOWlKLORpfKYwHmyje7mX2+VPfEEaIQ=="
)
