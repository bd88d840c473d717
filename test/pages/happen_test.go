package pages

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
	testserve "github.com/sluice-project/sluice/test/serve"
)

// A collector takes what was said, and looks for it on the pages.
type collector struct {
	t   *testing.T
	mu  sync.Mutex
	saw map[string]map[string]bool // by language, the messages that happened
	all map[string][]row
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t, saw: map[string]map[string]bool{}, all: map[string][]row{}}
	for lang := range troubles {
		c.saw[lang], c.all[lang] = map[string]bool{}, rows(t, lang)
	}
	return c
}

// said looks for a text. One that is only in English is on both pages.
func (c *collector) said(text string, langs ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, lang := range langs {
		on := found(c.all[lang], text)
		if len(on) == 0 {
			c.t.Errorf("%s: nothing on the page is about %s", lang, text)
		}
		for _, r := range on {
			c.saw[lang][r.message] = true
		}
	}
}

// A question is a request that ends in an error.
type question struct {
	method, path, body string
	header             []string // name, value
	want               int
}

func (c *collector) ask(s *server, q question) {
	c.t.Helper()
	for _, lang := range []string{"en", "ru"} {
		asked := q
		asked.header = append([]string{"Accept-Language", lang}, q.header...)
		code, text, err := send(c.t.Context(), asked, s.url+q.path)
		if err != nil {
			c.t.Errorf("%s %s: %v", q.method, q.path, err)
			continue
		}
		if q.want != 0 && code != q.want {
			c.t.Errorf("%s %s: %d %s, want %d", q.method, q.path, code, text, q.want)
		}
		inBoth := strings.HasPrefix(q.path, "/api/v1/haproxy")
		switch cyrillic := regexp.MustCompile(`\p{Cyrillic}`).MatchString(text); {
		case !inBoth:
			c.said(text, "en", "ru")
		case cyrillic != (lang == "ru"):
			c.t.Errorf("%s %s answers in the wrong language: %s", q.method, q.path, text)
		default:
			c.said(text, lang)
		}
	}
}

// starts is a program that has to end with an error by itself.
func (c *collector) ends(dir, line string, environ ...string) {
	c.t.Helper()
	out, code := shell(c.t, dir, "timeout 10 "+line, environ...)
	if code == 0 || code == 124 {
		c.t.Errorf("%s ends with %d: %s", line, code, out)
	}
	said := strings.TrimSpace(out)
	if i := strings.LastIndex(said, "\nsluice "); i >= 0 {
		said = said[i:] // what is wrong comes last
	}
	if m := regexp.MustCompile(`msg=ended .*err=("(?:[^"\\]|\\.)*"|\S+)`).FindStringSubmatch(out); m != nil {
		said = m[1]
		if said[0] == '"' {
			if err := json.Unmarshal([]byte(said), &said); err != nil {
				c.t.Errorf("%s: %v", said, err)
			}
		}
	}
	c.said(strings.Join(strings.Fields(said), " "), "en", "ru")
}

// deaf is a TCP address that answers nothing at all: its queue of connections is
// full, so that the kernel drops who comes.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Close(fd); err != nil {
			t.Error(err)
		}
	})
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 8 { // more than the queue takes; those that don't come in are the sign that it is full
		conn, err := net.DialTimeout("tcp4", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() }) // nobody reads it
	}
	t.Fatal("the queue of connections takes all")
	return ""
}

// listening serves connections on a unix socket until the test's end.
func listening(t *testing.T, path string, serve func(net.Conn)) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // a second time does no harm
		all.Wait()
	})
}

func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		defer conn.Close() // it has said all
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			return
		}
		_, _ = io.WriteString(conn, text) // who doesn't listen any more has read enough
	}
}

// forgetful passes questions on to a HAProxy, and orders, too; but from the first
// order on it answers nothing any more.
func forgetful(to string) func(net.Conn) {
	var told atomic.Bool
	return func(conn net.Conn) {
		defer conn.Close() // all is said
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil || told.Load() {
			return
		}
		told.Store(strings.Contains(string(buf[:n]), "set server"))
		lb, err := net.Dial("unix", to)
		if err != nil {
			return
		}
		defer lb.Close() // it is read to its end
		if _, err := lb.Write(buf[:n]); err != nil || told.Load() {
			_, _ = io.Copy(io.Discard, lb) // it has been told, and nobody hears what it says
			return
		}
		_, _ = io.Copy(conn, lb) // who has heard enough goes
	}
}

