package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ward-health/ward"
	"github.com/ward-health/ward/contract/consent"
	"github.com/ward-health/ward/node/devnet"
	"github.com/ward-health/ward/pre"
	"github.com/ward-health/ward/wallet"
)

// lockedBuffer receives the logs of all nodes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// TestNothingConfidentialLeavesItsPlace plants a string of its own in every
// field that is confidential, uses the consortium over HTTPS as hospitals do,
// and looks for the strings in the exported chain, the logs, the metrics and
// every file of every node.
func TestNothingConfidentialLeavesItsPlace(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	logs := &lockedBuffer{}
	passphrase := "canary-passphrase-6f01"
	d, err := devnet.New(ctx, devnet.Options{
		Dir: tempDir(t), HTTP: true, Passphrase: []byte(passphrase),
		Log: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := &world{d, t, ctx}
	author, owner, reader := w.person("canary-author-11@east", "author"), w.person("canary-owner-12@north"), w.person("canary-reader-13@south")
	onChain := []string{"canary-author-11", "canary-owner-12", "canary-reader-13", "canary-type-14"} // and nowhere else but there
	sealed := []string{"canary-title-21", "canary-media-22", "canary-file-23", "canary-payload-24", "canary-reason-25", passphrase}

	id, err := author.Put(ctx, ward.Record{
		Owner: owner.Name(), Type: pre.Type("canary-type-14/lab"), Title: "canary-title-21",
		MediaType: "text/canary-media-22", Filename: "canary-file-23.txt",
	}, strings.NewReader(strings.Repeat("canary-payload-24 ", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.TakeCustody(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.TakeCustody(ctx); err != nil {
		t.Fatal(err)
	}
	id, err = author.Put(ctx, ward.Record{
		Owner: owner.Name(), Type: pre.Type("canary-type-14/lab"), Title: "canary-title-21",
		MediaType: "text/canary-media-22", Filename: "canary-file-23.txt", Replaces: id,
	}, strings.NewReader(strings.Repeat("canary-payload-24 ", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := owner.Grant(ctx, ward.Terms{To: reader.Name(), Type: "canary-type-14"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	e, err := reader.Get(ctx, id, ward.Purpose{Code: consent.Treatment, Reason: "canary-reason-25"}, &out)
	if err != nil || e.Title != "canary-title-21" || !strings.Contains(out.String(), "canary-payload-24") {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := owner.Revoke(ctx, g, ward.RevokeOptions{Rotate: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Get(ctx, id, treatment, io.Discard); err == nil {
		t.Error("read after the revocation")
	}
	// Requests that go wrong are logged too.
	_, _ = w.Node(0).AnswerAccess(ctx, 1<<40)
	_, _ = author.Put(ctx, ward.Record{Owner: "canary-nobody-15@north", Type: "canary-type-14"}, strings.NewReader("canary-payload-24"))
	onChain = append(onChain, "canary-nobody-15")

	var secrets [][]byte
	for i := range w.Len() {
		key, err := w.Key(i)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, bytes.Clone(key.(ed25519.PrivateKey).Seed()))
	}
	for _, p := range []*person{author, owner, reader} {
		secrets = append(secrets, walletSecrets(t, p.wallet)...)
	}

	find := func(where string, data []byte, words ...string) {
		t.Helper()
		for _, s := range words {
			if i := bytes.Index(data, []byte(s)); i >= 0 {
				t.Errorf("%s holds %q: …%q…", where, s, data[max(0, i-80):min(len(data), i+len(s)+40)])
			}
		}
		for i, s := range secrets {
			if bytes.Contains(data, s) || bytes.Contains(data, []byte(hex.EncodeToString(s))) {
				t.Errorf("%s holds secret key %d", where, i)
			}
		}
	}
	var exported bytes.Buffer
	if err := w.Node(2).Export(ctx, &exported); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(exported.Bytes(), []byte("canary-owner-12")) {
		t.Error("the export does not show what the chain shows: it is no export to look into")
	}
	find("the chain", exported.Bytes(), sealed...)
	for i := range w.Len() {
		find("the metrics of "+w.Name(i), metricsOf(t, w.Consortium().Members[i].URL), append(sealed, onChain...)...)
		find("the status of "+w.Name(i), []byte(statusText(w, i)), append(sealed, onChain...)...)
	}
	// On disk, and once everything is flushed.
	dir := w.Dir()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if len(logs.bytes()) < 1000 {
		t.Error("there are no logs to look into")
	}
	find("the log", logs.bytes(), append(sealed, onChain...)...)
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		find(rel, data, sealed...)
		if strings.Contains(rel, string(filepath.Separator)+"vault"+string(filepath.Separator)) || strings.Contains(rel, "cursor") {
			find(rel, data, onChain...)
		}
		find("the name of "+rel, []byte(rel), append(sealed, onChain...)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// walletSecrets returns the secret keys of a wallet.
func walletSecrets(t *testing.T, w *wallet.Wallet) (list [][]byte) {
	t.Helper()
	for version := uint32(1); w.Custody(version) != nil; version++ {
		b := w.Custody(version).Bytes()
		list = append(list, b[len(b)-32:])
	}
	return list
}

func metricsOf(t *testing.T, url string) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	r, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		t.Fatal(r.Status, err)
	}
	if !bytes.Contains(b, []byte("ward_")) {
		t.Errorf("no metrics: %.200s", b)
	}
	return b
}

func statusText(w *world, i int) string {
	s := w.Node(i).Status()
	return strings.Join([]string{s.Member, s.Chain, s.Version, s.Leader, s.Ceremony}, " ")
}

// TestErrorsNameNobody looks for people in the errors that nodes give: they end
// up in logs.
func TestErrorsNameNobody(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author, owner := w.person("dr.chen@east", "author"), w.person("p-1@north")
		id := w.put(author, owner.Name(), "lab", "glucose 5.4")
		g := w.grant(owner, author.Name(), "lab")
		index := w.access(author, g, id)
		if err := owner.Revoke(w.ctx, g, ward.RevokeOptions{}); err != nil {
			t.Fatal(err)
		}
		_, answer := w.Node(0).AnswerAccess(w.ctx, index)
		_, answers := w.Node(0).Answers(w.ctx, index, nil)
		_, key := w.Node(0).PartialKey(w.ctx, index)
		for _, err := range []error{answer, answers, key} {
			if err == nil {
				t.Fatal("no error to look at")
			}
			for _, name := range []string{"chen", "p-1", "lab", string(g), string(id)} {
				if strings.Contains(err.Error(), name) {
					t.Errorf("error names %q: %v", name, err)
				}
			}
		}
		if !errors.Is(answer, consent.ErrRevoked) {
			t.Errorf("got %v", answer)
		}
	})
}
