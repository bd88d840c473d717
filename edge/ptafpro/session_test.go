package ptafpro_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

func looksOnly(o *ptafpro.Options) { o.Write = false }

func wantCounts(t *testing.T, sim *ptafprotest.Sim, logins, renewals int) {
	t.Helper()
	if sim.Logins() != logins || sim.Renewals() != renewals {
		t.Errorf("%d log-ins and %d refresh tokens spent, want %d and %d", sim.Logins(), sim.Renewals(), logins, renewals)
	}
}

func TestOneLogInServesManyReadings(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	for range 5 {
		read(t, c)
	}
	wantCounts(t, sim, 1, 1) // the one renewal chooses the tenant
}

func TestATokenIsRenewedHalfAMinuteBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		c := dial(t, sim, looksOnly)
		read(t, c)
		time.Sleep(4*time.Minute + 29*time.Second)
		read(t, c)
		wantCounts(t, sim, 1, 1)
		time.Sleep(2 * time.Second)
		read(t, c)
		wantCounts(t, sim, 1, 2)
		for range 10 { // each refresh token is another
			time.Sleep(5 * time.Minute)
			read(t, c)
		}
		wantCounts(t, sim, 1, 12)
	})
}

func TestAReusedRefreshTokenCostsOneLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		c := dial(t, sim, looksOnly)
		read(t, c)
		sim.Misbehave(ptafprotest.SpentRefresh, 1)
		time.Sleep(5 * time.Minute)
		read(t, c)
		wantCounts(t, sim, 2, 3)
	})
}

func TestATokenThatExpiresDuringACallIsRenewedOnce(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	read(t, c)
	sim.Misbehave(ptafprotest.ExpiredToken, 1)
	read(t, c)
	wantCounts(t, sim, 1, 2)
	sim.Expire()
	read(t, c)
	wantCounts(t, sim, 1, 3)
}

func TestARestartOfTheDeviceCostsOneLogIn(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	read(t, c)
	sim.Revoke()
	read(t, c)
	wantCounts(t, sim, 2, 3) // the old refresh token was tried
}

func TestATokenThatIsNeverAcceptedCostsOneMoreLogIn(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	sim.Misbehave(ptafprotest.Unauthorized, -1)
	_, err := c.Read(t.Context())
	wantErr(t, err, ptafpro.ErrCredentials)
	wantCounts(t, sim, 2, 3)
	if calls := sim.Calls(); calls != 2+3+2+3 { // log-ins, renewals, lists of tenants, the call itself
		t.Errorf("%d calls", calls)
	}
}

func TestManyAtOnceSpendOneRefreshToken(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, looksOnly)
	read(t, c)
	for range 20 {
		before := sim.Renewals()
		sim.Expire()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := c.Read(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := sim.Renewals() - before; n != 1 || sim.Logins() != 1 {
			t.Fatalf("%d refresh tokens spent and %d log-ins, want one of each", n, sim.Logins())
		}
	}
}

func TestAWrongPasswordIsTriedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		c := dial(t, sim, func(o *ptafpro.Options) { o.Password = always("not-the-password") })
		for range 5 {
			_, err := c.Read(t.Context())
			wantErr(t, err, ptafpro.ErrCredentials)
			if text := err.Error(); strings.Contains(text, "not-the-password") || !strings.Contains(text, "sluice") || !strings.Contains(text, "incorrect_credentials") {
				t.Errorf("the error is %q", text)
			}
		}
		wantCounts(t, sim, 1, 0)
		time.Sleep(61 * time.Second)
		_, err := c.Read(t.Context())
		wantErr(t, err, ptafpro.ErrCredentials)
		wantCounts(t, sim, 2, 0)
	})
}

// Whether a refresh token was spent by a call without an answer nobody knows: it is
// not sent again. Source: using one again gives 422, and may well end the session.
func TestARefreshTokenIsNeverSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		sent := map[string]int{}
		c := dial(t, sim, func(o *ptafpro.Options) {
			looksOnly(o)
			o.HTTP = &http.Client{Transport: tap(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/auth/access_tokens") {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					var pair struct {
						Refresh string `json:"refresh_token"`
					}
					if err := json.Unmarshal(body, &pair); err != nil {
						t.Error(err)
					}
					sent[pair.Refresh]++
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				return wire{sim}.RoundTrip(r)
			})}
		})
		read(t, c)
		for _, fault := range []ptafprotest.Fault{ptafprotest.Hang, ptafprotest.Error500Once, ptafprotest.HTMLPage, ptafprotest.SpentRefresh} {
			time.Sleep(5 * time.Minute) // the token in hand has run out
			sim.Misbehave(fault, 1)
			for range 2 {
				_, _ = c.Read(t.Context()) // the first may fail
			}
			read(t, c)
		}
		for token, times := range sent {
			if times > 1 {
				t.Errorf("%s was sent %d times", token, times)
			}
		}
	})
}

