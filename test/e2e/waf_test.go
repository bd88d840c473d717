package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// lastModified is the one field that a write is free to change.
var lastModified = regexp.MustCompile(`"last_modified":\s*("[^"]*"|[0-9.]+)`)

// object is the upstream's, without the time of its last change.
func (s scene) object() string {
	return lastModified.ReplaceAllString(string(s.WAF.Object(rig.WAFUpstream)), `"last_modified":0`)
}

// downs waits until the PTAF has exactly these members DOWN.
func (s scene) downs(within time.Duration, members ...string) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), within, fmt.Sprintf("the PTAF to have DOWN: %v", members), func(ctx context.Context) error {
		for _, m := range s.Members {
			if err := s.WAF.Want(m, slices.Contains(members, m.Name))(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}

func onWAF(address string) edge.Member {
	return edge.Member{Device: rig.WAFDevice, Pool: rig.WAFUpstream, Name: address}
}

// A HAProxy and a PTAF at once: the same member dies behind both, and clients of
// neither meet it after that (SAFETY.md I8, I11, I14).
func TestADeadMemberIsTakenOutOfHAProxyAndPTAF(t *testing.T) {
	s := start(t, rig.Options{WAF: true, MinServing: "50%"})
	before := s.object()
	clients := rig.StartTraffic(t.Context(), s.WAF.Front, 20*time.Millisecond)
	defer clients.Stop()

	s.set("app2", rig.Hang)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.downs(outWithin, "app2")
	s.trafficIsClean(clients, time.Now())
	if n := len(s.WAF.Writes()); n != 1 {
		t.Errorf("%d PATCHes, want 1", n)
	}
	s.imagesAreKept()

	s.set("app2", rig.Serve)
	s.becomes(backWithin, "app2", rig.AdminReady)
	s.downs(backWithin)
	s.trafficIsClean(clients, time.Now())
	if d := cmp.Diff(before, s.object()); d != "" {
		t.Errorf("the object isn't as it was, byte for byte:\n%s", d)
	}
	s.holdsOnly()
}

// imagesAreKept makes sure that the object as it was is in the journal and in
// the folder of snapshots, and as it became in the journal.
func (s scene) imagesAreKept() {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "data", "snapshots", rig.WAFDevice, rig.WAFUpstream, "*.json"))
	s.must(err)
	if len(files) != 1 {
		s.t.Fatalf("%d snapshots, want 1: %v", len(files), files)
	}
	kept, err := os.ReadFile(files[0])
	s.must(err)
	entries, err := s.Images(s.t.Context())
	s.must(err)
	if len(entries) != 2 || !bytes.Equal(entries[0].Before, kept) || !bytes.Equal(entries[1].After, s.WAF.Object(rig.WAFUpstream)) {
		s.t.Errorf("the journal's images are not the snapshot and the object: %d entries", len(entries))
	}
}

// What an administrator put DOWN stays DOWN, dead or alive, and so does what they
// put DOWN while we held it (SAFETY.md I7).
func TestAnAdministratorsDownIsNeverUndone(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	s.WAF.Edit(rig.WAFUpstream, s.Member("app1").Address, true)
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain) // HAProxy's is ours
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.must(rig.Holds(t.Context(), stays, s.WAF.Want(s.Member("app1"), true)))
	if n := len(s.WAF.Writes()); n != 0 {
		t.Errorf("%d PATCHes, want none", n)
	}
}

// An edit in the UI between our two looks is seen, and what the administrator
// changed survives our write (SAFETY.md I7).
func TestAnEditBetweenTwoLooksSurvives(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	s.WAF.Misbehave(ptaftest.EditBetweenGets, 1) // changes another backend
	before := s.object()
	s.set("app2", rig.Refuse)
	s.must(rig.Await(t.Context(), outWithin, "app2 to be DOWN", s.WAF.Want(s.Member("app2"), true)))
	s.set("app2", rig.Serve)
	s.must(rig.Await(t.Context(), backWithin, "app2 to be back", s.WAF.Want(s.Member("app2"), false)))
	if s.object() == before {
		t.Error("the administrator's edit is gone")
	}
}

// With every backend dead nothing is written, as the replaced script did, and
// people hear of it (SAFETY.md I2, I26).
func TestWhenEveryBackendFailsNothingIsWritten(t *testing.T) {
	s := start(t, rig.Options{WAF: true, MaxHeld: 3})
	for _, m := range s.Members {
		s.set(m.Name, rig.Refuse)
	}
	for _, m := range s.Members {
		s.believed(m.Name, 0)
	}
	s.refusedOn(onWAF(s.Members[0].Address), "brake") // three at once are a storm, before any other guard is asked
	s.must(rig.Await(t.Context(), outWithin, "an alert of our own that says so", func(ctx context.Context) error {
		firing, err := s.Prometheus.Vector(ctx, fmt.Sprintf(`ALERTS{alertname="PoolAllFailing",device=%q,pool=%q}`, rig.WAFDevice, rig.WAFUpstream))
		if err == nil && len(firing) == 0 {
			err = fmt.Errorf("PoolAllFailing isn't there")
		}
		return err
	}))
	s.must(rig.Holds(t.Context(), stays, func(context.Context) error {
		if n := len(s.WAF.Writes()); n > 0 {
			return fmt.Errorf("%d PATCHes", n)
		}
		return nil
	}))
}

