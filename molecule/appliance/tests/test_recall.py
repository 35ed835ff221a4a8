"""A message sent by mistake is taken out of everything that keeps mail, with evidence and without a word of it."""

import email.policy
import json
import re

import pytest
from mail import ROOT, compose, wait_until
from testing import said

SECRET = "Phương án tuyệt mật số bảy"
ORDER = ("-e", '{"document_number": "12/STTTT", "document_date": "2026-11-20", "reason": "gửi nhầm tài liệu", "operator": "Lê Văn Trực"}')
JOURNAL = "/var/lib/congvu-mail/journal/operations.jsonl"


def recall(system, *options):
    return system.playbook("playbooks/recall.yml", *options)


def searched(system, message_id):
    """Places in which the message still is, looked for in another way than the playbook does."""
    stored = system.run("sh", "-c", f"grep -rlF '{message_id}' /srv/mail --include=*.* | grep -E '/(cur|new)/' || :").split()
    return stored + re.findall(r'"queue_id": "(\w+)"', system.run("postqueue", "-j"))


@pytest.fixture
def leaked(system, sender, receiver):
    """A message in two mailboxes, in held mail, in the queue and in a home set aside; and one that has to stay. Both go away at the end."""
    organisation = system.accounts("organisation")[0]
    recipients = [receiver["address"], organisation["address"], system.access["outside"]["address"]]
    message = compose(sender["address"], ", ".join(recipients), SECRET, text=f"{SECRET}, trang 1.\n")
    other = compose(sender["address"], receiver["address"], "Lịch họp", References=message["Message-ID"])
    message_id = message["Message-ID"]
    raw = message.as_bytes(policy=email.policy.SMTP).decode().replace("\r\n", "\n")
    uid = system.run("doveadm", "user", "-f", "user", receiver["address"]).strip()
    aside = "/srv/mail/.replaced/thu"
    system.run_outside("systemctl", "stop", "postfix")
    try:
        system.send(message, sender["address"], recipients, account=sender)
        system.send(other, sender["address"], [receiver["address"]], account=sender)
        for account, wanted in ((receiver, message_id), (organisation, message_id), (receiver, other["Message-ID"])):
            system.wait_for(account, wanted)
        wait_until(lambda: '"queue_name": "deferred"' in system.run("postqueue", "-j"), 30, "a message that waits")
        system.run("sh", "-c", f"doveadm mailbox create -u {uid} Quarantine/Held 2>/dev/null || :")
        system.run("doveadm", "save", "-u", uid, "-m", "Quarantine/Held", stdin=raw)
        system.run("mkdir", "-p", f"{aside}/Maildir/cur")
        system.run("tee", f"{aside}/Maildir/cur/1.old:2,S", stdin=raw)
        yield message_id, other["Message-ID"]
    finally:
        system.run("rm", "-rf", aside)
        system.run("doveadm", "expunge", "-u", uid, "mailbox", "*", "HEADER", "Message-ID", other["Message-ID"].strip("<>"))
        system.run_outside("systemctl", "start", "postfix")


# What a run has done that is killed before it can record anything.
CUT = """
- hosts: mta:mda
  gather_facts: false
  tasks:
    - mail_recall: {message_id: "{{ message_id[1:-1] }}", queue: true}
    - mail_recall: {message_id: "{{ message_id[1:-1] }}", mail_root: /srv/mail}
"""


def test_recall(system, receiver, leaked, tmp_path):
    message_id, other = leaked
    preview = recall(system, "--check", "-e", f"message_id={message_id}", *ORDER)
    assert preview.returncode == 0, said(preview)
    assert "5 bản của 1 thư" in said(preview) and "hộp thư 2" in said(preview) and "khu cách ly 1" in said(preview)
    assert "hàng đợi 1" in said(preview) and "thư mục ngoài hộp thư 1" in said(preview)
    assert "1 thư trả lời hoặc chuyển tiếp có nhắc đến thư này: KHÔNG gỡ" in said(preview)
    assert len(searched(system, message_id)) == 6  # five copies, and the answer that names it
    (tmp_path / "cut.yml").write_text(CUT, encoding="utf-8")
    cut = system.playbook(str(tmp_path / "cut.yml"), "-e", f"message_id={message_id}")
    assert cut.returncode == 0 and len(searched(system, message_id)) == 1, said(cut)
    done = recall(system, "-e", f"message_id={message_id}", *ORDER)
    assert done.returncode == 0, said(done)
    assert "Đã gỡ: 5 bản" in said(done), "the evidence of the run that was cut is lost"
    (answer,) = searched(system, message_id)
    assert f"Message-ID: {other}" in system.run("cat", answer), "a copy is still there"
    assert system.find(receiver, other), "a message that only refers to it was removed"
    again = said(recall(system, "-e", f"message_id={message_id}", *ORDER))
    assert "Đã gỡ: 0 bản" in again and again.count("changed=0") == 2, again
    path = re.search(r"(\S+/build/operations/\S+-recall-\w+\.json)", done.stdout)[1]
    evidence = json.loads(text := (ROOT / path).read_text(encoding="utf-8"))
    assert SECRET not in text + done.stdout and "trang 1" not in text
    assert evidence["journal"]["result"] == "done" and evidence["left"] == 0 and len(evidence["copies"]) == 5
    assert len({copy["body_sha256"] for copy in evidence["copies"]}) == 1, "copies of one message have one body"
    (line,) = [json.loads(line) for line in system.run("cat", JOURNAL).splitlines() if message_id in line][:1]
    assert (line["act"], line["document"], line["operator"]) == ("recall", "12/STTTT ngày 20/11/2026", "Lê Văn Trực")
    assert evidence["journal_head"] == f"{line['number']}:{line['hash']}"


def test_nothing_is_done_without_the_paper(system):
    refused = recall(system, "-e", "message_id=<a@b.vn>", "-e", "reason=thử")
    assert refused.returncode != 0
    assert re.findall(r"PLAY \[(.+?)\]", refused.stdout) == ["Check that no host is left out", "Check what is wanted"], "a host was touched"
    assert "gỡ bỏ thư phải có văn bản đề nghị" in said(refused) and "thiếu operator" in said(refused)
