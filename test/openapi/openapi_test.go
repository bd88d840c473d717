package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheValidatorFindsWhatIsWrong(t *testing.T) {
	server := Object{"$ref": "#/components/schemas/Done"}
	good := `{"success":true,"status_code":200,"message":"m","data":{"instance":"i","backend":"b","server":"s","action":"drain","status":"completed","changed":true}}`
	for change, want := range map[string]string{
		"":                                       "",
		`"drain"|"stop"`:                         "want one of",
		`,"changed":true|`:                       `lacks changed`,
		`"changed":true|"changed":1`:             "want boolean",
		`"message":"m"|"message":7`:              "want string",
		`"status":"completed"|"status":0`:        "want completed",
		`"success":true|"success":true,"more":1`: `has "more"`,
	} {
		from, to, _ := strings.Cut(change, "|")
		var v any
		if err := json.Unmarshal([]byte(strings.Replace(good, from, to, 1)), &v); err != nil {
			t.Fatal(err)
		}
		if err := Valid(server, v, "v"); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", change, err, want)
		}
	}
}

func TestTheDocumentIsWhole(t *testing.T) {
	seen := map[any]bool{}
	var tags []any
	for _, tag := range Document()["tags"].([]any) {
		tags = append(tags, As(tag)["name"])
	}
	for path, item := range As(Document()["paths"]) {
		inPath := regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1)
		for method, op := range As(item) {
			what := method + " " + path
			if id := At(op, "operationId"); id == nil || seen[id] {
				t.Errorf("%s: operationId %v is missing or used twice", what, id)
			} else {
				seen[id] = true
			}
			for _, tag := range At(op, "tags").([]any) {
				if !slices.Contains(tags, tag) {
					t.Errorf("%s: tag %v is none of the document's", what, tag)
				}
			}
			var declared, want []string
			params, _ := At(op, "parameters").([]any)
			for _, p := range params {
				if At(p, "in") == "path" {
					declared = append(declared, At(p, "name").(string))
					if As(p)["example"] == nil {
						t.Errorf("%s: %v has no example", what, At(p, "name"))
					}
				}
				if example := As(p)["example"]; example != nil {
					if err := Valid(At(p, "schema"), example, what+": example"); err != nil {
						t.Error(err)
					}
				}
			}
			for _, m := range inPath {
				want = append(want, m[1])
			}
			if !slices.Equal(declared, want) {
				t.Errorf("%s: parameters %q, want %q", what, declared, want)
			}
			examples(t, what+": request", At(op, "requestBody", "content"))
			for code, r := range As(At(op, "responses")) {
				if At(r, "description") == nil || len(As(At(r, "content"))) == 0 {
					t.Errorf("%s: %s has no description or content", what, code)
				}
				examples(t, what+": "+code, At(r, "content"))
				for media, form := range As(At(r, "content")) {
					if code == "200" && As(form)["example"] == nil {
						t.Errorf("%s: no example of %s %s", what, code, media)
					}
				}
			}
		}
	}
	refs(t, Document())
}

// examples are held against the schema that they stand beside.
func examples(t *testing.T, what string, content any) {
	t.Helper()
	for media, form := range As(content) {
		schema := As(form)["schema"]
		if schema == nil {
			t.Errorf("%s: %s has no schema", what, media)
		}
		if example := As(form)["example"]; example != nil {
			if err := Valid(schema, example, "example"); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// refs looks for references to nothing.
func refs(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case Object:
		if ref, ok := v["$ref"]; ok && Resolved(v) == nil {
			t.Errorf("nothing is at %v", ref)
		}
		for _, sub := range v {
			refs(t, sub)
		}
	case []any:
		for _, sub := range v {
			refs(t, sub)
		}
	}
}

func TestNothingStandsThereForNothing(t *testing.T) {
	text, err := json.Marshal(Document())
	if err != nil {
		t.Fatal(err)
	}
	for kind, all := range As(Document()["components"]) {
		for name := range As(all) {
			if kind != "securitySchemes" && !strings.Contains(string(text), fmt.Sprintf(`"#/components/%s/%s"`, kind, name)) {
				t.Errorf("%s %s is used nowhere", kind, name)
			}
		}
	}
}

func TestTheMoreExactPathCounts(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/haproxy/backends":                 "/api/v1/haproxy/backends",
		"/api/v1/haproxy/prod/backends":            "/api/v1/haproxy/{instance}/backends",
		"/api/v1/members/e/s/%73/drain":            "/api/v1/members/{device}/{pool}/{member}/drain",
		"/api/v1/members/e/s/a%2Fb/%64rain":        "/api/v1/members/{device}/{pool}/{member}/drain",
		"/api/v1/nothing":                          "",
		"/api/v1/haproxy/backends/a/servers/extra": "",
	} {
		if got := Template(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}
