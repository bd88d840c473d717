package control

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/apidoc"
	"github.com/sluice-project/sluice/test/openapi"
)

// elsewhere are the documented paths below /api/v1/ that others answer.
var elsewhere = []string{"/api/v1/haproxy/", "/api/v1/control/haproxy/", "/api/v1/events", apidoc.Path}

// said are the answers whose data the engine makes; its tests hold them against
// the document, and here it is a fake one.
var said = []string{"/api/v1/explain", "/api/v1/members/", "/api/v1/pools/"}

func TestEachRouteIsDocumentedAndNoOther(t *testing.T) {
	var documented, routes []string
	for op := range openapi.Operations("/api/v1") {
		_, path, _ := strings.Cut(op, " ")
		if !slices.ContainsFunc(elsewhere, func(p string) bool { return strings.HasPrefix(path, p) }) {
			documented = append(documented, op)
		}
	}
	for path, methods := range (Options{}).routes() {
		for method := range methods {
			routes = append(routes, method+" "+path)
		}
	}
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(documented, routes); diff != "" {
		t.Errorf("what is documented (-) isn't what there is (+):\n%s", diff)
	}
}

// documented holds an answer against the document.
func documented(t *testing.T, method, path string, code int, header http.Header, body []byte) {
	t.Helper()
	check := openapi.Check
	if slices.ContainsFunc(said, func(p string) bool { return strings.HasPrefix(path, p) }) {
		check = openapi.CheckCode
	}
	if err := check(method, path, code, header, body); err != nil {
		t.Error(err)
	}
}