// hangs keeps a connection open without a word until its other end goes.
func hangs(conn net.Conn) {
	defer conn.Close() // the other end is gone
	_, _ = io.Copy(io.Discard, conn)
}

// What can't be made to happen from outside; tests of the packages have it.
var within = []string{
	"internal error: ...", "внутренняя ошибка: ...", // we know of no way
	"path segment ... is not percent-encoded rightly", "часть пути ... закодирована неверно", // the HTTP server turns such a request away before
	"too many log-ins at once: try again", "слишком много одновременных входов: повторите попытку", // a matter of milliseconds
	"the CSRF token is missing or wrong: load the page again, or send the token of one in the header X-CSRF-Token", // wants a browser's session: remediator/access
	"CSRF-токен не указан или неверен: загрузите страницу ещё раз или передайте её токен в заголовке X-CSRF-Token",
	"...connect: permission denied", // root, as whom tests may run, is let in everywhere
	"...: no such device...",
}

func TestEachErrorHappensAndIsOnThePage(t *testing.T) {
	c := newCollector(t)
	t.Run("the API", func(t *testing.T) { theAPI(t, c) })
	t.Run("orders", func(t *testing.T) { orders(t, c) })
	t.Run("the start", func(t *testing.T) { theStart(t, c) })
	t.Run("PTAF", func(t *testing.T) { thePTAF(t, c) })
	t.Run("the log-in", func(t *testing.T) { theLogIn(t, c) })
	t.Run("commands", func(t *testing.T) { commands(t, c) })
	for lang, all := range c.all {
		for _, r := range all {
			if isGuard := len(r.cells) == 4; !c.saw[lang][r.message] && !isGuard && !slices.Contains(within, r.message) && !slices.Contains(withinLogIn, r.message) {
				t.Errorf("%s: this never happened: %s", lang, r.message)
			}
		}
	}
}

