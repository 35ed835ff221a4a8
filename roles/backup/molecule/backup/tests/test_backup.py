"""What is lost comes back byte for byte, what is there is not replaced unasked, and a backup that fails is seen."""

import json
import shlex

import pytest
from testing import ROOT, play, said

AN = "00000000-0000-4000-8000-000000000001"
BINH = "00000000-0000-4000-8000-000000000002"
TOOL = "/usr/local/lib/congvu-mail/backup"


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """An inventory that puts the host into the groups of a deployment."""
    path = tmp_path_factory.mktemp("inventory") / "groups.yml"
    names = ("directory", "filter", "mta", "mda", "webmail", "database", "backup_hosts")
    text = "all:\n  children:\n" + "".join(f"    {name}:\n      hosts:\n        backup:\n" for name in names)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def first(host):
    """The first backup and its result."""
    host.run_expect([0], "systemctl start congvu-backup@run")
    return status(host)


def status(host, name="backup"):
    return json.loads(host.check_output(f"cat /var/lib/congvu-mail/{name}.json"))


def digests(host, path):
    """SHA-256, mode and owner of every file, without what Dovecot rebuilds."""
    return host.check_output(
        f"cd {path} && find . ! -name 'dovecot.index*' -printf '%M %u:%g %p\\n' | sort | sha256sum; "
        f"cd {path} && find . -type f ! -name 'dovecot.index*' -print0 | sort -z | xargs -0 sha256sum | sha256sum"
    )


def directory(host):
    return host.check_output("slapcat -b dc=lab,dc=test | sha256sum")


def database(host):
    return host.check_output("runuser -u postgres -- psql -Atd webmail -c 'select * from users order by id' | sha256sum")


def bind(host, dn, password):
    """Log in to the directory."""
    host.run_expect([0], f"LDAPTLS_CACERT=/etc/congvu-mail/tls/ca.crt ldapwhoami -x -ZZ -H ldap://$(hostname -f) -D {dn} -w {password}")


def restore(groups, *arguments, check=False):
    extra = [word for argument in arguments for word in ("-e", argument)]
    return play(f"{ROOT}/playbooks/restore.yml", "--inventory", str(groups), *extra, *(["--check"] if check else []))


def changed(result):
    return "changed=0" not in result.stdout.split("PLAY RECAP")[1].split("localhost")[0]


# ---- Making it -----------------------------------------------------------------------------------------------------------------------


def test_result_tells_what_was_saved(first):
    assert first["result"] == "ok", first
    assert first["counts"] == {**first["counts"], "mailboxes": 2, "messages": 120, "rows": 50}
    assert "2 hộp thư, 120 thư" in first["detail"]
    assert first["last_success"] == first["time"]


def test_timer(host):
    assert "OnCalendar=*-*-* 01:30:00" in host.check_output("systemctl cat congvu-backup.timer")
    for name in ("congvu-backup", "congvu-restore-test"):
        assert host.check_output(f"systemctl show -P ActiveState {name}.timer") == "active"
        assert host.check_output(f"systemctl show -P UnitFileState {name}.timer") == "enabled"


def test_nothing_readable_without_the_password(host, first):
    host.run_expect([1], "grep -rlaE 'an.nv@lab.test|khóa bí mật|congvuState' /srv/backup")
    assert "wrong password" in host.run("RESTIC_PASSWORD=sai restic -r /srv/backup snapshots").stderr
    secret = host.file("/etc/congvu-mail/backup/password")
    assert (secret.mode, secret.user) == (0o600, "root")
    assert not host.file("/var/lib/congvu-backup/stage").exists


def test_manifest(host, first):
    dump = "restic -r /srv/backup --password-file /etc/congvu-mail/backup/password dump latest /var/lib/congvu-backup/stage/"
    manifest = json.loads(host.check_output(dump + "manifest.json"))
    part = manifest["parts"]["directory"]
    assert part["schema"] > 20 and part["mailboxes"] == 2 and manifest["format"] == 1
    assert part["sha256"] == host.check_output(dump + "directory.ldif | sha256sum").split()[0] == directory(host).split()[0]
    assert {"slapd", "restic", "postgresql"} <= set(manifest["versions"])


