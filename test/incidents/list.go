package main

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/incidents/record"
	"github.com/sluice-project/sluice/test/rig"
)

// setup is what all incidents have in common, for the report.
var setup = []string{
	"What Sluice does when things break, seen on the real parts: HAProxy, Prometheus, Alertmanager, exporter and remediator, and a simulator in the place of PTAF. Written by `make incidents`, which breaks things on purpose and notes who saw what, and when. It ends with an error when an expectation isn't met.",
	"Prometheus runs on the shipped `alerts/prometheus.yml` and rules, Alertmanager on the shipped `alerts/alertmanager.yml`, both unchanged but for addresses and for the receivers of people, who are a program here that notes what comes. No interval, no `for` and no `group_wait` is shortened. The pool `shop` on the HAProxy `edge1` has four members, `app1` to `app4`, with HAProxy's own check of their port (`check inter 2s`) and no retries, so that each connection that fails is a request that fails. Clients send 20 requests a second, each over a connection of its own.",
	"Probes: `interval: 1s`, `fast_retry: 250ms`, `fall: 3`, `rise: 2`, `timeout: 1s`. Policy: `to: drain`, `min_serving: 50%`, `max_held: 1`, `hold_down: 30s`, where an incident doesn't say otherwise; everything else is as it is when left out. Each incident has parts of its own, side by side with those of others on one machine. They run for more than three minutes before time 0: so long the remediator doesn't believe an Alertmanager that was just started.",
	"Where a line names a part that is asked again and again (exporter, Prometheus, devices), its time may be a quarter of a second late. What was there before time 0, the Watchdog above all, is left out. Labels that say nothing new here are left out too.",
}

