# shellcheck shell=bash
# The read-only layers that all fleets of this machine share: which one is wanted, and making it once.

BUILD=$HERE/lib/build-layer

# A layer is keyed by all that goes into it, so a changed list or recipe makes a new one.
layer_digest() { # base|pkgs
  local inputs=("$BUILD" "$HERE/layers/base.txt")
  [[ $1 == base ]] || inputs+=("$HERE/layers/pkgs.txt")
  { echo "$SUITE $(dpkg --print-architecture)"; cat "${inputs[@]}"; } | sha256sum | cut -c 1-12
}

layer_dir() { echo "$CACHE/$1-$(layer_digest "$1")"; }

layer_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$HERE/layers/$1.txt"; }

make_layer() { # base|pkgs
  local layer=$1 dir work start packages
  dir=$(layer_dir "$layer")
  [[ -d $dir ]] && return 0
  [[ $layer == base ]] || make_layer base
  lock image
  start=$EPOCHREALTIME
  if [[ -d $dir ]]; then # another caller made it while this one waited
    unlock image
    return 0
  fi
  # A new base under an old upper layer would be a mixture of two package databases.
  [[ $layer != base ]] || rm -rf --one-file-system "$(layer_dir pkgs)"
  rm -rf --one-file-system "$CACHE"/.build.* # left by a killed build: its mounts went with its namespace
  work=$(mktemp -d "$CACHE/.build.XXXXXX")
  mapfile -t packages < <(layer_packages "$layer")
  echo "fleet: making layer $layer, once (log: $CACHE/$layer.log)" >&2
  # Mounts and processes of a build live in namespaces of their own and die with this process.
  if ! SUITE=$SUITE MIRROR=$(mirror_uri "") SECURITY=$(mirror_uri -security) BASE=$(layer_dir base) \
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
    "$BUILD" "$layer" "$work" "${packages[@]}" >"$CACHE/$layer.log" 2>&1 </dev/null; then
    tail -n 15 "$CACHE/$layer.log" >&2
    rm -rf --one-file-system "$work"
    die "layer \`$layer\` could not be made (whole log: $CACHE/$layer.log)"
  fi
  mv "$work/root" "$dir"
  rm -rf --one-file-system "$work"
  unlock image
  echo "fleet: layer $layer made in $(elapsed_since "$start") s, $(du -shx "$dir" | cut -f 1)" >&2
}

# Prints the lower directories of a host in overlayfs order: the topmost first.
lower_dirs() {
  if [[ $FLEET_LAYER == pkgs ]]; then
    echo "$(layer_dir pkgs):$(layer_dir base)"
  else
    layer_dir base
  fi
}

prune_layers() { # removes layers that no list of this checkout asks for and no host uses
  local dir
  lock image
  for dir in "$CACHE"/base-* "$CACHE"/pkgs-*; do
    [[ -d $dir && $dir != "$(layer_dir base)" && $dir != "$(layer_dir pkgs)" ]] || continue
    grep -qF "$dir" /proc/self/mountinfo "$STATE_ROOT"/*/hosts/*/lower 2>/dev/null && continue
    echo "fleet: removing $dir"
    rm -rf --one-file-system "$dir"
  done
  unlock image
}
