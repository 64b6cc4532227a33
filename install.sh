#!/bin/sh
# Installs Pressluft on a server with systemd (Debian 12, Ubuntu 24.04), or a newer one over it.
#   install.sh [--binary FILE]   from FILE, else from `pressluft` beside this script
#   install.sh --uninstall       removes it; /var/lib/pressluft stays
#   --no-packages                install no Debian packages, only say which are missing
# What is there is kept: settings, database, keys. A service that runs is restarted, one that does
# not is left alone. Nothing is downloaded but Debian packages that are missing.
set -eu

STATE=/var/lib/pressluft
DEFAULTS=/etc/default/pressluft
PREFIX=/usr/local
PROGRAM=$PREFIX/bin/pressluft
UNIT=/etc/systemd/system/pressluft.service
MAN=$PREFIX/share/man/man1
BASH=$PREFIX/share/bash-completion/completions/pressluft
ZSH=$PREFIX/share/zsh/site-functions/_pressluft
FISH=$PREFIX/share/fish/vendor_completions.d/pressluft.fish
PACKAGES='ca-certificates git openssh-client python3 python3-venv'

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set/ { /^set/d; s/^# \{0,1\}//p; }' "$0"; }

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
binary=
action=install
packages=yes
while [ $# -gt 0 ]; do
  case $1 in
    --binary) [ $# -ge 2 ] || die '--binary takes a file'; binary=$2; shift ;;
    --binary=*) binary=${1#*=} ;;
    --uninstall) action=uninstall ;;
    --no-packages) packages=no ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || die 'not root: run it with sudo'
if dpkg-query -W -f '${Status}' pressluft 2>/dev/null | grep -q 'ok installed'; then
  die 'the Debian package pressluft is installed: use apt, or remove it first'
fi
has_systemd() { [ -d /run/systemd/system ]; }

uninstall() {
  if has_systemd && [ -e "$UNIT" ]; then
    say 'stopping the service; running jobs may end first (10 minutes at most)'
    systemctl disable --now pressluft.service
  fi
  rm -f "$PROGRAM" "$UNIT" "$BASH" "$ZSH" "$FISH" "$MAN/pressluft.1" "$MAN"/pressluft-*.1
  if has_systemd; then systemctl daemon-reload; fi
  say 'Pressluft is removed.'
  if [ -d "$STATE" ]; then
    say "Kept: $STATE (database, keys, secrets), $DEFAULTS and the user \`pressluft\`."
    say 'The servers and sites go on as they are. Without these keys nobody can take them over, so'
    say "keep a backup before you run: rm -r $STATE $DEFAULTS && userdel pressluft"
  fi
}

# Written under another name and then renamed: a running program keeps its own file.
put() { # MODE SOURCE TARGET
  mkdir -p "$(dirname "$3")"
  install -m "$1" "$2" "$3.new"
  mv -f "$3.new" "$3"
}

check_files() {
  [ -n "$binary" ] || binary=$here/pressluft
  [ -f "$binary" ] || die "there is no \`$binary\`: name the program with \`--binary FILE\`"
  for file in pressluft.service pressluft.toml sysusers.conf default; do
    [ -f "$here/packaging/$file" ] || die "there is no \`$here/packaging/$file\`: unpack the whole archive"
  done
  has_systemd || die 'systemd does not run here, and there is nothing else to start pressluft serve'
}

need_packages() {
  missing=
  for package in $PACKAGES; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$packages" = no ]; then
    say "missing packages, without which no job runs:$missing"
    return 0
  fi
  say "installing$missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || die 'apt-get update failed; --no-packages goes on without'
  # shellcheck disable=SC2086 # a list of names
  apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    die "apt-get could not install$missing"
}

install_program() {
  # A program for another machine or with a library missing is found before anything is replaced.
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  install -m 755 "$binary" "$work/pressluft"
  # Not the settings of this machine: what is wrong with them is no reason to keep an old program.
  export PRESSLUFT_STATE_DIR="$work/state"
  version=$("$work/pressluft" --version) || die "\`$binary\` does not run on this machine"
  "$work/pressluft" man "$work/man"
  for shell in bash zsh fish; do "$work/pressluft" completions "$shell" >"$work/$shell"; done

  old=
  if [ -x "$PROGRAM" ]; then old=$("$PROGRAM" --version 2>/dev/null) || old='a broken one'; fi
  put 755 "$work/pressluft" "$PROGRAM"
  rm -f "$MAN"/pressluft-*.1
  for page in "$work"/man/*.1; do put 644 "$page" "$MAN/${page##*/}"; done
  put 644 "$work/bash" "$BASH"
  put 644 "$work/zsh" "$ZSH"
  put 644 "$work/fish" "$FISH"
  sed "s|/usr/bin/pressluft|$PROGRAM|" "$here/packaging/pressluft.service" >"$work/unit"
  put 644 "$work/unit" "$UNIT"
  [ -e "$DEFAULTS" ] || put 644 "$here/packaging/default" "$DEFAULTS"
  case $old in
    '') say "$version is installed in $PROGRAM" ;;
    *) say "$version is installed in $PROGRAM, in place of $old" ;;
  esac
}

make_state() {
  systemd-sysusers "$here/packaging/sysusers.conf"
  if [ ! -d "$STATE" ]; then install -d -m 0700 -o pressluft -g pressluft "$STATE"; fi
  if [ ! -e "$STATE/pressluft.toml" ]; then
    install -m 0600 -o pressluft -g pressluft "$here/packaging/pressluft.toml" "$STATE/pressluft.toml"
  fi
}

restart() {
  systemctl daemon-reload
  # `deactivating` counts: it is being restarted already.
  case $(systemctl is-active pressluft.service || true) in
    active | reloading | deactivating) ;;
    activating) ;;
    *)
      say "Next: name the fleet repo in $STATE/pressluft.toml, then"
      say '  systemctl enable --now pressluft'
      return 0
      ;;
  esac
  say 'restarting the service; running jobs may end first (10 minutes at most)'
  systemctl restart pressluft.service || die 'it does not start: see journalctl -u pressluft -n 50'
}

case $action in
  uninstall) uninstall ;;
  install)
    check_files
    need_packages
    install_program
    make_state
    restart
    ;;
esac
