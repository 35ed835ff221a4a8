"""The webmail as its users, an attacker and an auditor meet it."""

import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import unicodedata
import urllib.parse

import pytest
import webmail
from playwright.sync_api import expect
from testing import wait_until

URL = "https://mail.lab.test/"
AN = "nguyenvanan@lab.test"
BINH = "dangthibinh@lab.test"
OFFICE = "vanthu.snv@lab.test"
MAILBOX = "uid=00000000-0000-4000-8000-000000000001,ou=mailboxes,dc=lab,dc=test"


def password(address):
    return "mat-khau-" + address.split("@")[0]


@pytest.fixture(scope="module")
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture(scope="module")
def ca(host, tmp_path_factory):
    file = tmp_path_factory.mktemp("ca") / "ca.crt"
    file.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    return file


@pytest.fixture(scope="module")
def provider(host):
    return host.check_output("getent hosts sso.lab.test").split()[0]


@pytest.fixture
def page(address, provider, ca):
    """A browser without a history; the test fails when a page made it complain."""
    complaints = []
    with webmail.browser(address, ["mail.lab.test"], ca, elsewhere={"sso.lab.test": provider}) as page:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
    assert [c for c in complaints if "401" not in c] == []


def sql(host, query):
    return host.check_output(f'runuser -u roundcube -- psql -d roundcube -XAtc "{query}"')


def modify(host, changes):
    host.run_expect([0], f"ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'LDIF'\ndn: {MAILBOX}\nchangetype: modify\n{changes}\nLDIF")


def test_login_page_in_vietnamese(page, tmp_path):
    page.goto(URL)
    page.screenshot(path=tmp_path / "login.png")
    text = page.inner_text("body")
    assert "Thư công vụ tỉnh Thử Nghiệm" in text
    assert page.get_attribute("#rcmloginuser", "placeholder") == "Địa chỉ thư"
    assert page.title() == "Thư công vụ tỉnh Thử Nghiệm :: Chào mừng bạn đã sử dụng Thư công vụ tỉnh Thử Nghiệm"
    link = page.locator("#congvu-password")
    assert link.inner_text() == "Đổi mật khẩu / Đăng nhập lần đầu"
    assert link.get_attribute("href") == "/mat-khau/"
    assert page.get_attribute("a.support-link", "href") == "mailto:hotro@lab.test"


def test_wrong_password_says_what_to_do_and_who_it_was(host, address, page):
    with page.expect_response(lambda r: r.request.method == "POST") as answer, pytest.raises(AssertionError) as refused:
        webmail.login(page, URL, AN, "sai")
    assert answer.value.status == 401
    assert "mật khẩu vừa được cấp lại hoặc đã hết hạn, hãy bấm “Đổi mật khẩu / Đăng nhập lần đầu”" in str(refused.value)
    log = host.check_output("journalctl --no-pager -o cat -n 200")
    client = re.search(rf"Failed login for {AN} from (\S+) ", log).group(1)
    assert client != address
    assert re.search(rf"imap-login: Login aborted.*login=<{AN}>.*rip={re.escape(client)},", log), "Dovecot knows the real client"


def test_write_to_a_colleague_from_the_directory(host, page, tmp_path):
    report = tmp_path / "Báo cáo quý.txt"
    report.write_text("Số liệu\n" * 100)
    webmail.login(page, URL, AN, password(AN))
    picked = webmail.compose(page, "dang thi b", "Giấy mời họp", "Kính gửi đồng chí,\nTrân trọng.", report)
    assert picked == "Đặng Thị Bình <dangthibinh@lab.test> Văn phòng UBND tỉnh"
    webmail.logout(page)
    webmail.login(page, URL, BINH, password(BINH))
    assert "Kính gửi đồng chí,\nTrân trọng." in webmail.read(page, "Giấy mời họp")
    page.screenshot(path=tmp_path / "read.png")
    assert "Báo cáo quý.txt" in page.inner_text("#attachment-list")
    header = host.check_output(f"doveadm fetch -u {BINH} 'hdr.from hdr.to' mailbox INBOX subject 'Giấy mời họp'")
    assert "From: =?UTF-8?" in header.replace("hdr.from: ", "From: ")
    assert "<nguyenvanan@lab.test>" in header
    assert "<dangthibinh@lab.test>" in header
    # The message that was sent is kept.
    assert host.check_output(f"doveadm search -u {AN} mailbox Sent subject 'Giấy mời họp'")