def test_trial_restore(host, first):
    host.run_expect([0], "systemctl start congvu-backup@test")
    result = status(host, "restore-test")
    assert result["result"] == "ok" and "mục danh bạ nạp được" in result["detail"] and "60 thư đúng SHA-256" in result["detail"]
    assert not host.file("/var/lib/congvu-backup/tested").exists


# ---- One mailbox ---------------------------------------------------------------------------------------------------------------------


def test_nothing_is_missing_nothing_is_done(host, groups, first):
    before = digests(host, "/srv/mail")
    result = restore(groups, "what=mailbox", "mailbox=cu.an.nv@lab.test")
    assert result.returncode == 0, said(result)
    assert "giống hệt" in result.stdout and not changed(result)
    assert digests(host, "/srv/mail") == before


def test_deleted_mail_comes_back_and_new_mail_stays(host, groups, first):
    box = f"/srv/mail/{AN}/Maildir"
    lost = host.check_output(f"cd {box} && ls cur/*M1P1* cur/*M3P1* '.C&APQ-ng v&AQM-n'/cur/*M5P1* | xargs -d '\\n' sha256sum")
    host.run_expect([0], f"cd {box} && rm cur/*M1P1* cur/*M3P1* && rm -r '.C&APQ-ng v&AQM-n' && echo mới > new/1799999999.M1.lab")
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test", check=True)
    assert "đưa lại 22 thư bị thiếu" in result.stdout, said(result)
    assert not host.file(f"{box}/.C&APQ-ng v&AQM-n").exists
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test")
    assert "đưa lại 22 thư bị thiếu, 38 thư đang có" in result.stdout and changed(result)
    host.run_expect([0], f"cd {box} && sha256sum --check --quiet - <<'E'\n{lost}\nE")
    assert "22 thư bị thiếu" in json.loads(host.check_output("tail -1 /var/lib/congvu-mail/journal/operations.jsonl"))["after"]["restored"]
    assert host.file(f"{box}/new/1799999999.M1.lab").content_string == "mới\n"
    assert host.file(f"{box}/.C&APQ-ng v&AQM-n/cur").user == "vmail"
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test")
    assert "đưa lại 0 thư" in result.stdout and not changed(result)


def test_mailbox_exactly_as_it_was_only_with_its_address(host, groups, first):
    host.run_expect([0], f"rm /srv/mail/{AN}/Maildir/.Sent/cur/*")
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test", "confirm=binh.tt@lab.test")
    assert result.returncode != 0 and "Chưa làm gì" in said(result)
    # Limited to a host too, which would leave out a check on localhost.
    result = play(f"{ROOT}/playbooks/restore.yml", "--inventory", str(groups), "-e", "what=all", "-e", "confirm=không", "-l", "mda")
    assert result.returncode != 0 and "Chưa làm gì" in said(result)
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test", "confirm=an.nv@lab.test")
    assert result.returncode == 0 and "đúng như bản" in result.stdout, said(result)
    assert not host.file(f"/srv/mail/{AN}/Maildir/new/1799999999.M1.lab").exists
    assert host.run(f"cat /srv/mail/.replaced/{AN}.replaced-*/Maildir/new/1799999999.M1.lab").stdout == "mới\n"
    host.run_expect([0], "rm -r /srv/mail/.replaced")


def test_terminated_mailbox_comes_back_with_entry_and_password(host, groups, first):
    before = digests(host, f"/srv/mail/{BINH}")
    entry = f"slapcat -b dc=lab,dc=test -a '(uid={BINH})' | grep -vE '^(entryCSN|modifiersName|modifyTimestamp):' | sort"
    was = host.check_output(entry)
    dn = f"uid={BINH},ou=mailboxes,dc=lab,dc=test"
    host.run_expect([0], f"ldapdelete -Q -Y EXTERNAL -H ldapi:/// {dn} && rm -r /srv/mail/{BINH}")
    result = restore(groups, "what=mailbox", "mailbox=binh.tt@lab.test")
    assert result.returncode == 0, said(result)
    assert "phục hồi mục của binh.tt@lab.test" in result.stdout and "phục hồi nguyên hộp thư, 60 thư" in result.stdout
    assert digests(host, f"/srv/mail/{BINH}") == before
    assert host.check_output(entry) == was
    bind(host, dn, "mat-khau-2")


