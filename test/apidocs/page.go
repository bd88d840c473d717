package main

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// width is how long a line of JSON may be, about.
const width = 110

// methods in the order in which a path shows them.
var methods = []string{"get", "post", "put", "delete"}

// everywhere are the codes that the page explains once.
var everywhere = []string{"401", "405", "500"}

// inEnvelope are the fields that each answer has; the page says so once.
var inEnvelope = []string{"success", "status_code", "error"}

const head = `# HTTP API of the remediator

This page is made by ` + "`make docs`" + ` from the OpenAPI 3.1 document that the remediator serves at
` + "`/api/v1/openapi.json`" + `; edit remediator/apidoc.

%s

Each answer that is JSON is ` + "`" + `{"success": true, "status_code": 200, "data": {...}}` + "`" + `, or
` + "`" + `{"success": false, "status_code": 4xx, "error": "one line"}` + "`" + `; the tables below show what stands in
` + "`data`" + `. A field that is marked *optional* is absent when there is nothing to say.

Who has to authenticate adds to each line ` + "`-H 'Authorization: Bearer TOKEN'`" + ` or ` + "`-u USER`" + `: see
[configuration.md](configuration.md). Without it the answer is 401; what the caller's roles don't allow is 403. A
path that has other methods answers 405 and names them in the header ` + "`Allow`" + `, a path that isn't there 404, and a
fault of ours 500. The tables of codes leave these out.
`

// page writes the whole.
func page(text []byte) ([]byte, error) {
	doc, err := parse(bytes.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, head, wrap(doc.at("info", "description").string()))
	for _, tag := range doc.at("tags").list {
		name := tag.at("name").string()
		fmt.Fprintf(&out, "\n## %s\n\n%s\n", strings.ToUpper(name[:1])+name[1:], wrap(tag.at("description").string()))
		paths := doc.at("paths")
		for _, path := range paths.keys {
			for _, method := range methods {
				if op := paths.at(path, method); op != nil && op.at("tags").has(name) {
					operation(&out, doc, path, method, op)
				}
			}
		}
	}
	out.WriteString("\n## Objects\n")
	schemas := doc.at("components", "schemas")
	for _, name := range slices.Sorted(slices.Values(schemas.keys)) {
		s := schemas.at(name)
		if inner := s.at("properties", "data"); inner != nil && s.at("properties", "success") != nil || name == "Error" {
			continue // an envelope: it stands with its operation
		}
		fmt.Fprintf(&out, "\n### %s\n\n", name)
		if d := s.at("description"); d != nil {
			fmt.Fprintf(&out, "%s\n\n", wrap(d.string()))
		}
		fields(&out, s)
	}
	return out.Bytes(), nil
}

func operation(out *bytes.Buffer, doc *node, path, method string, op *node) {
	fmt.Fprintf(out, "\n### %s %s\n\n%s\n", strings.ToUpper(method), path, wrap(op.at("summary").string()))
	if d := op.at("description"); d != nil {
		fmt.Fprintf(out, "\n%s\n", wrap(d.string()))
	}
	if op.at("deprecated").string() == "true" {
		fmt.Fprint(out, "\nFor scripts of before; new ones use the other path.\n")
	}
	params := op.at("parameters")
	if params != nil {
		out.WriteString("\n| Parameter | In | What |\n|---|---|---|\n")
		for _, p := range params.list {
			p = p.resolved()
			fmt.Fprintf(out, "| `%s` | %s | %s |\n", p.at("name").string(), p.at("in").string(), cell(p.at("description").string()+bounds(p.at("schema"))))
		}
	}
	body := op.at("requestBody", "content", "application/json")
	if body != nil && body.at("schema", "properties") != nil {
		what := "The body"
		if op.at("requestBody", "required").string() != "true" {
			what = "The body, which may be left out"
		}
		fmt.Fprintf(out, "\n%s:\n\n", what)
		reference(out, body.fields["schema"])
	}
	fmt.Fprintf(out, "\n```sh\n%s\n```\n", curl(doc, path, method, params, body))
	answers(out, op)
}

// curl is the line that does what the operation's examples say.
func curl(doc *node, path, method string, params, body *node) string {
	query := ""
	if params != nil {
		for _, p := range params.list {
			p = p.resolved()
			example := p.at("example")
			switch {
			case p.at("in").string() == "path":
				path = strings.ReplaceAll(path, "{"+p.at("name").string()+"}", url.PathEscape(example.string()))
			case example != nil && p.at("in").string() == "query":
				query += "&" + p.at("name").string() + "=" + url.QueryEscape(example.string())
			}
		}
	}
	if query != "" {
		query = "?" + query[1:]
	}
	line := "curl -s"
	if method != "get" {
		line += " -X " + strings.ToUpper(method)
	}
	if body != nil {
		line += " -H 'Content-Type: application/json' \\\n  -d '" + strings.ReplaceAll(body.at("example").pretty(1<<20, 0), "'", `'\''`) + "' \\\n "
	}
	return line + " '" + doc.at("servers").list[0].at("url").string() + path + query + "'"
}

