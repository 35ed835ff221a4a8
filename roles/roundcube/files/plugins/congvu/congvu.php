<?php
// SPDX-License-Identifier: Apache-2.0

/**
 * What a province's webmail needs beyond Roundcube itself:
 *
 * - the link to the password page on the login page, and a login error that says what to do, or why a mailbox is suspended;
 * - the Vietnamese texts that Roundcube's own translation lacks (texts/vi_VN.inc);
 * - names and addresses of a user from the directory at each login: his own, and those of the organisation mailboxes he is
 *   a delegate of; a mailbox with a new address keeps its settings and its own contacts;
 * - a session ends with the next click once its mailbox is locked, its password is another, or its user is no delegate any more;
 * - no message leaves with another From than one of these (the mail server refuses it anyway; here the user learns why);
 * - a search in mail finds Vietnamese in either Unicode form;
 * - a part of a message runs no script, and where pictures of other servers are not allowed nothing offers to load them;
 * - the attachments of a message together are limited, before they are uploaded where the browser knows their size;
 * - single sign-on: only an answer of the provider that this browser asked for is taken, a refusal says what to do, and a logout ends the
 *   session at the provider too;
 * - the browser's address in the IMAP ID, so that Dovecot logs and delays by it and not by the address of this host.
 *
 * Settings (config.inc.php): congvu_password_url, congvu_logout_url (empty: none), congvu_ldap_uris, congvu_max_attachment_bytes (null: no limit), congvu_remote_images; bind account and base are those of ldap_public['directory'].
 */
class congvu extends rcube_plugin
{
    private const ATTRIBUTES = ['uid', 'mail', 'displayName', 'cn', 'o', 'congvuDelegate', 'pwdReset', 'pwdChangedTime'];

    /** Content-Security-Policy of a part of a message that is shown by itself. */
    private const POLICY_OF_A_PART = "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; "
        . "object-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";

    private rcmail $rc;

    /** ID token of a session that began at the provider, else null; known before a logout ends it. */
    private ?string $id_token;

    public function init()
    {
        $this->rc = rcmail::get_instance();
        $this->id_token = $_SESSION['congvu_id_token'] ?? null;
        $this->add_texts('localization/');
        if ($_SESSION['language'] === 'vi_VN') {
            $this->rc->load_language('vi_VN', [], rcube::read_localization_file("$this->home/texts/vi_VN.inc"));
        }
        $this->add_hook('startup', [$this, 'guard_message']);
        $this->add_hook('startup', [$this, 'end_session']);
        $this->add_hook('unauthenticated', [$this, 'tell_end']);
        $this->add_hook('storage_init', [$this, 'tell_client_address']);
        $this->add_hook('email2user', [$this, 'find_user']);
        $this->add_hook('login_after', [$this, 'update_identities']);
        $this->add_hook('message_before_send', [$this, 'check_sender']);
        $this->add_hook('logout_after', [$this, 'log_out_at_provider']);
        $this->add_hook('startup', [$this, 'guard_sign_on']);
        $this->add_hook('oauth_login', [$this, 'keep_id_token']);
        if ($this->rc->task === 'mail' && $this->rc->config->get('congvu_max_attachment_bytes')) {
            $this->add_hook('render_page', [$this, 'tell_attachment_limit']);
            $this->add_hook('attachment_upload', [$this, 'limit_attachments']);
            $this->add_hook('attachment_delete', [$this, 'give_room_back']);
        }
        $this->add_hook('imap_search_before', [$this, 'search_both_forms']);
        if (!$this->rc->config->get('congvu_remote_images')) {
            $this->add_hook('message_objects', [$this, 'say_no_more']);
        }
        if ($this->rc->task === 'login' || empty($_SESSION['user_id'])) {
            $this->include_stylesheet('congvu.css');
            $this->add_hook('template_object_loginform', [$this, 'frame_login']);
            $this->add_hook('login_failed', [$this, 'tell_refusal']);
        }
    }

    /**
     * Hook: a part of a message shown by itself, without the viewer around it, runs no script, whatever it contains. Said here and not by nginx, which
     * sees a question as it was written (_action=%67et); the browser obeys this beside the policy of all pages. And nobody is led to load what lies on
     * other servers where that is not allowed: of style sheets this server itself would ask them.
     */
    public function guard_message(array $args): array
    {
        if ($args['task'] === 'mail' && $args['action'] === 'get' && empty($_GET['_frame'])) {
            header('Content-Security-Policy: ' . self::POLICY_OF_A_PART);
        }
        if (!$this->rc->config->get('congvu_remote_images')) {
            unset($_GET['_safe'], $_POST['_safe'], $_REQUEST['_safe']);
        }
        return $args;
    }

