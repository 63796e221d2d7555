package node

import "golang.org/x/mod/sumdb/tlog"

// ReadHashes implements tlog.HashReader, by which package api serves the tree
// of the chain in tiles.
func (n *Node) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	c, err := n.core()
	if err != nil {
		return nil, err
	}
	hashes, err := c.replica.ReadHashes(indexes)
	return hashes, c.translate(err)
}
