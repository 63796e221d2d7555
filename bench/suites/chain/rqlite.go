package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

const nameRqlite = "rqlite"

func rqlite() service {
	return service{
		name: nameRqlite, version: "v8.43.4", licence: "MIT", note: "three processes",
		program: "rqlited", addresses: 2 * members, start: startRqlite,
	}
}

// startRqlite starts three nodes. An entry is a row.
func startRqlite(ctx context.Context, c *cluster) error {
	for i := range members {
		args := []string{"-node-id", memberName(i), "-http-addr", c.addresses[i], "-raft-addr", c.addresses[members+i]}
		if i > 0 { // the first becomes the leader
			args = append(args, "-join", c.addresses[members])
		}
		if err := c.node(ctx, append(args, filepath.Join(c.dir, memberName(i)))...); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		c.post = func(int64, int64) error {
			return c.execute([]any{[]any{"CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, value TEXT)"}})
		}
		if err := c.ready(ctx); err != nil {
			return err
		}
	}
	err := until(ctx, func() error {
		if n := c.reachable(); n != members {
			return fmt.Errorf("%d of %d nodes are reachable", n, members)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s := newSigner()
	c.post = func(from, to int64) error {
		var rows []any
		for i := from; i < to; i++ {
			rows = append(rows, []any{"INSERT INTO entry (value) VALUES (?)", s.text(i, 512)})
		}
		return c.execute(rows)
	}
	return nil
}

// reachable returns how many nodes rqlite's first one reaches, itself included.
func (c *cluster) reachable() (n int) {
	resp, err := c.client.Get(c.url + "/nodes?ver=1")
	if err != nil {
		return 0
	}
	var nodes map[string]struct{ Reachable bool }
	err = json.NewDecoder(resp.Body).Decode(&nodes)
	if resp.Body.Close() != nil || err != nil {
		return 0
	}
	for _, node := range nodes {
		if node.Reachable {
			n++
		}
	}
	return n
}

func (c *cluster) execute(statements []any) error {
	b, err := c.call("/db/execute?transaction", statements)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte(`"error"`)) {
		return fmt.Errorf("refused: %.200s", b)
	}
	return nil
}