// A log-in that is refused in other words than those for a wrong password is no less
// refused: a user may be locked out by trying on.
func TestALogInThatIsRefusedIsNotTriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logins := 0
		c := dial(t, ptafprotest.New(world()), func(o *ptafpro.Options) {
			o.HTTP = &http.Client{Transport: tap(func(r *http.Request) (*http.Response, error) {
				logins++
				w := httptest.NewRecorder()
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, err := w.WriteString(`{"errors": {"username": "locked"}}`)
				return w.Result(), err
			})}
		})
		for range 4 {
			if _, err := c.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "locked") {
				t.Errorf("got %v", err)
			}
		}
		if logins != 1 {
			t.Errorf("%d log-ins", logins)
		}
	})
}

func TestAStaticTokenNeverLogsIn(t *testing.T) {
	o := world()
	o.Token = "not-a-real-token"
	sim := ptafprotest.New(o)
	c := dial(t, sim, func(o *ptafpro.Options) {
		o.Username, o.Password, o.Token = "", nil, always("not-a-real-token")
	})
	if r := read(t, c); r.ReadOnly != "" || len(r.Profiles) != 3 {
		t.Errorf("read %+v", r)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	read(t, c) // still good
	wrong := dial(t, sim, func(o *ptafpro.Options) {
		o.Username, o.Password, o.Token = "", nil, always("not-a-real-token-either")
	})
	_, err := wrong.Read(t.Context())
	wantErr(t, err, ptafpro.ErrCredentials)
	wantSecret(t, sim, err.Error())
	wantCounts(t, sim, 0, 0)
}

func TestATenantIsChosenByIDByNameOrByItsMark(t *testing.T) {
	o := world()
	o.Tenants = []ptafprotest.Tenant{
		{ID: ptafprotest.DefaultTenant, Name: "main"},
		{ID: shopID, Name: "shop", Default: true},
		{ID: "0f5b2a4e-0000-4000-8000-00000000e002", Name: "twin"},
		{ID: "0f5b2a4e-0000-4000-8000-00000000e003", Name: "twin"},
	}
	o.Backends[3].Tenant = ptafprotest.DefaultTenant
	for _, c := range []struct {
		name, tenant, want string
		err                error
	}{
		{"by its id", shopID, shopID, nil},
		{"by its id in other letters", strings.ToUpper(shopID), shopID, nil},
		{"by its name", "main", ptafprotest.DefaultTenant, nil},
		{"by the device's mark", "", shopID, nil},
		{"none of that name", "nope", "", ptafpro.ErrNoTenant},
		{"two of that name", "twin", "", ptafpro.ErrAmbiguous},
	} {
		t.Run(c.name, func(t *testing.T) {
			sim := ptafprotest.New(o)
			client := dial(t, sim, func(o *ptafpro.Options) { o.Tenant = c.tenant })
			r, err := client.Read(t.Context())
			wantErr(t, err, c.err)
			if r.Tenant != c.want {
				t.Errorf("tenant %q", r.Tenant)
			}
			want := map[string]int{shopID: 3, ptafprotest.DefaultTenant: 1}[c.want]
			if len(r.Backends) != want {
				t.Errorf("%d backends, want the tenant's %d", len(r.Backends), want)
			}
			if c.err == nil {
				return
			}
			if errors.Is(c.err, ptafpro.ErrNoTenant) && !strings.Contains(err.Error(), "main, shop, twin, twin") {
				t.Errorf("the error doesn't say which there are: %v", err)
			}
			_, _ = client.Read(t.Context()) // refused again
			if sim.Logins() != 1 || sim.Sessions() != 0 {
				t.Errorf("%d log-ins, %d sessions left", sim.Logins(), sim.Sessions())
			}
		})
	}
}

func TestCloseLogsOut(t *testing.T) {
	sim := ptafprotest.New(world())
	c := dial(t, sim, nil)
	if err := c.Close(t.Context()); err != nil || sim.Calls() != 0 {
		t.Fatalf("without a session: %v, %d calls", err, sim.Calls())
	}
	read(t, c)
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if sim.Sessions() != 0 {
		t.Error("the session goes on")
	}
	read(t, c)
	sim.Revoke()
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("a session that has ended: %v", err)
	}
}

