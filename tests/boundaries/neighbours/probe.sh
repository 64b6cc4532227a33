#!/bin/sh
# What a site sees of its neighbour and reaches of its node: probe.sh NEIGHBOUR OWN-ADDRESS
# Prints `FOUND <what>` for each thing that it must not, `works <what>` for each that it has to, then `END`.
neighbour=$1 address=$2
: "${TMPDIR:?}" # ROOT/tmp of the site
found() { echo "FOUND $1"; }
works() { echo "works $1"; }

for folder in /var/log /var/log/nginx /etc/nginx /etc/nginx/sites-enabled /etc/systemd/system /etc/php/8.2/fpm/pool.d \
    /sys/fs/cgroup /sys/fs/cgroup/systemd/system.slice /run/systemd/units /run/systemd/journal /run/dbus /run/pressluft-php \
    /etc/logrotate.d /etc/cron.d; do
    [ -z "$(ls "$folder" 2>/dev/null)" ] || found "names in $folder"
done
for folder in /var/www/sites /etc/pressluft/php /tmp /var/tmp /dev/shm /run; do
    case $(ls "$folder" 2>/dev/null) in *"$neighbour"*) found "the neighbour's name in $folder" ;; esac
done
[ ! -d "/var/www/sites/$neighbour" ] || found "the neighbour's directory"
for file in $(grep -rlsI "$neighbour" /etc /run /srv /var 2>/dev/null | grep -vE '^/etc/(passwd|group|gshadow|shadow)-?$' | grep -vF "${TMPDIR%/tmp}/"); do found "the neighbour in $file"; done
for process in /proc/[0-9]*; do
    [ "$(stat -c %u "$process" 2>/dev/null || id -u)" = "$(id -u)" ] || found "a process of another user"
done 2>/dev/null
systemctl list-units >/dev/null 2>&1 && found "units by D-Bus"
journalctl -n 1 2>/dev/null | grep -qv '^-- No entries' && found "the journal"
for folder in /run/lock /var/log /etc /run /var/www/sites; do
    (: >"$folder/probe-$$") 2>/dev/null && found "a place to write: $folder"
done
# Refused, or no answer in time: everything else is one.
answers() {
    curl -s -o /dev/null -m 3 "$1"
    case $? in 7 | 28) return 1 ;; esac
}
answers http://169.254.169.254/ && found "metadata"
answers http://127.0.0.1:9090/ && found "a service on loopback"
answers "http://$address:9090/" && found "a service on the node's own address"
answers 'http://[::1]:9090/' && found "a service on loopback, IPv6"

answers http://127.0.0.1/ && works "the web server"
answers "http://$address/" && works "the web server by its address"
[ -S /run/mysqld/mysqld.sock ] && works "the database's socket"
(: >"$TMPDIR/probe") && works "a file of its own"
echo END
