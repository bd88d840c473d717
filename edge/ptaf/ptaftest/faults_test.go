package ptaftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// takeOut is a write that takes 192.0.2.11 out and leaves the rest.
const takeOut = `{"backends":[{"address":"192.0.2.11","port":8080,"weight":1,"max_fails":null,"down":true,"backup":false},` +
	`{"address":"192.0.2.12","port":8080,"weight":2,"max_fails":3,"down":true,"backup":false},` +
	`{"address":"192.0.2.13","port":8080,"weight":1,"max_fails":null,"down":false,"backup":true}]}`

// downs is "+" for each backend that is down and "-" for the others.
func downs(object string) (out string) {
	for _, part := range strings.Split(object, `"down":`)[1:] {
		out += map[bool]string{true: "+", false: "-"}[strings.HasPrefix(part, "true")]
	}
	return out
}

// has says whether part is in body; with no part, that body is empty unless it was cut.
func has(body, part string, cut bool) bool {
	return strings.Contains(body, part) && (part != "" || cut == (body != ""))
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault             Fault
		get, patch        int
		getBody, patchIs  string // in the answers
		after             string // downs of the object after one GET and one PATCH
		getCut, writeFail bool
	}{
		{None, 200, 200, wholeShop, `"down":true`, "++-", false, false},
		{Unauthorized, 401, 401, "authentication", "authentication", "-+-", false, false},
		{Forbidden, 200, 403, wholeShop, "can_edit", "-+-", false, false},
		{NotFound, 404, 404, "no such", "no such", "-+-", false, false},
		{Unprocessable, 200, 422, wholeShop, "backends", "-+-", false, false},
		{HTMLPage, 200, 200, "<!DOCTYPE html>", "<!DOCTYPE html>", "-+-", false, false},
		{EmptyBody, 200, 200, "", "", "++-", false, false},
		{EmptyWriteAnswer, 200, 200, wholeShop, "", "++-", false, false},
		{CutBody, 200, 200, "", "", "++-", true, true},
		{ConcurrentEdit, 200, 200, wholeShop, `"down":true`, "++-", false, false},
		{EditBetweenGets, 200, 200, wholeShop, `"down":true`, "++-", false, false},
		{EditAfterWrite, 200, 200, wholeShop, `"down":true`, "+--", false, false},
		{StringBooleans, 200, 200, `"down":"False"`, `"down":"True"`, "++-", false, false},
		{NotKept, 200, 200, wholeShop, `"down":true`, "-+-", false, false},
		{ReadOnlyField, 200, 200, wholeShop, `"down":true`, "++-", false, false},
		{ErrorShapes, 400, 400, `{"message":"this can't be done"}`, `{"error":"this can't be done"}`, "-+-", false, false},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			s := newShop()
			url := s.Start(t)
			s.Misbehave(c.fault, -1)
			status, body, err := call{method: "GET", path: "/upstreams/" + shop}.do(t, url)
			if status != c.get || !has(body, c.getBody, c.getCut) || (err != nil) != c.getCut {
				t.Errorf("GET: %d %q %v", status, body, err)
			}
			status, body, err = call{method: "PATCH", path: "/upstreams/" + shop, body: takeOut}.do(t, url)
			if status != c.patch || !has(body, c.patchIs, c.writeFail) || (err != nil) != c.writeFail {
				t.Errorf("PATCH: %d %q %v", status, body, err)
			}
			wantEqual(t, downs(string(s.Object(shop))), c.after)
			s.Behave()
			if status, body := get(t, url, "/upstreams/"+shop); status != 200 || body != string(s.Object(shop)) {
				t.Errorf("after all faults: %d %s", status, body)
			}
		})
	}
}

func TestAFaultEndsByItself(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	s.Misbehave(NotFound, 2)
	s.Misbehave(Forbidden, 1)
	var got []int
	for range 3 {
		status, _ := get(t, url, "/upstreams")
		got = append(got, status)
	}
	wantEqual(t, got, []int{404, 404, 200})
	for i, want := range []int{403, 200} {
		if status, _ := patch(t, url, takeOut); status != want {
			t.Errorf("write %d: %d, want %d", i+1, status, want)
		}
	}
	s.Misbehave(Error500Once, -1)
	for i, want := range []int{500, 200} {
		if status, _ := get(t, url, "/upstreams"); status != want {
			t.Errorf("read %d: %d, want %d", i+1, status, want)
		}
	}
}

func TestErrorShapesGoRound(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	s.Misbehave(ErrorShapes, 8)
	var got []string
	for range 9 {
		_, body := get(t, url, "/upstreams/none")
		got = append(got, strings.SplitN(body, "can't", 2)[0])
	}
	wantEqual(t, got, []string{
		`{"message":"this `, `{"error":"this `, `{"errors":{"backends":["this `, `{"errors":["this `, `{"detail":"this `, `this `,
		"<!DOCTYPE html>\n<html><head><title>this ", `{"message":"this `, `{"message":"no such upstream"}`,
	})
	s.Misbehave(ErrorShapes, 7)
	s.Misbehave(Forbidden, 1)
	if status, body := patch(t, url, takeOut); status != 403 || body != `{"error":"you have no right can_edit on Upstreams"}` {
		t.Errorf("a status of another fault keeps it: %d %s", status, body)
	}
}

func TestReadOnlyFieldsAreRefusedWhereTheDeviceIsStrict(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	s.Misbehave(ReadOnlyField, -1)
	for _, name := range []string{"id", "addresses", "last_modified"} {
		if status, body := patch(t, url, `{"`+name+`":null,"backends":[]}`); status != 400 || !strings.Contains(body, name) {
			t.Errorf("%d %s", status, body)
		}
	}
	wantEqual(t, string(s.Object(shop)), wholeShop)
}