func TestTheTokenInThePathOfALogOutIsNeverShown(t *testing.T) {
	sim := ptafprotest.New(world())
	for name, f := range map[string]ptafprotest.Fault{"500": ptafprotest.Error500Once, "429": ptafprotest.RateLimited, "hang": ptafprotest.Hang} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, sim, func(o *ptafpro.Options) { o.Timeout = 50 * time.Millisecond })
			read(t, c)
			sim.Misbehave(f, 1)
			err := c.Close(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			wantSecret(t, sim, err.Error())
		})
	}
	c := dial(t, sim, func(o *ptafpro.Options) { o.HTTP = &http.Client{Transport: &failing{next: wire{sim}}} })
	read(t, c)
	err := c.Close(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	wantSecret(t, sim, err.Error())
}

// failing has no way to a log-out.
type failing struct{ next http.RoundTripper }

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodDelete {
		return nil, errors.New("connection refused")
	}
	return f.next.RoundTrip(r)
}

// parrot answers everything with what it was sent, secrets and all.
type parrot struct {
	next   http.RoundTripper
	status int
	on     string // path
	kind   string
}

func (p *parrot) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if !strings.Contains(r.URL.Path, p.on) {
		return p.next.RoundTrip(r)
	}
	text := p.kind + string(body) + " " + r.Header.Get("Authorization")
	if p.kind == "" {
		text = string(body)
	}
	return &http.Response{StatusCode: p.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func TestADeviceThatRepeatsSecretsDoesNotGetThemIntoErrors(t *testing.T) {
	for _, on := range []string{"/auth/refresh_tokens", "/auth/access_tokens", "/auth/account", "/config/"} {
		for _, status := range []int{200, 201, 400, 422, 500} {
			for _, kind := range []string{"", "you sent ", "<p>"} {
				sim := ptafprotest.New(world())
				c := dial(t, sim, func(o *ptafpro.Options) {
					o.Retries = -1
					o.HTTP = &http.Client{Transport: &parrot{wire{sim}, status, on, kind}}
				})
				_, err := c.Read(t.Context())
				if err == nil {
					t.Fatalf("%s %d: no error", on, status)
				}
				wantSecret(t, sim, err.Error())
			}
		}
	}
}

func TestTheFormsOfALogInAreThoseThatWereSeen(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	sim := ptafprotest.New(world())
	c := dial(t, sim, func(o *ptafpro.Options) {
		o.LDAP, o.Fingerprint = true, "f00d"
		o.HTTP = &http.Client{Transport: tap(func(r *http.Request) (*http.Response, error) {
			if r.Body != nil && strings.Contains(r.URL.Path, "/auth/") {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				bodies = append(bodies, r.Method+" "+r.URL.Path+" "+string(b))
				mu.Unlock()
				r.Body = io.NopCloser(bytes.NewReader(b))
			}
			return wire{sim}.RoundTrip(r)
		})}
	})
	read(t, c)
	want := []string{
		`POST /api/ptaf/v4/auth/refresh_tokens {"fingerprint":"f00d","ldap":true,"password":"not-a-real-password","username":"sluice"}`,
		`POST /api/ptaf/v4/auth/access_tokens {"fingerprint":"f00d","refresh_token":"not-a-real-refresh-token-1","tenant_id":"00000000-0000-0000-0000-000000000000"}`,
	}
	if strings.Join(bodies, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s", strings.Join(bodies, "\n"))
	}
}

type tap func(*http.Request) (*http.Response, error)

func (f tap) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheCloudEditionGetsItsCookie(t *testing.T) {
	o := world()
	o.Instance = "https://cloud.example.com/i/7"
	sim := ptafprotest.New(o)
	read(t, dial(t, sim, func(p *ptafpro.Options) { p.Instance = o.Instance }))
	_, err := dial(t, sim, nil).Read(t.Context())
	wantErr(t, err, ptafpro.ErrForbidden)
}

func TestARedirectIsRefusedAndSaid(t *testing.T) {
	c := dial(t, nil, func(o *ptafpro.Options) {
		o.HTTP = &http.Client{Transport: tap(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://198.51.100.9/"}}, Body: http.NoBody, Request: r}, nil
		})}
	})
	_, err := c.Read(t.Context())
	var e *ptafpro.APIError
	if !errors.As(err, &e) || e.Status != http.StatusFound || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("error %v", err)
	}
}

