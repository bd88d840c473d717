package pages

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/openapi"
	testserve "github.com/sluice-project/sluice/test/serve"
)

// shop is what the examples of docs/api.md are about.
const shop = `devices:
  - {name: edge1, haproxy: {address: %s}}
modules:
  alive: {prober: tcp, timeout: 1s}
probes:
  - {name: shop, module: alive, members: {device: edge1, pool: shop}}
remediation:
  mode: approve
  alertmanagers: [{url: 'http://127.0.0.1:1'}]
  policies:
    - {name: drain, to: drain, members: {device: edge1, pool: shop}, min_serving: 1}
`

// An example that can't be done here has another code than 200: nothing is held or
// awaited, no drill runs, and a HAProxy has no objects.
var otherwise = map[string][]int{
	"POST /api/v1/holds/{device}/{pool}/{member}/release": {http.StatusNotFound},
	"POST /api/v1/approvals/{device}/{pool}/{member}":     {http.StatusNotFound},
	"GET /api/v1/drills/{id}":                             {http.StatusNotFound},
	"DELETE /api/v1/drills/{id}":                          {http.StatusNotFound},
	"POST /api/v1/pools/{device}/{pool}/restore":          {http.StatusBadRequest},
}

func TestEachLineOfTheAPIPageIsAnsweredAsDocumented(t *testing.T) {
	member := testserve.Handler(t, http.NotFoundHandler(), nil)
	lb := haproxytest.StartReal(t, fmt.Sprintf("backend shop\n server web01 %[1]s weight 100\n server web02 %[1]s weight 100\n server web03 %[1]s weight 100\n", member))
	s := start(t, "remediator", fmt.Sprintf(shop, lb.Socket))
	s.await(t, "/api/v1/members", "web01")
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".curlrc"), `dump-header = "headers"`+"\nmax-time = 20\n")
	seen := 0
	for _, section := range strings.Split(page(t, "api.md"), "\n### ")[1:] {
		name, rest, _ := strings.Cut(section, "\n")
		method, path, isOperation := strings.Cut(name, " ")
		if !isOperation {
			continue
		}
		seen++
		_, line, _ := strings.Cut(rest, "```sh\n")
		line, _, _ = strings.Cut(line, "\n```")
		if name == "GET /api/v1/events" { // what goes on until somebody ends it
			line += " --max-time 1 || [ $? = 28 ]"
		}
		out, code := shell(t, dir, strings.ReplaceAll(line, "http://127.0.0.1:11011", s.url), "CURL_HOME="+dir)
		if code != 0 {
			t.Errorf("%s ends with %d: %s", line, code, out)
			continue
		}
		status, header := received(t, filepath.Join(dir, "headers"))
		if err := openapi.Check(method, path, status, header, []byte(out)); err != nil {
			t.Error(err)
		}
		want := otherwise[name]
		if want == nil {
			want = []int{http.StatusOK}
		}
		if !slices.Contains(want, status) {
			t.Errorf("%s\nis answered with %d: %s", line, status, out)
		}
	}
	if want := len(openapi.Operations("")); seen != want {
		t.Errorf("%d lines, want one for each of %d operations", seen, want)
	}
}

// received is what curl wrote of an answer's head.
func received(t *testing.T, file string) (int, http.Header) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	first, err := r.ReadLine()
	if err != nil {
		t.Fatal(err)
	}
	var status int
	if _, err := fmt.Sscanf(first, "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("%q: %v", first, err)
	}
	header, err := r.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	return status, http.Header(header)
}
