"""The host is lost: an empty one, site.yml, restore.yml, site.yml, and it is the same server: mail, directory, database, keys."""

import subprocess

from demo import Demo
from mail import compose
from webmail import podman

REPOSITORY = "/srv/backup"


def everything(system):
    """Checksums of all that a server has beyond its configuration."""
    suffix = "dc=" + ",dc=".join(system.domain.split("."))
    tree = "cd {} && find . -type f ! -name 'dovecot*' -printf '%M %u:%g %p ' -exec sha256sum {{}} ';' | sort"
    parts = {
        "mail": tree.format("/srv/mail"),
        # Without what every login writes: services log in again as soon as they run.
        "directory": f"slapcat -b {suffix} | grep -vE '^(pwdLastSuccess|entryCSN|contextCSN|modifiersName|modifyTimestamp):'",
        # Each dump has a new random word in two lines; whoever asks for a page gets a session, site.yml too.
        "database": "runuser -u postgres -- pg_dump --exclude-table-data=session roundcube | grep -v '^.restrict\\|^.unrestrict'",
        "DKIM keys": tree.format("/var/lib/rspamd/dkim"),
        "certificates": tree.format("/etc/congvu-mail/tls"),
        "CA": tree.format("/etc/congvu-mail/ca"),
    }
    found = {name: system.run("sh", "-c", command) for name, command in parts.items()}
    assert all(found.values()), {name: len(text) for name, text in found.items()}
    return found


def done(result):
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-3000:]
    return result.stdout


def test_a_lost_host_comes_back(system, sender, receiver, tmp_path):
    message = compose(sender["address"], receiver["address"], "Trước khi mất máy", attachments=[("Công văn.txt", "Số 12\n".encode())])
    system.send(message, sender["address"], [receiver["address"]], account=sender)
    system.wait_for(receiver, message["Message-ID"])
    row = f"insert into users (username, mail_host) values ('truoc-khi-mat@{system.domain}', '{system.name}') on conflict do nothing"
    system.run("runuser", "-u", "postgres", "--", "psql", "-qd", "roundcube", "-c", row)
    assert "TỐT" in done(system.playbook("playbooks/backup.yml"))
    before = everything(system)
    # Stands for a store elsewhere: all that is left of the server.
    store = tmp_path / "backup.tar"
    with store.open("wb") as file:
        subprocess.run([*system.access["host_command"], "tar", "-C", REPOSITORY, "-c", "."], stdout=file, check=True)

    demo = Demo(system.access["province"])
    podman("stop", demo.host)
    demo.lab("down", demo.host)
    assert demo.lab("up", demo.host, demo.fqdn, "", system.address) == system.address
    assert system.run("ls", "/srv/mail", "/etc/postfix", check=False) == ""

    done(system.playbook("playbooks/site.yml"))
    with store.open("rb") as file:
        subprocess.run([*system.access["host_command"], "tar", "-C", REPOSITORY, "-x"], stdin=file, check=True)
    assert "trùng khớp" in done(system.playbook("playbooks/restore.yml", "-e", "what=all", "-e", "confirm=all"))
    done(system.playbook("playbooks/site.yml"))

    after = everything(system)
    assert [name for name in before if after[name] != before[name]] == []
    got = system.find(receiver, message["Message-ID"])
    assert got["Subject"] == "Trước khi mất máy"
    assert [part.get_filename() for part in got.iter_attachments()] == ["Công văn.txt"]
    fresh = compose(sender["address"], receiver["address"], "Sau khi phục hồi")
    system.send(fresh, sender["address"], [receiver["address"]], account=sender)
    system.wait_for(receiver, fresh["Message-ID"])
