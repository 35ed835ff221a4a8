"""Data to lose: two mailboxes with entries, mail in folders, a table, a key."""

import os
import pathlib
import random
import subprocess

MAIL = pathlib.Path("/srv/mail")
random.seed(4711)
subprocess.run(["groupadd", "--gid", "5000", "vmail"], check=True)
subprocess.run(["useradd", "--uid", "5000", "--gid", "5000", "--no-create-home", "--home-dir", "/srv/mail", "vmail"], check=True)
ldif = ""
for number, name in ((1, "an.nv"), (2, "binh.tt")):
    uid = f"00000000-0000-4000-8000-{number:012d}"
    ldif += f"""dn: uid={uid},ou=mailboxes,dc=lab,dc=test
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
objectClass: congvuMailbox
cn: Nguyễn Văn An {number}
sn: Nguyễn
congvuCode: cb{number}
congvuKind: person
congvuClass: user
congvuState: active
congvuDelivery: TRUE
congvuLogin: TRUE
congvuQuota: 1073741824
mail: {name}@lab.test
mailLocalAddress: {name}@lab.test
mailLocalAddress: cu.{name}@lab.test
userPassword: mat-khau-{number}

"""
    for folder in ("", ".C&APQ-ng v&AQM-n", ".Sent"):
        box = MAIL / uid / "Maildir" / folder
        for part in ("cur", "new", "tmp"):
            (box / part).mkdir(parents=True, mode=0o700)
        (box / "dovecot-uidlist").write_text("3 V1 N21\n", encoding="ascii")
        for message in range(20):
            body = os.urandom(random.randrange(200, 20000)).hex()
            flags = ":2,S" if message % 2 else ""
            path = box / ("cur" if flags else "new") / f"17{message:08d}.M{message}P1.lab,S={len(body)}{flags}"
            path.write_text(f"Subject: thư {message}\nMessage-ID: <{uid}-{folder}-{message}@lab>\n\n{body}\n", encoding="utf-8")
    (MAIL / uid / "Maildir" / "dovecot.index.log").write_text("rebuilt", encoding="ascii")
MAIL.chmod(0o700)
subprocess.run(["chown", "-R", "vmail:vmail", str(MAIL)], check=True)
subprocess.run(["ldapadd", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///"], input=ldif.encode(), check=True)

dkim = pathlib.Path("/var/lib/rspamd/dkim")
dkim.mkdir(parents=True)
(dkim / "lab.test.cv2026.key").write_text("khóa bí mật\n", encoding="utf-8")
(dkim / "lab.test.cv2026.key").chmod(0o600)

sql = "create table users (id int primary key, name text); insert into users select n, 'người dùng ' || n from generate_series(1, 50) n;"
subprocess.run(["runuser", "-u", "postgres", "--", "createdb", "webmail"], check=True)
subprocess.run(["runuser", "-u", "postgres", "--", "psql", "-qd", "webmail", "-c", sql], check=True)
