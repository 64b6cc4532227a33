# shellcheck shell=bash
# One host: its disk, its identity, power on, power off, and removal.

mount_disk() { # I
  local dir=$1 unit=$2 lower
  mkdir -p "$dir/disk" "$dir/root"
  mountpoint -q "$dir/root" && return 0
  if [[ -n $FLEET_DISK ]] && ! mountpoint -q "$dir/disk"; then
    mount -t tmpfs -o "size=${FLEET_DISK}m,mode=755" "$unit" "$dir/disk"
  fi
  mkdir -p "$dir/disk/upper/usr/bin" "$dir/disk/work"
  if [[ $FLEET_PYTHON == 0 && ! -e $dir/disk/upper/usr/bin/python3 ]]; then
    # A character device 0:0 is overlayfs's mark of a removed file.
    mknod "$dir/disk/upper/usr/bin/python3" c 0 0
    mknod "$dir/disk/upper/usr/bin/python3.11" c 0 0
  fi
  [[ -e $dir/lower ]] || lower_dirs >"$dir/lower" # the same layers for as long as this disk lives
  lower=$(<"$dir/lower")
  mount -t overlay "$unit" -o "lowerdir=$lower,upperdir=$dir/disk/upper,workdir=$dir/disk/work" "$dir/root"
}

name_servers() {
  local file=/etc/resolv.conf
  [[ $FLEET_NAT == 1 ]] || return 0 # with an empty list look-ups fail at once instead of timing out
  # A stub resolver on loopback is out of reach from a host.
  if grep -qE '^nameserver +127\.' "$file" && [[ -e /run/systemd/resolve/resolv.conf ]]; then
    file=/run/systemd/resolve/resolv.conf
  fi
  cat "$file"
}

write_identity() { # DIR I
  local etc=$1/root/etc n
  [[ ! -e $etc/ssh/ssh_host_ed25519_key ]] || return 0
  echo "host$2" >"$etc/hostname"
  {
    echo "127.0.0.1 localhost host$2"
    for ((n = 1; n <= MAX_HOSTS; n++)); do echo "$(host_ip "$n") host$n.test"; done
  } >"$etc/hosts"
  name_servers >"$etc/resolv.conf"
  tr -d - </proc/sys/kernel/random/uuid >"$etc/machine-id"
  install -d -m 700 "$1/root/root/.ssh"
  install -m 600 "$KEY.pub" "$1/root/root/.ssh/authorized_keys"
  ssh-keygen -q -t ed25519 -N '' -C "host$2" -f "$etc/ssh/ssh_host_ed25519_key"
  echo "$(host_ip "$2") $(cut -d ' ' -f 1,2 "$etc/ssh/ssh_host_ed25519_key.pub")" >"$1/known_hosts"
}

power_on() { # I: boots without waiting; a disk that exists is kept
  local i=$1 dir unit
  dir=$(host_dir "$i") unit=$(host_unit "$i")
  mount_disk "$dir" "$unit"
  write_identity "$dir" "$i"
  link_up "$i"
  echo "$EPOCHREALTIME" >"$dir/started"
  (
    enter_cgroups "$unit"
    exec setsid unshare --mount --propagation slave "$HERE/lib/power" "$dir/root" "$unit"
  ) </dev/null >"$dir/log" 2>&1 &
  disown
  for _ in {1..200}; do
    running "$unit" && return 0
    sleep 0.01
  done
  die "host $i did not start: $(tail -n 3 "$dir/log")"
}

wait_for_ssh() { # I
  local dir unit address deadline
  dir=$(host_dir "$1") unit=$(host_unit "$1") address=$(host_ip "$1")
  deadline=$((SECONDS + 30))
  while ((SECONDS < deadline)); do
    if ! running "$unit"; then
      echo "fleet: host $1 ended while booting: $(tail -n 5 "$dir/log")" >&2
      return 1
    fi
    # shellcheck disable=SC2016
    if timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/22" && read -r -n 4 b <&3 && [[ $b == SSH- ]]' - "$address" 2>/dev/null; then
      settle "$1"
      echo "host$1 $address up after $(elapsed_since "$(<"$dir/started")") s"
      return 0
    fi
    sleep 0.05
  done
  echo "fleet: host $1 has no ssh after 30 s: $(tail -n 5 "$dir/log")" >&2
  return 1
}

settle() { # I: a boot that still goes on restarts sshd once more; what failed in it is no reason to wait
  local rc deadline=$((SECONDS + 30))
  while ((SECONDS < deadline)); do
    rc=0
    timeout 30 ssh -i "$KEY" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=5 -o LogLevel=ERROR \
      -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$(host_dir "$1")/known_hosts" \
      "root@$(host_ip "$1")" systemctl is-system-running --wait </dev/null >/dev/null 2>&1 || rc=$?
    ((rc == 255)) || return 0 # 255 is from ssh itself
    sleep 0.1
  done
}

power_off() { # I: an orderly shutdown, and the plug after 20 s
  local unit pid
  unit=$(host_unit "$1")
  freeze_off "$unit"
  for pid in $(processes "$unit"); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == systemd-nspawn ]] || continue
    kill -TERM "$pid" 2>/dev/null || true
  done
  for _ in {1..200}; do
    running "$unit" || return 0
    sleep 0.1
  done
  kill_all "$unit"
}

freeze_off() { # UNIT: a frozen host would not hear that it should end
  [[ ! -e $CGROUP/$1/cgroup.freeze ]] || echo 0 >"$CGROUP/$1/cgroup.freeze"
}

unmount_below() { # DIR: every mount at or below it, the innermost first
  local point
  while read -r point; do
    umount "$point" 2>/dev/null || umount --lazy "$point"
  done < <(awk -v dir="$1/" 'index($5 "/", dir) == 1 { print $5 }' /proc/self/mountinfo | tac)
}

remove_host() { # I
  local dir unit
  dir=$(host_dir "$1") unit=$(host_unit "$1")
  freeze_off "$unit"
  kill_all "$unit"
  unmount_below "$dir"
  link_down "$unit"
  remove_cgroups "$unit"
  [[ ! -d $dir ]] || rm -rf --one-file-system "$dir"
}
