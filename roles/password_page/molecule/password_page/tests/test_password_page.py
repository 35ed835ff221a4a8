"""The password page as a user, an attacker and an auditor meet it."""

import re

import pytest
import webmail

URL = "https://mail.lab.test/mat-khau/"
PROVE = (
    "LDAPTLS_CACERT=/etc/congvu-mail/tls/ca.crt ldapwhoami -x -H ldap://mail.lab.test -ZZ -D uid={0},ou=mailboxes,dc=lab,dc=test -w '{1}'"
)


@pytest.fixture(scope="module")
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture(scope="module")
def ca(host, tmp_path_factory):
    file = tmp_path_factory.mktemp("ca") / "ca.crt"
    file.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    return file


@pytest.fixture
def change(address, ca):
    """Send the form as a browser without JavaScript does; (status, text of the answer)."""
    return webmail.PasswordForm(address, URL, ca).send


def proves(host, mailbox, password):
    """Whether the directory takes the password."""
    return host.run(PROVE.format(mailbox, password)).rc == 0


def operational(host, mailbox, attribute):
    base = f"uid={mailbox},ou=mailboxes,dc=lab,dc=test"
    return host.check_output(f"ldapsearch -Q -Y EXTERNAL -H ldapi:/// -LLL -b {base} -s base {attribute}")


def test_first_login_on_a_phone(host, address, ca, tmp_path):
    assert "pwdReset: TRUE" in operational(host, "dienthoai", "pwdReset")
    with webmail.browser(address, ["mail.lab.test"], ca, phone=True) as page:
        page.goto(URL)
        text = page.inner_text("body")
        assert "Thư công vụ tỉnh Thử Nghiệm" in text
        assert "Ít nhất 8 ký tự" in text
        assert "Có ký tự đặc biệt, một trong: ! @ # % $ * &" in text
        assert page.evaluate("document.documentElement.scrollWidth") <= webmail.PHONE["width"], "the page is wider than the phone"
        page.screenshot(path=tmp_path / "form.png", full_page=True)
        answer = webmail.change_password(page, URL, "dienthoai", "Cu-dienthoai-1", "yeuqua")
        assert "chưa đủ mạnh" in answer
        assert "Ít nhất 8 ký tự" in answer
        assert "Có chữ hoa" in answer
        assert page.input_value("#address") == "dienthoai@lab.test", "the address need not be typed again"
        assert page.input_value("#new") == "", "a password never comes back"
        page.screenshot(path=tmp_path / "refused.png", full_page=True)
        answer = webmail.change_password(page, URL, "dienthoai", "Cu-dienthoai-1", "Mưa$Rào2026")
        assert "Đã đổi mật khẩu của dienthoai@lab.test" in answer
        assert page.get_attribute("a.button", "href") == "https://mail.lab.test/"
        page.screenshot(path=tmp_path / "done.png", full_page=True)
    assert "pwdReset" not in operational(host, "dienthoai", "pwdReset").splitlines()[-1]
    assert proves(host, "dienthoai", "Mưa$Rào2026")
    assert not proves(host, "dienthoai", "Cu-dienthoai-1")