// usual are the options of all.
func usual(change func(*rig.Options)) rig.Options {
	o := rig.Options{
		Members: 4, Shipped: true, Check: "check inter 2s", Weight: 100,
		Interval: time.Second, FastRetry: 250 * time.Millisecond, ProbeTimeout: time.Second,
		MinServing: "50%", HoldDown: 30 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	return o
}

const (
	shop  = rig.Device + "/" + rig.Pool
	front = rig.WAFDevice + "/" + rig.WAFUpstream
)

// incidents are all that there are, in the order of the report.
var incidents = []incident{
	{
		name: "member-dies", title: "A member dies",
		about:   "The process of `app2` is gone: its port is shut. After 75 seconds it is started again.",
		options: usual(nil),
		script: []act{
			begin("the process of app2 dies", set(rig.Refuse, "app2")),
			becomes(30*time.Second, "app2", rig.AdminDrain),
			told(time.Minute, "MemberFailing", "firing"),
			until(75 * time.Second),
			mend("app2 is started again", set(rig.Serve, "app2")),
			becomes(90*time.Second, "app2", rig.AdminReady),
			told(6*time.Minute, "MemberFailing", "resolved"),
			pass(5 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("MemberFailing", shop+"/app2", 10),
			record.Over("MemberFailing"),
			record.Only("MemberFailing", "SluiceStep"),
			record.Tells("MemberFailing", 60),
			record.TellsEnd("MemberFailing"),
			record.Steps(shop+"/app2 to drain", shop+"/app2 to ready"),
			record.StepBy(shop+"/app2 to drain", 10),
			record.MostOut(shop, 1),
			record.FailOnly("HAProxy", 0, 10),
			record.BackWithin(45),
		},
	},
	{
		name: "member-flaps", title: "A member flaps",
		about:   "`app2` answers 500, is well as soon as it is out, and fails again as soon as it is back, four times. The fourth time it stays well. Damping keeps it out: a person gives it back.",
		options: usual(nil),
		script: slices.Concat(
			[]act{begin("app2 answers 500", set(rig.Fail, "app2"))},
			flap, flap, flap,
			[]act{
				becomes(30*time.Second, "app2", rig.AdminDrain),
				pass(3 * time.Second),
				mend("app2 is well for good", set(rig.Serve, "app2")),
				pass(90 * time.Second),
				do("a person gives app2 back: POST /api/v1/holds/edge1/shop/app2/release", release("app2", "a new release is installed")),
				becomes(30*time.Second, "app2", rig.AdminReady),
				pass(20 * time.Second),
			},
		),
		expects: []record.Expectation{
			record.Fires("MemberFailing", shop+"/app2", 10),
			record.Fires("ProbeFlapping", "", 240),
			record.Over("MemberFailing"),
			record.Only("MemberFailing", "ProbeFlapping", "SluiceStep"),
			record.Tells("ProbeFlapping", 240),
			record.Steps(
				shop+"/app2 to drain", shop+"/app2 to ready", shop+"/app2 to drain", shop+"/app2 to ready",
				shop+"/app2 to drain", shop+"/app2 to ready", shop+"/app2 to drain", shop+"/app2 to ready",
			),
			record.KeptOut(85),
			record.MostOut(shop, 1),
			record.BackWithin(120),
		},
	},
	{
		name: "users-only", title: "A member fails only for its users",
		about: "`app2` answers 200 to every probe and 500 to every user. No probe can see that; HAProxy's counts of errors can. " +
			"A second policy, `errors`, has `confirm: traffic`, and the shipped alert `HAProxyServerErrorOutlier` is made its claim by an entry under `claims`, with a route in Alertmanager. Clients send 60 requests a second here. When `app2` is out it is mended; it comes back with a tenth of its weight first, and is watched.",
		pace: pace / 3,
		options: usual(func(o *rig.Options) {
			o.Policies = []string{"{name: errors, to: drain, members: {device: '.*', pool: shop}, min_serving: 50%, hold_down: 30s, confirm: traffic, release: {weights: [10%], watch: 30s}}"}
			o.Claims = []string{"{match: ['alertname=\"HAProxyServerErrorOutlier\"'], policy: errors, device: device, pool: pool, member: member}"}
			o.Routes = []string{`alertname="HAProxyServerErrorOutlier"`}
		}),
		script: []act{
			begin("app2 answers 500 to users, and 200 to probes", set(rig.WellOnly, "app2")),
			becomes(4*time.Minute, "app2", rig.AdminDrain),
			pass(20 * time.Second),
			mend("app2 is mended", set(rig.Serve, "app2")),
			becomes(8*time.Minute, "app2", rig.AdminReady),
			weighs(2*time.Minute, "app2", 10),
			weighs(2*time.Minute, "app2", 100),
			pass(10 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("HAProxyServerErrorOutlier", shop+"/app2", 190),
			record.Over("HAProxyServerErrorOutlier"),
			record.Only("HAProxyServerErrorOutlier", "SluiceStep"),
			record.Tells("HAProxyServerErrorOutlier", 230),
			record.Steps(shop+"/app2 to drain", shop+"/app2 to ready", shop+"/app2 to ready"),
			record.StepBy(shop+"/app2 to drain", 220),
			record.MostOut(shop, 1),
			record.FailOnly("HAProxy", 0, 220),
		},
	},
	{
		name: "pool-dies", title: "A whole pool dies at once",
		about:   "All four members die in the same moment: the database behind them is gone, say. After 100 seconds they come back. Nobody is taken out, for that would mend nothing, and whoever recovers first serves at once.",
		options: usual(nil),
		script: []act{
			begin("all members die", set(rig.Refuse, "app1", "app2", "app3", "app4")),
			until(100 * time.Second),
			mend("all members are started again", set(rig.Serve, "app1", "app2", "app3", "app4")),
			pass(30 * time.Second),
			fires(7*time.Minute, "RemediatorStormBrake", false),
			pass(5 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("MemberFailing", shop+"/app1", 10),
			record.Fires("PoolAllFailing", shop, 30),
			record.Fires("PoolNoMemberServing", shop, 30),
			record.Fires("ProbesMassFailure", "exporter", 30),
			record.Fires("RemediatorStormBrake", "remediator", 40),
			record.Fires("SluiceRefused", shop+"/app1", 95),
			record.Over("MemberFailing", "PoolAllFailing", "PoolNoMemberServing", "ProbesMassFailure", "RemediatorStormBrake"),
			record.Only("MemberFailing", "PoolBypass", "PoolAllFailing", "PoolNoMemberServing", "ProbesMassFailure", "HAProxyBackendNoServerInRotation", "RemediatorStormBrake", "RemediatorRefusing", "SluiceRefused"),
			record.Tells("PoolAllFailing", 75),
			record.Spares("PoolBypass", "HAProxyBackendNoServerInRotation"),
			record.Muted("HAProxyBackendNoServerInRotation", "PoolNoMemberServing", "PoolAllFailing"),
			record.Steps(),
			record.Refused("brake", ""),
			record.MostOut(shop, 0),
			record.FailOnly("HAProxy", 0, 115),
		},
	},
	{
		name: "pool-dies-slowly", title: "A whole pool dies, one after the other",
		about:   "`app1`, `app2`, `app3` and `app4` die, 20 seconds apart, with `max_held: 2`. Two of four may go; the third is a storm and stays in. After 100 seconds those that are out recover, and come back at once, without `hold_down`, because fewer than the panic line serve; then the others do.",
		options: usual(func(o *rig.Options) { o.MaxHeld = 2 }),
		script: []act{
			begin("app1 dies", set(rig.Refuse, "app1")),
			until(20 * time.Second),
			do("app2 dies", set(rig.Refuse, "app2")),
			until(40 * time.Second),
			do("app3 dies", set(rig.Refuse, "app3")),
			until(60 * time.Second),
			do("app4 dies", set(rig.Refuse, "app4")),
			until(100 * time.Second),
			do("app1 and app2, which are out, are started again", set(rig.Serve, "app1", "app2")),
			until(120 * time.Second),
			mend("app3 and app4 are started again", set(rig.Serve, "app3", "app4")),
			becomes(90*time.Second, "app1", rig.AdminReady),
			becomes(90*time.Second, "app2", rig.AdminReady),
			pass(40 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("MemberFailing", shop+"/app1", 10),
			record.StepBy(shop+"/app1 to drain", 10),
			record.StepBy(shop+"/app2 to drain", 30),
			record.Fires("PoolAllFailing", shop, 85),
			record.Tells("PoolAllFailing", 130),
			record.Taken(shop+"/app1 to drain", shop+"/app2 to drain", shop+"/app1 to ready", shop+"/app2 to ready"),
			record.Only("MemberFailing", "PoolBypass", "PoolAllFailing", "PoolNoMemberServing", "PoolLowRedundancy", "ProbesMassFailure", "HAProxyBackendNoServerInRotation", "RemediatorStormBrake", "RemediatorRefusing", "SluiceRefused", "SluiceStep"),
			record.Refused("brake", "storm"),
			record.MostOut(shop, 2),
			record.BackWithin(60),
		},
	},
	{
		name: "exporter-members", title: "The exporter loses the network to the members",
		about: "The exporter reaches no member any more, and takes them all for dead; Prometheus still reaches the exporter, and clients and the remediator reach the members. " +
			"After 100 seconds the network is whole again. This is the exporter as it is without `self_check`.",
		options: usual(nil), away: true,
		script: []act{
			begin("the network between exporter and members is cut", cut(true, toMembers)),
			until(100 * time.Second),
			mend("the network is whole again", cut(false, toMembers)),
			pass(30 * time.Second),
			fires(7*time.Minute, "RemediatorStormBrake", false),
			pass(5 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("ProbesMassFailure", "exporter", 30),
			record.Tells("ProbesMassFailure", 75),
			record.Over("ProbesMassFailure", "MemberFailing"),
			record.Only("MemberFailing", "PoolBypass", "PoolAllFailing", "ProbesMassFailure", "HAProxyServerFailingInRotation", "RemediatorStormBrake", "RemediatorRefusing", "SluiceRefused"),
			record.Muted("HAProxyServerFailingInRotation", "ProbesMassFailure"),
			record.Steps(),
			record.Refused("evidence", "contradicted"),
			record.MostOut(shop, 0),
			record.NoneFail("HAProxy"),
		},
	},
	{
		name: "exporter-cut-off", title: "The exporter is cut off altogether",
		about:   "The exporter reaches nobody and nobody reaches the exporter: its machine has lost its network. Meanwhile `app3` dies, and nothing can claim it. After 75 seconds the exporter is back; ProbesNotCounted speaks of the minutes before then. Here it has a `self_check`, so that it knows what it doesn't know: its verdicts have gone stale, none became down.",
		options: usual(func(o *rig.Options) { o.Gateway = true }), away: true,
		script: []act{
			begin("all network of the exporter is cut", cut(true, toMembers, toMonitoring)),
			until(40 * time.Second),
			do("app3 dies", set(rig.Refuse, "app3")),
			until(75 * time.Second),
			do("the network is whole again", cut(false, toMembers, toMonitoring)),
			becomes(60*time.Second, "app3", rig.AdminDrain),
			until(120 * time.Second),
			mend("app3 is started again", set(rig.Serve, "app3")),
			becomes(90*time.Second, "app3", rig.AdminReady),
			pass(20 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("ExporterDown", "exporter", 50),
			record.Tells("ExporterDown", 90),
			record.Over("ExporterDown", "MemberFailing"),
			record.Only("ExporterDown", "MemberFailing", "ProbesNotCounted", "SluiceStep"),
			record.Unrefused(),
			record.Steps(shop+"/app3 to drain", shop+"/app3 to ready"),
			record.MostOut(shop, 1),
			record.BackWithin(45),
		},
	},
	{
		name: "ptaf-refuses", title: "PTAF refuses what is written",
		about: "The same four members stand behind a HAProxy and a PTAF. The user of the PTAF's API has lost the right to write: each PATCH is answered with 403. " +
			"`app2` hangs. It is taken out of the HAProxy, and can't be taken out of the PTAF. After 150 seconds the right is given back, while the member still hangs.",
		options: usual(func(o *rig.Options) { o.WAF = true }),
		script: []act{
			begin("app2 hangs, while PTAF answers 403 to each write", func(ctx context.Context, s *scene) error {
				s.WAF.Misbehave(ptaftest.Forbidden, -1)
				return set(rig.Hang, "app2")(ctx, s)
			}),
			until(150 * time.Second),
			do("PTAF's user may write again", func(_ context.Context, s *scene) error { s.WAF.Behave(); return nil }),
			down(5*time.Minute, "app2", true),
			pass(10 * time.Second),
			mend("app2 is well again", set(rig.Serve, "app2")),
			becomes(90*time.Second, "app2", rig.AdminReady),
			down(90*time.Second, "app2", false),
			pass(30 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("MemberFailing", front+"/app2", 10),
			record.Fires("RemediatorStepFailed", "", 40),
			record.Fires("PTAFApplyFailed", "", 110),
			record.Fires("PTAFUpstreamServerDown", front+"/app2", 90),
			record.Fires("SluiceStepFailed", front+"/app2", 70),
			record.Only("MemberFailing", "RemediatorStepFailed", "PTAFApplyFailed", "PTAFUpstreamServerDown", "SluiceStep", "SluiceStepFailed", "PTAFApiAuthFailing"),
			record.Tells("RemediatorStepFailed", 80),
			record.Taken(shop+"/app2 to drain", front+"/app2 to drain", shop+"/app2 to ready", front+"/app2 to ready"),
			record.MostOut(front, 1),
			record.FailOnly("HAProxy", 0, 10),
			record.BackWithin(60),
		},
	},
	{
		name: "prometheus-dies", title: "Prometheus dies",
		about: "`app2` dies and is taken out; then Prometheus dies. Alertmanager ends the alert by itself after four minutes, which gives nothing back: `app2` is still dead. " +
			"Then `app2` recovers, and comes back by the remediator's own probes, without Prometheus. `app3` dies, and nobody sees it, until Prometheus is started again.",
		options: usual(nil),
		script: []act{
			begin("app2 dies", set(rig.Refuse, "app2")),
			becomes(30*time.Second, "app2", rig.AdminDrain),
			until(20 * time.Second),
			do("Prometheus is killed", func(_ context.Context, s *scene) error { return s.Prometheus.Kill() }),
			until(290 * time.Second),
			do("app2 is started again", set(rig.Serve, "app2")),
			becomes(90*time.Second, "app2", rig.AdminReady),
			pass(10 * time.Second),
			do("app3 dies", set(rig.Refuse, "app3")),
			pass(30 * time.Second),
			do("Prometheus is started again", func(ctx context.Context, s *scene) error { return s.Prometheus.Start(ctx) }),
			becomes(60*time.Second, "app3", rig.AdminDrain),
			pass(20 * time.Second),
			mend("app3 is started again", set(rig.Serve, "app3")),
			becomes(90*time.Second, "app3", rig.AdminReady),
			pass(10 * time.Second),
		},
		expects: []record.Expectation{
			record.Fires("MemberFailing", shop+"/app2", 10),
			record.Only("MemberFailing", "RemediatorWatchdogMissing", "SluiceStep", "Watchdog"),
			record.Steps(shop+"/app2 to drain", shop+"/app2 to ready", shop+"/app3 to drain", shop+"/app3 to ready"),
			record.MostOut(shop, 1),
			record.BackWithin(45),
		},
	},
}

// flap is one time that app2 goes out, recovers, comes back and fails again.
var flap = []act{
	becomes(30*time.Second, "app2", rig.AdminDrain),
	pass(3 * time.Second),
	do("app2 is well again", set(rig.Serve, "app2")),
	becomes(time.Minute, "app2", rig.AdminReady),
	pass(time.Second),
	do("app2 answers 500 again", set(rig.Fail, "app2")),
}

// always is expected of every incident.
var always = []record.Expectation{record.Recorded(), record.ClaimsUnmuted()}
