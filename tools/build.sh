#!/bin/sh
# Builds the servers and foreign programs that the tests talk to:
#
#   ipfs          Kubo v0.41.0      (MIT/Apache-2.0)   for store/ipfs
#   versitygw     v1.8.0            (Apache-2.0)       for store/s3
#   age           v1.3.2            (BSD-3-Clause)     for store/seal
#   age-keygen    v1.3.2            (BSD-3-Clause)     for store/seal
#
# Usage:  tools/build.sh [PROGRAM...]        (default: all four)
#
# The binaries go to .tools/bin at the root of the repository, which git
# ignores. A program is built again only if tools/go.mod or this script changed
# since, so .tools can be kept in a CI cache keyed by the hash of tools/go.sum
# and tools/build.sh. A first build takes about five minutes on two cores.
#
# The tests find the binaries there, or in the directory WARD_TOOLS names. They
# start the servers themselves, on free ports of 127.0.0.1, with data in a
# temporary directory, and stop them. Where a binary is absent the tests that
# need it skip with a message; with WARD_REQUIRE_SERVERS=1 they fail instead.
# So a CI run is:
#
#   tools/build.sh && WARD_REQUIRE_SERVERS=1 go test ./...
#
# Exit status: 0 if every program named is there, not 0 otherwise.
set -eu

cd "$(dirname "$0")"
out=$(cd .. && pwd)/.tools/bin
mkdir -p "$out"

package() {
	case $1 in
	ipfs) echo github.com/ipfs/kubo/cmd/ipfs ;;
	versitygw) echo github.com/versity/versitygw/cmd/versitygw ;;
	age) echo filippo.io/age/cmd/age ;;
	age-keygen) echo filippo.io/age/cmd/age-keygen ;;
	*)
		echo "build.sh: unknown program $1" >&2
		exit 2
		;;
	esac
}

stamp=$(cat go.mod go.sum build.sh | cksum)
[ $# -gt 0 ] || set -- ipfs versitygw age age-keygen
for program in "$@"; do
	pkg=$(package "$program")
	if [ -x "$out/$program" ] && [ "$(cat "$out/$program.stamp" 2>/dev/null)" = "$stamp" ]; then
		continue
	fi
	echo "build.sh: building $program" >&2
	CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags '-s -w' -o "$out/$program.new" "$pkg"
	mv "$out/$program.new" "$out/$program"
	echo "$stamp" >"$out/$program.stamp"
done
