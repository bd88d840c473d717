package main

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator/apidoc"
	"github.com/sluice-project/sluice/test/openapi"
)

func TestThePageIsWhatTheDocumentSays(t *testing.T) {
	if err := run("../..", true); err != nil {
		t.Error(err)
	}
}

func TestEachOperationHasItsLineAndItsAnswer(t *testing.T) {
	text, err := page(apidoc.Document())
	if err != nil {
		t.Fatal(err)
	}
	for op := range openapi.Operations("") {
		_, section, found := strings.Cut(string(text), "\n### "+op+"\n")
		if !found {
			t.Errorf("%s isn't on the page", op)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		for _, want := range []string{"```sh\ncurl -s", "| Code | When |", "| 200 | "} {
			if !strings.Contains(section, want) {
				t.Errorf("%s: no %q", op, want)
			}
		}
		if strings.Count(section, "\n```") < 4 {
			t.Errorf("%s: no example of an answer", op)
		}
	}
}

func TestAPageIsReadInTheOrderInWhichItIsWritten(t *testing.T) {
	n, err := parse([]byte(`{"b": [1, {"z": "x|y"}], "a": {"$ref": "#/b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := n.pretty(30, 0), "{\n  \"b\": [1, {\"z\": \"x|y\"}],\n  \"a\": {\"$ref\": \"#/b\"}\n}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := n.at("a").list[1].at("z").string(); got != "x|y" {
		t.Errorf("got %q", got)
	}
	if got := cell("x|y"); got != `x\|y` {
		t.Errorf("got %q", got)
	}
}