// refusedOn waits for a record that the guard refused a step on that member.
func (s scene) refusedOn(m edge.Member, guard string) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "a record that guard "+guard+" refused "+m.String(), func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err == nil && !slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Guard == guard && e.Member != nil && *e.Member == m }) {
			err = fmt.Errorf("none in %d entries", len(entries))
		}
		return err
	}))
}

// An alert that knows only an address takes the member out of every pool on
// every device where it stands, as one remediation.
func TestOneAddressOnManyDevices(t *testing.T) {
	s := start(t, rig.Options{WAF: true, Claims: []string{`{match: ['alertname="HostDown"'], policy: drain, address: instance}`}})
	s.must(s.Prometheus.Stop()) // no MemberFailing beside it
	s.set("app2", rig.Refuse)
	s.must(s.Alertmanager.Say(t.Context(), map[string]string{"alertname": "HostDown", "instance": s.Member("app2").Address}, time.Now().Add(5*time.Minute)))
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.downs(outWithin, "app2")
	s.must(rig.Await(t.Context(), outWithin, "two holds of one remediation", func(ctx context.Context) error {
		holds, err := s.Holds(ctx)
		if err == nil && (len(holds) != 2 || holds[0].Remediation == "" || holds[0].Remediation != holds[1].Remediation) {
			err = fmt.Errorf("got %+v", holds)
		}
		return err
	}))
}

// bypass is a policy for a way round a pool, for all devices of the rig.
func bypass(standby, limit string) string {
	return fmt.Sprintf(`{name: bypass, to: bypass, members: {device: '.*', pool: '.*'}, hold_down: 1s, max_hold: %s, bypass: {standby: ['%s']}}`, limit, standby)
}

// failAll makes every member fail and has somebody claim the pool.
func (s scene) failAll(device, pool string) {
	s.t.Helper()
	s.must(s.Prometheus.Stop()) // the claims here are made by hand
	for _, m := range s.Members {
		s.set(m.Name, rig.Refuse)
	}
	s.claimPool(device, pool, time.Now().Add(5*time.Minute))
}

func (s scene) claimPool(device, pool string, ends time.Time) {
	s.t.Helper()
	s.must(s.Alertmanager.Say(s.t.Context(), map[string]string{
		"alertname": "PoolAllFailing", "device": device, "pool": pool, "remediation": "bypass",
	}, ends))
}

func (s scene) recoverAll(device, pool string) {
	s.t.Helper()
	for _, m := range s.Members {
		s.set(m.Name, rig.Serve)
	}
	s.claimPool(device, pool, time.Now())
}

// The way round a PTAF upstream: in when all fail, and back when members serve
// again.
func TestABypassOnPTAF(t *testing.T) {
	s := start(t, rig.Options{WAF: true, Standby: true, Policies: []string{bypass("{{.StandbyAddress}}", "10m")}})
	before := s.object()
	s.failAll(rig.WAFDevice, rig.WAFUpstream)
	s.must(rig.Await(t.Context(), outWithin, "the standby to be in", s.WAF.Want(s.Standby, false)))
	clients := rig.StartTraffic(t.Context(), s.WAF.Front, 20*time.Millisecond)
	defer clients.Stop()
	s.trafficIsClean(clients, time.Now()) // the standby alone serves
	s.recoverAll(rig.WAFDevice, rig.WAFUpstream)
	s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", s.WAF.Want(s.Standby, true)))
	s.trafficIsClean(clients, time.Now())
	if d := cmp.Diff(before, s.object()); d != "" {
		t.Errorf("the object isn't as it was:\n%s", d)
	}
	s.holdsOnly()
}

// The way round a pool of a HAProxy in front.
func TestABypassOnHAProxy(t *testing.T) {
	s := start(t, rig.Options{Standby: true, Policies: []string{bypass("standby", "10m")}})
	before, err := s.HAProxy.Server(t.Context(), rig.Pool, "standby")
	s.must(err)
	s.failAll(rig.Device, rig.Pool)
	s.must(rig.Await(t.Context(), outWithin, "the standby to be in", func(ctx context.Context) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, "standby")
		if err == nil && now.Admin&rig.AdminMaint != 0 {
			err = fmt.Errorf("srv_admin_state is %#02x", now.Admin)
		}
		return err
	}))
	s.recoverAll(rig.Device, rig.Pool)
	s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", func(ctx context.Context) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, "standby")
		if err == nil && now.Admin != before.Admin {
			err = fmt.Errorf("srv_admin_state is %#02x, was %#02x", now.Admin, before.Admin)
		}
		return err
	}))
	s.orders(order("standby", "ready"), order("standby", "maint"))
	s.holdsOnly()
}

