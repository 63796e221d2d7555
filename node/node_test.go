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
