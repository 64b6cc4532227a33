# shellcheck shell=bash
# Finds out whether this machine can run hosts, and says in one go everything that it lacks.

# What the hosts need beyond a minimal Debian: command and the package that has it.
declare -A PACKAGE_OF=(
  [debootstrap]=debootstrap [systemd-nspawn]=systemd-container [ip]=iproute2 [nft]=nftables
  [ssh]=openssh-client [ssh-keygen]=openssh-client
)
# Only `wordpress-source` needs these; npm may come from elsewhere than Debian.
declare -A SOURCE_PACKAGE_OF=([npm]=npm [zip]=zip)

missing=()
lacks() { missing+=("$1"$'\n'"    cure: $2"); }

can_overlay() { # DIR: an overlay with its upper layer on the file system of DIR
  local probe rc=0
  mkdir -p "$1" && probe=$(mktemp -d "$1/.probe.XXXXXX") || return 1
  mkdir "$probe"/{lower,upper,work,merged}
  # The single quotes are meant: the inner shell expands its own argument.
  # shellcheck disable=SC2016
  unshare --mount sh -c 'mount -t overlay probe -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged"' \
    - "$probe" 2>/dev/null || rc=1
  rm -rf --one-file-system "$probe"
  return $rc
}

can_bridge() {
  unshare --net sh -c 'ip link add probe type bridge && ip link add probe0 type veth peer name probe1' 2>/dev/null
}

can_nat() {
  unshare --net nft 'table ip probe { chain post { type nat hook postrouting priority 100; masquerade; }; }' 2>/dev/null
}

# A drop in any table is final: one of ours could not allow it again.
drops_forwarded() { [[ $(nft list chains 2>/dev/null) =~ hook\ forward[^$'\n']*policy\ drop ]]; }

cgroup_root() { findmnt -n --first-only -t cgroup2 -o TARGET || true; }

can_cgroup() {
  local root probe
  root=$(cgroup_root)
  [[ -n $root ]] || return 1
  probe=$root/$PREFIX-probe$$
  mkdir "$probe" 2>/dev/null && rmdir "$probe"
}

# Prints the URI of this machine's own mirror for a pocket: "" or "-security".
mirror_uri() {
  local system codename uri
  # shellcheck source=/dev/null
  read -r system codename < <(. /etc/os-release && echo "${ID:-none} ${VERSION_CODENAME:-none}")
  [[ $system == debian ]] || return 0
  # shellcheck disable=SC2016 # apt expands these
  uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v want="$codename$1" '$2 == want && $3 == "main" && !n++ { print $1 }')
  # Cloud images name a file with the mirrors in it, which debootstrap does not understand.
  [[ $uri != mirror+file:* ]] || uri=$(grep -m 1 -oE '^[^#[:space:]]+' "/${uri#mirror+file:*/}")
  echo "$uri"
}

find_missing() {
  local name absent=()
  missing=()
  if ((EUID != 0)); then
    lacks "not root" "run this as root; hosts need mounts, namespaces and cgroups"
    return 0 # every other probe would fail for this one reason
  fi
  for name in "${!PACKAGE_OF[@]}"; do command -v "$name" >/dev/null || absent+=("$name"); done
  ((${#absent[@]} == 0)) || lacks "commands missing: ${absent[*]}" "tests/hosts/fleet need"
  if ! unshare --mount --pid --fork --net --ipc --uts true 2>/dev/null; then
    lacks "no namespaces" "run on a machine or virtual machine of your own, or in a privileged container"
    return 0 # the other probes use them
  fi
  can_overlay "$CACHE" || lacks "no overlayfs on \`$CACHE\`" "set PRESSLUFT_HOSTS_CACHE to a directory on ext4, xfs or btrfs"
  can_overlay "$STATE_ROOT" || lacks "no overlayfs on \`$STATE_ROOT\`" "set PRESSLUFT_HOSTS_STATE to a directory on ext4, xfs or btrfs"
  can_cgroup || lacks "no writable cgroup2 hierarchy" "mount cgroup2 read-write"
  if command -v ip >/dev/null; then
    can_bridge || lacks "no bridge or veth devices" "load the kernel modules bridge and veth"
  fi
  if [[ $FLEET_NAT == 1 ]] && command -v nft >/dev/null; then
    can_nat || lacks "nftables cannot masquerade" "load the kernel module nft_masq, or set FLEET_NAT=0"
    [[ -w /proc/sys/net/ipv4/ip_forward ]] || lacks "ip_forward is read-only" "make /proc/sys writable, or set FLEET_NAT=0"
  fi
  if [[ $FLEET_NAT == 1 ]] && drops_forwarded; then
    lacks "another firewall drops forwarded packets" "allow them there for 10.98.0.0/16, or set FLEET_NAT=0"
  fi
  # Asking apt takes a second, and only a layer that is not there yet needs the answer.
  [[ -d $(layer_dir "$FLEET_LAYER") || -n $(mirror_uri "") ]] || lacks "no Debian mirror in this machine's apt sources" "run on Debian 12 or later"
}

report_missing() {
  local item
  echo "fleet: this machine cannot run test hosts:" >&2
  for item in "${missing[@]}"; do echo "  - $item" >&2; done
  cat >&2 <<'TEXT'
Still works without them: building, `cargo test` apart from the tests on hosts,
and `pressluft validate examples/quickstart` and `pressluft plan examples/quickstart`.
TEXT
}

require() {
  find_missing
  ((${#missing[@]} == 0)) && return 0
  report_missing
  exit 3
}

check() {
  require
  echo "fleet: this machine can run test hosts"
}

need() {
  local name
  local -a wanted=()
  ((EUID == 0)) || die "not root: installing packages needs it" 3
  for name in "${!PACKAGE_OF[@]}"; do command -v "$name" >/dev/null || wanted+=("${PACKAGE_OF[$name]}"); done
  for name in "${!SOURCE_PACKAGE_OF[@]}"; do command -v "$name" >/dev/null || wanted+=("${SOURCE_PACKAGE_OF[$name]}"); done
  ((${#wanted[@]} > 0)) || return 0
  echo "fleet: installing ${wanted[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}
