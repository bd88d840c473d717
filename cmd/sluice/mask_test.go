package main

import (
	"reflect"
	"strings"
	"testing"
)

func TestMaskedShowsEverythingButSecrets(t *testing.T) {
	const text = `# password: canary-comment
name: shop # canary-comment
targets:
- https://canary-user:canary-pass@shop.example/health?token=canary-query#canary-fragment
- 192.0.2.1:80
parts:
  x:
    path: /health?key=canary-query
    body: '{"login":"canary-body"}'
    headers:
      Host: shop.example
      authorization: Bearer canary-header
      X-Api-Key: canary-header
http_headers:
  X-Token:
    values: [canary-header]
    secrets: [canary-header]
  Accept:
    values: [text/html]
basic_auth:
  username: sluice
  password: canary-password
proxy_url: http://canary-user:canary-pass@192.0.2.2:3128
proxy_connect_header:
  Proxy-Authorization: [canary-header]
tls_config:
  cert: public
  key: canary-key
password: &p canary-password
list:
- {body: *p}
`
	got, err := masked([]byte(text), reflect.TypeFor[sample]())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "canary") {
		t.Errorf("a secret is shown:\n%s", got)
	}
	for _, want := range []string{
		"name: shop\n", "https://<secret>@shop.example/health?<secret>", "192.0.2.1:80", "path: /health?<secret>", "Host: shop.example",
		"authorization: <secret>", "text/html", "username: sluice", "password: <secret>", "proxy_url: http://<secret>@192.0.2.2:3128", "cert: public", "key: <secret>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	again, err := masked([]byte(got), reflect.TypeFor[sample]())
	if err != nil || again != got {
		t.Errorf("masking twice gives another text: %v\n%s", err, again)
	}
}
