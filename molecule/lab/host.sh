#!/bin/sh
# host.sh -- test hosts: Debian 13 systemd containers that look like ordinary machines, reached over ssh.
#
#   host.sh up NAME FQDN [IMAGE [ADDRESS]]
#                                   make (or start) a host; prints its address. IMAGE, also when empty: from image.sh; ADDRESS: the next
#   host.sh down NAME...            remove hosts; no error when there are none
#   host.sh exec NAME CMD...        run a command as root on a host, without ssh
#   host.sh key                     print the path of the private ssh key that opens every host
#   host.sh commit NAME IMAGE       keep the stopped state of a host as an image
#
# The network has no way out: what a host can reach are the other hosts, so "nothing asks the internet" is a fact here.
# The capabilities are those of an ordinary machine that the roles need: without SYS_ADMIN systemd skips the sandboxing of
# units without a word, without SYS_PTRACE a unit with both PrivateUsers= and ProtectProc= does not start, without NET_ADMIN there
# is no nftables.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
network=congvu-mail
subnet=10.201.0.0/24
# Where podman takes addresses of hosts from: never the controller's.
range=10.201.0.128/26
controller=10.201.0.1/24
key=$root/build/lab/ssh/id_ed25519
podman() { "$here/hostns.sh" podman "$@"; }
die() { echo "host: $*" >&2; exit 1; }

make_key() {
    [ -f "$key" ] && return 0
    mkdir -p "${key%/*}" && chmod 700 "${key%/*}"
    ( flock 8; [ -f "$key" ] || ssh-keygen -q -t ed25519 -N '' -C congvu-mail-test -f "$key" ) 8>"${key%/*}/lock"
}
address() { podman inspect --format "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "$1"; }

up() {
    name=$1 fqdn=$2 image=${3-} wanted=${4-}
    make_key
    if podman container exists "$name"; then
        podman start "$name" >/dev/null
    else
        # Each host's systemd takes about ten inotify instances, and all containers share this machine's limit of 128.
        [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -ge 1024 ] || sysctl -qw fs.inotify.max_user_instances=1024 || true
        [ -n "$image" ] || image=$("$here/image.sh")
        ( flock 8; podman network exists "$network" ||
            podman network create --internal --disable-dns --subnet "$subnet" --ip-range "$range" "$network" >/dev/null ) 8>"$root/build/lab/network.lock"
        podman run --detach --name "$name" --hostname "$fqdn" --systemd=always --network "$network${wanted:+:ip=$wanted}" --dns=none --no-hosts \
            --cap-add=SYS_ADMIN,SYS_PTRACE,NET_ADMIN,NET_RAW --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
            --stop-timeout 20 "$image" /sbin/init >/dev/null
    fi
    # An internal network's bridge has no address of its own; with one, this machine (the controller) reaches the hosts,
    # and still nothing is routed for them.
    ip address replace "$controller" dev "$(podman network inspect --format '{{.NetworkInterface}}' "$network")"
    ip=$(address "$name")
    # What an installer would have written: names of the machine itself, and who may log in. A restarted container may have
    # another address.
    podman exec "$name" sh -ec 'grep -q "^$1 " /etc/hosts 2>/dev/null || printf "127.0.0.1 localhost\n%s %s %s\n" "$1" "$2" "${2%%.*}" >/etc/hosts
        umask 077; mkdir -p /root/.ssh; printf "%s\n" "$3" >/root/.ssh/authorized_keys' \
        up "$ip" "$fqdn" "$(cat "$key.pub")"
    # sshd answers with its banner: the machine is ready to be configured.
    python3 - "$ip" <<'PY' || die "$name does not answer on port 22 within 60 s: look with '$0 exec $name journalctl -b'"
import socket, sys, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        with socket.create_connection((sys.argv[1], 22), 2) as s:
            s.settimeout(2)
            if s.recv(4) == b"SSH-":
                sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
PY
    echo "$ip"
}

case ${1-} in
up)     shift; [ $# -ge 2 ] || die "usage: up NAME FQDN [IMAGE [ADDRESS]]"; up "$@" ;;
down)   shift; for n; do podman rm --force --ignore --time 0 "$n" >/dev/null; done ;;
exec)   shift; n=$1; shift; podman exec -i "$n" "$@" ;;
key)    make_key; echo "$key" ;;
commit) podman stop --time 30 "$2" >/dev/null
        podman commit --quiet "$2" "$3" >/dev/null ;;
*)      die "usage: up NAME FQDN [IMAGE [ADDRESS]] | down NAME... | exec NAME CMD... | key | commit NAME IMAGE" ;;
esac