SEARCHES = {
    "Bình": ["Đặng Thị Bình"],  # with diacritics
    "binh": ["Đặng Thị Bình"],  # without
    "Văn phòng UB": ["Đặng Thị Bình"],  # organisation
    "dangthibinh@": ["Đặng Thị Bình"],  # address
    "Chánh": ["Đặng Thị Bình"],  # title
    "Noi vu": ["Văn thư Sở Nội vụ"],  # mailbox of an organisation
    "hoang cuc": [],  # suspended
}


def test_search_of_the_directory(page, tmp_path):
    webmail.login(page, URL, BINH, password(BINH))
    page.goto(f"{URL}?_task=addressbook&_source=directory", wait_until="networkidle")
    for typed, found in SEARCHES.items():
        webmail.idle(page)
        page.fill("input[name=_q]", typed)
        with page.expect_response(re.compile("_action=search")):
            page.keyboard.press("Enter")
        rows = page.locator("#contacts-table tbody tr td.name")
        expect(rows).to_have_count(len(found))
        assert [name.strip() for name in rows.all_inner_texts()] == found
        if typed == "Chánh":
            rows.first.click()
            card = page.frame_locator("#contact-frame").locator("body")
            expect(card).to_contain_text("Đặng Thị Bình")
            expect(card).to_contain_text("Văn phòng UBND tỉnh")
            page.screenshot(path=tmp_path / "contact.png")


def test_identities_are_the_directorys(host, page):
    webmail.login(page, URL, AN, password(AN))
    page.goto(f"{URL}?_task=mail&_action=compose")
    page.wait_for_url("**_id=**")
    webmail.settle(page)
    assert page.locator("#_from option").all_inner_texts() == [
        "Nguyễn Văn An <nguyenvanan@lab.test>",
        "Văn thư Sở Nội vụ <vanthu.snv@lab.test>",
    ]
    # A request made by hand, as another person.
    page.evaluate(f"document.querySelector('#_from').add(new Option('x', 'Chánh Văn phòng <{BINH}>', true, true))")
    page.locator("#compose_to input").press_sequentially(f"{BINH},")
    page.fill("#compose-subject", "Mạo danh")
    page.fill("#composebody", "x")
    page.click("#compose-content button.send, a.send")
    refusal = page.locator("#messagestack .error")
    refusal.first.wait_for()
    assert "Bạn không được gửi thư từ địa chỉ này." in refusal.first.inner_text()
    assert host.run(f"doveadm search -u {BINH} mailbox INBOX subject 'Mạo danh'").stdout == ""
    page.evaluate("window.onbeforeunload = null; rcmail.compose_skip_unsavedcheck = true")


def rename(host, address, organisation):
    """Give the mailbox another address, without keeping the old one as an alias, and another organisation."""
    modify(
        host, f"replace: mail\nmail: {address}\n-\nreplace: mailLocalAddress\nmailLocalAddress: {address}\nmailLocalAddress: an.cu@lab.test"
    )
    modify(host, f"replace: o\no: {organisation}")


def test_a_new_address_keeps_settings_and_signature(host, page):
    webmail.login(page, URL, AN, password(AN))
    user = sql(host, f"SELECT user_id FROM users WHERE username = '{AN}'")
    sql(host, f"UPDATE identities SET signature = 'Trân trọng' WHERE user_id = {user} AND email = '{AN}'")
    webmail.logout(page)
    rename(host, "an.moi@lab.test", "Sở Tài chính")
    try:
        webmail.login(page, URL, "an.moi@lab.test", password(AN))
        assert sql(host, "SELECT user_id FROM users WHERE username = 'an.moi@lab.test'") == user
        own = sql(host, f"SELECT email, organization, signature FROM identities WHERE user_id = {user} AND standard = 1 AND del = 0")
        assert own == "an.moi@lab.test|Sở Tài chính|Trân trọng"
        webmail.logout(page)
    finally:
        rename(host, AN, "Sở Nội vụ")
    # Whoever types another address of the same mailbox is the same user.
    webmail.login(page, URL, "AN.CU@lab.test", password(AN))
    assert sql(host, f"SELECT username FROM users WHERE user_id = {user}") == AN


