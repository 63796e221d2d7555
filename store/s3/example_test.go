package s3_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/s3"
)

func ExampleOpen() {
	server := httptest.NewTLSServer(&bucket{objects: make(map[string][]byte)})
	defer server.Close()

	ctx := context.Background()
	s, err := s3.Open(ctx, s3.Options{
		Endpoint:  strings.TrimPrefix(server.URL, "https://"), // such as s3.example.org
		Bucket:    "records",
		Prefix:    "ward",
		Region:    "eu-central-1",
		AccessKey: "an access key", // by default from the environment
		SecretKey: "and its secret",
		Transport: server.Client().Transport, // only because the server is a test's
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ref, err := s.Put(ctx, strings.NewReader("ciphertext"))
	fmt.Println(ref, err)
	fmt.Println("verify:", store.Verify(ctx, s, ref))
	fmt.Println("delete:", s.Delete(ctx, ref))
	_, err = s.Open(ctx, ref)
	fmt.Println(err)
	// Output:
	// bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe <nil>
	// verify: <nil>
	// delete: <nil>
	// blob not found: bafkreibqkuy5zrioxsrrz4ovwmpj7r3o2upwnm5w3vnagddfhgxgkmxzpe
}

// A bucket is as much of an S3 server as the example needs.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte // guarded by mu; by path
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, found := b.objects[r.URL.Path]
	isBucket := strings.Count(r.URL.Path, "/") <= 2 && strings.HasSuffix(r.URL.Path, "/")
	switch {
	case r.URL.Query().Has("versioning"):
		_, _ = io.WriteString(w, "<VersioningConfiguration/>")
	case isBucket:
	case r.Method == http.MethodPut:
		data, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.objects[r.URL.Path] = data
	case r.Method == http.MethodDelete:
		delete(b.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"-"`)
		http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
	}
}
