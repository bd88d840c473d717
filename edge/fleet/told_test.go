package fleet_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge/fleet"
)

// What is told of a call is all that a log has of it, so it says what to do
// where the status alone tells; and what the status is can be asked still.
func TestACallThatIsRefusedIsToldWithWhatToDo(t *testing.T) {
	for _, c := range []struct {
		path, token string
		status      int
		want        string
	}{
		{"/api/waf/v2/upstreams", "", 401, "HTTP status 401: check username and password"},
		{"/api/waf/v2/upstreams/1", "", 403, "HTTP status 403: the user lacks the right for this"},
		{"/api/waf/v2/gateways", "", 404, "HTTP status 404"}, // not every device has them
		{"/api/ptaf/v4/auth/refresh_tokens", "", 422, "HTTP status 422: check username and password"},
		{"/api/ptaf/v4/config/backends", "not-a-real-token", 401, "HTTP status 401: the token is wrong or has expired"},
		{"/api/ptaf/v4/config/backends/1", "not-a-real-token", 422, "HTTP status 422"},
		{"/api/ptaf/v4/config/backends/1", "not-a-real-token", 403, "HTTP status 403: the user lacks the right for this"},
		{"/api/ptaf/v4/config/backends", "not-a-real-token", 500, "HTTP status 500"},
		{"/api/ptaf/v4/config/backends", "not-a-real-token", 200, ""},
	} {
		got := told(t, c.status, c.path, c.token)
		text, status := "", (*fleet.StatusError)(nil)
		if got.Err != nil {
			text = got.Err.Error()
		}
		if text != c.want || got.Code != c.status || (got.Err != nil) != errors.As(got.Err, &status) || status != nil && status.Code != c.status {
			t.Errorf("%d of %s is told as %+v, want %q", c.status, c.path, got, c.want)
		}
	}
}

func TestADeviceOutOfReachIsToldWithWhatToDo(t *testing.T) {
	const advice = ": check the url, and that the device can be reached from here"
	if got := told(t, 0, "/api/waf/v2/upstreams", ""); got.Err == nil || !strings.HasSuffix(got.Err.Error(), "connection refused"+advice) || got.Code != 0 {
		t.Errorf("it is told as %+v", got)
	}
}

// told makes a call that is answered with that status, by nobody where it is 0.
func told(t *testing.T, status int, path, token string) (got fleet.Call) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	if status == 0 {
		srv.Close()
	}
	c := promconfig.DefaultHTTPClientConfig
	if token == "" {
		c.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
	}
	h, err := fleet.HTTPClient(&fleet.HTTP{Client: c}, "waf1", func(call fleet.Call) { got = call })
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if resp, err := h.Do(req); err == nil {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	return got
}
