#!/usr/bin/env bash
# Installs from Debian's packages the programs that tests and demo run against.
#
#   test/deps.sh PROGRAM=PACKAGE ...
#
# Only what is missing is installed. Debian starts a service as soon as it has
# unpacked it, on ports that others may want; a policy-rc.d that says no keeps
# them off during the installation, and they are left disabled after it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

packages=()
for want in "$@"; do
	command -v "${want%%=*}" >/dev/null || packages+=("${want#*=}")
done
((${#packages[@]})) || exit 0
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
	echo "missing: ${packages[*]}" >&2
	echo "They are installed by themselves on Debian and Ubuntu only. Here, install programs of these names by hand:" >&2
	for want in "$@"; do
		echo "  ${want%%=*} (Debian package ${want#*=})" >&2
	done
	exit 1
fi

root=()
if ((EUID != 0)); then
	if ! command -v sudo >/dev/null; then
		echo "not root and no sudo: install these packages first: ${packages[*]}" >&2
		exit 1
	fi
	root=(sudo)
fi

echo "installing ${packages[*]} from this system's package archive"
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
	"${root[@]}" chmod 755 "$policy"
	trap '"${root[@]}" rm -f "$policy"' EXIT
fi

install() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${packages[@]}"
}
# The list of packages is fetched only when the one at hand doesn't do: it is
# absent on a fresh image, and names files that are gone on an old one.
if ! install >/dev/null 2>&1; then
	"${root[@]}" apt-get update -qq -o DPkg::Lock::Timeout=300
	install
fi

if [[ -d /run/systemd/system ]]; then
	for package in "${packages[@]}"; do
		if systemctl cat "$package.service" >/dev/null 2>&1; then
			"${root[@]}" systemctl disable --quiet "$package.service"
		fi
	done
fi
for want in "$@"; do
	if ! command -v "${want%%=*}" >/dev/null; then
		echo "${want%%=*} is still missing after installing ${want#*=}" >&2
		exit 1
	fi
done
