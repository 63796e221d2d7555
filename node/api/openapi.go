package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ward-health/ward/node/protocol"
)

// The names of the ways in which a caller proves who it is, in the document.
const (
	schemeToken  = "token"
	schemeMember = "member"
)

const description = `The API of a node of a Ward consortium.

Bodies of type application/cbor are deterministic CBOR; the SPEC.md files of the repository give their bytes. ` +
	`The server proves its node key, which the consortium file has, with a certificate that is signed by nobody else. ` +
	`Members prove theirs in the same way; everybody else sends a token with each request. ` +
	`Nothing that a node answers is to be believed without checking it against the consortium file: use the Go client.`

// config sets huma up to route and to describe, and for nothing else: its own
// pages load scripts from elsewhere, and its way to serve the document races.
func (s *Server) config() huma.Config {
	config := huma.DefaultConfig("Ward node", "1")
	config.Info.Description = description
	config.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{func(_ huma.Context, _ string, v any) (any, error) {
		if m, ok := v.(*huma.ErrorModel); ok {
			return &protocol.Problem{
				Type: "about:blank", Title: http.StatusText(m.Status), Status: m.Status,
				Detail: "a parameter is not as it should be", Code: protocol.CodeMalformed,
			}, nil
		}
		return v, nil
	}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		schemeToken: {
			Type: "apiKey", In: "header", Name: "Authorization",
			Description: `"` + protocol.Scheme + ` " and a token, signed for this one request; see docs/reference/http-api.md`,
		},
		schemeMember: {Type: "mutualTLS", Description: "A certificate with the node key of a member"},
	}
	return config
}

// operation returns what the document says of a route.
func (s *Server) operation(rt route) huma.Operation {
	if rt.status == 0 {
		rt.status = http.StatusOK
	}
	op := huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Summary: rt.summary,
		DefaultStatus: rt.status, Responses: make(map[string]*huma.Response), Tags: []string{string(rt.access)},
	}
	for _, status := range append([]int{rt.status}, rt.also...) {
		r := &huma.Response{Description: http.StatusText(status)}
		if status != http.StatusNoContent && rt.gives != "" {
			r.Content = content(rt.gives, rt.givesWhat)
		}
		op.Responses[strconv.Itoa(status)] = r
	}
	op.Responses["default"] = &huma.Response{
		Description: "What went wrong; its code says what exactly",
		Content: map[string]*huma.MediaType{protocol.TypeProblem: {
			Schema: s.doc.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem"),
		}},
	}
	token := map[string][]string{schemeToken: {}}
	byMember := map[string][]string{schemeMember: {}}
	switch rt.access {
	case signed:
		op.Security = []map[string][]string{{}, token, byMember}
	case caller:
		op.Security = []map[string][]string{token, byMember}
	case member, operator:
		op.Security = []map[string][]string{byMember}
	}
	return op
}

// describe adds to the document what the body of a route's request is. huma
// must not know of it before: it would read the body.
func (s *Server) describe(rt route) {
	paths := s.doc.OpenAPI().Paths
	if plain := strings.Replace(rt.path, "...}", "}", 1); plain != rt.path {
		// OpenAPI has no word for the rest of a path.
		paths[plain] = paths[rt.path]
		delete(paths, rt.path)
	}
	if rt.takes == "" {
		return
	}
	body := &huma.RequestBody{Required: true, Content: content(rt.takes, rt.takesWhat)}
	paths[rt.path].Post.RequestBody = body
}

func content(mediaType, what string) map[string]*huma.MediaType {
	schema := &huma.Schema{Type: huma.TypeString, Description: what}
	switch mediaType {
	case protocol.TypeCBOR, protocol.TypeBytes:
		schema.Format = "binary"
	case protocol.TypeJSON:
		schema.Type = "" // anything
	}
	return map[string]*huma.MediaType{mediaType: {Schema: schema}}
}

// serveOpenAPI serves the document, which does not change any more.
func (s *Server) serveOpenAPI() error {
	rt := route{
		method: http.MethodGet, path: protocol.PathOpenAPI, id: "openapi", access: public,
		summary: "Get this document", gives: protocol.TypeJSON, givesWhat: "OpenAPI 3.1",
	}
	var doc []byte
	add(s, rt, func(c *call, _ *none) error { return c.bytes("application/openapi+json", doc) })
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // of huma
		delete(s.doc.OpenAPI().Components.Schemas.Map(), unused)
	}
	raw, err := json.Marshal(s.doc.OpenAPI())
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		return err
	}
	doc = indented.Bytes()
	return nil
}
