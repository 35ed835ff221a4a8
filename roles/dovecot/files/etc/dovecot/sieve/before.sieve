# Runs before every user's script, at each delivery. The headers are set by the mail filter, which removes them from what comes in.
require ["fileinto", "mailbox"];

# Held mail goes where no user looks; it is released or deleted by the administrator.
if exists "X-Congvu-Quarantine" {
  fileinto :create "Quarantine/Held";
  stop;
}

if header :is "X-Spam" "Yes" {
  fileinto :create "Junk";
  stop;
}