def test_snapshot_of_a_day(groups, first):
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test", f"snapshot={first['time'][:10]}")
    assert result.returncode == 0, said(result)
    result = restore(groups, "what=mailbox", "mailbox=an.nv@lab.test", "snapshot=2025-12-31T23:00")
    assert result.returncode != 0 and "không có bản sao lưu 2025-12-31T23:00" in said(result)


def test_unknown_address(groups, first):
    result = restore(groups, "what=mailbox", "mailbox=khong.co@lab.test")
    assert result.returncode != 0 and "không có khong.co@lab.test trong danh bạ" in said(result)


# ---- Everything ----------------------------------------------------------------------------------------------------------------------


def test_everything_on_an_emptied_host(host, groups, first):
    host.run_expect([0], "systemctl start congvu-backup@run")
    before = (digests(host, "/srv/mail"), directory(host), database(host), digests(host, "/var/lib/rspamd/dkim"))
    result = restore(groups, "what=all")
    text = said(result)
    assert result.returncode != 0 and "2 hộp thư trong /srv/mail" in text and "2 hộp thư trong danh bạ" in text and "50 dòng" in text, text
    assert "thêm -e confirm=all" in text
    assert (digests(host, "/srv/mail"), directory(host), database(host), digests(host, "/var/lib/rspamd/dkim")) == before

    for uid in (AN, BINH):
        host.run_expect([0], f"ldapdelete -Q -Y EXTERNAL -H ldapi:/// uid={uid},ou=mailboxes,dc=lab,dc=test && rm -r /srv/mail/{uid}")
    host.run_expect([0], "runuser -u postgres -- psql -qd webmail -c 'truncate users' && rm -r /var/lib/rspamd/dkim")
    result = restore(groups, "what=all", check=True)
    assert result.returncode == 0, said(result)
    assert host.check_output("ls /srv/mail") == ""
    result = restore(groups, "what=all")
    assert result.returncode == 0, said(result)
    assert "trùng khớp" in result.stdout and "2 hộp thư, 120 thư" in result.stdout
    assert (digests(host, "/srv/mail"), directory(host), database(host), digests(host, "/var/lib/rspamd/dkim")) == before
    assert host.service("slapd").is_running
    bind(host, f"uid={AN},ou=mailboxes,dc=lab,dc=test", "mat-khau-1")
    host.run_expect([0], "cmp /etc/passwd /var/lib/congvu-backup/restored/*/etc/passwd")


def test_confirmed_restore_moves_aside(host, groups, first):
    host.run_expect([0], "echo khác > /var/lib/rspamd/dkim/lab.test.cv2026.key")
    # Stands for Dovecot: tells how it was stopped.
    unit = "[Service]\\nExecStart=sleep infinity\\nExecStopPost=cp /var/lib/rspamd/dkim/lab.test.cv2026.key /run/when-stopped\\n"
    host.run_expect([0], f"printf '{unit}' > /run/systemd/system/dovecot.service && systemctl daemon-reload && systemctl start dovecot")
    result = restore(groups, "what=all", "confirm=all")
    assert result.returncode == 0, said(result)
    assert host.file("/var/lib/rspamd/dkim/lab.test.cv2026.key").content_string == "khóa bí mật\n"
    assert host.run("cat /var/lib/rspamd/dkim.replaced-*/lab.test.cv2026.key").stdout == "khác\n"
    assert len(host.check_output("ls /srv/mail/.replaced").split()) == 2
    assert host.file("/run/when-stopped").content_string == "khác\n"
    assert host.check_output("systemctl is-active dovecot") == "active"


# ---- When it goes wrong --------------------------------------------------------------------------------------------------------------


def test_missing_repository_is_a_failure_and_not_a_new_repository(host, groups, first):
    good = status(host)["last_success"]
    host.run_expect([0], "mv /srv/backup /srv/backup.away && mkdir /srv/backup")
    try:
        result = play(f"{ROOT}/playbooks/backup.yml", "--inventory", str(groups))
        assert result.returncode != 0 and "THẤT BẠI" in result.stdout and "thất bại" in said(result)
        assert host.check_output("systemctl show -P Result congvu-backup@run") == "exit-code"
        assert status(host)["result"] == "failed" and status(host)["last_success"] == good
        assert host.check_output("ls /srv/backup") == ""
    finally:
        host.run_expect([0], "rmdir /srv/backup && mv /srv/backup.away /srv/backup")
    result = play(f"{ROOT}/playbooks/backup.yml", "--inventory", str(groups))
    assert result.returncode == 0 and "TỐT" in result.stdout and "2 hộp thư, 120 thư" in result.stdout, said(result)


