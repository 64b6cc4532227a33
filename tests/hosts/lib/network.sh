# shellcheck shell=bash
# The bridge of a fleet, its subnet, NAT to the outside, and the link of each host.

FORWARD=/proc/sys/net/ipv4/ip_forward
FORWARD_BEFORE=$STATE_ROOT/ip_forward.before

subnet() { # the first three numbers of the fleet's /24
  cat "$STATE/subnet" 2>/dev/null || die "fleet \`$FLEET_NAME\` is not up"
}
address() { # LAST_NUMBER
  local net
  net=$(subnet) || exit # or a fleet that is not up would have the address `.11`
  echo "$net.$1"
}
gateway() { address 1; }
host_ip() { address $((10 + $1)); }

# An address keeps its MAC for ever: with a new one after `reset`, peers would go on sending to the
# old one until their ARP entry expires, and a host would be deaf for up to a minute.
mac_of() { # LAST_NUMBER
  local a b
  IFS=. read -r _ a b < <(subnet)
  printf '02:50:4c:%02x:%02x:%02x' "$a" "$b" "$1"
}

# Fleets share the machine, so each takes a /24 that no other fleet and no route of the machine has.
choose_subnet() {
  local octet first candidate
  [[ ! -e $STATE/subnet ]] || return 0
  if [[ -n ${FLEET_SUBNET:-} ]]; then
    echo "$FLEET_SUBNET" >"$STATE/subnet"
    return 0
  fi
  first=$(($(cksum <<<"$FLEET_NAME" | cut -d ' ' -f 1) % 250))
  for octet in $(seq "$first" 250) $(seq 0 "$first"); do
    candidate=10.98.$octet
    grep -qxF "$candidate" "$STATE_ROOT"/*/subnet 2>/dev/null && continue
    [[ -z $(ip -4 route show table all root "$candidate.0/24") ]] || continue
    echo "$candidate" >"$STATE/subnet"
    return 0
  done
  die "no free subnet in 10.98.0.0/16 (set FLEET_SUBNET, e.g. to 10.77.5)"
}

network_up() {
  local net outside
  lock network
  mkdir -p "$STATE/hosts"
  choose_subnet
  net=$(subnet)
  if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
    ip link add "$BRIDGE" address "$(mac_of 1)" type bridge
    outside=$(ip -4 route show default | awk 'NR == 1 { for (n = 1; n < NF; n++) if ($n == "dev") print $(n + 1) }')
    # Hosts take the MTU of the way out, or large packets would depend on path MTU discovery.
    [[ -z $outside ]] || ip link set "$BRIDGE" mtu "$(<"/sys/class/net/$outside/mtu")"
    ip addr add "$net.1/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
  fi
  if [[ $FLEET_NAT == 1 ]] && ! nft list table ip "$NFT_TABLE" >/dev/null 2>&1; then
    [[ -e $FORWARD_BEFORE ]] || cat "$FORWARD" >"$FORWARD_BEFORE"
    echo 1 >"$FORWARD"
    nft -f - <<NFT
table ip $NFT_TABLE {
  chain post {
    type nat hook postrouting priority 100;
    ip saddr $net.0/24 ip daddr != $net.0/24 masquerade;
  }
}
NFT
  fi
  unlock network
}

network_down() {
  lock network
  nft delete table ip "$NFT_TABLE" 2>/dev/null || true
  ip link del "$BRIDGE" 2>/dev/null || true
  # The last fleet to go puts forwarding back as the first one found it.
  if [[ -e $FORWARD_BEFORE ]] && [[ $(nft list tables ip) != *"table ip pl_"* ]]; then
    cat "$FORWARD_BEFORE" >"$FORWARD"
    rm -f "$FORWARD_BEFORE"
  fi
  unlock network
}

link_up() { # I
  local unit mtu
  unit=$(host_unit "$1")
  [[ ! -e /run/netns/$unit ]] || return 0
  mtu=$(<"/sys/class/net/$BRIDGE/mtu")
  ip netns add "$unit"
  ip link add "$unit" mtu "$mtu" type veth \
    peer name eth0 mtu "$mtu" address "$(mac_of $((10 + $1)))" netns "$unit"
  ip link set "$unit" master "$BRIDGE" up
  ip -n "$unit" link set lo up
  ip -n "$unit" addr add "$(host_ip "$1")/24" dev eth0
  ip -n "$unit" link set eth0 up
  ip -n "$unit" route add default via "$(gateway)"
}

link_down() { # UNIT
  ip link del "$1" 2>/dev/null || true
  ip netns del "$1" 2>/dev/null || true
}