def test_junk_and_archive(host, page):
    for subject in ("Quảng cáo", "Hồ sơ cũ"):
        host.run_expect([0], f"printf 'Subject: {subject}\\nFrom: a@lab.test\\n\\nx\\n' | doveadm save -u {BINH} -m INBOX")
    webmail.login(page, URL, BINH, password(BINH))
    for subject, button, folder in (("Quảng cáo", "a.button.junk", "Junk"), ("Hồ sơ cũ", "a.button.archive", "Archive")):
        webmail.select(page, subject)
        page.locator(f"{button}:not(.disabled)").first.click()
        wait_until(
            lambda f=folder, s=subject: host.run(f"doveadm search -u {BINH} mailbox '{f}*' subject '{s}'").stdout,
            what=f"{subject} in {folder}",
        )


def test_out_of_office(host, page):
    webmail.login(page, URL, BINH, password(BINH))
    page.goto(f"{URL}?_task=settings&_action=plugin.managesieve-vacation")
    assert "Trả lời khi vắng mặt" in page.inner_text("body")
    webmail.settle(page)
    page.fill("#vacation_reason", "Tôi đi công tác đến hết tuần.")
    page.select_option("#vacation_status", "on")
    page.click("button.submit, button.save, .formbuttons button")
    page.locator("#messagestack .confirmation").first.wait_for()
    script = host.check_output(f"doveadm sieve get -u {BINH} $(doveadm sieve list -u {BINH} | awk '/ACTIVE/ {{print $1}}')")
    assert "vacation" in script
    assert "Tôi đi công tác đến hết tuần." in script


ENGLISH = {
    "mail": ["Select", "Options", "Refresh", "Compose", "Junk", "Search"],
    "mail&_action=compose": ["Options", "Attach", "Recipient", "Send", "Browse"],
    "settings&_action=plugin.managesieve": ["Filters", "Actions", "Filter set"],
    "settings&_action=identities": ["Identities", "Create"],
    "addressbook": ["Addressbook", "Collected", "Trusted", "Create"],
}


def test_no_english_where_users_go(page):
    webmail.login(page, URL, BINH, password(BINH))
    for task, forbidden in ENGLISH.items():
        page.goto(f"{URL}?_task={task}")
        text = page.inner_text("body")
        assert re.findall(r"\[[a-z]+\]", text) == [], f"{task}: a text that nobody translated"
        assert [word for word in forbidden if re.search(rf"\b{word}\b", text)] == [], task


# --- single sign-on -----------------------------------------------------------------------------------------------------------------

PROVIDER = "mol-roundcube-database"


def through_provider(page, name):
    """Press the button, log in at the provider; what the webmail shows then is for the caller to look at."""
    page.goto(URL)
    page.click("#rcmloginoauth")
    page.fill("#userfield", name)
    page.fill("#passwordfield", f"tinh-{name}")
    page.click("button[type=submit]")
    page.wait_for_url(f"{URL}**")
    webmail.settle(page)


def test_single_sign_on(host, page, tmp_path):
    home = "/srv/mail/00000000-0000-4000-8000-000000000001"
    host.run_expect([0, 1], f"rm {home}/last-login")
    page.goto(URL)
    button = page.locator("#rcmloginoauth")
    assert button.inner_text() == "Đăng nhập bằng Hệ thống đăng nhập tập trung"
    expect(page.locator("#rcmloginuser")).to_be_visible()
    expect(page.locator("#congvu-password")).to_be_visible()
    page.screenshot(path=tmp_path / "doors.png")
    through_provider(page, "nguyenvanan")
    expect(page.locator("#mailboxlist")).to_be_visible()
    assert host.file(f"{home}/last-login").size > 0
    webmail.compose(page, "dang thi b", "Đăng nhập tập trung", "Gửi từ phiên đăng nhập tập trung.")
    assert host.check_output(f"doveadm search -u {AN} mailbox Sent subject 'Đăng nhập tập trung'")
    wait_until(lambda: host.run(f"doveadm search -u {BINH} mailbox INBOX subject 'Đăng nhập tập trung'").stdout, what="the letter")
    page.goto(f"{URL}?_task=settings&_action=plugin.managesieve-vacation")
    webmail.settle(page)
    page.fill("#vacation_reason", "Tôi vắng mặt.")
    page.select_option("#vacation_status", "on")
    page.click("button.submit, button.save, .formbuttons button")
    page.locator("#messagestack .confirmation").first.wait_for()
    assert host.check_output(f"doveadm sieve list -u {AN}").endswith("ACTIVE")
    # It is the same user, with the same settings, as by password.
    assert sql(host, f"SELECT count(*) FROM users WHERE username = '{AN}'") == "1"
    log = host.check_output("journalctl --no-pager -o cat -u dovecot")
    assert f"login=<{AN}>, method=XOAUTH2" in log
    # A logout ends the session at the provider too: it asks again.
    page.click("#taskmenu a.logout")
    expect(page.locator("#rcmloginuser")).to_be_visible()
    page.click("#rcmloginoauth")
    expect(page.locator("#userfield")).to_be_visible()


