package ptaf_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/serve"
)

const (
	password = "not-a-real-password"
	shopID   = "64f0c0ffee0123456789abcd"
)

// newSim has a pool of three, one of them out and one a backup, and another pool.
func newSim(more ...ptaftest.Upstream) *ptaftest.Sim {
	three := 3
	return ptaftest.New(ptaftest.Options{
		Upstreams: append([]ptaftest.Upstream{
			{ID: shopID, Name: "shop-front", Backends: []ptaftest.Backend{
				{Address: "192.0.2.11", Port: 8080},
				{Address: "192.0.2.12", Port: 8080, Weight: 2, MaxFails: &three, Down: true},
				{Address: "192.0.2.13", Port: 8080, Backup: true},
			}},
			{Name: "billing", Backends: []ptaftest.Backend{{Address: "198.51.100.5"}}},
		}, more...),
	})
}

// transport adds the password, and tells a test of each request before it goes.
type transport struct {
	next     http.RoundTripper
	password string
	before   func(*http.Request)
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("sluice", t.password)
	if t.before != nil {
		t.before(r)
	}
	return t.next.RoundTrip(r)
}

// memory serves without a network, so that time can be a test's own.
type memory struct{ http.Handler }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer := w.Result()
	if int64(w.Body.Len()) < answer.ContentLength {
		answer.Body = io.NopCloser(io.MultiReader(w.Body, broken{}))
	}
	return answer, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// options has what most tests want: a fresh connection pool and no patience.
func options(tb testing.TB, urls ...string) (ptaf.Options, *transport) {
	base := &http.Transport{}
	tb.Cleanup(base.CloseIdleConnections)
	t := &transport{next: base, password: password}
	return ptaf.Options{URLs: urls, HTTP: &http.Client{Transport: t}, Timeout: 5 * time.Second, Retries: -1}, t
}

func newClient(tb testing.TB, o ptaf.Options) *ptaf.Client {
	tb.Helper()
	c, err := ptaf.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// inMemory is a client of a simulator without a network, for synctest.
func inMemory(t *testing.T, h http.Handler, change func(*ptaf.Options)) *ptaf.Client {
	t.Helper()
	o := ptaf.Options{URLs: []string{"http://waf.example.com" + ptaftest.Base}, HTTP: &http.Client{Transport: &transport{next: memory{h}, password: password}}}
	if change != nil {
		change(&o)
	}
	return newClient(t, o)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v; want %v", err, want)
	}
	if err != nil && (strings.ContainsAny(err.Error(), "\n\r\x00") || strings.Contains(err.Error(), password)) {
		t.Errorf("%q is not one line, or has a password", err)
	}
}

func wantText(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%v doesn't say %q", err, part)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func read(t *testing.T, c *ptaf.Client) ptaf.Reading {
	t.Helper()
	r, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// downs has "-" for each backend of a pool that is in rotation and "+" for those
// that are down, in order of their names.
func downs(r ptaf.Reading, pool string) (out string) {
	for _, st := range r.Snapshot("waf1").Pool(edge.Pool{Device: "waf1", Name: pool}) {
		out += map[edge.Admin]string{edge.Ready: "-", edge.Maint: "+"}[st.Admin]
	}
	return out
}

func TestOptionsAreChecked(t *testing.T) {
	const good = "https://192.0.2.10:8443/api/waf/v2"
	for _, c := range []struct {
		name string
		o    ptaf.Options
		says string // empty: taken
	}{
		{"one URL is enough", ptaf.Options{URLs: []string{good}}, ""},
		{"a cluster", ptaf.Options{URLs: []string{good, "http://[2001:db8::1]/x/"}, Gateways: []string{"a", "b"}, Upstreams: []string{"shop"}}, ""},
		{"no URL", ptaf.Options{}, "no URL"},
		{"no scheme", ptaf.Options{URLs: []string{"192.0.2.10:8443"}}, "whole address"},
		{"another scheme", ptaf.Options{URLs: []string{"ftp://192.0.2.10"}}, "whole address"},
		{"no host", ptaf.Options{URLs: []string{"https:///api"}}, "whole address"},
		{"no URL at all, with a secret", ptaf.Options{URLs: []string{"https://u:" + password + "@h:x"}}, "whole address"},
		{"a user", ptaf.Options{URLs: []string{"https://u:" + password + "@192.0.2.10"}}, "holds a user"},
		{"a query", ptaf.Options{URLs: []string{good + "?a=b"}}, "holds a query"},
		{"the same twice", ptaf.Options{URLs: []string{good, good + "/"}}, "there twice"},
		{"too few gateways", ptaf.Options{URLs: []string{good, "https://b"}, Gateways: []string{"a"}}, "1 gateways for 2 URLs"},
		{"an upstream without a name", ptaf.Options{URLs: []string{good}, Upstreams: []string{""}}, "without a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ptaf.New(c.o)
			if c.says == "" {
				wantErr(t, err, nil)
				return
			}
			wantText(t, err, c.says)
			if strings.Contains(err.Error(), password) {
				t.Errorf("%v has a secret", err)
			}
		})
	}
}

