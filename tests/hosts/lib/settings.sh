# shellcheck shell=bash
# Names and places of one fleet, derived from the environment, and its locks.
# shellcheck disable=SC2034 # the files that read these are sourced beside this one

FLEET_NAME=${FLEET_NAME:-test}
FLEET_LAYER=${FLEET_LAYER:-pkgs}
FLEET_NAT=${FLEET_NAT:-1}
FLEET_PYTHON=${FLEET_PYTHON:-1}
FLEET_DISK=${FLEET_DISK:-}
MAX_HOSTS=8
SUITE=bookworm

die() { # MESSAGE [EXIT_CODE]
  echo "fleet: $1" >&2
  exit "${2:-1}"
}

# The kernel allows 15 characters for an interface: `pl-`, eight of the name, `-`, and the host.
[[ $FLEET_NAME =~ ^[a-z][a-z0-9]{0,7}$ ]] || die "FLEET_NAME \`$FLEET_NAME\` must be 1 to 8 letters or digits" 2
[[ $FLEET_LAYER == base || $FLEET_LAYER == pkgs ]] || die "FLEET_LAYER \`$FLEET_LAYER\` must be base or pkgs" 2
[[ $FLEET_DISK =~ ^[0-9]*$ ]] || die "FLEET_DISK \`$FLEET_DISK\` must be a number of MiB" 2

CACHE=${PRESSLUFT_HOSTS_CACHE:-/var/cache/pressluft-hosts}
STATE_ROOT=${PRESSLUFT_HOSTS_STATE:-/var/lib/pressluft-hosts}
STATE=$STATE_ROOT/$FLEET_NAME
LOCKS=/run/lock
KEY=$STATE/key
PREFIX=pl-$FLEET_NAME
BRIDGE=$PREFIX
NFT_TABLE=pl_$FLEET_NAME

host_dir() { echo "$STATE/hosts/$1"; }
host_unit() { echo "$PREFIX-$1"; } # names its netns, its veth and its cgroups

check_index() {
  [[ ${1:-} =~ ^[1-$MAX_HOSTS]$ ]] || die "host \`${1:-}\` must be a number from 1 to $MAX_HOSTS" 2
}

need_host() {
  check_index "${1:-}"
  [[ -d $(host_dir "$1") ]] || die "fleet \`$FLEET_NAME\` has no host $1 (make it with: fleet add $1)"
}

# A lock lasts until `unlock` or the end of the process that took it.
declare -A LOCK_FDS=()
lock() { # NAME
  local fd
  mkdir -p "$LOCKS"
  exec {fd}>"$LOCKS/pressluft-hosts-$1.lock"
  flock "$fd"
  LOCK_FDS[$1]=$fd
}
unlock() { # NAME
  local fd=${LOCK_FDS[$1]}
  exec {fd}>&-
  unset "LOCK_FDS[$1]"
}
unlock_all() {
  local name
  for name in "${!LOCK_FDS[@]}"; do unlock "$name"; done
}

elapsed_since() { # EPOCHREALTIME
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}
