package node_test

import "testing"

func TestPutGrantReadRevoke(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author := w.person("dr.chen@east", "author")
		owner := w.person("p-1@north")
		reader := w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "clinical/lab", "glucose 5.4")
		w.mustRead(owner, id, "glucose 5.4")
		w.grant(owner, reader.Name(), "clinical")
		w.mustRead(reader, id, "glucose 5.4")
	})
}

func TestJoinAndRefreshWhileServing(t *testing.T) {
	inWorld(t, 4, nil, func(w *world) {
		author := w.person("dr.chen@east", "author")
		owner := w.person("p-1@north")
		reader := w.person("dr.lee@south")
		id := w.put(author, owner.Name(), "clinical/lab", "glucose 5.4")
		w.grant(owner, reader.Name(), "clinical")
		w.mustRead(reader, id, "glucose 5.4")
		if err := w.Refresh(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.mustRead(reader, id, "glucose 5.4")
		i, err := w.Join(w.ctx, "valley")
		if err != nil {
			t.Fatal(err)
		}
		w.mustRead(reader, id, "glucose 5.4")
		t.Logf("%+v", w.Node(i).Status())
	})
}