func TestAReadingHasAllUpstreams(t *testing.T) {
	s := newSim()
	url := s.Start(t)
	o, _ := options(t, url+"/")
	r := read(t, newClient(t, o))
	var names []string
	for _, u := range r.Upstreams {
		names = append(names, u.Name)
	}
	wantEqual(t, names, []string{"shop-front", "billing"})
	wantEqual(t, downs(r, "shop-front"), "-+-")
	wantEqual(t, r.Nodes, []ptaf.Node{{URL: url, Up: true, Digests: map[string]string{
		"shop-front": r.Upstreams[0].Version(), "billing": r.Upstreams[1].Version(),
	}}})
	if r.Node != url || r.ReadOnly != "" || len(r.Diverging) != 0 || len(r.Refused) != 0 || r.GatewaysKnown || r.At.IsZero() {
		t.Errorf("%+v", r)
	}
	u, err := ptaf.ParseUpstream(s.Object("shop-front"))
	wantErr(t, err, nil)
	wantEqual(t, r.Snapshot("waf1").Versions["shop-front"], u.Version())
}

func TestUpstreamsThatCannotBeHadAreRefusedAlone(t *testing.T) {
	s := newSim(ptaftest.Upstream{Name: "twice"}, ptaftest.Upstream{Name: "twice"}, ptaftest.Upstream{Name: "odd", Backends: []ptaftest.Backend{{Address: "a b"}}})
	o, _ := options(t, s.Start(t))
	o.Upstreams = []string{shopID, "twice", "odd", "gone"}
	r := read(t, newClient(t, o))
	wantEqual(t, downs(r, "shop-front"), "-+-")
	if len(r.Upstreams) != 1 || len(r.Refused) != 3 {
		t.Fatalf("%+v", r)
	}
	for name, says := range map[string]string{"twice": "several upstreams", "odd": `address "a b"`, "gone": "check the name"} {
		if !strings.Contains(r.Refused[name], says) {
			t.Errorf("%s: %q doesn't say %q", name, r.Refused[name], says)
		}
	}
}

func TestAnObjectMustBeTheOneThatWasAskedFor(t *testing.T) {
	s := newSim()
	other := map[string]string{"another id": strings.Replace(string(s.Object("shop-front")), "abcd", "ffff", 1), "another name": strings.Replace(string(s.Object("shop-front")), "shop-front", "shop", 1)}
	for name, says := range map[string]string{"another id": "it is of the upstream 64f0c0ffee0123456789ffff", "another name": "it was renamed while it was read"} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t, "http://"+serve.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, shopID):
					_, _ = io.WriteString(w, other[name])
				case strings.HasSuffix(r.URL.Path, "/gateways"):
					_, _ = io.WriteString(w, "{}") // no list: what is optional may be anything
				default:
					s.ServeHTTP(w, r)
				}
			}), nil)+ptaftest.Base)
			r := read(t, newClient(t, o))
			wantEqual(t, len(r.Upstreams), 1)
			wantEqual(t, r.GatewaysKnown, false)
			if !strings.Contains(r.Refused["shop-front"], says) {
				t.Errorf("%+v", r.Refused)
			}
		})
	}
}

func TestACredentialThatIsRefusedInTheMiddleIsAnError(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	o.Upstreams = []string{"billing"}
	tr.before = func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/upstreams/") {
			s.Misbehave(ptaftest.Unauthorized, -1)
		}
	}
	_, err := newClient(t, o).Read(t.Context())
	wantErr(t, err, ptaf.ErrCredentials)

	// Of one object alone: a password that is changed while all are read.
	s.Behave()
	o.Upstreams = nil
	tr.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, shopID) {
			r.SetBasicAuth("sluice", "not-the-password")
		}
	}
	r, err := newClient(t, o).Read(t.Context())
	wantErr(t, err, ptaf.ErrCredentials)
	wantEqual(t, len(r.Upstreams), 0)
}

// An upstream that is deleted between the list and the look at it is no illness of
// the device, also when it is the only one.
func TestAnUpstreamThatIsGoneIsRefusedAlone(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	tr.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, shopID) {
			s.Misbehave(ptaftest.NotFound, 1)
		}
	}
	o.Upstreams = []string{"shop-front"}
	r := read(t, newClient(t, o))
	if why := r.Refused["shop-front"]; len(r.Upstreams) > 0 || !strings.Contains(why, "status 404") {
		t.Errorf("%+v", r)
	}
}

