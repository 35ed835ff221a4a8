<?php
// Prints the texts of Roundcube and of the plugins in use that are in English only, one a line. What belongs to encryption (Mailvelope) is left out.

function texts(string $file): array
{
    $labels = $messages = [];
    include $file;
    return $labels + $messages;
}

$ours = texts('/var/lib/roundcube/plugins/congvu/texts/vi_VN.inc');
$pairs = [['', '/usr/share/roundcube/program/localization/%s/labels.inc'], ['', '/usr/share/roundcube/program/localization/%s/messages.inc']];
foreach (['archive', 'managesieve', 'markasjunk', 'zipdownload'] as $plugin) {
    $pairs[] = ["$plugin.", "/usr/share/roundcube/plugins/$plugin/localization/%s.inc"];
}
foreach ($pairs as [$prefix, $file]) {
    $vietnamese = texts(sprintf($file, 'vi_VN'));
    foreach (texts(sprintf($file, 'en_US')) as $key => $text) {
        if ($text !== '' && ($vietnamese[$key] ?? '') === '' && !isset($ours["$prefix$key"]) && !preg_match('/encrypt|mailvelope|^key|pubkey/', $key)) {
            print("$prefix$key: $text\n");
        }
    }
}
