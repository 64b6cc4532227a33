#!/bin/sh
# Written by Pressluft: joins the fragments of the environments into the ACL that Redis reads,
# and has a running Redis take it. Redis has no include for ACL files.
set -eu
umask 077
socket=/run/redis/redis-server.sock
secret=/var/lib/pressluft/redis-admin
if [ ! -s "$secret" ]; then
    head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1 >"$secret.new"
    mv "$secret.new" "$secret"
fi
digest=$(printf %s "$(cat "$secret")" | sha256sum | cut -d' ' -f1)
{
    echo "user default off resetpass resetkeys resetchannels -@all"
    echo "user pressluft on #$digest ~* &* +@all"
    for fragment in /etc/redis/users.d/*.acl; do
        [ ! -e "$fragment" ] || cat "$fragment"
    done
} >/etc/redis/users.acl.new
chown redis:redis /etc/redis/users.acl.new
chmod 0640 /etc/redis/users.acl.new
[ ! -e /etc/redis/users.acl ] || cp -p /etc/redis/users.acl /etc/redis/users.acl.old
mv /etc/redis/users.acl.new /etc/redis/users.acl
systemctl is-active --quiet redis-server || exit 0
REDISCLI_AUTH=$(cat "$secret")
export REDISCLI_AUTH
answer=$(redis-cli -s "$socket" --user pressluft --no-auth-warning ACL LOAD 2>&1) || answer="no answer: $answer"
case $answer in
OK) ;;
ERR*)
    # Redis goes on with what it has, and must find that after a restart too.
    [ ! -e /etc/redis/users.acl.old ] || mv /etc/redis/users.acl.old /etc/redis/users.acl
    echo "Redis refused the ACL: $answer" >&2
    exit 1
    ;;
*)
    # Redis ran without this ACL so far, or its own file was changed by hand.
    systemctl restart redis-server
    ;;
esac
rm -f /etc/redis/users.acl.old