// I2
func TestTheListWithoutTheObjectsIsAnError(t *testing.T) {
	s := newSim()
	o, tr := options(t, s.Start(t))
	tr.before = func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/upstreams/") {
			s.Misbehave(ptaftest.Error500Once, -1)
		}
	}
	o.Upstreams = []string{"shop-front"}
	r, err := newClient(t, o).Read(t.Context())
	wantText(t, err, "GET /upstreams/"+shopID+": status 500: internal error")
	if len(r.Nodes) != 1 || r.Nodes[0].Up || r.Nodes[0].Err != err.Error() {
		t.Errorf("%+v", r)
	}
}

// The times are what a call takes: a timeout of one second, and less than a
// second between tries.
func TestWhatGoesWrongInAReading(t *testing.T) {
	for _, c := range []struct {
		fault ptaftest.Fault
		want  error
		says  string
		calls int // of the list; with one of /gateways
	}{
		{ptaftest.Unauthorized, ptaf.ErrCredentials, "GET /upstreams: status 401: credentials are wrong, or the user is not active: authentication", 1},
		{ptaftest.NotFound, ptaf.ErrNotFound, "GET /upstreams: status 404: not there: check the URL and the id: no such object", 1},
		{ptaftest.HTMLPage, ptaf.ErrAnswer, `GET /upstreams: not what the API answers: no JSON: "Sign in": check the URL`, 1},
		{ptaftest.EmptyBody, ptaf.ErrAnswer, "GET /upstreams: not what the API answers: it is empty", 1},
		{ptaftest.ErrorShapes, nil, "this can't be done", 1},
		{ptaftest.Hang, ptaf.ErrTimeout, "GET /upstreams: timeout after 1s", 3},
		{ptaftest.CutBody, io.ErrUnexpectedEOF, "GET /upstreams: answer breaks off after ", 3},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim()
				s.Misbehave(c.fault, -1)
				var lists int
				client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/gateways") {
						http.NotFound(w, r)
						return
					}
					lists++
					s.ServeHTTP(w, r)
				}), func(o *ptaf.Options) { o.Timeout = time.Second })
				start := time.Now()
				r, err := client.Read(t.Context())
				if c.want != nil {
					wantErr(t, err, c.want)
				}
				wantText(t, err, c.says)
				wantEqual(t, lists, c.calls)
				if took := time.Since(start); took > time.Duration(c.calls)*time.Second+time.Second {
					t.Errorf("took %s", took)
				}
				if len(r.Nodes) != 1 || r.Nodes[0].Up || r.Nodes[0].Err == "" {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestGatewaysAreNotAskedForWhereTheyAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		client := inMemory(t, s, func(o *ptaf.Options) { o.Upstreams = []string{"shop-front"} })
		calls := func() int {
			before := s.Calls()
			read(t, client)
			return s.Calls() - before
		}
		wantEqual(t, []int{calls(), calls()}, []int{3, 2})
		s.SetGateways([]ptaftest.Gateway{{ID: "1", Name: "waf1", Active: true}})
		time.Sleep(9 * time.Minute)
		wantEqual(t, calls(), 2)
		time.Sleep(time.Minute)
		wantEqual(t, calls(), 3)
		wantEqual(t, read(t, client).Gateways, []ptaf.Gateway{{ID: "1", Name: "waf1", Active: edge.Yes}})
	})
}

func TestGatewaysThatAUserMayNotSeeAreNotAskedForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		asked := 0
		client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/gateways") {
				asked++
				w.WriteHeader(http.StatusForbidden)
				return
			}
			s.ServeHTTP(w, r)
		}), nil)
		for range 3 {
			if r := read(t, client); r.GatewaysKnown || r.ReadOnly != "" {
				t.Errorf("%+v", r)
			}
		}
		wantEqual(t, asked, 1)
	})
}

func TestARealConnectionThatHangsTimesOut(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	o.Timeout = 50 * time.Millisecond
	s.Misbehave(ptaftest.Hang, -1)
	_, err := newClient(t, o).Get(t.Context(), "shop-front")
	wantErr(t, err, ptaf.ErrTimeout)
}

func TestARealAnswerThatBreaksOffIsNoAnswer(t *testing.T) {
	s := newSim()
	o, _ := options(t, s.Start(t))
	s.Misbehave(ptaftest.CutBody, -1)
	_, err := newClient(t, o).Get(t.Context(), "shop-front")
	wantErr(t, err, io.ErrUnexpectedEOF)
	wantText(t, err, `get upstream "shop-front": GET /upstreams: answer breaks off after`)
}

