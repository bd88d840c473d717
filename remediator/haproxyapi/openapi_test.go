package haproxyapi_test

import (
	"testing"

	"github.com/sluice-project/sluice/remediator/apidoc"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
	"github.com/sluice-project/sluice/test/openapi"
)

// ours are the operations of the document that this package answers, with their
// codes.
func ours() map[string][]string {
	return openapi.Operations(haproxyapi.Root, haproxyapi.OldRoot, haproxyapi.Document, haproxyapi.Ping)
}

// documented holds an answer against the document: code and body.
func documented(t *testing.T, q question, a answered) {
	t.Helper()
	if err := openapi.Check(q.method, q.path, a.code, a.header, []byte(a.body)); err != nil {
		t.Error(err)
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	a := ask(t, handler(newEngine()), get(haproxyapi.Document))
	if want := string(apidoc.Document()); a.code != 200 || a.body != want {
		t.Errorf("got %d and %d bytes, want the document's %d", a.code, len(a.body), len(want))
	}
}