// A bypass ends at its time limit, and the same claim doesn't begin it again.
func TestABypassEndsAtItsTimeLimit(t *testing.T) {
	s := start(t, rig.Options{WAF: true, Standby: true, Policies: []string{bypass("{{.StandbyAddress}}", "5s")}})
	s.failAll(rig.WAFDevice, rig.WAFUpstream)
	s.must(rig.Await(t.Context(), outWithin, "the standby to be in", s.WAF.Want(s.Standby, false)))
	s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", s.WAF.Want(s.Standby, true)))
	s.refusedOn(onWAF(s.Standby.Address), "budget")
	s.must(rig.Holds(t.Context(), stays, s.WAF.Want(s.Standby, true)))
	if n := len(s.WAF.Writes()); n != 2 {
		t.Errorf("%d PATCHes, want 2", n)
	}
}

// A stored object goes back by a person's word, through guards and journal.
func TestAnUpstreamIsPutBackAsItWasStored(t *testing.T) {
	s := start(t, rig.Options{WAF: true})
	text := runSluice(t, "ptaf", "get", rig.WAFUpstream, "--config.file="+s.Config)
	if !json.Valid([]byte(text)) {
		t.Fatalf("ptaf get printed %q", text)
	}
	stored := filepath.Join(t.TempDir(), "shop.json")
	s.must(os.WriteFile(stored, []byte(text), 0o600))
	s.WAF.Touch(rig.WAFUpstream, func(u *ptaftest.Upstream) { u.Backends[0].Weight, u.Backends[1].Down = 7, true })
	restore := []string{"ptaf", "restore", stored, "--config.file=" + s.Config, "--remediator.url=" + s.Remediator.URL, "--reason=wrong change"}
	out := runSluice(t, restore...)
	if !strings.Contains(out, "applied: ") || !strings.Contains(out, "min_serving") {
		t.Errorf("restore said %q", out)
	}
	if got, want := lastModified.ReplaceAllString(text, ""), lastModified.ReplaceAllString(string(s.WAF.Object(rig.WAFUpstream))+"\n", ""); got != want {
		t.Errorf("the object is not as it was stored:\n%s", cmp.Diff(want, got))
	}
	entries, err := s.Steps(t.Context(), 0)
	s.must(err)
	if !slices.ContainsFunc(entries, func(e journal.Entry) bool { return e.Admin == "restore" && e.Result == "applied" && e.Actor != "" }) {
		t.Error("the journal doesn't tell who put what back")
	}
	// A set that would take too much out is refused.
	s.must(os.WriteFile(stored, bytes.ReplaceAll([]byte(text), []byte(`"down":false`), []byte(`"down":true`)), 0o600))
	if out, err := exec.CommandContext(t.Context(), sluice, restore...).CombinedOutput(); err == nil || !strings.Contains(string(out), "refused: ") {
		t.Errorf("a restore that leaves nobody: %v, %s", err, out)
	}
}

// Traffic goes on without an error through the change itself, however the
// upstream balances (the replaced script never tried these).
func TestTrafficGoesOnThroughTheChange(t *testing.T) {
	for name, change := range map[string]func(*ptaftest.Upstream){
		"ip_hash":     func(u *ptaftest.Upstream) { u.IPHash = true },
		"least_conn":  func(u *ptaftest.Upstream) { u.LeastConn = true },
		"transparent": func(u *ptaftest.Upstream) { u.Transparent = true },
		"weights":     func(u *ptaftest.Upstream) { u.Backends[0].Weight = 3 },
		"backup":      func(u *ptaftest.Upstream) { u.Backends[2].Backup = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, rig.Options{WAF: true})
			s.WAF.Touch(rig.WAFUpstream, change)
			before := s.object()
			clients := rig.StartTraffic(t.Context(), s.WAF.Front, 20*time.Millisecond)
			defer clients.Stop()
			begin := time.Now()
			s.set("app2", rig.SickOnly) // its health page fails, and it serves clients still
			s.downs(outWithin, "app2")
			s.set("app2", rig.Serve)
			s.downs(backWithin)
			s.trafficIsClean(clients, begin)
			if d := cmp.Diff(before, s.object()); d != "" {
				t.Errorf("the object isn't as it was:\n%s", d)
			}
		})
	}
}
