package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/test/incidents/record"
	"github.com/sluice-project/sluice/test/rig"
	"github.com/sluice-project/sluice/test/rig/netns"
)

// pace is that of the clients, where an incident has none of its own: 20 requests a
// second through each device.
const pace = 50 * time.Millisecond

// before is how long clients are served before time 0, at least.
const before = 5 * time.Second

// An incident is what is done to a rig, and what is expected of it.
type incident struct {
	name    string // as -only takes it
	title   string
	about   string
	options rig.Options
	away    bool          // the exporter is in another network, which is cut
	pace    time.Duration // of the clients
	script  []act
	expects []record.Expectation
}

// A scene is one incident under way.
type scene struct {
	*rig.Rig
	*watch
	space *netns.Namespace // nil: the detour is cut
}

// Ways over the line to the exporter's network.
const (
	toMembers = iota
	toMonitoring
)

// run plays an incident on a rig of its own and judges it.
func (i incident) run(ctx context.Context, sluice string, inside bool) (run *record.Run, err error) {
	o := i.options
	o.Sluice = sluice
	run = &record.Run{Name: i.name, Title: i.title, About: i.about, Mended: record.Never}
	s := &scene{}
	switch {
	case i.away && inside:
		pairs := netns.Pairs(2)
		if s.space, err = netns.Open(pairs); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.space.Close()) }()
		o.Away = &rig.Away{Enter: s.space.Enter, Members: pairs[toMembers].Near, Exporter: pairs[toMonitoring].Far}
		run.Remark = "The network is cut in network namespaces: frames go nowhere, and nobody is told."
	case i.away:
		o.Detour = true
		run.Remark = "There are no network namespaces here: in place of the network a proxy is cut, through which the exporter probes and is scraped."
	}
	if s.Rig, err = rig.Start(ctx, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w\n%s", err, s.Logs(15))
		}
		err = errors.Join(err, s.Stop())
	}()
	s.watch = newWatch(s.Rig, run)
	if err := s.Settle(ctx); err != nil {
		return nil, err
	}

	watching, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.follow(watching)
	}()
	every := cmp.Or(i.pace, pace)
	clients := map[string]*rig.Traffic{"HAProxy": rig.StartTraffic(ctx, s.HAProxy.Front, every)}
	if s.WAF != nil {
		clients["PTAF"] = rig.StartTraffic(ctx, s.WAF.Front, every)
	}
	if err = s.warm(ctx, i.options.Shipped); err == nil {
		err = s.play(ctx, i.script)
	}
	visits := map[string][]rig.Visit{}
	for through, c := range clients {
		c.Stop()
		visits[through] = c.Since(time.Time{})
	}
	stop()
	<-ended
	if err != nil {
		return nil, err
	}
	if run, err = s.end(ctx, visits); err != nil {
		return nil, err
	}
	run.Judge(append(slices.Clone(i.expects), always...))
	return run, nil
}

// warm waits until the loop is as one that has been there for long: clients have
// been served, the Watchdog has gone all the way, and the remediator believes its
// Alertmanager, which takes three minutes and is worth them where time matters.
func (s *scene) warm(ctx context.Context, whole bool) error {
	// Prometheus throws away what fires before it knows its Alertmanager, and says it
	// again a minute later.
	heard, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if _, err := s.Webhooks.Next(heard, time.Time{}, `"alertname":"Watchdog"`); err != nil || !whole {
		return errors.Join(err, pass(before)(ctx, s))
	}
	if err := rig.Await(ctx, 5*time.Minute, "the remediator to believe its Alertmanager", func(ctx context.Context) error {
		blind, series, err := rig.Value(ctx, s.Remediator.URL, "sluice_remediation_claim_source_blind", nil)
		if err == nil && (series == 0 || blind != 0) {
			err = fmt.Errorf("blind: %v in %d series", blind, series)
		}
		return err
	}); err != nil {
		return err
	}
	// Two evaluations later no alert of the start is pending any more.
	return pass(2*evaluation)(ctx, s)
}

// evaluation is the interval of most rules, as they are shipped.
const evaluation = 15 * time.Second

// An act is one thing that a script does or waits for.
type act func(context.Context, *scene) error