# The first backup of a host in a repository that is not there yet; arguments: first (the host that makes it) or other, seconds to wait.
FIRST_BACKUP = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("backup", "/usr/local/lib/congvu-mail/backup")
backup = importlib.util.module_from_spec(importlib.util.spec_from_loader("backup", loader))
loader.exec_module(backup)
backup.WAIT_FOR_REPOSITORY = float(sys.argv[2])
host = backup.Backup()
host.config |= {"repository": "/srv/shared", "prune": sys.argv[1] == "first"}
try:
    host.first_backup()
except backup.Failure as failure:
    sys.exit(str(failure))
sys.exit(not host.repository_is(0))
"""


def test_several_hosts_begin_at_the_same_second(host):
    """Two that make the repository leave one that nobody can read: one makes it, the others wait, and say so when it does not come."""
    program = f"python3 -B -c {shlex.quote(FIRST_BACKUP)}"
    alone = host.run(f"{program} other 0")
    assert alone.rc == 1 and "chưa mở được kho sao lưu /srv/shared, máy đầu tiên của nhóm backup tạo kho" in alone.stderr
    assert not host.file("/srv/shared").exists
    host.run_expect([0], f"{program} other 60 & other=$!; {program} first 60 && wait $other")
    host.run_expect([0], "rm -r /srv/shared")


def test_missing_part_is_a_failure(host, first):
    host.run_expect([0], "mv /var/lib/rspamd/dkim /var/lib/rspamd/dkim.away")
    host.run_expect([1], "systemctl start congvu-backup@run")
    host.run_expect([0], "mv /var/lib/rspamd/dkim.away /var/lib/rspamd/dkim")
    assert status(host)["result"] == "failed" and "không có /var/lib/rspamd/dkim" in status(host)["detail"]


def test_killed_half_way(host, first):
    host.run_expect([0], "systemctl start --no-block congvu-backup@run")
    host.run_expect([0], "for i in $(seq 200); do pgrep -x restic && break; sleep 0.05; done; systemctl kill -s KILL congvu-backup@run")
    host.run_expect([0], "systemctl reset-failed; systemctl start congvu-backup@run")
    assert status(host)["result"] == "ok"


def test_damage_in_the_repository_is_found(host, first):
    host.run_expect([0], "cp -a /srv/backup /srv/backup.good")
    host.run_expect([0], "for f in $(find /srv/backup/data -type f); do printf x | dd of=$f bs=1 seek=100 conv=notrunc status=none; done")
    try:
        host.run_expect([1], "systemctl start congvu-backup@test")
        assert status(host, "restore-test")["result"] == "failed"
    finally:
        host.run_expect([0], "rm -r /srv/backup && mv /srv/backup.good /srv/backup")


def test_old_snapshots_are_forgotten(host, first):
    """By their date, and by as many days with a backup since: after a jump of the clock the date alone would forget everything."""
    host.run_expect([0], f"{TOOL} run")
    config = "/etc/congvu-mail/backup.toml"
    options = "restic -r /srv/backup --password-file /etc/congvu-mail/backup/password"

    def made(day, *tags):
        marks = " ".join(f"--tag {tag}" for tag in tags)
        host.run_expect([0], f"{options} backup --time '{day} 03:04:05' --host backup {marks} /etc/hostname")

    def nightly():
        host.run_expect([0], "systemctl start congvu-backup@run")
        return host.check_output(f"{options} snapshots")

    made("2026-01-02", "congvu-mail")
    made("2026-01-02", "congvu-archive", "00000000-0000-4000-8000-0000000000aa")
    assert nightly().count("2026-01-02") == 2, "one other day of the last ninety has a backup: rather the clock is wrong"
    host.run_expect([0], f"cp {config} {config}.kept && sed -i 's/_days = .*/_days = 2/' {config}")
    try:
        assert nightly().count("2026-01-02") == 2
        made("2026-01-03", "congvu-mail")
        assert "2026-01-02" not in nightly()
    finally:
        host.run_expect([0], f"mv {config}.kept {config}")
