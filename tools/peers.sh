#!/bin/sh
# Installs the programs that bench measures Ward beside and that it does not
# link. Packages of Node.js, at the versions of tools/peers/package-lock.json:
#
#   @nucypher/umbral-pre                 0.10.0  (GPL-3.0)    WebAssembly, needs Node.js 20 or later
#   @ironcorelabs/recrypt-wasm-binding   0.7.1   (AGPL-3.0)   WebAssembly, likewise
#
# and programs in Go, each from a module of its own in tools/peers:
#
#   etcd-peer   etcd v3.7.3        (Apache-2.0)   three nodes and their client
#   cometbft    CometBFT v1.0.1    (Apache-2.0)
#   rqlited     rqlite v8.43.4     (MIT)          needs a C compiler
#   rclone      rclone v1.76.0     (MIT)          with the back ends local and crypt
#   immudb      immudb v1.10.0     (BUSL-1.1)     source-available: not for a competing product on offer
#
# Usage:  tools/peers.sh [node | PROGRAM]...        (default: everything)
#
# They go to .tools/peers at the root of the repository, which git ignores. They
# are only ever run, as processes of their own: nothing of them is linked into
# Ward or into bench, or kept in the repository. Install scripts of packages are
# not run. A first build takes about five minutes on two quiet processors. What
# is not installed, bench leaves out and says so.
#
# Exit status: 0 if everything named is there, not 0 otherwise.
set -u

cd "$(dirname "$0")/peers" || exit 1
out=$(cd ../.. && pwd)/.tools/peers
mkdir -p "$out/bin" || exit 1

packages() {
	for program in node npm; do
		command -v "$program" >/dev/null || {
			echo "peers.sh: $program is not installed" >&2
			return 1
		}
	done
	stamp=$(cat package.json package-lock.json | cksum)
	if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
		return 0
	fi
	cp package.json package-lock.json "$out/" || return 1
	echo "peers.sh: installing packages into $out" >&2
	(cd "$out" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || return 1
	echo "$stamp" >"$out/stamp"
}

program() {
	cgo=0
	case $1 in
	etcd-peer) module=etcd package=. ;;
	cometbft) module=cometbft package=github.com/cometbft/cometbft/cmd/cometbft ;;
	rqlited) module=rqlite package=github.com/rqlite/rqlite/v8/cmd/rqlited cgo=1 ;;
	rclone) module=rclone package=. ;;
	immudb) module=immudb package=github.com/codenotary/immudb/cmd/immudb ;;
	*)
		echo "peers.sh: unknown program $1" >&2
		return 2
		;;
	esac
	stamp=$(cat "$module"/go.mod "$module"/go.sum "$module"/*.go ../peers.sh 2>/dev/null | cksum)
	if [ -x "$out/bin/$1" ] && [ "$(cat "$out/bin/$1.stamp" 2>/dev/null)" = "$stamp" ]; then
		return 0
	fi
	echo "peers.sh: building $1" >&2
	(cd "$module" && CGO_ENABLED=$cgo go build -mod=readonly -trimpath -ldflags '-s -w' -o "$out/bin/$1.new" "$package") || return 1
	mv "$out/bin/$1.new" "$out/bin/$1" && echo "$stamp" >"$out/bin/$1.stamp"
}

[ $# -gt 0 ] || set -- node etcd-peer cometbft rqlited rclone immudb
failed=0
for name in "$@"; do
	if [ "$name" = node ]; then
		packages || failed=1
	else
		program "$name" || failed=1
	fi
done
exit $failed