// play does one after the other.
func (s *scene) play(ctx context.Context, script []act) error {
	for _, a := range script {
		if err := a(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// do does something to the parts, and says so in the record.
func do(what string, a act) act {
	return func(ctx context.Context, s *scene) error {
		s.mark(what)
		if err := a(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
}

// begin is time 0: what is done then is the fault.
func begin(what string, a act) act {
	return func(ctx context.Context, s *scene) error {
		s.begin()
		return do(what, a)(ctx, s)
	}
}

// mend is the end of the fault.
func mend(what string, a act) act {
	return func(ctx context.Context, s *scene) error {
		s.mu.Lock()
		s.run.Mended, _ = s.at(time.Now())
		s.mu.Unlock()
		return do(what, a)(ctx, s)
	}
}

// set makes members behave like that.
func set(b rig.Behaviour, members ...string) act {
	return func(_ context.Context, s *scene) error {
		for _, m := range members {
			if err := s.Member(m).Set(b); err != nil {
				return err
			}
		}
		return nil
	}
}

// cut cuts the ways to the exporter off, or makes them whole.
func cut(cut bool, ways ...int) act {
	return func(_ context.Context, s *scene) error {
		for _, way := range ways {
			switch {
			case s.space != nil:
				if err := s.space.Cut(way, cut); err != nil {
					return err
				}
			case way == toMonitoring:
				s.Detour.Cut(s.Exporter.Address, cut)
			default:
				for _, m := range s.Members {
					s.Detour.Cut(m.Address, cut)
				}
				if s.Gateway != nil {
					s.Detour.Cut(s.Gateway.Address, cut)
				}
			}
		}
		return nil
	}
}

// pass lets time go by.
func pass(d time.Duration) act {
	return func(ctx context.Context, _ *scene) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

// until lets time go by to so long after time 0.
func until(d time.Duration) act {
	return func(ctx context.Context, s *scene) error { return pass(time.Until(s.zero.Add(d)))(ctx, s) }
}

// await waits for something that is expected, and goes on without it when it
// doesn't come: an expectation will say so.
func await(within time.Duration, what string, check func(context.Context, *scene) error) act {
	return func(ctx context.Context, s *scene) error {
		wait, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_, err := rig.Every(wait, askOthers, func(ctx context.Context) error { return check(ctx, s) })
		if err != nil && ctx.Err() == nil {
			s.mark(fmt.Sprintf("waited %v for %s, in vain", within, what))
		}
		return ctx.Err()
	}
}

// becomes waits until HAProxy has the member in that state.
func becomes(within time.Duration, member string, admin int) act {
	return await(within, member+" to be out or back", func(ctx context.Context, s *scene) error {
		return s.HAProxy.Want(member, admin)(ctx)
	})
}

// weighs waits until HAProxy gives the member that weight.
func weighs(within time.Duration, member string, weight int) act {
	return await(within, fmt.Sprintf("%s to have weight %d", member, weight), func(ctx context.Context, s *scene) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, member)
		if err == nil && now.Weight != weight {
			err = fmt.Errorf("it is %d", now.Weight)
		}
		return err
	})
}

// down waits until the PTAF has the member DOWN, or up.
func down(within time.Duration, member string, down bool) act {
	return await(within, member+" to be DOWN or up on the PTAF", func(ctx context.Context, s *scene) error {
		return s.WAF.Want(s.Member(member), down)(ctx)
	})
}

// fires waits until an alert fires, or until it doesn't.
func fires(within time.Duration, name string, fires bool) act {
	return await(within, name+" to begin or end", func(ctx context.Context, s *scene) error {
		v, err := s.Prometheus.Vector(ctx, fmt.Sprintf("ALERTS{alertname=%q,alertstate=\"firing\"}", name))
		if err == nil && (len(v) > 0) != fires {
			err = fmt.Errorf("%d series", len(v))
		}
		return err
	})
}

// told waits until people have got a message that such an alert has begun or ended.
func told(within time.Duration, name, status string) act {
	return await(within, "people to be told of "+name+" "+status, func(_ context.Context, s *scene) error {
		for _, h := range s.People.Seen() {
			g, err := parse(h)
			if err != nil {
				return err
			}
			for _, a := range g.Alerts {
				if a.Labels["alertname"] == name && a.Status == status && h.At.After(s.zero) {
					return nil
				}
			}
		}
		return fmt.Errorf("no message says so")
	})
}

// release has a person give the member back.
func release(member, reason string) act {
	return func(ctx context.Context, s *scene) error {
		url := fmt.Sprintf("%s/api/v1/holds/%s/%s/%s/release", s.Remediator.URL, rig.Device, rig.Pool, member)
		status, answer, err := rig.Do(ctx, http.MethodPost, url, fmt.Appendf(nil, `{"reason": %q}`, reason))
		if err == nil && status/100 != 2 {
			err = fmt.Errorf("status %d: %s", status, answer)
		}
		return err
	}
}

// host is the part of a URL that changes with each run.
func host(url string) string {
	_, rest, _ := strings.Cut(url, "//")
	h, _, _ := strings.Cut(rest, "/")
	if _, _, err := net.SplitHostPort(h); err != nil {
		return url
	}
	return h
}
