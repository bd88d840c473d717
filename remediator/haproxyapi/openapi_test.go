package haproxyapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

type object = map[string]any

// theDocument is what the API says of itself, read once.
var theDocument = func() object {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	return doc
}()

// at follows keys, and references on the way.
func at(v any, keys ...string) any {
	for _, k := range keys {
		o, _ := resolved(v).(object)
		v = o[k]
	}
	return resolved(v)
}

func resolved(v any) any {
	o, _ := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return v
	}
	return at(theDocument, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// operations are "METHOD path" and the codes that are documented.
func operations() map[string][]string {
	out := map[string][]string{}
	for path, item := range at(theDocument, "paths").(object) {
		for method, op := range item.(object) {
			out[strings.ToUpper(method)+" "+path] = slices.Sorted(maps.Keys(at(op, "responses").(object)))
		}
	}
	return out
}

// templateOf finds the documented path that a request's path is one of.
func templateOf(escaped string) string {
	for path := range at(theDocument, "paths").(object) {
		want := strings.Split(path, "/")
		got := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
		fits := len(want) == len(got)
		for i := 0; fits && i < len(want); i++ {
			plain, err := url.PathUnescape(got[i])
			fits = err == nil && (strings.HasPrefix(want[i], "{") || plain == want[i])
		}
		if fits {
			return path
		}
	}
	return ""
}

// documented holds an answer against the document: code and body.
func documented(t *testing.T, q question, a answered) {
	t.Helper()
	var body any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Errorf("%s %s: %d is no JSON: %v: %.200s", q.method, q.path, a.code, err, a.body)
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: content type %q", q.method, q.path, got)
	}
	if o, ok := body.(object); ok && o["status_code"] != nil && o["status_code"] != float64(a.code) {
		t.Errorf("%s %s: status %d, and the body says %v", q.method, q.path, a.code, o["status_code"])
	}
	path, _, _ := strings.Cut(q.path, "?")
	template := templateOf(path)
	schema := at(theDocument, "components", "schemas", "Error")
	if template != "" {
		item := at(theDocument, "paths", template).(object)
		for method, op := range item {
			if a.code != http.StatusMethodNotAllowed && method != strings.ToLower(q.method) {
				continue
			}
			response, ok := at(op, "responses", fmt.Sprint(a.code)).(object)
			if !ok {
				t.Errorf("%s %s answers %d, which the document doesn't have", q.method, template, a.code)
				return
			}
			schema = at(response, "content", "application/json", "schema")
			for name := range asObject(response["headers"]) {
				if a.header.Get(name) == "" {
					t.Errorf("%s %s: %d has no header %s", q.method, template, a.code, name)
				}
			}
		}
	} else if a.code != http.StatusNotFound && a.code != http.StatusBadRequest {
		t.Errorf("%s %s answers %d, and is no documented path", q.method, q.path, a.code)
	}
	if err := valid(schema, body, "body"); err != nil {
		t.Errorf("%s %s: %d: %v in %s", q.method, q.path, a.code, err, a.body)
	}
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

// valid checks a value by as much of JSON Schema 2020-12 as the document uses; a
// keyword that it doesn't know is an error, so that none is passed over.
func valid(schema, v any, where string) error {
	s, ok := resolved(schema).(object)
	if !ok {
		return fmt.Errorf("%s: no schema", where)
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(where+": "+format, args...)) }
	o, isObject := v.(object)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	_, isBool := v.(bool)
	for keyword, want := range s {
		switch keyword {
		case "description", "examples":
		case "type":
			is := map[any]bool{"object": isObject, "array": isList, "string": isText, "boolean": isBool, "integer": isNumber && number == math.Trunc(number)}[want]
			if !is {
				bad("is %T, want %v", v, want)
			}
		case "const":
			if !reflect.DeepEqual(v, want) {
				bad("is %v, want %v", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad("is %v, want one of %v", v, want)
			}
		case "minimum":
			if isNumber && number < want.(float64) {
				bad("is %v, want at least %v", v, want)
			}
		case "maxLength":
			if isText && len([]rune(text)) > int(want.(float64)) {
				bad("is longer than %v", want)
			}
		case "maxItems":
			if isList && len(list) > int(want.(float64)) {
				bad("has more than %v items", want)
			}
		case "pattern":
			if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad("is %q, want %v", text, want)
			}
		case "required":
			for _, key := range want.([]any) {
				if _, ok := o[key.(string)]; isObject && !ok {
					bad("lacks %v", key)
				}
			}
		case "properties":
			for key, sub := range want.(object) {
				if field, ok := o[key]; ok {
					errs = append(errs, valid(sub, field, where+"."+key))
				}
			}
		case "additionalProperties":
			for key := range o {
				if want == false && asObject(s["properties"])[key] == nil {
					bad("has %q, which the document doesn't know", key)
				}
			}
		case "items":
			for i, item := range list {
				errs = append(errs, valid(want, item, fmt.Sprintf("%s[%d]", where, i)))
			}
		default:
			bad("schema has %q, which this test doesn't know", keyword)
		}
	}
	return errors.Join(errs...)
}

func TestTheValidatorFindsWhatIsWrong(t *testing.T) {
	server := object{"$ref": "#/components/schemas/Done"}
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
		if err := valid(server, v, "v"); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", change, err, want)
		}
	}
}

func TestTheDocumentIsWhole(t *testing.T) {
	seen := map[any]bool{}
	for path, item := range at(theDocument, "paths").(object) {
		inPath := regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1)
		for method, op := range item.(object) {
			if id := at(op, "operationId"); id == nil || seen[id] {
				t.Errorf("%s %s: operationId %v is missing or used twice", method, path, id)
			} else {
				seen[id] = true
			}
			var declared, want []string
			params, _ := at(op, "parameters").([]any)
			for _, p := range params {
				declared = append(declared, at(p, "name").(string))
			}
			for _, m := range inPath {
				want = append(want, m[1])
			}
			if !slices.Equal(declared, want) {
				t.Errorf("%s %s: parameters %q, want %q", method, path, declared, want)
			}
			for code, r := range at(op, "responses").(object) {
				if at(r, "description") == nil || at(r, "content", "application/json", "schema") == nil {
					t.Errorf("%s %s: %s has no description or schema", method, path, code)
				}
			}
		}
	}
	refs(t, theDocument)
}

// refs looks for references to nothing.
func refs(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"]; ok && resolved(v) == nil {
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

func TestTheDocumentIsServed(t *testing.T) {
	a := ask(t, handler(newEngine()), get(haproxyapi.Document))
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if a.code != 200 || a.body != string(text) {
		t.Errorf("got %d and %d bytes, want the document's %d", a.code, len(a.body), len(text))
	}
}
