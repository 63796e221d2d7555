package chain

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

const nameImmudb = "immudb"

func immudb() service {
	return service{
		name: nameImmudb, version: "v1.10.0", licence: "BUSL-1.1", note: "three processes, replicating synchronously",
		program: "immudb", addresses: 2 * members, start: startImmudb,
	}
}

// startImmudb starts a primary and two replicas, one of which must have a
// transaction on its disk too before it is committed. An entry is a key with a
// value.
func startImmudb(ctx context.Context, c *cluster) error {
	const user = "immudb" // and the password that comes with it
	for i := range members {
		args := []string{
			"--dir", filepath.Join(c.dir, memberName(i)), "--address", loopback,
			"--port", portOf(c.addresses[members+i]), "--web-server-port", portOf(c.addresses[i]),
			"--metrics-server=false", "--pgsql-server=false", "--replication-sync-enabled",
		}
		if i == 0 {
			args = append(args, "--replication-sync-acks", "1")
		} else {
			args = append(args, "--replication-is-replica", "--replication-primary-host", loopback, "--replication-primary-port", portOf(c.addresses[members]),
				"--replication-primary-username", user, "--replication-primary-password", user)
		}
		if err := c.node(ctx, args...); err != nil {
			return err
		}
	}
	if err := until(ctx, func() error { return c.login(user) }); err != nil {
		return err
	}
	s := newSigner()
	c.post = func(from, to int64) error {
		type pair struct {
			Key   []byte `json:"key"`
			Value []byte `json:"value"`
		}
		var set struct {
			KVs    []pair `json:"KVs"`
			NoWait bool   `json:"noWait"` // for the index: the others do not wait for theirs either
		}
		set.NoWait = true
		for i := from; i < to; i++ {
			set.KVs = append(set.KVs, pair{fmt.Appendf(nil, "record/%010d", i), s.bytes(i, 495)})
		}
		_, err := c.call("/api/db/set", set)
		return err
	}
	return nil
}

// login takes a token for the database that there is from the beginning.
func (c *cluster) login(user string) error {
	c.token = ""
	b, err := c.call("/api/login", map[string][]byte{"user": []byte(user), "password": []byte(user)})
	if err != nil {
		return err
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(b, &answer); err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodGet, c.url+"/api/db/use/defaultdb", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", answer.Token)
	resp, err := c.client.Do(request)
	if err != nil {
		return err
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	if resp.Body.Close() != nil || err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("use defaultdb: %s: %v", resp.Status, err)
	}
	c.token = answer.Token
	return nil
}

// portOf returns the port of an address on loopback.
func portOf(address string) string { return strings.TrimPrefix(address, loopback+":") }
