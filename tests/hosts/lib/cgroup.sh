# shellcheck shell=bash
# The control groups of a host: they tell which processes are its own, kill them all, and freeze them.
# The cgroup2 tree does the work; on a machine in hybrid mode a host gets its own group in the
# version 1 trees that its systemd writes to as well, or it would meddle with the machine's.

CGROUP=$(cgroup_root)

cgroup_trees() {
  local tree
  echo "$CGROUP"
  for tree in systemd pids; do
    [[ $(stat -f -c %T "/sys/fs/cgroup/$tree" 2>/dev/null) != cgroupfs ]] || echo "/sys/fs/cgroup/$tree"
  done
}

processes() { # UNIT: every live process of that host
  { find "$CGROUP/$1" -name cgroup.procs -exec cat {} + 2>/dev/null || true; } | sort -un
}
running() { [[ -n $(processes "$1") ]]; }

enter_cgroups() { # UNIT: moves the calling subshell
  local tree
  while read -r tree; do
    mkdir -p "$tree/$1"
    echo "$BASHPID" >"$tree/$1/cgroup.procs"
  done < <(cgroup_trees)
}

freeze() { # UNIT 0|1
  local n
  echo "$2" >"$CGROUP/$1/cgroup.freeze"
  for ((n = 0; n < 100; n++)); do
    grep -qx "frozen $2" "$CGROUP/$1/cgroup.events" && return 0
    sleep 0.02
  done
  die "host \`$1\` did not change to frozen=$2"
}

kill_all() { # UNIT
  local n
  local -a pids
  for ((n = 0; n < 200; n++)); do
    mapfile -t pids < <(processes "$1")
    ((${#pids[@]} > 0)) || return 0
    if [[ -e $CGROUP/$1/cgroup.kill ]]; then
      echo 1 >"$CGROUP/$1/cgroup.kill"
    else
      kill -KILL "${pids[@]}" 2>/dev/null || true # some are gone already
    fi
    sleep 0.02
  done
  die "host \`$1\` has processes that do not die: ${pids[*]}"
}

remove_cgroups() { # UNIT
  local tree
  while read -r tree; do
    [[ -d $tree/$1 ]] || continue
    # A group can only be removed a moment after its last process ended.
    for _ in {1..50}; do
      find "$tree/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [[ -d $tree/$1 ]] || continue 2
      sleep 0.02
    done
    die "cgroup \`$tree/$1\` cannot be removed"
  done < <(cgroup_trees)
}

list_cgroups() { # units of this fleet that have a control group
  local tree
  while read -r tree; do
    find "$tree" -maxdepth 1 -type d -name "$PREFIX-[1-$MAX_HOSTS]" -printf '%f\n'
  done < <(cgroup_trees) | sort -u
}