func TestNobodyListens(t *testing.T) {
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	o, _ := options(t, "http://"+address+ptaftest.Base)
	_, err = newClient(t, o).Read(t.Context())
	wantText(t, err, "GET /upstreams: dial tcp "+address+": connect: connection refused")
}

func TestOtherAnswersAreErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    error
		says    string
	}{
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login?next=x", http.StatusFound) }, nil, "status 302: sends us to /login: redirects are not followed"},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, nil, "status 204"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `"%s"`, strings.Repeat("a", 8<<20)) }, ptaf.ErrAnswer, "longer than 8388608 bytes"},
		{"too much of an error", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(bytes.Repeat([]byte("<b>\r\n"), 4<<20))
		}, nil, "status 400: <b> <b>"},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"no"}`, http.StatusForbidden)
		}, ptaf.ErrForbidden, "can_edit on Upstreams: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, _ := options(t, "http://"+serve.Handler(t, c.handler, nil))
			_, err := newClient(t, o).Read(t.Context())
			wantErr(t, err, cmpErr(c.want, err))
			wantText(t, err, c.says)
			if len(err.Error()) > 400 {
				t.Errorf("%d bytes: %v", len(err.Error()), err)
			}
		})
	}
}

// cmpErr is want, or err where any error will do.
func cmpErr(want, err error) error {
	if want == nil {
		return err
	}
	return want
}

func TestAClientThatFollowsRedirectsDoesNotHere(t *testing.T) {
	var elsewhere int
	target := "http://" + serve.Handler(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }), nil)
	o, _ := options(t, "http://"+serve.Handler(t, http.RedirectHandler(target, http.StatusTemporaryRedirect), nil))
	follows := func(*http.Request, []*http.Request) error { return nil }
	o.HTTP.CheckRedirect = follows
	_, err := newClient(t, o).Read(t.Context())
	wantText(t, err, "status 307")
	if elsewhere != 0 {
		t.Errorf("%d calls went elsewhere", elsewhere)
	}
	if o.HTTP.CheckRedirect == nil || o.HTTP.CheckRedirect(nil, nil) != nil {
		t.Error("the caller's own client was changed")
	}
}

func TestACertificateMustBeKnown(t *testing.T) {
	s := newSim()
	url, cert := s.StartTLS(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	for name, roots := range map[string]*x509.CertPool{"known": pool, "unknown": x509.NewCertPool()} {
		t.Run(name, func(t *testing.T) {
			o, tr := options(t, url)
			base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			t.Cleanup(base.CloseIdleConnections)
			tr.next, o.Retries = base, 2
			var calls int
			tr.before = func(*http.Request) { calls++ }
			_, err := newClient(t, o).Get(t.Context(), "shop-front")
			if name == "known" {
				wantErr(t, err, nil)
				return
			}
			wantText(t, err, "x509")
			wantEqual(t, calls, 1) // it doesn't get better
		})
	}
}

func TestGetGivesTheObjectByteForByte(t *testing.T) {
	s := newSim(ptaftest.Upstream{Name: "twice"}, ptaftest.Upstream{Name: "twice"})
	s.Misbehave(ptaftest.ExtraFields, -1)
	o, _ := options(t, s.Start(t))
	c := newClient(t, o)
	for _, name := range []string{"shop-front", shopID} {
		got, err := c.Get(t.Context(), name)
		wantErr(t, err, nil)
		wantEqual(t, string(got.Raw), string(s.Object("shop-front")))
		wantEqual(t, []string{got.ID, got.Name, got.Upstream.Name}, []string{shopID, "shop-front", "shop-front"})
	}
	_, err := c.Get(t.Context(), "gone\n")
	wantErr(t, err, ptaf.ErrNoUpstream)
	_, err = c.Get(t.Context(), "twice")
	wantErr(t, err, ptaf.ErrAmbiguous)
}

func TestAtMostEightReadsAtATime(t *testing.T) {
	var more []ptaftest.Upstream
	for i := range 40 {
		more = append(more, ptaftest.Upstream{Name: fmt.Sprintf("pool%02d", i)})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSim(more...)
		var mu sync.Mutex
		var now, most int
		enter := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			now += n
			most = max(most, now)
		}
		client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			enter(1)
			time.Sleep(time.Second) // virtual: all that may come has come
			enter(-1)
			s.ServeHTTP(w, r)
		}), nil)
		r := read(t, client)
		wantEqual(t, len(r.Upstreams), 42)
		wantEqual(t, most, 8)
		if !slices.IsSortedFunc(r.Upstreams[2:], func(a, b ptaf.Upstream) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("not in the order of the list")
		}
	})
}