func theAPI(t *testing.T, c *collector) {
	c.t = t
	dir := short(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	lb := haproxytest.StartReal(t, "backend shop\n server web01 127.0.0.1:1\nbackend other\n server a 127.0.0.1:1 agent-check agent-port 1\n")
	low := in("user.sock")
	lowered(t, low)
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	listening(t, in("hang.sock"), hangs)
	listening(t, in("cut.sock"), says("# pxname,svname\n"))
	listening(t, in("odd.sock"), says("HTTP/1.1 200 OK\n\nhello\n\nhello\n\nhello\n\n"))
	instances := []string{
		"edge1=" + lb.Socket, "low=" + low, "none=" + in("none.sock"), "refuses=" + nobody, "deaf=" + deaf(t),
		"hang=" + in("hang.sock"), "cut=" + in("cut.sock"), "odd=" + in("odd.sock"),
	}
	s := startEnv(t, "HAPROXY_INSTANCES="+strings.Join(instances, ","), "HAPROXY_TIMEOUT=0.5")
	const root = "/api/v1/haproxy/"
	const act = root + "edge1/backends/shop/servers/web01/action"
	get := func(path string, want int) { c.ask(s, question{method: "GET", path: root + path, want: want}) }
	post := func(path, body string, want int, header ...string) {
		c.ask(s, question{method: "POST", path: path, body: body, header: header, want: want})
	}
	for _, instance := range []string{"none", "refuses", "deaf", "hang", "cut"} {
		get(instance+"/backends", http.StatusServiceUnavailable)
	}
	get("odd/backends", http.StatusBadGateway)
	get("nope/backends", http.StatusNotFound)
	get("edge1/backends/nope/servers", http.StatusNotFound)
	get("edge1/backend", http.StatusNotFound)
	get("edge1/backends/a%2Fb/servers", http.StatusBadRequest)
	post(root+"edge1/backends/shop/servers/nope/action", `{"action":"drain"}`, http.StatusNotFound)
	post(root+"low/backends/shop/servers/web01/action", `{"action":"drain","override":["min_serving"],"reason":"x"}`, http.StatusBadGateway)
	c.ask(s, question{method: "GET", path: act, want: http.StatusMethodNotAllowed})
	post(act, `{"action":"drain"}`, http.StatusForbidden, "Sec-Fetch-Site", "cross-site")
	post(root+"edge1//backends/shop/servers/web01/action", `{"action":"drain"}`, http.StatusNotFound)
	post(act, `{"action":"drain"}`, http.StatusUnsupportedMediaType, "Content-Type", "text/plain")
	post(act, `{"action":"drain"}`, http.StatusUnsupportedMediaType, "Content-Encoding", "gzip")
	post(act, strings.Repeat(" ", 2<<20), http.StatusRequestEntityTooLarge)
	for _, body := range []string{
		``, `action=drain`, `{"action":"drain"}{}`, `[]`, `{"act":"drain"}`, `{"action":"drain","action":"ready"}`, `{"action":7}`, `{}`, `{"action":"stop"}`,
		`{"action":"drain","override":["Min Serving"],"reason":"x"}`, `{"action":"drain","override":["inventory"],"reason":"x"}`,
		`{"action":"drain","reason":"` + strings.Repeat("x", 301) + `"}`, `{"action":"drain","override":["load"]}`,
	} {
		post(act, body, http.StatusBadRequest)
	}
	post(act, `{"action":"drain"}`, http.StatusConflict) // the last one stays
	post(root+"edge1/backends/other/servers/a/action", `{"action":"drain"}`, http.StatusConflict)

	// 64 orders wait at a HAProxy that hangs; whoever comes then is told so.
	slow := startEnv(t, "HAPROXY_INSTANCES=hang="+in("hang.sock"), "HAPROXY_TIMEOUT=30")
	crowd(t, c, slow.url+root+"hang/backends/shop/servers/web01/action")

	access(t, c)
	locked := startEnv(t, "HAPROXY_INSTANCES=edge1="+lb.Socket, "AGENT_SECURITY_ENABLED=true", "AGENT_AUTH_TOKEN=not-a-real-token")
	c.ask(locked, question{method: "GET", path: root + "instances", want: http.StatusUnauthorized})
	file := startEnvIn(t, func(dir string) { write(t, filepath.Join(dir, "data"), "in the way") }, "HAPROXY_INSTANCES=edge1="+lb.Socket)
	c.ask(file, question{method: "POST", path: act, body: `{"action":"ready"}`, want: http.StatusServiceUnavailable})
}

// access are errors of who may do what.
func access(t *testing.T, c *collector) {
	t.Helper()
	sum := func(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }
	const reader, old, other = "not-a-real-token-but-long-enough", "not-a-real-token-that-is-expired", "not-a-real-token-of-others-only"
	s := start(t, "remediator", `devices:
  - {name: edge1, haproxy: {address: /nonexistent/s}}
access:
  roles:
    - {name: others, like: operator, pools: [other]}
  tokens:
    - {name: reader, roles: [viewer], token_hash: `+sum(reader)+`}
    - {name: old, roles: [viewer], token_hash: `+sum(old)+`, expires: 2020-01-01T00:00:00Z}
    - {name: other, roles: [others], token_hash: `+sum(other)+`}
`)
	const act = "/api/v1/haproxy/edge1/backends/shop/servers/web01/action"
	for token, want := range map[string]int{reader: http.StatusForbidden, other: http.StatusForbidden, old: http.StatusUnauthorized} {
		c.ask(s, question{method: "POST", path: act, body: `{"action":"drain"}`, header: []string{"Authorization", "Bearer " + token}, want: want})
	}
	wrong := question{method: "GET", path: "/api/v1/haproxy/instances", header: []string{"Authorization", "Bearer not-the-real-token-at-all-never"}}
	for range 200 {
		code, _, err := send(t.Context(), wrong, s.url+wrong.path)
		if err != nil {
			t.Fatal(err)
		}
		if code == http.StatusTooManyRequests {
			break
		}
	}
	wrong.want = http.StatusTooManyRequests
	c.ask(s, wrong)
}

// orders are errors that want a configuration.
func orders(t *testing.T, c *collector) {
	c.t = t
	const backend = "backend shop\n server web01 127.0.0.1:1\n server web02 127.0.0.1:1\n"
	sock, second := filepath.Join(short(t), "f.sock"), filepath.Join(short(t), "f.sock")
	listening(t, sock, forgetful(haproxytest.StartReal(t, backend).Socket))
	listening(t, second, forgetful(haproxytest.StartReal(t, backend).Socket))
	const act = "/api/v1/haproxy/edge1/backends/shop/servers/web01/action"
	dry := start(t, "remediator", "devices:\n  - {name: edge1, haproxy: {address: "+sock+"}}\nremediation:\n  mode: dry_run\n  alertmanagers: [{url: 'http://127.0.0.1:1'}]\n")
	c.ask(dry, question{method: "POST", path: act, body: `{"action":"drain"}`, want: http.StatusConflict})
	s := start(t, "remediator", "devices:\n  - {name: edge1, haproxy: {address: "+sock+", timeout: 500ms}}\n  - {name: edge2, haproxy: {address: "+second+", timeout: 500ms}}\n")
	for _, q := range []question{
		{"GET", "/api/v1/nothing", "", nil, http.StatusNotFound},
		{"POST", "/api/v1/members/edge1/shop/web01%00/drain", "", nil, http.StatusBadRequest},
		{"DELETE", "/api/v1/steps", "", nil, http.StatusMethodNotAllowed},
		{"POST", "/api/v1/freeze", `{"reson":"x"}`, nil, http.StatusBadRequest},
		{"POST", "/api/v1/freeze", ``, nil, http.StatusBadRequest},
		{"POST", "/api/v1/freeze", `{}`, []string{"Content-Type", "text/xml"}, http.StatusUnsupportedMediaType},
		{"POST", "/api/v1/freeze", `{"for":"1h"}`, nil, http.StatusBadRequest},
		{"POST", "/api/v1/holds/edge1/shop/web01/release", `{}`, nil, http.StatusNotFound},
		{"POST", "/api/v1/approvals/edge1/shop/web01", `{"approve":true}`, nil, http.StatusNotFound},
		{"POST", "/api/v1/members/nope/shop/web01/drain", `{}`, nil, http.StatusNotFound},
	} {
		c.ask(s, q)
	}
	for lang, path := range map[string]string{"en": act, "ru": strings.Replace(act, "edge1", "edge2", 1)} {
		code, text, err := send(t.Context(), question{method: http.MethodPost, body: `{"action":"drain"}`, header: []string{"Accept-Language", lang}}, s.url+path)
		if err != nil || code != http.StatusServiceUnavailable {
			t.Errorf("%d %s: %v", code, text, err)
		}
		c.said(text, lang)
	}
	waf := start(t, "remediator", "devices:\n  - {name: waf1, ptaf: {url: 'https://127.0.0.1:1/api/waf/v2', basic_auth: {username: a, password: not-a-real-password}}}\n")
	c.ask(waf, question{method: "GET", path: "/api/v1/haproxy/backends", want: http.StatusNotFound})
}

func theStart(t *testing.T, c *collector) {
	c.t = t
	dir := short(t)
	const run = "sluice remediator --web.listen-address=127.0.0.1:1"
	for _, environ := range []string{
		"HAPROXY_INSTANCES=a=ipv4@10.0.0.256:9999", "HAPROXY_INSTANCES=a=ipv4@127.0.0.1:99999", "HAPROXY_INSTANCES=a=relative",
		"HAPROXY_INSTANCES=,a=/x", "HAPROXY_INSTANCES=a=/x,/y", "HAPROXY_INSTANCES=a=/x,a=/y", "HAPROXY_INSTANCES=a b=/x",
		"HAPROXY_TIMEOUT=soon", "HAPROXY_TIMEOUT=300", "AGENT_SECURITY_ENABLED=maybe", "AGENT_SECURITY_ENABLED=true", "AGENT_HOST=127.0.0.1:80", "AGENT_PORT=99999",
	} {
		c.ends(dir, run, environ)
	}
	c.ends(dir, run, "AGENT_SECURITY_ENABLED=true", "AGENT_AUTH_TOKEN=not a-real-token")
	c.ends(dir, run)
	c.ends(dir, run+" --config.file=none.yml")
	for _, text := range []string{
		"devices: [\n", "devices:\n  - {name: edge1, haproxy: {adress: /x}}\n", "remediation: {policies: []}\n", "remediation: {mode: auto}\n",
		"devices:\n  - {name: edge1, haproxy: {address: 'ipv4@127.0.0.1:99999'}}\n",
	} {
		write(t, filepath.Join(dir, "bad.yml"), text)
		c.ends(dir, "sluice remediator --web.listen-address=127.0.0.1:0 --config.file=bad.yml")
	}
	const good = "remediation:\n  mode: observe\n  alertmanagers: [{url: 'http://127.0.0.1:1'}]\n"
	s := start(t, "remediator", good)
	address := strings.TrimPrefix(s.url, "http://")
	c.ends(s.dir, "sluice remediator --web.listen-address="+address)
	c.ends(s.dir, "sluice remediator --web.listen-address=127.0.0.1:0")
	c.ends(s.dir, "sluice journal show --offline")
	c.ends(s.dir, "sluice remediator --web.listen-address=192.0.2.77:11011") // documentation's: no machine has it
	c.ends(s.dir, "sluice remediator --web.listen-address=0.0.0.0:0")
	c.ends(s.dir, "sluice remediator --web.listen-address=127.0.0.1:0 --web.config.file=none.yml")
	write(t, filepath.Join(dir, "bad.yml"), good+"  journal: /proc/none/sluice.db\n")
	c.ends(dir, "sluice remediator --web.listen-address=127.0.0.1:0 --config.file=bad.yml")
}

func thePTAF(t *testing.T, c *collector) {
	c.t = t
	front := ptaftest.Upstream{Name: "shop-front", Backends: []ptaftest.Backend{{Address: "192.0.2.21", Port: 8080, Weight: 1}}}
	plain := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{front}}).Start(t)
	cert, _, err := testserve.SelfSigned("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	sealed := "https://" + testserve.Handler(t, http.NotFoundHandler(), &tls.Config{Certificates: []tls.Certificate{cert}})
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	dir := short(t)
	for _, d := range [][2]string{{plain, "not-the-real-password"}, {"http://" + nobody, "not-a-real-password"}, {sealed + "/api/waf/v2", "not-a-real-password"}} {
		write(t, filepath.Join(dir, "sluice.yml"), fmt.Sprintf("devices:\n  - {name: waf1, ptaf: {url: %s, timeout: 2s, basic_auth: {username: sluice, password: %s}}}\n", d[0], d[1]))
		c.ends(dir, "sluice ptaf get shop-front")
	}
	write(t, filepath.Join(dir, "sluice.yml"), fmt.Sprintf("devices:\n  - {name: waf1, ptaf: {url: %s, timeout: 2s, basic_auth: {username: sluice, password: not-a-real-password}}}\n", plain))
	c.ends(dir, "sluice ptaf get nope")
}

