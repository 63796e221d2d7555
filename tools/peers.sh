#!/bin/sh
# Installs the programs that bench measures Ward beside and that are not Go
# modules, at the versions of tools/peers/package-lock.json:
#
#   @nucypher/umbral-pre                 0.10.0  (GPL-3.0)    WebAssembly, needs Node.js 20 or later
#   @ironcorelabs/recrypt-wasm-binding   0.7.1   (AGPL-3.0)   WebAssembly, likewise
#
# They go to .tools/peers at the root of the repository, which git ignores. They
# are only ever run, as processes of their own: nothing of them is linked into
# Ward or into bench, or kept in the repository. Their install scripts are not
# run. What is not installed, bench leaves out and says so.
#
# Exit status: 0 if everything is there, not 0 otherwise.
set -eu

cd "$(dirname "$0")/peers"
out=$(cd ../.. && pwd)/.tools/peers

for program in node npm; do
	command -v "$program" >/dev/null || {
		echo "peers.sh: $program is not installed" >&2
		exit 1
	}
done

stamp=$(cat package.json package-lock.json | cksum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi
mkdir -p "$out"
cp package.json package-lock.json "$out/"
echo "peers.sh: installing into $out" >&2
(cd "$out" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
echo "$stamp" >"$out/stamp"
