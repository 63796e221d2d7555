// Package storeurl opens stores named by URLs, as configuration files and flags
// give them:
//
//	mem:                                       memory, for trying things out
//	fs:/var/lib/ward/blobs                     a directory
//	s3:https://s3.example.org/bucket/prefix    a bucket; ?region=NAME is optional
//	ipfs:http://127.0.0.1:5001                 a Kubo node; ?network=true is optional
//
// A URL never holds a secret: one with a user or password is refused. Package
// s3 takes its keys from the environment, ipfs its authorization from the
// variable WARD_IPFS_AUTHORIZATION.
//
// The back ends are imported here and not by package store, so that programs
// that choose their store in code are not linked with all of them.
package storeurl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ward-health/ward/store"
	"github.com/ward-health/ward/store/fs"
	"github.com/ward-health/ward/store/ipfs"
	"github.com/ward-health/ward/store/mem"
	"github.com/ward-health/ward/store/replicated"
	"github.com/ward-health/ward/store/s3"
)

// A Location is a parsed store URL. Its String parses to the same Location.
type Location struct {
	kind    string // mem, fs, s3, ipfs
	path    string // fs: of the directory, absolute and clean
	server  string // s3, ipfs: scheme://host[:port]
	bucket  string
	prefix  string // s3: without slashes at its ends
	region  string
	network bool
}

// Parse parses a store URL; see the package comment. It accepts one spelling
// for every location.
func Parse(s string) (Location, error) {
	l, err := parse(s)
	if err == nil && l.String() != s {
		err = fmt.Errorf("write it %q", l)
	}
	if err != nil {
		// The text is not repeated: a URL that is refused may hold a password.
		return Location{}, fmt.Errorf("store URL: %w", err)
	}
	return l, nil
}

func parse(s string) (Location, error) {
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Location{}, errors.New("it begins with none of mem: fs: s3: ipfs:")
	}
	l := Location{kind: kind}
	switch kind {
	case "mem":
		return l, nil
	case "fs":
		if !filepath.IsAbs(rest) || strings.ContainsRune(rest, 0) {
			return Location{}, errors.New("fs: needs an absolute path")
		}
		l.path = filepath.Clean(rest)
		return l, nil
	case "s3", "ipfs":
		return l.parseServer(rest)
	}
	return Location{}, errors.New("it begins with none of mem: fs: s3: ipfs:")
}

var errBadURL = errors.New("malformed URL after the first colon")

func (l Location) parseServer(rest string) (Location, error) {
	u, err := url.Parse(rest)
	if err != nil {
		return Location{}, errBadURL // the error of url.Parse repeats the text
	}
	if u.User != nil {
		return Location{}, errors.New("secrets do not belong in a store URL")
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Fragment != "" {
		return Location{}, errBadURL
	}
	l.server = u.Scheme + "://" + u.Host
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Location{}, errBadURL
	}
	for name, values := range q {
		switch {
		case len(values) != 1:
			return Location{}, fmt.Errorf("%q is given twice", name)
		case l.kind == "s3" && name == "region":
			l.region = values[0]
		case l.kind == "ipfs" && name == "network":
			if l.network, err = strconv.ParseBool(values[0]); err != nil {
				return Location{}, errors.New("network is true or false")
			}
		default:
			return Location{}, fmt.Errorf("unknown option %q", name)
		}
	}
	if l.kind == "ipfs" {
		if u.Path != "" {
			return Location{}, errors.New("ipfs: takes no path")
		}
		return l, nil
	}
	l.bucket, l.prefix, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if l.bucket == "" {
		return Location{}, errors.New("s3: needs a bucket")
	}
	return l, nil
}

// String returns the URL.
func (l Location) String() string {
	switch l.kind {
	case "mem":
		return "mem:"
	case "fs":
		return "fs:" + l.path
	}
	u, err := url.Parse(l.server)
	if err != nil {
		return ""
	}
	q := url.Values{}
	if l.region != "" {
		q.Set("region", l.region)
	}
	if l.network {
		q.Set("network", "true")
	}
	u.RawQuery = q.Encode()
	if l.kind == "s3" {
		u.Path = "/" + l.bucket
		if l.prefix != "" {
			u.Path += "/" + l.prefix
		}
	}
	return l.kind + ":" + u.String()
}

// Options change what Open does. The zero value means the defaults.
type Options struct {
	// Quorum is how many of several stores must have a blob before a Put
	// succeeds; default is more than half. See package replicated.
	Quorum int
	// Logger is told which of several stores fails; default is none.
	Logger *slog.Logger
	// Retry applies to stores that are reached over a network.
	Retry store.Retry
}

// Open opens the store that the URL names, or a replicated one over all of them
// if there are several.
func Open(ctx context.Context, opts Options, urls ...string) (store.Store, error) {
	var replicas []replicated.Replica
	s, err := open(ctx, opts, urls, &replicas)
	if err != nil {
		for _, r := range replicas {
			err = errors.Join(err, r.Store.Close())
		}
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, opts Options, urls []string, replicas *[]replicated.Replica) (store.Store, error) {
	if len(urls) == 0 {
		return nil, errors.New("no store URL")
	}
	for _, text := range urls {
		l, err := Parse(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(*replicas, func(r replicated.Replica) bool { return r.Name == text }) && l.kind != "mem" {
			return nil, fmt.Errorf("store %s is given twice: it would count twice", text)
		}
		s, err := l.open(ctx, opts)
		if err != nil {
			return nil, err
		}
		*replicas = append(*replicas, replicated.Replica{Name: text, Store: s})
	}
	if len(*replicas) == 1 {
		return (*replicas)[0].Store, nil
	}
	s, err := replicated.New(replicated.Options{Quorum: opts.Quorum, Logger: opts.Logger, Retry: opts.Retry}, *replicas...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (l Location) open(ctx context.Context, opts Options) (store.Store, error) {
	switch l.kind {
	case "mem":
		return mem.New(), nil
	case "fs":
		return notNil(fs.Open(l.path, fs.Options{}))
	case "ipfs":
		return notNil(ipfs.Open(ctx, l.server, ipfs.Options{
			Network:       l.network,
			Authorization: os.Getenv("WARD_IPFS_AUTHORIZATION"),
			Retry:         opts.Retry,
		}))
	}
	scheme, host, _ := strings.Cut(l.server, "://")
	return notNil(s3.Open(ctx, s3.Options{
		Endpoint: host,
		Insecure: scheme == "http",
		Bucket:   l.bucket,
		Prefix:   l.prefix,
		Region:   l.region,
		Retry:    opts.Retry,
	}))
}

// notNil keeps a nil pointer from becoming an interface that is not nil.
func notNil[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
