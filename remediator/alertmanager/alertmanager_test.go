package alertmanager

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/models"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/test/loopback"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"http://192.0.2.1:9093":         "",
		"https://am.example.com/am/":    "",
		"192.0.2.1:9093":                "want http(s)",
		"ftp://192.0.2.1":               "want http(s)",
		"http://a:not-a-real@192.0.2.1": "holds a user",
		"http://192.0.2.1/?x=1":         "holds a query",
		"http://192.0.2.1/#x":           "holds a query",
		"http://%zz":                    "can't be read",
	} {
		api, err := Open(Server{URL: text, HTTP: promconfig.DefaultHTTPClientConfig})
		switch {
		case want == "" && (err != nil || api.Name != strings.TrimSuffix(text, "/")):
			t.Errorf("%s: %q, %v", text, api.Name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "not-a-real")):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A redirect after which nothing is posted is no success.
func TestARedirectThatLosesTheBodyIsAnError(t *testing.T) {
	for code, good := range map[int]bool{http.StatusMovedPermanently: false, http.StatusFound: false, http.StatusSeeOther: false, http.StatusTemporaryRedirect: true, http.StatusPermanentRedirect: true} {
		posted := ""
		ln, err := loopback.Listen()
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/there" {
				http.Redirect(w, r, "/there", code)
				return
			}
			if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPost {
				posted = string(body)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("[]"))
		})}
		done := make(chan error, 1)
		go func() { done <- s.Serve(ln) }()
		api, err := Open(Server{URL: "http://" + ln.Addr().String(), HTTP: promconfig.DefaultHTTPClientConfig})
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.Alerts.PostAlerts(alert.NewPostAlertsParamsWithContext(t.Context()).WithAlerts(models.PostableAlerts{
			{Alert: models.Alert{Labels: models.LabelSet{"alertname": "X"}}, StartsAt: strfmt.DateTime{}},
		}))
		if (err == nil) != good || strings.Contains(posted, `"X"`) != good || !good && !errors.Is(err, errRedirected) {
			t.Errorf("%d: %v, posted %q", code, err, posted)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	body := &limitedBody{io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), 60}
	got, err := io.ReadAll(body)
	if len(got) != 60 || !errors.Is(err, errLongAnswer) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"no answer in time":                &url.Error{Op: "Get", URL: "http://192.0.2.1/?filter=long", Err: context.DeadlineExceeded},
		"answered 503 Service Unavailable": &url.Error{Err: StatusError(503)},
		"first":                            errors.New("first\nsecond"),
		strings.Repeat("x", 200):           errors.New(strings.Repeat("x", 300)),
	} {
		if got := Reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
