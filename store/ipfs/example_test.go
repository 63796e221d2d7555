package ipfs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/ipfs"
)

func ExampleOpen() {
	node := httptest.NewServer(http.HandlerFunc(serveNode))
	defer node.Close()

	ctx := context.Background()
	s, err := ipfs.Open(ctx, node.URL, ipfs.Options{}) // such as http://127.0.0.1:5001
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err) // ipfs cat, given the reference, prints the ciphertext
	// Output: bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
}

// serveNode is as much of Kubo as the example needs.
func serveNode(w http.ResponseWriter, r *http.Request) {
	var answer any = map[string]string{"Version": "0.41.0"}
	if r.URL.Path == "/api/v0/add" {
		file, _, err := r.FormFile("file")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ob, err := store.Digest(r.Context(), nil, file)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer = map[string]string{"Hash": ob.Ref().String()}
	}
	_ = json.NewEncoder(w).Encode(answer)
}