SIGN_ON_REFUSALS = {
    "lehoangcuc": "Hop thu dang tam khoa tu ngay 20/11/2026",
    "phamvandung": "Phai doi mat khau truoc khi dung tai https://mail.lab.test/mat-khau/",
    "nguoila": "Tài khoản này không có hộp thư đăng nhập được",
}


def test_single_sign_on_lets_in_only_whom_the_form_does(page):
    for name, said in SIGN_ON_REFUSALS.items():
        page.context.clear_cookies()
        through_provider(page, name)
        expect(page.locator("#rcmloginuser")).to_be_visible()
        assert said in page.inner_text("#messagestack"), name
        assert page.get_attribute("#congvu-password", "href") == "/mat-khau/"


def test_the_lock_ends_a_session_of_single_sign_on(host, page):
    host.run_expect([0], f"printf 'Subject: Mật thư\\nFrom: a@lab.test\\n\\nx\\n' | doveadm save -u {AN} -m INBOX")
    through_provider(page, "nguyenvanan")
    expect(page.locator("#messagelist")).to_contain_text("Mật thư")
    modify(host, "replace: congvuState\ncongvuState: suspended")
    try:
        page.goto(f"{URL}?_task=mail&_mbox=INBOX")
        page.wait_for_load_state("networkidle")
        assert "Mật thư" not in page.inner_text("body")
    finally:
        modify(host, "replace: congvuState\ncongvuState: active")


def test_tokens_that_are_not_ours(host):
    """Only the token of the webmail, in its owner's name, and from the webmail's address, opens IMAP, submission and ManageSieve."""
    program = pathlib.Path(__file__).with_name("tokens.py").read_text()

    def attempt(user, person, application="webmail", protocols=("imap", "submission", "sieve")):
        # Wrong ones are answered ever later; the count begins anew with the service.
        host.run_expect([0], "systemctl restart dovecot postfix")
        return json.loads(host.check_output(f"python3 - {user} {person} {application} {' '.join(protocols)} <<'PY'\n{program}\nPY"))

    assert attempt(AN, "nguyenvanan") == {
        "imap": "OK Logged in",
        "submission": "235 2.7.0 Authentication successful",
        "sieve": 'OK "Logged in."',
    }
    for user, person, application in (
        (BINH, "nguyenvanan", "webmail"),  # another person's mailbox
        (AN, "nguyenvanan", "portal"),  # given to another application
        (AN, "unsigned", "webmail"),  # made by hand, alg none
        (AN, "ended", "webmail"),  # of a session that has ended at the provider
    ):
        said = attempt(user, person, application)
        assert said["imap"] == "NO [AUTHENTICATIONFAILED] Authentication failed.", (user, person, application)
        assert said["submission"].startswith("535 5.7.8 Error: authentication failed")
        assert said["sieve"] == 'NO "Authentication failed."'
    # Nobody comes as a delegate with a token.
    assert attempt(f"'{OFFICE}*{AN}'", "nguyenvanan", protocols=["imap"])["imap"].startswith("NO [AUTHORIZATIONFAILED]")


