package replica

import "golang.org/x/mod/sumdb/tlog"

// ReadHashes implements tlog.HashReader for the tree of every transaction that
// was executed, certified or not: what is served of it should be cut off at
// Checkpoint.
func (r *Replica) ReadHashes(indexes []int64) ([]tlog.Hash, error) { return r.book.ReadHashes(indexes) }
