package chain

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// cometSettings make it commit as soon as it can, and take batches.
var cometSettings = map[string]string{
	"timeout_commit": `"0s"`, "create_empty_blocks": "false", "max_request_batch_size": "0", "max_body_bytes": "8000000",
	"size": "100000", "max_subscription_clients": "1000", "max_subscriptions_per_client": "1000", "recheck": "false",
}

const (
	nameComet  = "CometBFT"
	validators = 4
)

func comet() service {
	return service{
		name: nameComet, version: "v1.0.1", licence: "Apache-2.0", note: "four processes, no waiting between blocks",
		program: "cometbft", addresses: 2 * validators, start: startComet,
	}
}

// startComet starts four validators. An entry is a transaction.
func startComet(ctx context.Context, c *cluster) error {
	args := []string{"testnet", "--v", strconv.Itoa(validators), "--o", c.dir}
	for range validators {
		args = append(args, "--hostname", loopback)
	}
	if out, err := exec.CommandContext(ctx, c.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("testnet: %w: %s", err, out)
	}
	var peers []string
	for i := range validators {
		id, err := exec.CommandContext(ctx, c.program, "show-node-id", "--home", filepath.Join(c.dir, fmt.Sprint("node", i))).Output()
		if err != nil {
			return fmt.Errorf("show-node-id: %w", err)
		}
		peers = append(peers, strings.TrimSpace(string(id))+"@"+c.addresses[validators+i])
	}
	for i := range validators {
		home := filepath.Join(c.dir, fmt.Sprint("node", i))
		if err := set(filepath.Join(home, "config", "config.toml"), cometSettings); err != nil {
			return err
		}
		err := c.node(ctx, "start", "--home", home, "--proxy_app", "kvstore", "--log_level", "none",
			"--rpc.laddr", "tcp://"+c.addresses[i], "--p2p.laddr", "tcp://"+c.addresses[validators+i], "--p2p.persistent_peers", strings.Join(peers, ","))
		if err != nil {
			return err
		}
	}
	s := newSigner()
	c.post = func(from, to int64) error {
		var calls []any
		for i := from; i < to; i++ {
			method := "broadcast_tx_sync"
			if i == to-1 {
				method = "broadcast_tx_commit" // behind the others: they are committed too
			}
			tx := fmt.Sprintf("r%012d=%s", i+1, strings.TrimRight(s.text(i, 496), "="))
			calls = append(calls, map[string]any{
				"jsonrpc": "2.0", "id": i - from, "method": method, "params": map[string]string{"tx": base64.StdEncoding.EncodeToString([]byte(tx))},
			})
		}
		b, err := c.call("/", calls)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte(`"error"`)) {
			return fmt.Errorf("refused: %.300s", b)
		}
		return nil
	}
	return nil
}

// set replaces settings of a TOML file.
func set(path string, settings map[string]string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for name, value := range settings {
		line := regexp.MustCompile(`(?m)^` + name + ` = .*$`)
		if !line.Match(b) {
			return fmt.Errorf("%s has no %s", path, name)
		}
		b = line.ReplaceAll(b, []byte(name+" = "+value))
	}
	return os.WriteFile(path, b, 0o600)
}