@pytest.mark.parametrize(
    ("new", "status", "said"),
    [
        ("Ngan$1", 422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Ít nhất 8 ký tự"),
        ("ậậậ$Aa1", 422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Ít nhất 8 ký tự"),
        ("khonghoa1$", 422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Có chữ hoa (A–Z)"),
        ("KhongDacBiet1-", 422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Có ký tự đặc biệt, một trong: ! @ # % $ * &"),
        ("Nguyenvanan$1", 422, "Mật khẩu mới chứa họ tên, địa chỉ thư hoặc thông tin cá nhân. Hãy chọn mật khẩu khác."),
        ("Cu-nguyenvanan-1", 422, "Mật khẩu mới phải khác mật khẩu hiện tại."),
    ],
)
def test_refused_passwords(host, change, new, status, said):
    assert change("nguyenvanan@lab.test", "Cu-nguyenvanan-1", new) == (status, said)
    assert proves(host, "nguyenvanan", "Cu-nguyenvanan-1")


def test_both_entries_must_agree(change):
    assert change("nguyenvanan", "Cu-nguyenvanan-1", "Mua$Rao2026", "Mua$Rao2027") == (422, "Hai lần nhập mật khẩu mới không giống nhau.")


def test_history(host, change):
    assert change("landau", "Cu-landau-1", "Mua$Rao2026")[0] == 200
    assert change("landau", "Mua$Rao2026", "Nang$To2026")[0] == 200
    status, said = change("landau", "Nang$To2026", "Mua$Rao2026")
    assert (status, said) == (422, "Mật khẩu mới trùng với một mật khẩu dùng gần đây. Hãy chọn mật khẩu khác.")
    assert proves(host, "landau", "Nang$To2026")


def test_administrators_have_their_own_rule(change):
    assert change("quantri", "Cu-quantri-1", "Mua$Rao2026") == (422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Ít nhất 12 ký tự")
    assert change("quantri", "Cu-quantri-1", "MuaRaoCaThang2026")[0] == 200


def test_wrong_password_and_unknown_address_sound_the_same(change):
    wrong = change("thubay@lab.test", "sai", "Mua$Rao2026")
    assert wrong[0] == 422
    assert wrong[1].startswith("Địa chỉ thư hoặc mật khẩu hiện tại không đúng.")
    assert change("khongco@lab.test", "sai", "Mua$Rao2026") == wrong


@pytest.mark.parametrize(
    ("mailbox", "said"),
    [
        ("tamdung", "Hộp thư này đang bị tạm khóa nên không đổi được mật khẩu. Hãy liên hệ cán bộ quản trị thư điện tử của cơ quan."),
        ("chamdut", "Hộp thư này đã chấm dứt sử dụng."),
        ("vanthu", "Hộp thư này không có mật khẩu riêng: người được ủy quyền mở nó bằng tài khoản của mình."),
    ],
)
def test_states_without_access(change, mailbox, said):
    assert change(mailbox, f"Cu-{mailbox}-1", "Mua$Rao2026") == (403, said)


def test_a_suspension_is_told_to_who_knows_the_password(change):
    """To others it is a wrong password, word for word."""
    assert change("tamdung", "sai", "Mua$Rao2026") == change("khongco", "sai", "Mua$Rao2026")


def test_locked_account(host, change):
    host.run_expect(
        [0],
        "printf 'dn: uid=khoa,ou=mailboxes,dc=lab,dc=test\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: "
        "000001010000Z\n' | ldapmodify -Q -Y EXTERNAL -H ldapi:/// -e relax",
    )
    status, said = change("khoa", "Cu-khoa-1", "MuaRaoCaThang2026")
    assert status == 422
    assert said.startswith("Tài khoản đang bị khóa do nhập sai mật khẩu nhiều lần.")


def test_the_pledge_is_asked_for_and_noted(host, change):
    status, said = change("giang@lab.test", "Cu-giang-1", "Mua$Rao2026", pledge="no")
    assert (status, said) == (422, "Hãy đánh dấu vào ô cam kết: quy chế yêu cầu cam kết này mỗi khi đổi mật khẩu.")
    assert proves(host, "giang", "Cu-giang-1")
    assert change("giang@lab.test", "Cu-giang-1", "Mua$Rao2026")[0] == 200
    assert "congvuPledged: 20" in operational(host, "giang", "congvuPledged")
    assert "password changed: address='giang@lab.test'" in host.check_output("journalctl -u password-page -o cat -g pledged")


def test_guessing_is_stopped(host, change):
    for _ in range(3):
        assert change("doan.khongco", "sai", "Mua$Rao2026")[0] == 422
    status, said = change("doan.khongco", "sai", "Mua$Rao2026")
    assert status == 429
    assert re.fullmatch(r"Đã nhập sai quá nhiều lần\. Hãy chờ \d+ phút rồi thử lại\.", said)


def test_the_form_of_another_site_is_refused(host, address, ca):
    form = {"address": "thubay", "old": "Cu-thubay-1", "new": "Mua$Rao2026", "again": "Mua$Rao2026"}
    for extra in ({}, {"token": ""}, {"token": "đoán"}):
        status, _headers, text = webmail.fetch(address, URL, ca, {**form, **extra})
        assert status == 400
        assert "Hãy nhập lại." in text
    assert proves(host, "thubay", "Cu-thubay-1")


def test_headers(address, ca):
    status, headers, _text = webmail.fetch(address, URL, ca)
    assert status == 200
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; form-action 'self'")
    assert headers["Cache-Control"] == "no-store"
    for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/mat-khau/"):
        assert word in headers["Set-Cookie"]
    assert webmail.fetch(address, f"{URL}static/style.css", ca)[0] == 200
    assert webmail.fetch(address, f"{URL}../../etc/passwd", ca)[0] in (400, 404)
    assert webmail.fetch(address, f"{URL}khong-co", ca)[0::2] == (404, "Không có trang này.\n")
    assert webmail.fetch(address, URL, ca, body="x" * 20000)[0] == 413


def test_directory_down_is_said_and_changes_nothing(host, change):
    host.run_expect([0], "systemctl stop slapd")
    try:
        status, said = change("thubay", "Cu-thubay-1", "Mua$Rao2026")
    finally:
        host.run_expect([0], "systemctl start slapd")
    assert status == 503
    assert said.startswith("Hệ thống đang tạm thời không đổi được mật khẩu. Mật khẩu cũ vẫn giữ nguyên")
    assert proves(host, "thubay", "Cu-thubay-1")


def test_page_down_is_said_by_nginx(host, address, ca):
    host.run_expect([0], "systemctl stop password-page")
    try:
        status, _headers, text = webmail.fetch(address, URL, ca)
    finally:
        host.run_expect([0], "systemctl start password-page")
    assert (status, text) == (503, "Trang đổi mật khẩu đang tạm dừng. Hãy thử lại sau ít phút.\n")


@pytest.mark.parametrize(
    ("uri", "ca_file"),
    [("ldap://127.0.0.1", "/etc/congvu-mail/tls/ca.crt"), ("ldaps://mail.lab.test", "/run/other-ca.crt")],
    ids=["another name than the certificate's", "another authority"],
)
def test_only_the_right_directory_gets_the_password(host, uri, ca_file):
    host.run_expect([0], "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null -out /run/other-ca.crt")
    program = (
        "import directory, json; s = json.load(open('/etc/congvu-mail/password-page.json')); "
        f"s.update(ldap_uris=['{uri}'], ca='{ca_file}'); directory.Directory(s).find('thubay@lab.test')"
    )
    result = host.run(f'cd /usr/local/lib/congvu-mail/password_page && python3 -B -c "{program}"')
    assert result.rc != 0
    assert "directory.Unavailable" in result.stderr


def test_secrets_stay_out_of_the_log_and_the_files(host):
    log = host.check_output("journalctl --no-pager -u password-page -u nginx -u slapd; cat /var/log/nginx/*.log")
    assert "password changed: address='landau@lab.test'" in log
    assert "password change refused: wrong address='khongco@lab.test'" in log
    for secret in ("Mua$Rao2026", "Mưa$Rào2026", "Cu-thubay-1", "Nang$To2026", "mật khẩu"):
        assert secret not in log
    settings = host.file("/etc/congvu-mail/password-page.json")
    assert (settings.user, settings.group, settings.mode) == ("root", "password-page", 0o640)


def test_sandbox_of_the_live_process(host):
    pid = host.check_output("systemctl show -P MainPID password-page")
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    assert status["CapBnd"].strip() == "0000000000000000"
    assert host.check_output(f"stat -c %U /proc/{pid}") == "password-page"
    for path in ("/etc/x", "/usr/local/lib/congvu-mail/password_page/x", "/var/lib/x", "/run/x"):
        written = host.run(f"nsenter -t {pid} -m touch {path}")
        assert written.rc != 0, f"{path} could be written"
    assert "Read-only file system" in host.run(f"nsenter -t {pid} -m touch /etc/x").stderr
    score = float(host.check_output("systemd-analyze security --no-pager password-page").splitlines()[-1].split(":")[1].split()[0])
    assert score <= 3.0


def test_only_the_web_server_reaches_the_socket(host):
    connect = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/password-page/socket\")'"
    assert host.run(f"runuser -u www-data -- {connect}").rc == 0
    refused = host.run(f"runuser -u nobody -- {connect}")
    assert "Permission denied" in refused.stderr
