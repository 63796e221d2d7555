package storeurl

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ward-health/ward/internal/realserver"
	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/replicated"
)

var good = []string{
	"mem:",
	"fs:/var/lib/ward/blobs",
	"fs:/with space/and:colon",
	"s3:https://s3.example.org/bucket",
	"s3:https://s3.example.org/bucket/a/prefix?region=eu-central-1",
	"s3:http://127.0.0.1:9000/bucket",
	"ipfs:http://127.0.0.1:5001",
	"ipfs:http://[::1]:5001?network=true",
}

var bad = []string{
	"", "mem", "mem:x", "file:/x", "FS:/x", "fs:", "fs:x", "fs:./x", "fs:/x/", "fs:/x/../y", "fs://x", "fs:/x\x00",
	"s3:", "s3:bucket", "s3:https://host", "s3:https://host/", "s3:https:///bucket", "s3:ftp://host/bucket",
	"s3:https://host/bucket/", "s3:https://host/bucket?x=1", "s3:https://host/bucket?region=a&region=b",
	"s3:https://host/bucket#x", "s3:https://key:secret@host/bucket", "s3:https://host/bucket?region=",
	"ipfs:", "ipfs:127.0.0.1:5001", "ipfs:http://127.0.0.1:5001/", "ipfs:http://h?network=maybe",
	"ipfs:http://h?network=false", "ipfs:http://h?network=1", "ipfs:http://key:secret@h", "ipfs:http://%zz",
	"ipfs:http://key:secret@%zz",
}

func TestParseRoundTrip(t *testing.T) {
	for _, s := range good {
		l, err := Parse(s)
		if err != nil {
			t.Errorf("Parse(%q): %v", s, err)
		} else if l.String() != s {
			t.Errorf("Parse(%q).String() = %q", s, l)
		}
	}
	for _, s := range bad {
		l, err := Parse(s)
		if err == nil {
			t.Errorf("Parse(%q) = %q", s, l)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("Parse(%q): the error shows the secret: %v", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(good, bad...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := Parse(s); err == nil && l.String() != s {
			t.Fatalf("Parse(%q).String() = %q", s, l)
		}
	})
}

func TestOpenSeveralIsReplicated(t *testing.T) {
	a, b := "fs:"+filepath.Join(t.TempDir(), "a"), "fs:"+filepath.Join(t.TempDir(), "b")
	s, err := Open(t.Context(), Options{Quorum: 2}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.(*replicated.Store); !ok {
		t.Fatalf("two URLs gave a %T", s)
	}
	ref, err := s.Put(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{a, b} {
		one, err := Open(t.Context(), Options{}, url)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(store.Verify(t.Context(), one, ref), one.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, urls := range [][]string{nil, {a, a}, {a, "fs:relative"}, {"mem:", "nonsense:"}} {
		if s, err := Open(t.Context(), Options{}, urls...); err == nil || s != nil {
			t.Errorf("Open(%q) = %v, %v", urls, s, err)
		}
	}
	if s, err := Open(t.Context(), Options{Quorum: 3}, a, b); err == nil || s != nil {
		t.Errorf("quorum of 3 of 2: %v, %v", s, err)
	}
}

// TestOneBlobOnThreeKindsOfMedia replicates over a directory, a bucket and an
// IPFS node: the blob has one name on all of them.
func TestOneBlobOnThreeKindsOfMedia(t *testing.T) {
	bucket := realserver.VersityGW(t)
	node, _ := realserver.Kubo(t)
	t.Setenv("AWS_ACCESS_KEY_ID", realserver.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", realserver.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	client, err := minio.New(strings.TrimPrefix(bucket, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(realserver.AccessKey, realserver.SecretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), "ward", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	urls := []string{"fs:" + t.TempDir(), "s3:" + bucket + "/ward/blobs?region=us-east-1", "ipfs:" + node}
	s, err := Open(t.Context(), Options{Quorum: 3}, urls...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ref, err := s.Put(t.Context(), strings.NewReader(strings.Repeat("one blob ", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		one, err := Open(t.Context(), Options{}, url)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(store.Verify(t.Context(), one, ref), one.Close()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := s.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), ref); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("after Delete: %v", err)
	}
}
