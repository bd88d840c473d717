package announce

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/alertmanager"
	"github.com/sluice-project/sluice/test/loopback"
)

// serving is the API of an Alertmanager, under a prefix and a password.
func serving(t *testing.T, answer http.HandlerFunc) Poster {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(answer)
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	client := promconfig.DefaultHTTPClientConfig
	client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
	p, err := To(alertmanager.Server{URL: s.URL + "/am", HTTP: client})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != s.URL+"/am" {
		t.Errorf("its name is %s", p.Name())
	}
	return p
}

func TestWhatIsPosted(t *testing.T) {
	var got []map[string]any
	p := serving(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.Method != http.MethodPost || r.URL.Path != "/am/api/v2/alerts" || user != "sluice" || password != "not-a-real-password" {
			t.Errorf("%s %s by %s", r.Method, r.URL, user)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	})
	a := about{name: Step, member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, policy: "drain", starts: start, summary: "x"}.alert("https://sluice.example.com")
	if err := p.Post(t.Context(), []Message{{a, start.Add(5 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	link := "https://sluice.example.com/console/member?device=edge1&member=s1&pool=shop"
	want := []map[string]any{{
		"labels": map[string]any{
			"alertname": "SluiceStep", "severity": "info", "announced_by": "sluice", "policy": "drain", "device": "edge1", "pool": "shop", "member": "s1",
		},
		"annotations": map[string]any{
			"summary": "x", "description": "", "console_url": link, "runbook_url": runbooks + "SluiceStep.md",
			"command": `sluice explain --labels 'remediation="drain",device="edge1",pool="shop",member="s1"'`,
		},
		"generatorURL": link, "startsAt": "2026-11-21T10:00:00.000Z", "endsAt": "2026-11-21T10:05:00.000Z",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("posted (-want +got):\n%s", diff)
	}
}

// An Alertmanager refuses what ends before it began, as it seems when a clock was set back.
func TestNothingEndsBeforeItBegins(t *testing.T) {
	var got []struct{ StartsAt, EndsAt time.Time }
	p := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	})
	a := about{name: Step, member: s1, starts: start}.alert("")
	if err := p.Post(t.Context(), []Message{{a, start.Add(-time.Hour)}, {a, start}, {a, start.Add(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Time{start.Add(-time.Hour), start, start} {
		if !got[i].StartsAt.Equal(want) || got[i].EndsAt.Before(got[i].StartsAt) {
			t.Errorf("%d: from %s until %s", i, got[i].StartsAt, got[i].EndsAt)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		says   string
		may    bool // it may have taken them
	}{
		"refused":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who?", http.StatusUnauthorized) }, "answered 401 Unauthorized", false},
		"unsound":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", http.StatusBadRequest) }, "answered 400 Bad Request", true},
		"overloaded": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "answered 502 Bad Gateway", true},
		"cut off":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", true},
		"no answer":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time", true},
		"redirected": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "write the address that it leads to", true},
		"without end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, "redirects", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := serving(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet { // as after a redirect that loses the body: a list, and no error
					w.Header().Set("Content-Type", "application/json")
					w.Write([]byte("[]"))
					return
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil { // or its end would not be heard of
					t.Error(err)
				}
				tt.answer(w, r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := p.Post(ctx, []Message{{about{name: Step, starts: start}.alert(""), start}})
			if err == nil || !strings.Contains(alertmanager.Reason(err), tt.says) || strings.Contains(err.Error(), "not-a-real-password") {
				t.Fatalf("got %v, want %s", err, tt.says)
			}
			if mayKnow(err) != tt.may {
				t.Errorf("it may have taken them: %t", mayKnow(err))
			}
		})
	}
}

func TestOneThatIsNotThere(t *testing.T) {
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	p, err := To(alertmanager.Server{URL: "http://" + address, HTTP: promconfig.DefaultHTTPClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Post(t.Context(), []Message{{about{name: Step, starts: start}.alert(""), start}})
	if err == nil || mayKnow(err) {
		t.Errorf("got %v: it took nothing for sure", err)
	}
	if _, err := To(alertmanager.Server{URL: "http://user:not-a-real-password@192.0.2.1"}); err == nil || strings.Contains(err.Error(), "real") {
		t.Errorf("a URL with a user: %v", err)
	}
}
