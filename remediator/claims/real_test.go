package claims

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/silence"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/sluice-project/sluice/test/loopback"
)

const program = "prometheus-alertmanager"

// realAM is an Alertmanager as Debian ships it, under a prefix, so that the way to
// its API is no matter of course.
type realAM struct {
	url string
	api *client.AlertmanagerAPI
	cmd *exec.Cmd
}

func startAM(t *testing.T, dir string) *realAM {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: install the package %s", err, program)
	}
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	a := &realAM{
		url: "http://" + address + "/am",
		api: client.NewHTTPClientWithConfig(strfmt.Default, &client.TransportConfig{Host: address, BasePath: "/am/api/v2", Schemes: []string{"http"}}),
	}
	var out bytes.Buffer
	a.cmd = exec.Command(path, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--web.external-url="+a.url, "--cluster.listen-address=", "--log.level=warn")
	a.cmd.Stdout, a.cmd.Stderr = &out, &out
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := a.cmd.Wait(); err != nil {
			fmt.Fprintf(&out, "ended: %v", err) // being killed is an error too
		}
	}()
	t.Cleanup(func() {
		if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		<-ended
		if t.Failed() {
			t.Logf("%s said: %s", program, out.String())
		}
	})
	return a
}

// stop ends the process the hard way; eventually sees that it is gone.
func (a *realAM) stop(t *testing.T) {
	t.Helper()
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (a *realAM) reader(t *testing.T, young time.Duration) *Alertmanagers {
	t.Helper()
	m, err := NewMapping([]Entry{{Match: []string{`alertname="HostDown"`, `job=~"shop.*"`}, Policy: "drain", Address: "instance"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewAlertmanagers(AlertmanagerOptions{Alertmanagers: []Alertmanager{{URL: a.url}}, Mapping: m, Young: young})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (a *realAM) say(t *testing.T, labels map[string]string) {
	t.Helper()
	end := strfmt.DateTime(time.Now().Add(time.Hour))
	_, err := a.api.Alert.PostAlerts(alert.NewPostAlertsParamsWithContext(t.Context()).WithAlerts(models.PostableAlerts{
		{Alert: models.Alert{Labels: models.LabelSet(labels)}, EndsAt: end},
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func (a *realAM) silence(t *testing.T, name, value string) string {
	t.Helper()
	yes, no := true, false
	start, end := strfmt.DateTime(time.Now()), strfmt.DateTime(time.Now().Add(time.Hour))
	who, why := "ann", "test"
	got, err := a.api.Silence.PostSilences(silence.NewPostSilencesParamsWithContext(t.Context()).WithSilence(&models.PostableSilence{
		Silence: models.Silence{
			Matchers: models.Matchers{{Name: &name, Value: &value, IsEqual: &yes, IsRegex: &no}},
			StartsAt: &start, EndsAt: &end, CreatedBy: &who, Comment: &why,
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return got.Payload.SilenceID
}

// eventually reads until the view is as wanted, for at most 20 s.
func eventually(t *testing.T, r Reader, what string, good func(View) bool) View {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		v := r.Read(ctx)
		if good(v) {
			return v
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: last seen %+v", what, v)
		}
	}
}

func TestRealAlertmanager(t *testing.T) { // I6, I14
	dir := t.TempDir()
	am := startAM(t, dir)
	seeing, careful := am.reader(t, 1), am.reader(t, DefaultYoung)

	eventually(t, seeing, "it starts", func(v View) bool { return len(v.Blind) == 0 })
	if v := careful.Read(t.Context()); v.AbsenceCounts() || len(v.Claims) != 0 {
		t.Errorf("freshly started it is blind, not empty: %+v", v)
	}

	am.say(t, member("s1"))
	am.say(t, map[string]string{"alertname": "HostDown", "job": "shop-1", "instance": "192.0.2.1:80"})
	am.say(t, map[string]string{"alertname": "HostDown", "job": "mail", "instance": "192.0.2.2:80"})
	am.say(t, map[string]string{"alertname": "Watchdog", "remediation": "watchdog"})
	v := eventually(t, seeing, "claims and watchdog", func(v View) bool { return len(v.Claims) == 2 && !v.Watchdog.IsZero() })
	if c := v.Claims[0]; c.Address != "192.0.2.1:80" || c.Policy != "drain" {
		t.Errorf("mapped: %+v", c)
	}
	if c := v.Claims[1]; c.Member.Name != "s1" || c.Suppressed || c.Quiet || c.StartsAt.IsZero() || time.Since(c.UpdatedAt) > time.Minute {
		t.Errorf("own: %+v", c)
	}
	if v := careful.Read(t.Context()); len(v.Claims) != 2 {
		t.Errorf("a claim that is seen counts at once: %+v", v)
	}

	id := am.silence(t, "member", "s1")
	v = eventually(t, seeing, "the silence", func(v View) bool { return len(v.Claims) == 2 && v.Claims[1].Suppressed })
	if !slices.Equal(v.Claims[1].SilencedBy, []string{id}) || v.Claims[0].Suppressed {
		t.Errorf("silenced by %v; want %s", v.Claims[1].SilencedBy, id)
	}

	am.stop(t)
	eventually(t, seeing, "it stops", func(v View) bool { return !v.AbsenceCounts() && len(v.Claims) == 0 })

	again := startAM(t, dir)
	eventually(t, again.reader(t, 1), "it starts again", func(v View) bool { return len(v.Blind) == 0 })
	if v := again.reader(t, DefaultYoung).Read(t.Context()); v.AbsenceCounts() || len(v.Claims) != 0 {
		t.Errorf("restarted it has forgotten all and is blind: %+v", v)
	}
}
