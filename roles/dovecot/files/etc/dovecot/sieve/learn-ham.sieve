# A user took a message out of Junk. Thrown away is not "no spam".
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment"];

if environment :is "imap.mailbox" ["Trash", "Junk"] {
  stop;
}
pipe :copy "learn" ["ham"];