func commands(t *testing.T, c *collector) {
	c.t = t
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c.ends(dir, "sluice journal show --remediator.url=http://"+nobody)
	c.ends(dir, "sluice journal show --remediator.url=nonsense")
	c.ends(dir, "sluice journal show --http.config.file=none.yml")

	member := testserve.Handler(t, http.NotFoundHandler(), nil)
	lb := haproxytest.StartReal(t, fmt.Sprintf("backend shop\n server web01 %[1]s\n server web02 %[1]s\nbackend other\n server web01 %[1]s\n server one %[1]s\n server out %[1]s disabled\n", member))
	s := start(t, "remediator", "devices:\n  - {name: edge1, haproxy: {address: "+lb.Socket+"}}\n")
	blind := start(t, "remediator", "devices:\n  - {name: edge1, haproxy: {address: "+lb.Socket+"}}\n  - {name: gone, haproxy: {address: /nonexistent/s}}\n")
	locked := startEnv(t, "HAPROXY_INSTANCES=edge1="+lb.Socket, "AGENT_SECURITY_ENABLED=true", "AGENT_AUTH_TOKEN=not-a-real-token")
	ctl := func(s *server, line string) {
		t.Helper()
		verb, rest, _ := strings.Cut(line, " ")
		c.ends(dir, "sluice ctl "+verb+" --remediator.url="+s.url+" "+rest)
	}
	ctl(s, "drain web01 --reason x")
	ctl(s, "drain nope --reason x")
	ctl(blind, "drain one --reason x")
	ctl(s, "drain edge1//web01 --reason x")
	ctl(s, "drain a/b/c/d --reason x")
	ctl(locked, "members")
	ctl(s, "wait one")
	ctl(s, "wait one --sessions=0 --timeout=30s")
	ctl(s, "wait one --state=maint --timeout=1s")
	ctl(s, "rolling-restart other --reason=x -- true")
	ctl(s, "rolling-restart edge1/shop --reason=x -- false")
	prints(t, dir, "sluice ctl ready --remediator.url="+s.url+" edge1/shop/web01", "")
	ctl(s, "rolling-restart edge1/shop --reason=x -- sluice ctl maint --remediator.url="+s.url+" edge1/shop/web01 --reason=disk")
	prints(t, dir, "sluice ctl ready --remediator.url="+s.url+" edge1/shop/web01", "")
	prints(t, dir, "sluice ctl drain --remediator.url="+s.url+" edge1/shop/web01 --reason=x", "")
	ctl(s, "drain edge1/shop/web02 --reason x")
	ctl(s, "freeze --reason=x --for=soon")
	ctl(s, "weight edge1/shop/web02 heavy")
	ctl(s, "steps --since=soon")
	ctl(s, "top")
	ctl(s, "drill edge1/shop/web02")
}