def test_a_token_ends_with_its_time_and_with_the_mailbox(host):
    program = pathlib.Path(__file__).with_name("tokens.py").read_text()

    def run(*arguments):
        host.run_expect([0], "systemctl restart dovecot")
        return json.loads(host.check_output(f"python3 - {AN} {' '.join(arguments)} <<'PY'\n{program}\nPY"))

    token = run("nguyenvanan", "webmail")
    modify(host, "replace: congvuState\ncongvuState: suspended\n-\nadd: congvuRefusal\ncongvuRefusal: Hop thu dang tam khoa")
    try:
        assert run(f"token={token}", "webmail", "imap") == {"imap": "NO [ALERT] Hop thu dang tam khoa"}
    finally:
        modify(host, "replace: congvuState\ncongvuState: active\n-\ndelete: congvuRefusal")
    assert run(f"token={token}", "webmail", "imap") == {"imap": "OK Logged in"}
    # The provider counts its time from this, and keeps what it read.
    age = """cd /var/lib/lemonldap-ng/sessions && find . -type f -exec sed -i 's/"_utime":[0-9]*/"_utime":1/' {} +"""
    webmail.podman("exec", PROVIDER, "sh", "-c", f"{age} && rm -rf /var/cache/lemonldap-ng/lemonldap-ng-sessions/*")
    assert run(f"token={token}", "webmail", "imap") == {"imap": "NO [AUTHENTICATIONFAILED] Authentication failed."}


def test_answers_nobody_asked_for(address, ca):
    for query in ("code=x&state=y", "error=x&error_description=Goi+so+nay"):
        status, _headers, text = webmail.fetch(address, f"{URL}index.php/login/oauth?{query}", ca)
        assert status in (200, 401)
        said = json.loads(re.search(r'rcmail\.display_message\((".*?"),', text)[1])
        assert said.startswith("Không đăng nhập được qua hệ thống đăng nhập tập trung.")
        assert "Goi so nay" not in text


def test_without_the_provider_the_form_goes_on(page):
    webmail.podman("exec", PROVIDER, "systemctl", "stop", "nginx")
    try:
        page.goto(URL)
        page.click("#rcmloginoauth")
        expect(page.locator("#messagestack")).to_contain_text(
            "Hệ thống đăng nhập tập trung không trả lời. Hãy đăng nhập bằng địa chỉ thư và mật khẩu"
        )
        webmail.login(page, URL, AN, password(AN))
        webmail.compose(page, "dang thi b", "Vẫn gửi được", "x")
    finally:
        webmail.podman("exec", PROVIDER, "systemctl", "start", "nginx")


def test_answers_to_strangers(address, ca):
    status, headers, _text = webmail.fetch(address, "http://evil.test/x?y=1", ca)
    assert (status, headers["Location"]) == (301, "https://mail.lab.test/x?y=1")
    status, headers, text = webmail.fetch(address, URL, ca)
    assert status == 200
    assert "1.6." not in text, "the version is nobody's business"
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "img-src 'self' data: blob:;", "connect-src 'self'", "form-action 'self'", "base-uri 'none'"):
        assert part in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"
    for word in ("secure", "HttpOnly", "SameSite=Lax"):
        assert word in headers["Set-Cookie"]


def test_a_part_of_a_message_runs_no_script_however_it_is_asked_for(host, address, ca):
    host.run_expect([0], f"printf 'Subject: x\\nContent-Type: text/html\\n\\n<p>x' | doveadm save -u {AN} -m Archive")
    session = webmail.Session(address, URL, ca, AN, password(AN))
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in session.cookies.items())}
    for question in (
        "_action=get",
        "_action=%67et",
        ".action=get",
        "_action=show&_action=get",
        "_action=get&_frame=0",
        "_action=get&_frame",
    ):
        url = f"{URL}?_task=mail&_mbox=Archive&_uid=1&_part=1&{question}"
        status, headers, text = webmail.fetch(address, url, ca, headers=cookie)
        assert (status, "<p>x</p>" in text) == (200, True), question
        assert any("script-src 'none'" in policy for policy in headers.get_all("Content-Security-Policy")), question