    /** Hook: what is said above a message offers nothing that is not allowed. */
    public function say_no_more(array $args): array
    {
        $args['content'] = preg_replace('~<span class="boxbuttons"><a href="#loadremote".*?</span>~s', '', $args['content']);
        return $args;
    }

    /**
     * Hook: before anything is done, whether the login of this session would still be good. Mail is Dovecot's to refuse; settings, contacts and the
     * directory are shown without asking it.
     */
    public function end_session(array $args): array
    {
        $over = empty($_SESSION['user_id']) || $args['task'] === 'logout' ? null : $this->what_ended($_SESSION['username'], $_SESSION['login_time']);
        if ($over) {
            $this->rc->kill_session();
            $page = ['_task' => 'login', '_over' => $over];
            if ($this->rc->output->ajax_call || $this->rc->output->get_env('framed')) {
                $this->rc->output->command('session_error', $this->rc->url($page));
                $this->rc->output->send('iframe');
            }
            $this->rc->output->redirect($page);
        }
        return $args;
    }

    /** Hook: the login page says why a session ended. */
    public function tell_end(array $args): array
    {
        $over = rcube_utils::get_input_string('_over', rcube_utils::INPUT_GET);
        if (in_array($over, ['session_locked', 'session_password'], true)) {
            $this->rc->output->show_message($this->gettext($over), 'error', null, true, -1);
        }
        return $args;
    }

    /** Why a login (address, or organisation's address*own address) of that time is none any more; null while it holds, and while the directory does not answer. */
    private function what_ended(string $login, int $time): ?string
    {
        $addresses = explode('*', $login);
        $found = array_map(fn ($address) => $this->mailboxes('(mailLocalAddress=%s)', $address), $addresses);
        if (in_array(null, $found, true)) {
            return null;
        }
        $person = end($found)[0] ?? null;
        $mailbox = $found[0][0] ?? null;
        if (!$person || !$mailbox || ($mailbox !== $person && !in_array($person['dn'], $mailbox['congvudelegate'] ?? [], true))) {
            return 'session_locked';
        }
        $changed = $person['pwdchangedtime'][0] ?? '';
        return ($person['pwdreset'][0] ?? '') === 'TRUE' || substr($changed, 0, 14) > gmdate('YmdHis', $time) ? 'session_password' : null;
    }

    /** Hook: the login form, with the name of the service above it and the way to the password page below. */
    public function frame_login(array $args): array
    {
        $args['content'] = html::tag('h2', ['class' => 'congvu-title'], rcube::Q($this->rc->config->get('product_name'))) . $args['content'];
        if ($url = $this->rc->config->get('congvu_password_url')) {
            $link = html::a(['href' => $url, 'id' => 'congvu-password'], rcube::Q($this->gettext('password_link')));
            $args['content'] .= html::p(['class' => 'congvu-password'], $link);
        }
        return $args;
    }

    /**
     * Hook: who proved who he is, and may not come in all the same (suspended, the password must be changed first, no mailbox for who came through the
     * provider), reads what the mail server says of it; Roundcube by itself keeps that to its log.
     */
    public function tell_refusal(array $args): array
    {
        $said = (string) $this->rc->get_storage()->get_error_str();
        if (preg_match('/(Hop thu dang tam khoa|Phai doi mat khau truoc khi dung).*$/', $said, $reason)) {
            $this->rc->output->show_message($reason[0], 'error', null, true, 30);
        } elseif (str_contains($said, 'Khong co hop thu nao dang nhap duoc')) {
            $this->rc->output->show_message('congvu.no_mailbox', 'error', null, true, 30);
        }
        return $args;
    }

    /**
     * Hook: before anybody is sent to the provider or its answer is taken. Roundcube 1.6 compares the answer with what it asked only where it asked
     * at all: a link with somebody else's code would log this browser in as somebody else, one with an error show any text on the login page.
     */
    public function guard_sign_on(array $args): array
    {
        if ($args['task'] !== 'login' || $args['action'] !== 'oauth' || !$this->rc->oauth->is_enabled()) {
            return $args;
        }
        $code = rcube_utils::get_input_string('code', rcube_utils::INPUT_GET);
        $error = rcube_utils::get_input_string('error', rcube_utils::INPUT_GET);
        if ($error || $code && empty($_SESSION['oauth_state'])) {
            $this->rc->output->show_message('oauthloginfailed', 'warning', null, true, 30);
        } elseif (!$code && !$this->provider_answers()) {
            $this->rc->output->show_message('congvu.provider_down', 'warning', null, true, 30);
        } else {
            return $args;
        }
        return ['action' => ''] + $args;
    }