// startEnv runs the remediator by environment alone.
func startEnv(t *testing.T, environ ...string) *server {
	t.Helper()
	return startEnvIn(t, func(string) {}, environ...)
}

func startEnvIn(t *testing.T, prepare func(dir string), environ ...string) *server {
	t.Helper()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + address, dir: short(t)}
	prepare(s.dir)
	args := append(append([]string{}, environ...), sluice, "remediator", "--web.listen-address="+address)
	if s.process, err = rig.NewProgram("remediator", s.dir, "env", args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.process.StartWeb(t.Context(), s.url+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	return s
}

// lowered starts a HAProxy whose socket may only be read.
func lowered(t *testing.T, socket string) {
	t.Helper()
	dir := filepath.Dir(socket)
	write(t, filepath.Join(dir, "low.cfg"), "global\n stats socket "+socket+" level user\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nbackend shop\n server web01 127.0.0.1:1\n server web02 127.0.0.1:1\n")
	lb, err := rig.NewProgram("low", dir, "haproxy", "-db", "-f", filepath.Join(dir, "low.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lb.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lb.Kill(); err != nil {
			t.Error(err)
		}
	})
	err = rig.Await(t.Context(), 10*time.Second, "HAProxy to listen", func(context.Context) error {
		_, err := os.Stat(socket)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crowd sends more orders than wait at one HAProxy, until one in each language was
// turned away.
func crowd(t *testing.T, c *collector, url string) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	said := map[string]chan string{"en": make(chan string, 100), "ru": make(chan string, 100)}
	var waiting sync.WaitGroup
	for lang, to := range said {
		for range cap(to) {
			waiting.Go(func() {
				code, text, err := send(ctx, question{method: http.MethodPost, body: `{"action":"drain"}`, header: []string{"Accept-Language", lang}}, url)
				if err == nil && code == http.StatusServiceUnavailable {
					to <- text
				} // else it waited to the end
			})
		}
	}
	for lang, from := range said {
		select {
		case text := <-from:
			c.said(text, lang)
		case <-ctx.Done():
			t.Errorf("%s: nobody was turned away", lang)
		}
	}
	end()
	waiting.Wait()
}

// send asks, and returns the code and the error in the answer.
func send(ctx context.Context, q question, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, url, strings.NewReader(q.body))
	if err != nil {
		return 0, "", err
	}
	if q.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(q.header); i += 2 {
		req.Header.Set(q.header[i], q.header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() // it is read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var a struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return 0, "", fmt.Errorf("%d %s: %w", resp.StatusCode, text, err)
	}
	return resp.StatusCode, a.Error, nil
}
