package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/access/session"
	testoidc "github.com/sluice-project/sluice/test/oidc"
)

// raw sends a request as it is written, and returns the answer's code and text.
func (p *place) raw(method, target, header, body string) (code int, text string) {
	p.t.Helper()
	host := strings.TrimPrefix(p.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		// The server may have had enough before all of it is written.
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", method, target, host, len(body), header, body)
	}()
	answer, err := io.ReadAll(conn)
	if len(answer) == 0 {
		p.t.Fatal(method, target, err)
	}
	if _, err := fmt.Sscanf(string(answer), "HTTP/1.1 %d", &code); err != nil {
		p.t.Fatalf("%s %s: %q", method, target, answer)
	}
	return code, string(answer)
}

// Only the very paths of the log-in are open; nothing that looks like one leads in.
func TestNoPathLeadsAroundTheLogIn(t *testing.T) {
	p := newPlace(t, people(t))
	for _, target := range []string{
		"/console/login/", "/console/login/../", "/console/login/..", "/console/login%2f..%2ffreeze", "/console/%6cogin",
		"/console//login", "//console/login", "/console/login;/../freeze", "/console/login%00", "/console/login%0a", "/console/LOGIN",
		"/console/./login/../", "/console/oidc/callback/../../", "/console/oidc/", "/console/oidc/start/", "/console/logout/x",
		"http://example.com/console/", "/console/?/console/login", "/console/login%2e%2e/", "/x/../console/",
	} {
		code, text := p.raw(http.MethodGet, target, "", "")
		if strings.Contains(text, " by ") || code == http.StatusOK {
			t.Errorf("%s: %s", target, text)
		}
	}
}

func TestTheLogInAnswersBadInputClearly(t *testing.T) {
	o := testoidc.Start(t, testoidc.Options{Public: true})
	p := newPlace(t, withProvider(t, o))
	const form = "Content-Type: application/x-www-form-urlencoded\r\n"
	for _, c := range []struct {
		method, target, header, body string
		code                         int
	}{
		{"PUT", session.Login, form, "a=b", 405},
		{"DELETE", session.Login, "", "", 405},
		{"GET", session.Logout, "", "", 405},
		{"POST", oidc.Start, form, "", 405},
		{"POST", oidc.Callback, form, "code=x&state=y", 405},
		{"POST", session.Login, form, strings.Repeat("x", 2<<20), 400},
		{"POST", session.Login, form, strings.Repeat("a=b&", 10000) + "name=%zz", 400},
		{"POST", session.Login, "Content-Type: application/json\r\n", `{"name":"ann"}`, 400},
		{"POST", session.Login, "Content-Type: multipart/form-data; boundary=x\r\n", "--x--", 400},
		{"POST", session.Login, "Content-Type: \x01\r\n", "", 400},
		{"POST", session.Login, form + "Cookie: sluice-login=" + strings.Repeat("x", 8000) + "\r\n", "name=ann", 403},
		{"GET", session.Login + "?next=" + strings.Repeat("%2f", 5000), "", "", 200},
		{"GET", session.Login + "?next=%ff%fe%00", "", "", 200},
		{"GET", session.Login, "Accept-Language: " + strings.Repeat("ru;q=0.", 1000) + "\r\n", "", 200},
		{"GET", session.Login, "Cookie: sluice-session=a; sluice-session=b; =; ;;; x\r\n", "", 200},
		{"GET", oidc.Callback, "", "", 403},
		{"GET", oidc.Callback + "?code=a&code=b&state=&state=c&iss=d", "Cookie: sluice-oidc=AAAA\r\n", "", 403},
		{"GET", oidc.Callback + "?error=%0d%0aSet-Cookie:+a=b", "Cookie: sluice-oidc=AAAA\r\n", "", 403},
		{"GET", oidc.Start + "?next=https://example.com/", "", "", 303},
	} {
		code, text := p.raw(c.method, c.target, c.header, c.body)
		if code != c.code {
			t.Errorf("%s %.60s %.40s: %d, want %d: %.600s", c.method, c.target, c.header, code, c.code, text)
		}
		if strings.Contains(text, "Set-Cookie: a=b") || strings.Contains(text, "Set-Cookie: sluice-session=") && !strings.Contains(text, "Max-Age=0") {
			t.Errorf("%s %.60s: sets a cookie: %.600s", c.method, c.target, text)
		}
	}
}

// While the provider hangs and a crowd wants to log in by it, it is asked once, and
// whoever has a password comes in.
func TestACrowdAtAProviderThatHangsKeepsNobodyOut(t *testing.T) {
	o := testoidc.Start(t, testoidc.Options{Public: true})
	o.Misbehave(testoidc.Faults{Hang: true})
	p := newPlace(t, withProvider(t, o))
	const crowd = 500
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range crowd {
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+oidc.Start, nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := client.Do(req)
			if err == nil {
				err = resp.Body.Close() // it was slower than the limit, and answered
			} else if errors.Is(err, context.Canceled) {
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); o.Asked("openid-configuration") == 0; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the provider was never asked")
		}
	}
	b := p.browser()
	b.logIn("ann", password, http.StatusOK, "ann by session: operator")
	b.want(http.MethodPost, "/console/freeze", url.Values{"reason": {"x"}, session.Field: {b.token()}}, http.StatusOK, "frozen by ann")
	if n := o.Asked("openid-configuration"); n != 1 {
		t.Errorf("the provider was asked %d times at once", n)
	}
	leave()
	all.Wait()
}

// Two log-ins at once, a reload between, and nobody has a session that the
// configuration in force wouldn't give.
func TestLogInsWhileTheConfigurationChanges(t *testing.T) {
	conf, next := people(t), people(t)
	next.Users[0].Roles = []string{access.Viewer}
	p := newPlace(t, conf)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				who, err := p.login.password(&http.Request{RemoteAddr: "192.0.2.1:1"}, "ann", password)
				if err != nil {
					t.Error(err)
					return
				}
				if i, known := p.login.identity(who); known && i.Via != access.ViaSession {
					t.Errorf("%+v", i)
				}
			}
		})
	}
	for i := range 20 {
		c := conf
		if i%2 == 0 {
			c = next
		}
		p.use(c)
	}
	all.Wait()
}