    private function provider_answers(): bool
    {
        $url = parse_url($this->rc->config->get('oauth_token_uri'));
        $connection = @stream_socket_client("tcp://{$url['host']}:" . ($url['port'] ?? 443), $code, $said, 5);
        return $connection && fclose($connection);
    }

    /** Hook: the provider's word on who this is, which Roundcube forgets, is what a logout shows it. */
    public function keep_id_token(array $args): array
    {
        $_SESSION['congvu_id_token'] = $args['id_token'] ?? '';
        return $args;
    }

    /**
     * Hook: who came through the provider leaves it too (RP-Initiated Logout); on a shared computer the next one would else come in with one click.
     */
    public function log_out_at_provider(array $args): array
    {
        $url = $this->rc->config->get('congvu_logout_url');
        if ($url && $this->id_token !== null) {
            $this->rc->output->redirect($url . (str_contains($url, '?') ? '&' : '?') . http_build_query(array_filter([
                'id_token_hint' => $this->id_token,
                'client_id' => $this->rc->config->get('oauth_client_id'),
                'post_logout_redirect_uri' => rcube_utils::resolve_url('/'),
            ])));
        }
        return $args;
    }

    /** Hook: IMAP ID before and after the login (RFC 2971; x-originating-ip as Dovecot understands it). */
    public function tell_client_address(array $args): array
    {
        $identity = ['name' => 'Roundcube', 'x-originating-ip' => rcube_utils::remote_addr()];
        $args['preauth_ident'] = $args['ident'] = $identity;
        return $args;
    }

    /**
     * Hook: the user of an address that somebody logs in with is the mailbox's one current address. Settings that the same mailbox
     * (its uid never changes) has under an earlier address are taken along: after a rename nothing is lost.
     */
    public function find_user(array $args): array
    {
        $mailbox = $this->mailboxes('(mailLocalAddress=%s)', $args['email'])[0] ?? null;
        if ($mailbox) {
            $args['user'] = $mailbox['mail'][0];
            $host = rcube_utils::parse_host_uri($this->rc->config->get('imap_host'))[0];
            if (!rcube_user::query($args['user'], $host)) {
                $table = $this->rc->db->table_name('users', true);
                $this->rc->db->query(
                    "UPDATE $table SET `username` = ? WHERE `mail_host` = ? AND `preferences` LIKE ?",
                    $args['user'],
                    $host,
                    '%' . substr(serialize(['congvu_uid' => $mailbox['uid'][0]]), 5, -1) . '%'
                );
            }
        }
        return $args;
    }

    /** Hook: after a login the identities are those of the directory; signatures stay. */
    public function update_identities(array $args): array
    {
        $user = $this->rc->user;
        // A delegate logs in as "the organisation's address*the own address" and then is the organisation.
        $own = $this->mailboxes('(mailLocalAddress=%s)', explode('*', $user->get_username())[0]);
        if (!$own) {
            return $args; // The directory does not answer: the identities of the last login serve.
        }
        $user->save_prefs(['congvu_uid' => $own[0]['uid'][0]]);
        $wanted = [];
        foreach (array_merge($own, $this->mailboxes('(congvuDelegate=%s)', $own[0]['dn']) ?? []) as $entry) {
            $wanted[$entry['mail'][0]] = [
                'email' => $entry['mail'][0],
                'name' => $entry['displayname'][0] ?? $entry['cn'][0],
                'organization' => $entry['o'][0] ?? '',
                'standard' => (int) ($entry['dn'] === $own[0]['dn']),
            ];
        }
        $surplus = [];
        foreach ($user->list_identities() as $identity) {
            // The default identity is the user's own, also when his address is a new one.
            $address = isset($wanted[$identity['email']]) ? $identity['email'] : ($identity['standard'] ? $own[0]['mail'][0] : null);
            if ($address === null || !isset($wanted[$address])) {
                $surplus[] = $identity['identity_id'];
                continue;
            }
            if (array_diff_assoc($wanted[$address], array_intersect_key($identity, $wanted[$address]))) {
                $user->update_identity($identity['identity_id'], $wanted[$address]);
            }
            unset($wanted[$address]);
        }
        array_map([$user, 'insert_identity'], $wanted);
        array_map([$user, 'delete_identity'], $surplus);
        return $args;
    }

    /** Hook: a message is sent only as one of the user's identities (a message sent on: its Resent-From). */
    public function check_sender(array $args): array
    {
        $headers = $args['message']->headers();
        $mine = array_column($this->rc->user->list_emails(), 'email');
        $senders = rcube_mime::decode_address_list($headers['Resent-From'] ?? $headers['From'] ?? '', null, true);
        foreach ($senders as $sender) {
            if (!in_array(mb_strtolower($sender['mailto']), $mine, true)) {
                return ['abort' => true, 'result' => false, 'error' => $this->gettext('foreign_sender')] + $args;
            }
        }
        return $args;
    }

