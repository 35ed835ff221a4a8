#!/bin/sh
# image.sh -- build the image of the test hosts and print its name.
#
# A plain Debian 13 with systemd, sshd and a local mirror (/srv/mirror) of every package that a role names in
# `__<role>_packages` (roles/*/vars/Debian-13.yml), security updates included. Hosts made from it install for real, without
# any network: their apt knows no other source. The name carries a hash of what went in, so an unchanged list costs nothing.
#
# The Debian mirror is the machine's own: its apt sources, with the release replaced.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
release=trixie
say() { echo "image: $*" >&2; }
die() { say "$*"; exit 1; }

# Tools that only the tests need, beside what the roles install.
lab_packages="apt-utils ca-certificates dbus iproute2 libpam-systemd openssh-server procps python3 systemd systemd-sysv"

# What a test unpacks or installs on a host it examines (molecule/appliance/tests/test_hardening.py), and an OpenID provider with what it uses
# (roles/roundcube).
test_packages="lynis ssh-audit testssl.sh lemonldap-ng-fastcgi-server liblemonldap-ng-portal-perl libcrypt-jwt-perl libdbd-sqlite3-perl
    libemail-address-xs-perl libemail-sender-perl libio-string-perl libmime-tools-perl libstring-random-perl"

list=$(sed -n '/^__[a-z_]*_packages:/,/^[^ ]/s/^  - //p' "$root"/roles/*/vars/Debian-13.yml | sort -u)
hash=$(printf '%s\n' "$list" "$lab_packages" "$test_packages" | cat - "$0" | sha256sum | cut -c1-12)
image=localhost/congvu-mail-host:$hash
podman() { "$here/hostns.sh" podman "$@"; }

mkdir -p "$root/build/lab"
exec 9>"$root/build/lab/image.lock"
flock 9
if podman image exists "$image"; then echo "$image"; exit 0; fi

# The machine's own mirror: every `main` source for Debian, one-line or deb822, as "URI" lines; the security archive apart.
mirrors() {
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$f" ] && sed -n 's/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\)  *\([^ ]*\)  *.*\<main\>.*/\2 \3/p' "$f"
    done
    for f in /etc/apt/sources.list.d/*.sources; do
        [ -f "$f" ] && awk 'BEGIN{RS="";FS="\n"} {u="";s="";c=""; for(i=1;i<=NF;i++){
            if($i~/^URIs:/){u=$i;sub(/^URIs: */,"",u)} if($i~/^Suites:/){s=$i;sub(/^Suites: */,"",s)}
            if($i~/^Components:/){c=$i}} if(c~/main/){n=split(s,a," "); for(j=1;j<=n;j++) print u, a[j]}}' "$f"
    done
}
# Only suites named after a Debian release: a third party's repository is not a mirror of Debian.
mirror_of() { mirrors | awk -v tail="$1" '$2 ~ "^(bookworm|trixie|stable)" tail "$" {print $1; exit}'; }
main=$(mirror_of '')
updates=$(mirror_of -updates)
security=$(mirror_of -security)
[ -n "$main" ] || die "no Debian mirror in /etc/apt: name one there, then run this again"
[ -n "$security" ] || die "no Debian security mirror in /etc/apt: the test image must carry security updates"

say "building $image ($(printf '%s\n' "$list" | wc -l) packages named by the roles)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    echo "deb $main $release main"
    [ -z "$updates" ] || echo "deb $updates $release-updates main"
    echo "deb $security $release-security main"
} >"$work/sources"
set --
for f in /etc/apt/apt.conf.d/*; do      # proxies and the like; hooks of the machine itself stay out
    case $f in *docker* | *packagekit* | *appstream*) continue ;; esac
    grep -qs 'Acquire::' "$f" && set -- "$@" --aptopt="$f"
done
packages="$(printf "%s\n" "$list" "$test_packages" | tr "\n" " ")"
# shellcheck disable=SC2016  # the hooks expand in the shell that mmdebstrap starts
mmdebstrap --quiet --variant=minbase --mode=root --include="$(echo "$lab_packages" | tr ' ' ,)" "$@" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*/changelog*' \
    --customize-hook="chroot \"\$1\" sh -ec 'apt-get install --yes --quiet=2 --download-only --no-install-recommends $packages >/dev/null
        mkdir -p /srv/mirror; mv /var/cache/apt/archives/*.deb /srv/mirror/; cd /srv/mirror; apt-ftparchive packages . >Packages'" \
    --customize-hook='chroot "$1" sh -ec "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
        echo \"deb [trusted=yes] file:/srv/mirror ./\" >/etc/apt/sources.list
        : >/etc/machine-id; rm -f /etc/ssh/ssh_host_* /etc/resolv.conf; : >/etc/resolv.conf
        printf \"[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n\" >/tmp/keys.conf
        mkdir -p /etc/systemd/system/ssh.service.d && mv /tmp/keys.conf /etc/systemd/system/ssh.service.d/
        mkdir -p -m 700 /root/.ssh"' \
    "$release" "$work/rootfs.tar" - <"$work/sources" >&2 || die "mmdebstrap failed: see above"
podman import --quiet --message "Debian 13 test host" "$work/rootfs.tar" "$image" >/dev/null
# An older package list is of no more use: its image would only fill the disk. Images of running hosts stay.
podman images --quiet --filter reference='localhost/congvu-mail-host' --filter before="$image" | sort -u |
    while read -r old; do podman rmi "$old" >/dev/null 2>&1 || :; done
echo "$image"
