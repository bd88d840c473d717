package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

// What our own side lacks is no evidence against a member (I6).
func TestAProbeThatCannotBeMadeIsNoEvidence(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("not-a-real-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := load(write(t, dir, "sluice.yml", fmt.Sprintf(`
devices: [{name: edge1, haproxy: {address: /nowhere}}]
modules:
  health: {prober: http, timeout: 1s, http: {basic_auth: {username: sluice, password_file: %s}}}
probes: [{name: shop, module: health, members: {pool: shop}}]
`, password)))
	if err != nil {
		t.Fatal(err)
	}
	checks, err := newChecks(&l.Exporter)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	e := checks[0].Ask(t.Context(), edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, Address: "127.0.0.1:1"})
	if e.Answer != edge.Unknown || e.Detail == "" {
		t.Errorf("got %s, %q (%s); want unknown, and why", e.Answer, e.Reason, e.Detail)
	}
}
