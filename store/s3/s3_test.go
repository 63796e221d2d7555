package s3

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"

	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/internal/faulthttp"
	"github.com/ward-health/ward/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick does not let a test wait long for retries.
var quick = store.Retry{Attempts: 3, Base: time.Millisecond, Max: time.Millisecond}

// server is one S3 server for the stores of a test.
type server struct{ host string }

func startServer(t *testing.T) *server {
	t.Helper()
	return &server{strings.TrimPrefix(realserver.VersityGW(t), "http://")}
}

func (v *server) options() Options {
	return Options{
		Endpoint: v.host, Insecure: true, Prefix: "ward/test", Region: "us-east-1",
		AccessKey: realserver.AccessKey, SecretKey: realserver.SecretKey,
		PartSize: minPart, Retry: quick,
	}
}

// open returns a store in a new bucket behind a transport that can fail.
func (v *server) open(t *testing.T) (*Store, *faulthttp.Transport) {
	t.Helper()
	opts := v.options()
	opts.Bucket = strings.ToLower(rand.Text())
	base := &http.Transport{}
	faults := &faulthttp.Transport{
		Base: base,
		Read: func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
		},
		Write: func(r *http.Request) bool { return r.Method == http.MethodPut },
	}
	opts.Transport = faults
	s, err := makeBucket(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		base.CloseIdleConnections()
	})
	return s, faults
}

func makeBucket(t *testing.T, opts Options) (*Store, error) {
	t.Helper()
	client, err := minio.New(opts.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(opts.AccessKey, opts.SecretKey, ""), Region: opts.Region, Transport: opts.Transport,
	})
	if err != nil {
		return nil, err
	}
	if err := client.MakeBucket(t.Context(), opts.Bucket, minio.MakeBucketOptions{}); err != nil {
		return nil, err
	}
	return Open(t.Context(), opts)
}

func TestContract(t *testing.T) {
	v := startServer(t)
	transports := make(map[store.Store]*faulthttp.Transport)
	open := func(t *testing.T) store.Store {
		s, faults := v.open(t)
		transports[s] = faults
		return s
	}
	storetest.Test(t, storetest.Harness{
		Open: open,
		Damage: func(t *testing.T, s store.Store, ref store.Ref, edit func([]byte) []byte) {
			s3 := s.(*Store)
			body, _, _, err := s3.core.GetObject(t.Context(), s3.opts.Bucket, s3.blobKey(ref), minio.GetObjectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil {
				t.Fatal(err)
			}
			data = edit(data)
			if _, err := s3.core.PutObject(t.Context(), s3.opts.Bucket, s3.blobKey(ref),
				bytes.NewReader(data), int64(len(data)), "", "", minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		},
		FailWrites: func(t *testing.T, n int64) (store.Store, func()) {
			s := open(t)
			transports[s].FailWrites(n)
			return s, func() { transports[s].FailWrites(-1) }
		},
		CutReads: func(t *testing.T, s store.Store, n int64, times int) {
			transports[s].CutReads(n, times)
		},
	})
}

func TestLargeUploadIsNamedAfterItIsComplete(t *testing.T) {
	v := startServer(t)
	s, faults := v.open(t)
	data := storetest.Bytes(1, 2*minPart+12345)
	for _, room := range []int64{0, 1000, minPart, minPart + 1000, 2*minPart + 12345} {
		// Also the last: the hash tree does not fit any more.
		faults.FailWrites(room)
		if _, err := s.Put(t.Context(), bytes.NewReader(data)); err == nil {
			t.Fatalf("server takes %d bytes: Put succeeded", room)
		}
		faults.FailWrites(-1)
		checkObjects(t, s, 0)
	}
	ref, err := s.Put(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Verify(t.Context(), s, ref); err != nil {
		t.Fatal(err)
	}
	checkObjects(t, s, 2) // the blob and its hash tree
}

// checkObjects counts everything the store has in its bucket, unfinished
// uploads included.
func checkObjects(t *testing.T, s *Store, want int) {
	t.Helper()
	n := 0
	for o := range s.core.ListObjectsIter(t.Context(), s.opts.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
	}
	for u := range s.core.ListIncompleteUploads(t.Context(), s.opts.Bucket, "", true) {
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		n++
	}
	if n != want {
		t.Fatalf("bucket holds %d objects and uploads, want %d", n, want)
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	v := startServer(t)
	for name, change := range map[string]func(*Options){
		"no such bucket": func(o *Options) { o.Bucket = "nowhere" },
		"small parts":    func(o *Options) { o.PartSize = minPart - 1 },
		"wrong secret":   func(o *Options) { o.SecretKey = "guessed" },
		"no endpoint":    func(o *Options) { o.Endpoint = "" },
	} {
		opts := v.options()
		opts.Bucket = "nowhere"
		change(&opts)
		if _, err := Open(t.Context(), opts); err == nil {
			t.Errorf("%s: Open succeeded", name)
		}
	}
}

// fakeServer answers what opening a bucket asks, with this versioning status.
func fakeServer(t *testing.T, versioning string) Options {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("versioning") {
			_, _ = io.WriteString(w, "<VersioningConfiguration><Status>"+versioning+"</Status></VersioningConfiguration>")
		}
	}))
	t.Cleanup(server.Close)
	return Options{
		Endpoint: strings.TrimPrefix(server.URL, "http://"), Insecure: true, Bucket: "bucket", Region: "us-east-1",
		AccessKey: "a", SecretKey: "b", Retry: quick,
	}
}

func TestBucketThatKeepsVersionsIsRefused(t *testing.T) {
	for status, ok := range map[string]bool{"Enabled": false, "Suspended": true, "": true} {
		s, err := Open(t.Context(), fakeServer(t, status))
		if (err == nil) != ok {
			t.Errorf("versioning %q: %v", status, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRefusalsAreNotRetried(t *testing.T) {
	for status, permanent := range map[int]bool{400: true, 403: true, 404: true, 408: false, 429: false, 500: false, 503: false} {
		n := 0
		err := quick.Do(t.Context(), func() error {
			n++
			return classify(minio.ErrorResponse{StatusCode: status})
		})
		if err == nil || (n == 1) != permanent {
			t.Errorf("status %d: %d attempts, %v", status, n, err)
		}
	}
}
