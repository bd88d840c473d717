// Package openapi reads the document of the API for tests: which operations it
// has, and whether an answer is what it says.
package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-project/sluice/remediator/apidoc"
)

// An Object is a JSON object.
type Object = map[string]any

// Document is the whole, read once.
var Document = sync.OnceValue(func() Object {
	var doc Object
	if err := json.Unmarshal(apidoc.Document(), &doc); err != nil {
		panic(err)
	}
	return doc
})

// At follows keys, and references on the way; nil when there is nothing.
func At(v any, keys ...string) any {
	for _, k := range keys {
		o, _ := Resolved(v).(Object)
		v = o[k]
	}
	return Resolved(v)
}

// Resolved is what a reference refers to.
func Resolved(v any) any {
	o, _ := v.(Object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return v
	}
	return At(Document(), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// As is v as an object; an empty one when it is none.
func As(v any) Object {
	o, _ := Resolved(v).(Object)
	return o
}

// Operations are "METHOD path" with the codes that are documented, of all paths
// that begin with one of the prefixes.
func Operations(prefixes ...string) map[string][]string {
	out := map[string][]string{}
	for path, item := range As(Document()["paths"]) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/") }) {
			continue
		}
		for method, op := range As(item) {
			out[strings.ToUpper(method)+" "+path] = slices.Sorted(maps.Keys(As(At(op, "responses"))))
		}
	}
	return out
}

// Template finds the documented path that a request's path is one of: the one
// with the fewest names in it. Empty: there is none.
func Template(escaped string) string {
	best, fewest := "", 99
	for path := range As(Document()["paths"]) {
		want := strings.Split(path, "/")
		got := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
		fits := len(want) == len(got)
		for i := 0; fits && i < len(want); i++ {
			plain, err := url.PathUnescape(got[i])
			fits = err == nil && (strings.HasPrefix(want[i], "{") || plain == want[i])
		}
		if n := strings.Count(path, "{"); fits && n < fewest {
			best, fewest = path, n
		}
	}
	return best
}

// Check holds an answer against the document: that the path answers with this
// code, its headers, its content type and its body. A path that isn't documented
// answers 404 or 400.
func Check(method, path string, code int, header http.Header, body []byte) error {
	form, err := form(method, path, code, header)
	if err != nil || form["schema"] == nil || method == http.MethodHead {
		return err
	}
	what := fmt.Sprintf("%s %s: %d", method, path, code)
	if At(form, "schema", "type") == "string" {
		return Valid(form["schema"], string(body), what)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("%s: no JSON: %w: %.200s", what, err, body)
	}
	if err := Valid(form["schema"], v, "body"); err != nil {
		return fmt.Errorf("%s: %w in %.2000s", what, err, body)
	}
	return nil
}

// form is what the document says of an answer's content: its schema.
func form(method, path string, code int, header http.Header) (Object, error) {
	path, _, _ = strings.Cut(path, "?")
	what := fmt.Sprintf("%s %s: %d", method, path, code)
	content := Object{"application/json": Object{"schema": Object{"$ref": "#/components/schemas/Error"}}}
	if template := Template(path); template != "" {
		response := response(template, method, code)
		if response == nil {
			return nil, fmt.Errorf("%s: the document has no such answer of %s", what, template)
		}
		for name := range As(response["headers"]) {
			if header.Get(name) == "" {
				return nil, fmt.Errorf("%s: no header %s", what, name)
			}
		}
		content = As(response["content"])
	} else if code != http.StatusNotFound && code != http.StatusBadRequest {
		return nil, fmt.Errorf("%s: that is no documented path", what)
	}
	media, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	form := As(content[media])
	if form == nil {
		return nil, fmt.Errorf("%s: content type %q, want one of %q", what, media, slices.Sorted(maps.Keys(content)))
	}
	return form, nil
}

// CheckCode holds an answer against the document, but for its body.
func CheckCode(method, path string, code int, header http.Header, _ []byte) error {
	_, err := form(method, path, code, header)
	return err
}

// beforehand are answered before it is known what is wanted of a path.
var beforehand = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed}

// response is what a path says of a code. A method that it doesn't have is
// answered by what all its methods say.
func response(template, method string, code int) Object {
	item := As(At(Document(), "paths", template))
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if op := item[strings.ToLower(method)]; op != nil {
		return asResponse(op, code)
	}
	for _, op := range item {
		if r := asResponse(op, code); r != nil && slices.Contains(beforehand, code) {
			return r
		}
	}
	return nil
}

func asResponse(op any, code int) Object { return As(At(op, "responses", fmt.Sprint(code))) }
