#!/bin/sh
# Written by Pressluft: empties the page cache of an environment.
#
#   purge-pages SYSTEM        at once
#   purge-pages SYSTEM TMP    because the site asks for it, with a file in its directory TMP
#
# Pages are kept under a number. With a new one nothing that was kept counts any more, and a page that is being made at this
# moment from what was there before is kept under the old one, where nobody looks. It ends when no process of nginx
# takes requests any more that knows the old number.
set -eu
umask 027
system=$1
asked=${2:-}
case $system in
'' | *[!a-z0-9_-]*)
    echo "\`$system\` is no name of an environment" >&2
    exit 2
    ;;
esac
pages=/var/cache/pressluft/$system
number=/etc/nginx/pressluft/$system.cache
run=/run/pressluft
mkdir -p -m 0700 "$run"

now() {
    date +%s%N
}

# The processes of nginx that take new requests.
workers() {
    for process in $(cat "/proc/$1/task/$1/children"); do
        case $(tr -d '\0' <"/proc/$process/cmdline" 2>/dev/null || true) in
        "nginx: worker process") echo "$process" ;;
        esac
    done
}

reload() {
    master=$(cat /run/nginx.pid)
    old=" $(workers "$master" | tr '\n' ' ')"
    systemctl reload nginx
    tries=0
    while :; do
        new=0 left=0
        for process in $(workers "$master"); do
            case $old in
            *" $process "*) left=1 ;;
            *) new=1 ;;
            esac
        done
        [ "$new$left" != 10 ] || return 0
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "nginx goes on with its old configuration: \`nginx -t\` and its log may say why" >&2
            return 1
        fi
        sleep 0.1
    done
}

# What the site wrote may be anything. It is moved out of the way, and never followed.
take() {
    rm -f -- "$asked/purge-pages" 2>/dev/null || mv -T -- "$asked/purge-pages" "$asked/.purge-pages-$(now)" || true
}

[ -z "$asked" ] || take
if [ -d "$pages" ] && systemctl --quiet is-active nginx; then
    mine=$(now)
    printf 'set $pressluft_generation %s;\n' "$mine" >"$number.new"
    mv "$number.new" "$number"
    exec 9>"$run/nginx.lock"
    flock -w 120 9
    # A reload that began since then has taken the number as well.
    if [ "$(cat "$run/nginx.reloaded" 2>/dev/null || echo 0)" -le "$mine" ]; then
        begun=$(now)
        reload
        echo "$begun" >"$run/nginx.reloaded"
    fi
    exec 9>&-
    find "$pages" -xdev -type f ! -newermt "@$((mine / 1000000000))" -delete
elif [ -d "$pages" ]; then
    find "$pages" -xdev -type f -delete
fi
[ -n "$asked" ] || exit 0

# Each reload costs the other sites of the node a little: who asks without end is served less and less often.
read -r last count 2>/dev/null <"$run/asked-$system" || last=0 count=0
second=$(date +%s)
if [ $((second - last)) -lt 45 ]; then count=$((count + 1)); else count=0; fi
echo "$second $count" >"$run/asked-$system"
pause=1
while [ "$count" -gt 10 ] && [ "$pause" -lt 30 ]; do
    pause=$((pause * 2)) count=$((count - 3))
done
sleep "$pause"