func TestReorderedBackendsAreTheSameOnes(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	s.Misbehave(ReorderedBackends, -1)
	var got []string
	for range 3 {
		_, body := get(t, url, "/upstreams/"+shop)
		got = append(got, downs(body))
		addresses, backends, _ := strings.Cut(body, `"backends":`)
		for _, b := range []string{"192.0.2.11", "192.0.2.12", "192.0.2.13"} {
			if !strings.Contains(addresses, b) || !strings.Contains(backends, b) {
				t.Errorf("no %s in %s", b, body)
			}
		}
		if strings.Index(addresses, "192.0.2.11") < strings.Index(addresses, "192.0.2.12") !=
			(strings.Index(backends, "192.0.2.11") < strings.Index(backends, "192.0.2.12")) {
			t.Errorf("addresses and backends have other orders: %s", body)
		}
	}
	wantEqual(t, got, []string{"+--", "--+", "-+-"})
	wantEqual(t, string(s.Object(shop)), wholeShop)
}

func TestExtraFieldsAreLostByWhoLeavesThemOut(t *testing.T) {
	s := newShop()
	url := s.Start(t)
	s.Misbehave(ExtraFields, -1)
	_, whole := get(t, url, "/upstreams/"+shop)
	for _, part := range []string{`"slow_start":1.50,"x_note":"rack \u0031 <&> \/"`, `"x_tags":{"z":null, "a":[ 12345678901234567890 ]}`, `,"x_site":{"b": 1, "a": [ 1.50, 1e3 ]}`} {
		if !strings.Contains(whole, part) {
			t.Errorf("no %s in %s", part, whole)
		}
	}
	_, backends, _ := strings.Cut(whole, `"backends":`)
	backends, _, _ = strings.Cut(backends, `,"x_site"`)
	_, same := patch(t, url, `{"backends":`+backends+`}`)
	wantEqual(t, same, strings.Replace(whole, ":07Z", ":08Z", 1))

	_, less := patch(t, url, takeOut)
	if strings.Contains(less, "x_note") || !strings.Contains(less, "x_site") {
		t.Errorf("fields of backends go with them, those of the upstream stay: %s", less)
	}
}

func TestAnEditMeetsAWrite(t *testing.T) {
	t.Run("before it: the list is overwritten, the time tells", func(t *testing.T) {
		s := newShop()
		s.Misbehave(ConcurrentEdit, 1)
		_, body := patch(t, s.Start(t), takeOut)
		wantEqual(t, downs(body), "++-")
		if !strings.Contains(body, ":09Z") {
			t.Errorf("two changes: %s", body)
		}
	})
	t.Run("before it: a write of something else keeps it", func(t *testing.T) {
		s := newShop()
		s.Misbehave(ConcurrentEdit, 1)
		_, body := patch(t, s.Start(t), `{"keepalive":8}`)
		wantEqual(t, downs(body), "++-")
	})
	t.Run("after a GET: the next one shows it", func(t *testing.T) {
		s := newShop()
		url := s.Start(t)
		s.Misbehave(EditBetweenGets, 1)
		for i, want := range []string{"-+-", "-++", "-++"} {
			if _, body := get(t, url, "/upstreams/"+shop); downs(body) != want {
				t.Errorf("GET %d: %s, want %s", i+1, downs(body), want)
			}
		}
	})
}

func TestSlowAndHang(t *testing.T) {
	request := func(ctx context.Context, method string) *http.Request {
		r := httptest.NewRequestWithContext(ctx, method, Base+"/upstreams/"+shop, strings.NewReader(takeOut))
		r.SetBasicAuth("sluice", "not-a-real-password")
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		s.Misbehave(Slow, 1)
		start, w := time.Now(), httptest.NewRecorder()
		s.ServeHTTP(w, request(t.Context(), "PATCH"))
		wantEqual(t, w.Code, 200)
		wantEqual(t, time.Since(start), 500*time.Millisecond)

		s.Misbehave(Hang, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		before := string(s.Object(shop))
		start, w = time.Now(), httptest.NewRecorder()
		s.ServeHTTP(w, request(ctx, "PATCH"))
		wantEqual(t, time.Since(start), 3*time.Second)
		wantEqual(t, w.Body.Len(), 0)
		wantEqual(t, string(s.Object(shop)), before)
		if got := s.Writes(); len(got) != 2 || got[1].Status != 0 {
			t.Errorf("a write that hangs has no status: %v", got)
		}
	})
}

func TestNamesOfFaults(t *testing.T) {
	for f := None; f < lastFault; f++ {
		got, err := ParseFault(f.String())
		if err != nil || got != f {
			t.Errorf("%q: %v, %v", f, got, err)
		}
	}
	if _, err := ParseFault("none-such"); err == nil {
		t.Error("a fault that doesn't exist was taken")
	}
}

func TestTLSIsSelfSigned(t *testing.T) {
	url, certPEM := newShop().StartTLS(t)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certPEM) {
		t.Fatal("no certificate")
	}
	for name, c := range map[string]struct {
		roots *x509.CertPool
		ok    bool
	}{"with its own certificate as CA": {roots, true}, "with any other CA": {x509.NewCertPool(), false}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.roots}, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/upstreams", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			resp.Body.Close()
			wantEqual(t, resp.StatusCode, 401)
		}
	}
}
