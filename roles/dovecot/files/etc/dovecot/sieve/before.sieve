# Runs before every user's script, at each delivery. The headers are set by the mail filter, which removes them from what comes in.
require ["copy", "envelope", "fileinto", "mailbox", "vacation", "variables", "vnd.dovecot.pipe"];

# Held mail goes where no user looks; it is released or deleted by the administrator (playbooks/quarantine.yml). Both sides are told: the
# sender as by a vacation reply (RFC 5230: once a day, never to lists, bounces or other replies), the recipient by a message of the system.
if exists "X-Congvu-Quarantine" {
  fileinto :create "Quarantine/Held";
  if envelope :matches "to" "*" {
    set "recipient" "${1}";
    pipe :copy :try "held-notice" ["${recipient}"];
  }
  if header :matches "Subject" "*" {
    set "subject" "${1}";
  }
  vacation :days 1 :handle "held" :subject "Thư đang được giữ để kiểm tra: ${subject}" "Thư của Quý vị gửi tới địa chỉ này đang được giữ ở vùng cách ly, chưa tới người nhận, vì có tệp đặt mật khẩu hoặc tệp không mở được
để quét mã độc. Người quản trị sẽ xem xét rồi giao thư. Nếu cần gấp, đề nghị gửi lại tệp không đặt mật khẩu.

Thư này do hệ thống gửi tự động, xin không trả lời.
";
  stop;
}

if header :is "X-Spam" "Yes" {
  fileinto :create "Junk";
  stop;
}