    /**
     * Hook: Vietnamese may be written with ready letters or with combining marks (Unicode NFC, NFD), and Dovecot compares what is written: it is asked
     * for both. A search that is made again asks for both already.
     */
    public function search_both_forms(array $args): array
    {
        $forms = array_map(fn ($form) => $this->in_form($args['search'], $form), [Normalizer::FORM_C, Normalizer::FORM_D]);
        if ($forms[0] !== $forms[1] && in_array($args['search'], $forms, true)) {
            $args['search'] = "OR ($forms[0]) ($forms[1])";
        }
        return $args;
    }

    /** An IMAP search with its literals, which alone may hold other than ASCII, in a Unicode form. */
    private function in_form(string $search, int $form): string
    {
        $result = '';
        while (preg_match('/\{(\d+)\}\r\n/', $search, $literal, PREG_OFFSET_CAPTURE)) {
            $start = $literal[0][1] + strlen($literal[0][0]);
            $text = substr($search, $start, (int) $literal[1][0]);
            $text = Normalizer::normalize($text, $form) ?: $text;
            $result .= substr($search, 0, $literal[0][1]) . '{' . strlen($text) . "}\r\n$text";
            $search = substr($search, $start + (int) $literal[1][0]);
        }
        return $result . $search;
    }

    /** Hook: the page to write on knows how much may still be attached, and says so by itself when a file is larger. */
    public function tell_attachment_limit(array $args): array
    {
        if ($args['template'] === 'compose') {
            $this->rc->output->set_env('max_filesize', max(1, $this->room($this->rc->output->get_env('compose_id'))));
            $this->rc->output->set_env('filesizeerror', $this->too_large());
        }
        return $args;
    }

    /** Hook: an uploaded file that is too much with those attached already is not taken. */
    public function limit_attachments(array $args): array
    {
        $left = $this->room($args['group']) - $args['size'];
        if ($left < 0) {
            return ['status' => false, 'break' => true, 'error' => $this->too_large()] + $args;
        }
        $this->rc->output->command('set_env', 'max_filesize', max(1, $left));
        return $args;
    }

    /** Hook: a file that is taken off makes room for others. */
    public function give_room_back(array $args): array
    {
        $this->rc->output->command('set_env', 'max_filesize', max(1, $this->room($args['group']) + $args['size']));
        return $args;
    }

    /** Bytes that may still be attached to a message. */
    private function room(string $compose_id): int
    {
        $attached = array_column($_SESSION["compose_data_$compose_id"]['attachments'] ?? [], 'size');
        return $this->rc->config->get('congvu_max_attachment_bytes') - array_sum($attached);
    }

    private function too_large(): string
    {
        $size = rcmail_action::show_bytes($this->rc->config->get('congvu_max_attachment_bytes'));
        return $this->gettext(['name' => 'attachments_too_large', 'vars' => ['size' => $size]]);
    }

    /**
     * Active mailbox entries that match; null when the directory cannot be asked.
     *
     * @return ?array<array{dn: string, uid: string[], mail: string[], ...}>
     */
    private function mailboxes(string $filter, string $value): ?array
    {
        $book = $this->rc->config->get('ldap_public')['directory'];
        $filter = '(&(objectClass=congvuMailbox)(congvuState=active)' . sprintf($filter, ldap_escape($value, '', LDAP_ESCAPE_FILTER)) . ')';
        foreach ($this->rc->config->get('congvu_ldap_uris') as $uri) {
            $ldap = ldap_connect($uri);
            ldap_set_option($ldap, LDAP_OPT_PROTOCOL_VERSION, 3);
            ldap_set_option($ldap, LDAP_OPT_NETWORK_TIMEOUT, $book['network_timeout']);
            if ((str_starts_with($uri, 'ldaps:') || @ldap_start_tls($ldap)) && @ldap_bind($ldap, $book['bind_dn'], $book['bind_pass'])) {
                $found = @ldap_search($ldap, $book['base_dn'], $filter, self::ATTRIBUTES);
                $entries = $found ? ldap_get_entries($ldap, $found) : ['count' => 0];
                unset($entries['count']);
                foreach ($entries as &$entry) {
                    foreach ($entry as &$values) {
                        if (is_array($values)) {
                            unset($values['count']);
                        }
                    }
                }
                return array_values($entries);
            }
            rcube::raise_error(['message' => "congvu: $uri: " . ldap_error($ldap), 'file' => __FILE__, 'line' => __LINE__], true);
        }
        return null;
    }
}
