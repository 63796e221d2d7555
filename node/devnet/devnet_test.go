package devnet_test

import (
	"context"
	"testing"
	"time"

	"github.com/ward-health/ward/node/devnet"
)

func TestFourNodesMakeTheirKeys(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began := time.Now()
	d, err := devnet.New(ctx, devnet.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Logf("ready after %v", time.Since(began))
	for i := range d.Len() {
		if err := d.Node(i).Ready(); err != nil {
			t.Errorf("%s is not ready: %v", d.Name(i), err)
		}
		t.Logf("%+v", d.Node(i).Status())
	}
	if k := d.Consortium(); k.Epoch != 1 || len(k.ExtractionKey) != 48 {
		t.Errorf("consortium file of epoch %d has no keys", k.Epoch)
	}
}
