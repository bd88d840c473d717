package haproxyapi_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

func TestABadRequestIsAnsweredClearlyAndOrdersNothing(t *testing.T) {
	const root = haproxyapi.Root
	in := func(server string) string { return root + "/backends/myapp/servers/" + server + "/action" }
	for _, c := range []struct {
		name string
		question
		code int
		says string
	}{
		{"GET on an action", get(action), 405, "method \\\"GET\\\" is not served here: use POST"},
		{"POST on a list", post(root+"/backends", drain), 405, "use GET, HEAD"},
		{"PUT", question{method: http.MethodPut, path: action, body: drain}, 405, "use POST"},
		{"OPTIONS", question{method: http.MethodOptions, path: action}, 405, "use POST"},
		{"TRACE on the document", question{method: http.MethodTrace, path: haproxyapi.Document}, 405, "use GET, HEAD"},
		{"an odd method", question{method: "BREW", path: root + "/instances"}, 405, "BREW"},

		{"nothing behind the root", get(root), 404, "no such path"},
		{"nothing behind the root's slash", get(root + "/"), 404, "no such path"},
		{"half a path", get(root + "/backends/myapp"), 404, "no such path"},
		{"half an action", post(root+"/backends/myapp/servers/web01", drain), 404, "no such path"},
		{"another word in it", post(root+"/backends/myapp/nodes/web01/action", drain), 404, "no such path"},
		{"instances of an instance", get(root + "/prod/instances"), 404, "no such path"},
		{"too long", get(root + "/a/b/c/d/e/f/g"), 404, "no such path"},
		{"very long", get(root + strings.Repeat("/a", 5000)), 404, "no such path"},
		{"a long name", get(root + "/backends/" + strings.Repeat("a", 300) + "/servers"), 400, "at most 255"},
		{"lists aren't at the old path", get(haproxyapi.OldRoot + "/backends"), 404, "no such path"},

		{"an unknown instance", get(root + "/nope/backends"), 404, `no such instance: \"nope\"`},
		{"an unknown backend", get(root + "/backends/nope/servers"), 404, `no such backend: \"nope\"`},
		{"an unknown backend, to act", post(root+"/backends/nope/servers/web01/action", drain), 404, `no such backend: \"nope\"`},
		{"an unknown server", post(in("nope"), drain), 404, `no such server: \"myapp/nope\"`},

		{"dots, encoded", get(root + "/%2e%2e/backends"), 400, `instance \"..\"`},
		{"one dot, encoded", get(root + "/backends/%2E/servers"), 400, `backend \".\"`},
		{"a slash, encoded", get(root + "/backends/..%2f..%2fmetrics/servers"), 400, `\"../../metrics\"`},
		{"a line break", post(in("web01%0ashutdown%20sessions"), drain), 400, `web01\\nshutdown`},
		{"a carriage return", post(in("web01%0d"), drain), 400, "server"},
		{"a semicolon", post(in("web01;disable%20server"), drain), 400, "server"},
		{"a semicolon, encoded", post(in("web01%3Bx"), drain), 400, "server"},
		{"a NUL", post(in("web01%00"), drain), 400, "server"},
		{"a blank", post(in("web01%20state%20maint"), drain), 400, "server"},
		{"a backslash", post(in("web01%5c"), drain), 400, "server"},
		{"encoded twice", post(in("web%2530"), drain), 400, "server"},
		{"no UTF-8", post(in("web%ff"), drain), 400, "server"},
		{"letters that look alike", post(in("w%D0%B5b01"), drain), 400, "server"},
		{"no name", get(root + "/backends//servers"), 400, "backend"},

		{"a form", post(action, "action=drain").with("Content-Type", "application/x-www-form-urlencoded"), 415, "Content-Type: application/json"},
		{"text", post(action, drain).with("Content-Type", "text/plain"), 415, "Content-Type: application/json"},
		{"no content type at all", post(action, drain).with("Content-Type", ";;"), 415, "Content-Type: application/json"},
		{"packed", post(action, drain).with("Content-Encoding", "gzip"), 415, "plain"},
		{"2 MB", post(action, `{"reason":"`+strings.Repeat("a", 2<<20)+`"}`), 413, "at most 1048576 bytes"},
		{"nothing", post(action, ""), 400, "the body is empty"},
		{"blanks", post(action, "  \n"), 400, "the body is empty"},
		{"no JSON", post(action, "drain"), 400, "not JSON"},
		{"half of it", post(action, `{"action":"drain"`), 400, "not JSON"},
		{"a list", post(action, `["drain"]`), 400, "not a JSON object"},
		{"null", post(action, `null`), 400, "not a JSON object"},
		{"two", post(action, drain+drain), 400, "follows the end"},
		{"deep nesting", post(action, strings.Repeat(`{"action":`, 100_000)), 400, "max depth"},
		{"deep lists", post(action, `{"action":`+strings.Repeat("[", 500_000)), 400, "not JSON"},
		{"deep and closed", post(action, `{"action":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+"}"), 400, "field action is of the wrong kind"},
		{"an unknown field", post(action, `{"action":"drain","force":true}`), 400, `unknown field \"force\"`},
		{"a field in capitals", post(action, `{"Action":"drain"}`), 400, `unknown field \"Action\"`},
		{"a field twice", post(action, `{"action":"ready","action":"drain"}`), 400, "twice"},
		{"no action", post(action, `{"reason":"x"}`), 400, "field action is missing"},
		{"an unknown action", post(action, `{"action":"stop"}`), 400, `action \"stop\": want ready, drain or maint`},
		{"an action in capitals", post(action, `{"action":"DRAIN"}`), 400, "want ready, drain or maint"},
		{"more behind an action", post(action, `{"action":"drain; shutdown"}`), 400, "want ready, drain or maint"},
		{"an action of nothing", post(action, `{"action":null}`), 400, "field action is of the wrong kind"},
		{"an override of nothing", post(action, `{"action":"drain","override":null}`), 400, "field override is of the wrong kind"},
		{"as it was sent", post(action, `{"<b>&":1}`), 400, `\"<b>&\"`},
		{"a number", post(action, `{"action":1}`), 400, "wrong kind"},
		{"no list", post(action, `{"action":"drain","override":"min_serving","reason":"x"}`), 400, "wrong kind"},
		{"no guard's name", post(action, `{"action":"drain","override":["min serving\n"],"reason":"x"}`), 400, "no name of a guard"},
		{"too many guards", post(action, `{"action":"drain","reason":"x","override":["a"`+strings.Repeat(`,"a"`, 40)+`]}`), 400, "wrong kind"},
		{"an override without a reason", post(action, `{"action":"drain","override":["min_serving"]}`), 400, "say in the field reason why"},
		{"a reason of blanks", post(action, `{"action":"drain","override":["min_serving"],"reason":"  "}`), 400, "say in the field reason why"},
		{"a reason on two lines", post(action, `{"action":"drain","reason":"a\nb"}`), 400, "one line"},
		{"a reason that paints", post(action, `{"action":"drain","reason":"\u001b[31m"}`), 400, "one line"},
		{"a long reason", post(action, `{"action":"drain","reason":"`+strings.Repeat("a", 301)+`"}`), 400, "at most 300"},
		{"no UTF-8 in a reason", post(action, "{\"action\":\"drain\",\"reason\":\"\xff\"}"), 400, "not UTF-8"},
		{"another site's page", post(action, drain).with("Sec-Fetch-Site", "cross-site"), 403, "another site"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine()
			a := ask(t, handler(e), c.question)
			if a.code != c.code || !strings.Contains(a.body, c.says) {
				t.Errorf("%d %s; want %d, %s", a.code, a.body, c.code, c.says)
			}
			if o := e.ordered(); len(o) > 0 {
				t.Errorf("the engine got %+v", o)
			}
			if len(a.body) > 2000 {
				t.Errorf("the answer has %d bytes", len(a.body))
			}
			if allow := a.header.Get("Allow"); (a.code == 405) != (allow != "") {
				t.Errorf("%d with Allow: %q", a.code, allow)
			}
		})
	}
}

func TestABodyWithoutContentTypeIsTaken(t *testing.T) {
	e := newEngine()
	q := post(action, drain)
	q.header = http.Header{"Content-Type": nil}
	if a := ask(t, handler(e), q); a.code != 200 || len(e.ordered()) != 1 {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// A thousand requests wait for a HAProxy that hangs. Each gets an answer, the
// HAProxy gets two looks, and the other one answers as if nothing was.
func TestAThousandRequestsToAHangingHAProxyCostTheOthersNothing(t *testing.T) {
	e := newEngine()
	hang := make(chan struct{})
	e.hangs = map[string]chan struct{}{"prod": hang}
	h := handler(e)
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for i := range 1000 {
		all.Go(func() {
			q := get("/api/v1/haproxy/prod/backends")
			if i%2 == 0 {
				q = post("/api/v1/haproxy/prod/backends/myapp/servers/web01/action", drain)
			}
			a := ask(t, h, q)
			says, _, _ := strings.Cut(a.body[strings.Index(a.body, `"error"`)+9:], " ")
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%d %s: when to come again?", a.code, a.body)
			}
			mu.Lock()
			defer mu.Unlock()
			codes[fmt.Sprint(a.code, " ", says)]++
		})
	}
	for range 100 {
		if a := ask(t, h, get("/api/v1/haproxy/first/backends")); a.code != 200 {
			t.Errorf("the other one: %d %s", a.code, a.body)
		}
		if a := ask(t, h, post("/api/v1/haproxy/first/backends/myapp/servers/web01/action", drain)); a.code != 200 {
			t.Errorf("the other one: %d %s", a.code, a.body)
		}
	}
	const orders, places = 500, 64
	for until := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		mu.Lock()
		n := codes["503 too"]
		mu.Unlock()
		if n == orders-places {
			break
		}
		if time.Now().After(until) {
			t.Errorf("%d orders were sent away, want %d", n, orders-places)
			break
		}
	}
	close(hang)
	all.Wait()
	if codes["503 HAProxy"] != 1000-orders+places || codes["503 too"] != orders-places {
		t.Errorf("answers: %v", codes)
	}
	for _, o := range e.ordered() {
		if o.Instance != "first" || o.To != edge.Drain {
			t.Errorf("an order for one that hangs: %+v", o)
		}
	}
	if a := ask(t, h, post(action, drain)); a.code != 200 {
		t.Errorf("after it: %d %s", a.code, a.body)
	}
}