func answers(out *bytes.Buffer, op *node) {
	responses := op.at("responses")
	good := responses.at("200")
	for _, media := range good.at("content").keys {
		form := good.at("content", media)
		lang, text := "json", form.at("example").pretty(width, 0)
		if form.at("schema", "type").string() == "string" {
			lang, text = "text", strings.TrimSuffix(form.at("example").string(), "\n")
		}
		fmt.Fprintf(out, "\n```%s\n%s\n```\n", lang, text)
		if data := form.at("schema").fields["properties"]; data != nil && data.fields["data"] != nil {
			out.WriteString("\n")
			reference(out, data.fields["data"])
		}
	}
	out.WriteString("\n| Code | When |\n|---|---|\n")
	for _, code := range responses.keys {
		if slices.Contains(everywhere, code) && responses.fields[code].ref() != "" {
			continue
		}
		fmt.Fprintf(out, "| %s | %s |\n", code, cell(responses.at(code, "description").string()))
	}
	for _, code := range responses.keys {
		for _, media := range responses.at(code, "content").keys {
			if example := responses.at(code, "content", media, "example"); code != "200" && example != nil && media == "application/json" {
				fmt.Fprintf(out, "\n%s:\n\n```json\n%s\n```\n", code, example.pretty(width, 0))
			}
		}
	}
}

// reference names an object that has its own table, or shows the fields of one
// that hasn't.
func reference(out *bytes.Buffer, schema *node) {
	if ref := schema.ref(); ref != "" {
		name := ref[strings.LastIndex(ref, "/")+1:]
		fmt.Fprintf(out, "An object [%s](#%s).\n", name, strings.ToLower(name))
		return
	}
	fields(out, schema)
}

func fields(out *bytes.Buffer, schema *node) {
	props := schema.at("properties")
	if props == nil {
		fmt.Fprintf(out, "%s.\n", kind(schema))
		return
	}
	out.WriteString("| Field | Kind | What |\n|---|---|---|\n")
	for _, name := range props.keys {
		if slices.Contains(inEnvelope, name) && props.fields["success"] != nil {
			continue
		}
		p := props.fields[name]
		what := p.at("description").string() + bounds(p.resolved())
		if !schema.at("required").has(name) {
			what = strings.TrimSpace("*optional* " + what)
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", name, cell(kind(p)), cell(what))
		if inner := nested(p); inner != nil {
			for _, sub := range inner.at("properties").keys {
				q := inner.at("properties").fields[sub]
				fmt.Fprintf(out, "| `%s.%s` | %s | %s |\n", name, sub, cell(kind(q)), cell(q.at("description").string()+bounds(q.resolved())))
			}
		}
	}
}

// nested is an object, or a list's, that has no table of its own.
func nested(schema *node) *node {
	if items := schema.fields["items"]; items != nil {
		schema = items
	}
	if schema.ref() == "" && schema.fields["properties"] != nil {
		return schema
	}
	return nil
}

// kind is what a value is.
func kind(schema *node) string {
	if ref := schema.ref(); ref != "" {
		name := ref[strings.LastIndex(ref, "/")+1:]
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	}
	switch t := schema.at("type").string(); t {
	case "array":
		return "list of " + kind(schema.fields["items"])
	case "string":
		if schema.at("format") != nil {
			return "time"
		}
		return "text"
	case "object":
		if sub := schema.fields["additionalProperties"]; sub != nil && sub.fields != nil {
			return "texts by name"
		}
		return t
	case "":
		if c := schema.at("const"); c != nil {
			return "`" + string(c.text) + "`"
		}
		return "any"
	default:
		return t
	}
}

// bounds are what a value has to be, beyond its kind.
func bounds(schema *node) string {
	var out []string
	if e := schema.at("enum"); e != nil {
		out = append(out, "one of `"+strings.Join(e.names(), "`, `")+"`")
	}
	for _, b := range [][2]string{{"minimum", "at least "}, {"maximum", "at most "}} {
		if v := schema.at(b[0]); v != nil && v.string() != "0" {
			out = append(out, b[1]+v.string())
		}
	}
	for _, b := range [][2]string{{"maxLength", "characters"}, {"maxItems", "items"}} {
		if v := schema.at(b[0]); v != nil {
			out = append(out, "at most "+v.string()+" "+b[1])
		}
	}
	if v := schema.at("default"); v != nil {
		out = append(out, v.string()+" when left out")
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// cell is a text within a table.
func cell(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "|", `\|`) }

// wrap breaks a text into lines that fit an editor.
func wrap(s string) string {
	var out strings.Builder
	n := 0
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
		case n+1+len(word) > width:
			out.WriteByte('\n')
			n = 0
		default:
			out.WriteByte(' ')
			n++
		}
		out.WriteString(word)
		n += len(word)
	}
	return out.String()
}
