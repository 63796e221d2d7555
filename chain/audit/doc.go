// Package audit checks a whole chain offline and names the first broken link,
// and defines the stream in which chains are exported. It does no I/O of its
// own and runs no contracts: for that, execute the blocks again with package
// [github.com/ward-health/ward/chain/ledger].
//
// [Verify] reads an exported chain; an [Exporter] writes one; an [Auditor] is
// given the blocks one by one. SPEC.md of package chain, sections 7 and 12,
// gives the rules and the bytes.
package audit
