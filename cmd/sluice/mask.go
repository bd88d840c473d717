package main

import (
	"bytes"
	"fmt"
	"net/textproto"
	"reflect"
	"regexp"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
)

// secretText stands where a secret stood, as in all Prometheus programs.
const secretText = "<secret>"

// masked returns the file as it was loaded, without comments, fit to be shown:
// "<secret>" stands for every secret, for headers that may carry one, for what
// probes send, and for user info and query strings of URLs.
func masked(text []byte, t reflect.Type) (string, error) {
	root, wrong := parse(text)
	if wrong != nil {
		return "", fmt.Errorf("mask the configuration: line %d: %w", wrong.line, wrong)
	}
	mask(root, t, "", make(map[visit]bool))
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return "", fmt.Errorf("mask the configuration: %w", err)
	}
	return out.String(), nil
}

var secretType = reflect.TypeFor[promconfig.Secret]()

// mask hides what is secret under n. What it is follows from its type where
// that is known, and from the key it stands under in any case.
func mask(n *yaml.Node, t reflect.Type, key string, seen map[visit]bool) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", "" // who knows what stands in them
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == secretType || isSecret(key) {
		hide(n, seen)
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if seen[visit{n, t}] {
		return
	}
	seen[visit{n, t}] = true

	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			k.HeadComment, k.LineComment, k.FootComment = "", "", ""
			switch {
			case k.Tag == "!!merge":
				mask(v, t, key, seen)
			case isHeaders(key) && !slices.Contains(harmless, textproto.CanonicalMIMEHeaderKey(k.Value)):
				hide(v, seen)
			default:
				mask(v, typeUnder(t, k.Value), k.Value, seen)
			}
		}
	case yaml.SequenceNode:
		for _, entry := range n.Content {
			mask(entry, elemOf(t), key, seen)
		}
	case yaml.ScalarNode:
		if !strings.HasSuffix(key, "regexp") && !strings.HasSuffix(key, "matches") {
			if text := maskURL(n.Value, key); text != n.Value {
				n.Value, n.Tag = text, "!!str"
			}
		}
	}
}

// hide puts "<secret>" in the place of every value under n.
func hide(n *yaml.Node, seen map[visit]bool) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if seen[visit{n, secretType}] {
		return
	}
	seen[visit{n, secretType}] = true
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			n.Content[i].HeadComment, n.Content[i].LineComment, n.Content[i].FootComment = "", "", ""
			hide(n.Content[i+1], seen)
		}
	case yaml.SequenceNode:
		for _, entry := range n.Content {
			hide(entry, seen)
		}
	case yaml.ScalarNode:
		if !isNull(n) && n.Value != "" {
			n.Value, n.Tag, n.Style = secretText, "!!str", 0
		}
	}
}

// typeUnder is the type of the value under a key, nil when there is none.
func typeUnder(t reflect.Type, key string) reflect.Type {
	switch {
	case t == nil:
		return nil
	case t.Kind() == reflect.Map:
		return t.Elem()
	case t.Kind() != reflect.Struct:
		return nil
	}
	f := fieldsOf(t)
	if under, ok := f.types[key]; ok {
		return under
	}
	return f.rest
}

func elemOf(t reflect.Type) reflect.Type {
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		return t.Elem()
	}
	return nil
}

// harmless are the headers that are shown as they are. Any other may carry a
// token, whatever its name.
var harmless = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language",
	"Cache-Control", "Connection", "Content-Type", "Host", "Pragma", "User-Agent",
}

func isHeaders(key string) bool {
	return key == "headers" || key == "http_headers" || key == "proxy_connect_header"
}

// isSecret knows secrets by their key, for values that the types call plain
// texts: a body or a line that a probe sends may log in somewhere.
func isSecret(key string) bool {
	switch key {
	case "password", "password_hash", "secret", "token", "token_hash", "credentials", "key", "passphrase",
		"bearer_token", "client_secret", "client_certificate_key", "endpoint_params",
		"body", "send":
		return true
	}
	return false
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// maskURL hides user info, query and fragment, in anything that looks like a
// URL or stands where one belongs.
func maskURL(text, key string) string {
	scheme := hasScheme.FindString(text)
	if scheme == "" && key != "targets" && key != "target" && key != "path" && key != "url" && key != "proxy_url" {
		return text
	}
	rest := text[len(scheme):]
	tail := ""
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest, tail = rest[:i], rest[i:i+1]+secretText
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 && key != "path" { // a path's own "@" is no user's
		rest = secretText + rest[i:]
	}
	return scheme + rest + tail
}
