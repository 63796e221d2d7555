package chain

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/ward-health/ward/bench/peer"
	"github.com/ward-health/ward/chain/replica/seglog"
)

// bareRaft is hashicorp/raft on three nodes with the log store of Ward and a
// state machine that does nothing, over plain TCP: what replication alone costs.
type bareRaft struct {
	nodes  []*raft.Raft
	logs   []*seglog.Log
	leader *raft.Raft
}

// idle is the cheapest state machine.
type idle struct{}

func (idle) Apply(*raft.Log) any                 { return nil }
func (idle) ApplyBatch(logs []*raft.Log) []any   { return make([]any, len(logs)) }
func (idle) Snapshot() (raft.FSMSnapshot, error) { return nil, raft.ErrNothingNewToSnapshot }
func (idle) Restore(io.ReadCloser) error         { return nil }

// logStore keeps Raft's entries in a seglog.
type logStore struct{ *seglog.Log }

func (s logStore) FirstIndex() (uint64, error) { return s.First(), nil }
func (s logStore) LastIndex() (uint64, error)  { return s.Last(), nil }

func (s logStore) GetLog(index uint64, out *raft.Log) error {
	b, err := s.Read(index)
	if errors.Is(err, seglog.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		return err
	}
	if len(b) < 9 {
		return fmt.Errorf("entry %d is short", index)
	}
	*out = raft.Log{Index: index, Term: binary.BigEndian.Uint64(b), Type: raft.LogType(b[8]), Data: b[9:]}
	return nil
}

func (s logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	records := make([][]byte, len(logs))
	for i, l := range logs {
		b := make([]byte, 0, 9+len(l.Data))
		b = append(binary.BigEndian.AppendUint64(b, l.Term), byte(l.Type))
		records[i] = append(b, l.Data...)
	}
	return s.Append(logs[0].Index, records...)
}

func (s logStore) DeleteRange(lo, hi uint64) error {
	if lo <= s.First() {
		return s.TruncateFront(hi)
	}
	return s.TruncateBack(lo)
}

func startBareRaft(ctx context.Context, dir string) (b *bareRaft, err error) {
	b = &bareRaft{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	logger := hclog.NewNullLogger()
	var servers []raft.Server
	var transports []*raft.NetworkTransport
	for i := range members {
		t, err := raft.NewTCPTransportWithLogger(loopback+":0", nil, 4, 10*time.Second, logger)
		if err != nil {
			return b, err
		}
		transports = append(transports, t)
		servers = append(servers, raft.Server{ID: raft.ServerID(memberName(i)), Address: t.LocalAddr()})
	}
	for i, t := range transports {
		log, err := seglog.Open(filepath.Join(dir, memberName(i)), seglog.Options{})
		if err != nil {
			return b, err
		}
		b.logs = append(b.logs, log)
		cached, err := raft.NewLogCache(512, logStore{log})
		if err != nil {
			return b, err
		}
		config := raft.DefaultConfig()
		config.LocalID, config.Logger = raft.ServerID(memberName(i)), logger
		config.BatchApplyCh, config.NoLegacyTelemetry = true, true
		// Votes are few, and are kept in memory: no node restarts here.
		votes, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if err := raft.BootstrapCluster(config, cached, votes, snapshots, t, raft.Configuration{Servers: servers}); err != nil {
			return b, err
		}
		node, err := raft.NewRaft(config, idle{}, cached, votes, snapshots, t)
		if err != nil {
			return b, err
		}
		b.nodes = append(b.nodes, node)
	}
	for b.leader == nil {
		for _, node := range b.nodes {
			if node.State() == raft.Leader {
				b.leader = node
			}
		}
		if err := pause(ctx); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (b *bareRaft) close() (err error) {
	for _, node := range b.nodes {
		err = errors.Join(err, node.Shutdown().Error())
	}
	for _, log := range b.logs {
		err = errors.Join(err, log.Close())
	}
	return err
}

func (b *bareRaft) load(n, clients, batch int) (peer.Load, error) {
	data := make([]byte, 512*batch)
	return drive(n, clients, batch, func(int, int) error {
		err := b.lead().Apply(data, time.Minute).Error()
		// On a busy machine a leader may be heard too late by the others.
		for until := time.Now().Add(time.Minute); moved(err) && time.Now().Before(until); {
			if err := pause(context.Background()); err != nil {
				return err
			}
			err = b.lead().Apply(data, time.Minute).Error()
		}
		return err
	})
}

// lead returns the node that leads now, or any.
func (b *bareRaft) lead() *raft.Raft {
	for _, node := range b.nodes {
		if node.State() == raft.Leader {
			return node
		}
	}
	return b.leader
}

// moved reports whether another node leads now.
func moved(err error) bool {
	return errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) || errors.Is(err, raft.ErrLeadershipTransferInProgress)
}
