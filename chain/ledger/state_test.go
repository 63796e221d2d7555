package ledger

import "testing"

func TestReplayRecordsAreStrict(t *testing.T) {
	good := replayRecord{height: 7, first: 3, until: 9, ids: make([]byte, 2*idSize)}
	key := append([]byte(keyReplay), 0, 0, 0, 0, 0, 0, 0, 7)
	got, err := parseReplayRecord(key, good.bytes())
	if err != nil || got.height != 7 || got.first != 3 || got.until != 9 || got.count() != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, bad := range map[string][2][]byte{
		"short key":     {key[:9], good.bytes()},
		"short value":   {key, good.bytes()[:15]},
		"half an id":    {key, good.bytes()[:20]},
		"negative time": {key, append(make([]byte, 8), 0xff, 0, 0, 0, 0, 0, 0, 0)},
	} {
		if _, err := parseReplayRecord(bad[0], bad[1]); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A window that is full refuses, and takes up again when ids expire.
func TestFullWindowIsBusy(t *testing.T) {
	x, err := NewExecutor(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &blockRun{x: x, live: MaxWindow - 1, budget: maxBlockWrites}
	if b.full() {
		t.Error("full with one place left")
	}
	b.record.ids = make([]byte, idSize)
	if !b.full() {
		t.Error("not full at the limit")
	}
	b.record.ids, b.budget = nil, maxTxWrites-1
	if !b.full() {
		t.Error("not full without room for what one transaction may write")
	}
}
