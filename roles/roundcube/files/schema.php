<?php
// Create Roundcube's tables where there are none, or bring those of an older release up to this one; with --check only tell.
// Prints what it does, nothing when there is nothing to do. Fed to php on standard input by the role, as the user roundcube.

define('INSTALL_PATH', '/var/lib/roundcube/');
require_once INSTALL_PATH . 'program/include/clisetup.php';

$directory = INSTALL_PATH . 'SQL';
$check = in_array('--check', $argv, true);
$database = rcmail_utils::db();
if (!$database->is_connected() && $check) {
    exit("The database cannot be reached yet; its tables would be created.\n");
}
if (!in_array('system', $database->list_tables(), true)) {
    $check ? print("The tables would be created.\n") : rcmail_utils::db_init($directory);
    exit(0);
}
// What the package brings is newer than what the database has: the same comparison as Roundcube's bin/updatedb.sh makes.
$steps = array_map(fn ($file) => basename($file, '.sql'), glob("$directory/postgres/*.sql"));
$due = array_filter($steps, fn ($step) => (int) $step > (int) rcmail_utils::db_version());
if ($check) {
    print($due ? 'The tables would be upgraded to ' . max($due) . ".\n" : '');
    exit(0);
}
if ($due && !rcmail_utils::db_update($directory, 'roundcube', null, ['errors' => true])) {
    exit(1);
}
