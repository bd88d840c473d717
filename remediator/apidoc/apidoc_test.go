package apidoc

import (
	"strings"
	"testing"
)

func TestPartsAreMergedInOrderAndNothingHidesAnother(t *testing.T) {
	const first = `{"openapi": "3.1.0", "tags": [{"name": "b"}], "paths": {"/z": {"get": 1}}, "components": {"schemas": {"Z": {}}}}`
	for _, c := range []struct{ name, second, want string }{
		{
			"both", `{"tags": [{"name": "a"}], "paths": {"/a": {"y": 1, "x": 2}}, "components": {"schemas": {"A": {}}}}`,
			`{"openapi":"3.1.0","tags":[{"name":"b"},{"name":"a"}],"paths":{"/z":{"get":1},"/a":{"y":1,"x":2}},"components":{"schemas":{"Z":{},"A":{}}}}`,
		},
		{"a path twice", `{"paths": {"/z": {}}}`, `haproxy.json: paths /z stands there twice`},
		{"a schema twice", `{"components": {"schemas": {"Z": {}}}}`, `haproxy.json: schemas Z stands there twice`},
		{"a field twice", `{"paths": {"/a": {}}, "paths": {}}`, `haproxy.json: "paths" stands there twice`},
		{"what only the first one says", `{"servers": []}`, `haproxy.json: "servers": only shared.json has such`},
		{"no object", `[]`, `haproxy.json: want an object and not "[]"`},
		{"no JSON", `{"paths": `, `haproxy.json: unexpected end of JSON input`},
	} {
		got, err := merge([][]byte{[]byte(first), []byte(c.second)})
		text := strings.Join(strings.Fields(string(got)), "")
		if err != nil {
			text = err.Error()
		}
		if want := c.want; text != want && text != strings.Join(strings.Fields(want), "") {
			t.Errorf("%s: got %s, want %s", c.name, text, want)
		}
	}
}

func TestTheDocumentIsMadeOfAllFiles(t *testing.T) {
	all, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(parts) {
		t.Errorf("%d files, and %d parts", len(all), len(parts))
	}
	if len(Document()) == 0 {
		t.Error("it is empty")
	}
}