def raw(address, request):
    """What comes back for this request, within TLS for the webmail's name: (status, headers, body)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection((address, 443), 10), server_hostname="mail.lab.test") as connection:
        connection.sendall(f"{request}\r\n".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers, answer.read().decode()


OURS = "Host: mail.lab.test\r\nConnection: close\r\n"
STRANGE = {
    "GET /khong-co HTTP/1.1\r\n" + OURS: 404,
    "TRACE / HTTP/1.1\r\n" + OURS: 405,
    "GET / HTTP/1.1\r\nHost: evil.test\r\n": 421,
    "GET https://evil.test/ HTTP/1.1\r\n" + OURS: 421,
    "GET / HTTP/1.0\r\n": 421,
    "GET / HTTP/1.1\r\n" + OURS + "Host: evil.test\r\n": 400,
    "GET /skins/%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\n" + OURS: 400,
    "GET / HTTP/1.1\r\n" + OURS + "X: " + "x" * 40000 + "\r\n": 400,
    "POST / HTTP/1.1\r\n" + OURS + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n": 400,
    "POST / HTTP/1.1\r\n" + OURS + "Content-Length: 4\r\nContent-Length: 5\r\n": 400,
    "POST / HTTP/1.1\r\n" + OURS + "Content-Length: 99999999\r\n": 413,
}


def test_strange_requests_are_refused(address):
    """By nginx: in Vietnamese, with the headers of every page, and never with anything that is not ours."""
    for request, expected in STRANGE.items():
        status, headers, text = raw(address, request)
        assert status == expected, request[:60]
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        if status != 421:  # no name of ours, so no page of ours
            assert ("lớn hơn mức cho phép" if status == 413 else "Không có trang này") in text
            assert "nginx" not in text


def test_php_hears_no_name_but_ours(address):
    status, headers, _text = raw(address, "GET https://mail.lab.test/index.php/login/oauth HTTP/1.1\r\nHost: evil.test\r\n")
    assert status == 302
    assert "redirect_uri=https%3A%2F%2Fmail.lab.test%2Findex.php%2Flogin%2Foauth" in headers["Location"]


HOSTILE = """From: =?UTF-8?Q?=3Cimg_src=3Dx_onerror=3D=22window.HIT=3D1=22=3E?= <a@outside.example>
Subject: <img src=x onerror="window.HIT=1"> Thư độc
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=utf-8

