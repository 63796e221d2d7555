// Package ledger is the state machine of the chain: contracts, the key-value
// state they work on, and the executor that turns an entry of the replicated
// log into a block. It does no I/O and keeps no clock: what [Executor.Apply]
// returns is a function of the head, the state and the entry, so that every
// replica derives the same header. SPEC.md of package chain gives the rules.
//
// A replica holds a [Head] and a state. For each entry it calls Apply, makes
// the writes of the [Outcome] durable together with its head, and goes on from
// there. [Executor.Replay] runs a stored block again and compares it bit by
// bit. A state that was received from elsewhere is checked by adding all its
// pairs to a [Digest].
//
// Contracts never see the bytes of sidecars, the network or a clock. Errors
// they return are codes, so that nothing about a person is recorded.
package ledger
