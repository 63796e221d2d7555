package api_test

import (
	"encoding/json"
	"iter"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ward-health/ward/contract/query"
	"github.com/ward-health/ward/node/protocol"
	"github.com/ward-health/ward/store"
)

func encode(t testing.TB, q query.Question) []byte {
	t.Helper()
	b, err := query.Encode(q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// first returns the error with which a listing begins.
func first(list iter.Seq2[store.Info, error]) error {
	for _, err := range list {
		return err
	}
	return nil
}

func refOf(t testing.TB, content string) store.Ref {
	t.Helper()
	ob, err := store.Digest(t.Context(), nil, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return ob.Ref()
}

func nets(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// openAPI is as much of a document as the tests look at.
type openAPI struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Tags        []string
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody *struct{ Content map[string]any } `json:"requestBody"`
		Responses   map[string]struct {
			Description string
			Content     map[string]any
		}
		Security []map[string][]string
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any `json:"securitySchemes"`
	}
}

func document(t testing.TB, h *house) *openAPI {
	t.Helper()
	a := h.send(t, h.raw(t, nil), http.MethodGet, protocol.PathOpenAPI, "", "", nil)
	if a.status != http.StatusOK {
		t.Fatalf("status %d", a.status)
	}
	var doc openAPI
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	return &doc
}