<base href="http://evil.test/"><meta http-equiv="refresh" content="0;url=http://evil.test/"><link rel="dns-prefetch" href="//evil.test">
<link rel="stylesheet" href="http://127.0.0.1:11334/a.css"><style>@import url(http://evil.test/a.css); div {background: url(http://evil.test/b)}</style>
<script>window.HIT=1</script><body onload="window.HIT=1" background="http://evil.test/c"><img src=x onerror="window.HIT=1">
<img src="http://evil.test/d"><svg onload="window.HIT=1"><script>window.HIT=1</script><image href="http://evil.test/e"/></svg>
<iframe srcdoc="<script>parent.HIT=1</script>"></iframe><object data="http://evil.test/f"></object><video poster="http://evil.test/g"></video>
<form action="http://evil.test/h"><input name="password"></form><details open ontoggle="window.HIT=1"></details>
<input autofocus onfocus="window.HIT=1">
<a id="js" href="java&#10;script:window.HIT=1">x</a><a id="out" target="_blank" href="http://evil.test/i">y</a>
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.HIT=1&gt;"></table></mtext></math>

--b
Content-Type: image/svg+xml
Content-Disposition: attachment; filename*=UTF-8''%22%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.HIT%3D1%3E.svg

<svg xmlns="http://www.w3.org/2000/svg" onload="window.HIT=1"><script>window.HIT=1</script></svg>
--b--
"""


def test_a_hostile_message_runs_nothing_and_fetches_nothing(host, page, tmp_path):
    host.run_expect([0], f"doveadm save -u {BINH} -m INBOX <<'MAIL'\n{HOSTILE}\nMAIL")
    outside = []
    page.context.on("request", lambda request: None if request.url.startswith((URL, "data:", "blob:")) else outside.append(request.url))
    webmail.login(page, URL, BINH, password(BINH))
    webmail.select(page, "Thư độc")
    # Nor does it when somebody follows a link that says yes in his place; where pictures of others are not allowed, nothing offers them.
    for question in ("_action=show", "_action=show&_safe=1"):
        uid = host.check_output(f"doveadm fetch -u {BINH} uid mailbox INBOX subject 'Thư độc'").split()[-1]
        page.goto(f"{URL}?_task=mail&_mbox=INBOX&_uid={uid}&{question}")
        webmail.settle(page)
        expect(page.locator("#remote-objects-message")).to_have_text("Nội dung từ máy chủ khác đã bị chặn để bảo vệ sự riêng tư của bạn.")
        page.screenshot(path=tmp_path / "hostile.png")
        assert [frame.url for frame in page.frames if frame.evaluate("window.HIT")] == []
        body = page.locator("#messagebody")
        assert body.locator("form, script, iframe, object, base, meta, link").count() == 0
        assert not (body.locator("#v1js").get_attribute("href") or "").startswith("java")
        assert body.locator("#v1out").get_attribute("rel") == "noreferrer"
    assert outside == []


def test_a_search_finds_both_forms_of_vietnamese(host, address, ca):
    host.run_expect([0], f"doveadm expunge -u {AN} mailbox Drafts all")
    for form in ("NFC", "NFD"):
        subject = unicodedata.normalize(form, "Kỷ luật đặc biệt")
        host.run_expect([0], f"printf 'Subject: {subject}\\n\\nx' | doveadm save -u {AN} -m Drafts")
    session = webmail.Session(address, URL, ca, AN, password(AN))
    session.page = session.ask("?_task=mail&_mbox=Drafts")
    token = session.env(session.page)["request_token"]
    for form in ("NFC", "NFD"):
        query = urllib.parse.urlencode({"_q": unicodedata.normalize(form, "LUẬT đặc"), "_headers": "subject,from", "_mbox": "Drafts"})
        answer = session.ask(f"?_task=mail&_action=search&_remote=1&{query}", **{"X-Roundcube-Request": token})
        assert answer.count("add_message_row") == 2, form


def test_every_text_is_in_vietnamese(host):
    """Of Roundcube and the plugins in use, but for encryption, which is not offered."""
    program = pathlib.Path(__file__).with_name("untranslated.php").read_text()
    assert host.check_output(f"php <<'PHP'\n{program}\nPHP").splitlines() == []


@pytest.mark.parametrize(
    "path",
    [
        "config/config.inc.php",
        "plugins/congvu/congvu.php",
        "plugins/congvu/texts/vi_VN.inc",
        "plugins/managesieve/config.inc.php.dist",
        "skins/elastic/templates/login.html",
        "skins/elastic/meta.json",
        "program/include/iniset.php",
        "installer/",
        "SQL/postgres.initial.sql",
        "logs/errors.log",
        "temp/",
        "index.php/x",
        ".htaccess",
        "bin/update.sh",
    ],
)
def test_nothing_else_is_served(address, ca, path):
    assert webmail.fetch(address, URL + path, ca)[0] == 404


def test_message_size_limit_of_uploads(address, ca):
    assert webmail.fetch(address, URL, ca, body="x" * (21524027 + 1048577))[0] == 413
    assert webmail.fetch(address, URL, ca, body="x" * 21524027)[0] == 200


def test_tls(address, ca):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def hello(name, **versions):
        for key, value in versions.items():
            setattr(context, key, value)
        with context.wrap_socket(socket.create_connection((address, 443), 10), server_hostname=name) as connection:
            return connection.version()

    assert hello("mail.lab.test") == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        hello("other.lab.test")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version|unsupported"):
        hello("mail.lab.test", minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_servers_down_are_said_in_vietnamese(host, address, ca, page):
    host.run_expect([0], "systemctl stop dovecot")
    try:
        with pytest.raises(AssertionError, match="Không kết nối được với máy chủ thư"):
            webmail.login(page, URL, AN, password(AN))
    finally:
        host.run_expect([0], "systemctl start dovecot")
    host.run_expect([0], "systemctl stop postgresql@17-main")
    try:
        text = webmail.fetch(address, URL, ca)[2]
    finally:
        host.run_expect([0], "systemctl start postgresql@17-main")
    assert "SQLSTATE" not in text
    assert "roundcube" not in text.lower().replace("roundcubeversion", ""), "nothing about the inside"
    wait_until(lambda: webmail.fetch(address, URL, ca)[0] == 200, what="the login page")


def test_tables_are_upgraded(host):
    """What a newer package brings is applied once, and --check tells of it before."""
    program = pathlib.Path(os.environ["CONGVU_ROOT"], "roles/roundcube/files/schema.php").read_text()

    def run(*arguments):
        return host.check_output(f"runuser -u roundcube -- php -- {' '.join(arguments)} <<'PHP'\n{program}\nPHP")

    assert run("--check") == ""
    sql(host, "UPDATE system SET value = '2021100300' WHERE name = 'roundcube-version'")
    assert run("--check") == "The tables would be upgraded to 2022081200."
    assert "Updating database schema (2022081200)... [OK]" in run()
    assert run("--check") == run() == ""
    assert sql(host, "SELECT value FROM system WHERE name = 'roundcube-version'") == "2022081200"


def test_database_is_nobody_elses(host):
    refused = host.run("runuser -u www-data -- psql -U roundcube -d roundcube -c 'SELECT 1'")
    assert "Peer authentication failed" in refused.stderr
    assert 'role "www-data" does not exist' in host.run("runuser -u www-data -- psql -d roundcube -c 'SELECT 1'").stderr
    assert host.run("ss -Htnl sport = :5432").stdout == ""
    assert sql(host, "SHOW server_encoding") == "UTF8"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sslmode=verify-full sslrootcert=/etc/congvu-mail/tls/ca.crt", ""),
        ("sslmode=disable", "no encryption"),
        ("sslmode=require dbname=postgres", "no pg_hba.conf entry"),
        ("sslmode=require password=sai", "password authentication failed"),
    ],
)
def test_database_on_another_host(host, options, said):
    dsn = f"host=database.lab.test user=roundcube dbname=roundcube {options}"
    answer = host.run(f"PGPASSWORD='mật khẩu/@:?#&%\"1' psql '{dsn}' -XAtc 'SELECT 1'")
    assert answer.stdout == ("" if said else "1\n")
    assert said in answer.stderr


def test_secrets(host):
    config = host.file("/etc/roundcube/config.inc.php")
    assert (config.user, config.group, config.mode) == ("root", "roundcube", 0o640)
    log = host.check_output("journalctl --no-pager; cat /var/log/nginx/*.log")
    for secret in ("0123456789abcdef0123456789abcdef", 'roundcube "mật khẩu"', password(AN), password(BINH)):
        assert secret not in log
    assert host.check_output("find /var/cache/roundcube /var/lib/roundcube/temp -type f -user www-data") == ""


def test_sandbox_of_the_live_process(host, address):
    pid = host.check_output("systemctl show -P MainPID php8.4-fpm")
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    assert status["CapBnd"].strip() == "0000000000000000"
    assert host.check_output(f"stat -c %U /proc/{pid}") == "roundcube"
    for path in ("/etc/x", "/var/lib/roundcube/plugins/x", "/usr/share/roundcube/x", "/run/x", "/var/lib/x"):
        assert "Read-only file system" in host.run(f"nsenter -t {pid} -m touch {path}").stderr, path
    for path in ("/srv/mail", "/var/lib/ldap", "/var/lib/postgresql"):
        assert host.check_output(f"nsenter -t {pid} -m stat -c %a {path}") == "0", path
    for unit in ("php8.4-fpm", "nginx"):
        score = float(host.check_output(f"systemd-analyze security --no-pager {unit}").splitlines()[-1].split(":")[1].split()[0])
        assert score <= 3.0, unit
    # Only the addresses it needs: tried from inside the service's control group.
    inside = "echo $$ >/sys/fs/cgroup/system.slice/php8.4-fpm.service/cgroup.procs; "
    connect = "exec python3 -c 'import socket; socket.create_connection((\"{0}\", {1}), 3)'"
    controller = host.check_output("echo $SSH_CLIENT").split()[0]
    assert host.run(inside + connect.format(address, 993)).rc == 0
    assert host.run(connect.format(controller, 22)).stderr.splitlines()[-1:] != ["TimeoutError: timed out"]
    assert "TimeoutError: timed out" in host.run(inside + connect.format(controller, 22)).stderr


def test_only_the_web_server_reaches_php(host):
    connect = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/roundcube/php.sock\")'"
    assert host.run(f"runuser -u www-data -- {connect}").rc == 0
    assert "Permission denied" in host.run(f"runuser -u nobody -- {connect}").stderr


def test_package_scripts_leave_the_configuration_alone(host):
    before = host.file("/etc/roundcube/config.inc.php").sha256sum
    host.run_expect([0], "DEBIAN_FRONTEND=noninteractive dpkg-reconfigure roundcube-core")
    after = host.file("/etc/roundcube/config.inc.php")
    assert after.sha256sum == before
    assert (after.group, after.mode) == ("roundcube", 0o640)