func TestWrongOptionsAreRefusedWithoutTheirSecrets(t *testing.T) {
	good := ptafpro.Options{URL: "https://192.0.2.20/api/ptaf/v4", Username: "sluice", Password: always(password)}
	for name, change := range map[string]func(*ptafpro.Options){
		"no url":             func(o *ptafpro.Options) { o.URL = "" },
		"no scheme":          func(o *ptafpro.Options) { o.URL = "192.0.2.20/api/ptaf/v4" },
		"a user in it":       func(o *ptafpro.Options) { o.URL = "https://sluice:" + password + "@192.0.2.20/" },
		"control characters": func(o *ptafpro.Options) { o.URL = "https://" + password + "\x00/" },
		"no user":            func(o *ptafpro.Options) { o.Username = "" },
		"no password":        func(o *ptafpro.Options) { o.Password = nil },
		"both":               func(o *ptafpro.Options) { o.Token = always("not-a-real-token") },
		"a broken instance":  func(o *ptafpro.Options) { o.Instance = "https://x;y" },
	} {
		o := good
		change(&o)
		if _, err := ptafpro.New(o); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			wantSecret(t, ptafprotest.New(ptafprotest.Options{}), err.Error())
		}
	}
	if _, err := ptafpro.New(good); err != nil {
		t.Error(err)
	}
}

func TestTLSNeedsTheDevicesCertificate(t *testing.T) {
	sim := ptafprotest.New(world())
	url, cert := sim.StartTLS(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	known := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	c := dial(t, sim, func(o *ptafpro.Options) { o.URL, o.HTTP = url, &http.Client{Transport: known} })
	read(t, c)
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	stranger := &http.Transport{}
	_, err := dial(t, sim, func(o *ptafpro.Options) {
		o.URL, o.HTTP, o.Retries = url, &http.Client{Transport: stranger}, -1
	}).Read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	sim := ptafprotest.New(world())
	url := sim.Start(t)
	before := runtime.NumGoroutine()
	c := dial(t, sim, func(o *ptafpro.Options) {
		o.URL, o.HTTP, o.Timeout, o.Retries = url, &http.Client{Transport: &http.Transport{}}, 100*time.Millisecond, -1
	})
	read(t, c)
	sim.Misbehave(ptafprotest.Hang, 1)
	_, err := c.Read(t.Context())
	wantErr(t, err, ptafpro.ErrTimeout)
	if !strings.HasSuffix(err.Error(), "timeout after 100ms") {
		t.Errorf("%v doesn't say how long it waited", err)
	}
	sim.Misbehave(ptafprotest.CutBody, 1)
	if _, err := c.Read(t.Context()); err == nil {
		t.Error("a cut answer was read")
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for runtime.NumGoroutine() > before {
		select {
		case <-ctx.Done():
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A secret that is kept in a file may come late, and be another from one day to
// the next: nothing is sent without it, and nothing is built anew for it.
func TestSecretsAreAskedForWhenTheyAreWanted(t *testing.T) {
	gone := errors.New("open secret: no such file")
	for _, c := range []struct {
		name, right string
		options     func(*ptafprotest.Options)
		from        func(*ptafpro.Options, func() (string, error))
	}{
		{"password", password, nil, func(o *ptafpro.Options, f func() (string, error)) { o.Password = f }},
		{
			"token", "not-a-real-token", func(o *ptafprotest.Options) { o.Token = "not-a-real-token" },
			func(o *ptafpro.Options, f func() (string, error)) { o.Username, o.Password, o.Token = "", nil, f },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world()
			if c.options != nil {
				c.options(&w)
			}
			sim := ptafprotest.New(w)
			secret, trouble := "", gone
			client := dial(t, sim, func(o *ptafpro.Options) {
				looksOnly(o)
				c.from(o, func() (string, error) { return secret, trouble })
			})
			_, err := client.Read(t.Context())
			wantErr(t, err, gone)
			if !strings.Contains(err.Error(), c.name+": ") || sim.Calls() > 0 {
				t.Errorf("%v, and %d calls were made", err, sim.Calls())
			}
			secret, trouble = c.right, nil
			read(t, client)
		})
	}
	for _, token := range []string{"", "not-a-real-token\r\nX: 1"} {
		sim := ptafprotest.New(world())
		_, err := dial(t, sim, func(o *ptafpro.Options) { o.Username, o.Password, o.Token = "", nil, always(token) }).Read(t.Context())
		if err == nil || strings.Contains(err.Error(), "not-a-real") || sim.Calls() > 0 {
			t.Errorf("a broken token: %v, %d calls", err, sim.Calls())
		}
	}
}
