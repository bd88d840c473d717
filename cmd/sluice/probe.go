package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/exporter/probe"
)

// probesAtOnce bounds the probes under way.
const probesAtOnce = 32

type probeFlags struct {
	config, name, module, target, output string
}

func addProbe(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("probe", "Probe once and show every stage with its time. Exit 0 when all that was probed is up, else 1.")
	f := new(probeFlags)
	cmd.Arg("NAME", "A probe of the configuration: all its targets, and all members that it covers now.").StringVar(&f.name)
	cmd.Flag("config.file", "The configuration file.").Default("sluice.yml").StringVar(&f.config)
	cmd.Flag("module", "Instead of NAME: probe --target as this module says.").StringVar(&f.module)
	cmd.Flag("target", "What to probe with --module.").StringVar(&f.target)
	cmd.Flag("output", "text or json.").Default("text").EnumVar(&f.output, "text", "json")
	return cmd.FullCommand(), func(std streams) error { return probeOnce(std, f) }
}

// A job is one probe to make, or the reason why it can't be made.
type job struct {
	member *edge.Member
	target string
	reason string
	err    error
}

// A shot is one probe that was made.
type shot struct {
	Probe  string       `json:"probe,omitempty"`
	Module string       `json:"module"`
	Member *edge.Member `json:"member,omitempty"`
	Target string       `json:"target"`
	Up     bool         `json:"up"`
	Reason string       `json:"reason,omitempty"`
	Detail string       `json:"detail,omitempty"`
	Start  time.Time    `json:"start"`
	Took   float64      `json:"duration_seconds"`
	IP     string       `json:"ip,omitempty"`
	Status int          `json:"http_status,omitempty"`
	Stages []stage      `json:"stages"`
}

type stage struct {
	Name string  `json:"name"`
	Took float64 `json:"duration_seconds"`
}

func probeOnce(std streams, f *probeFlags) error {
	if (f.name == "") == (f.module == "") || (f.module == "") != (f.target == "") {
		return errors.New("want either NAME, or --module and --target")
	}
	l, err := load(f.config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	name, jobs := f.module, []job{{target: f.target}}
	if f.name != "" {
		i := slices.IndexFunc(l.Exporter.Probes, func(p exporter.Probe) bool { return p.Name == f.name })
		if i < 0 {
			return fmt.Errorf("there is no probe %q in %s: it has %s", f.name, f.config, strings.Join(l.probes(), ", "))
		}
		p := &l.Exporter.Probes[i]
		name = p.Module
		if jobs, err = jobsOf(ctx, l, p); err != nil {
			return err
		}
	}
	module, ok := l.Exporter.Modules[name]
	if !ok {
		return fmt.Errorf("there is no module %q in %s", name, f.config)
	}
	if f.name == "" {
		if err := module.CheckTarget(f.target); err != nil {
			return fmt.Errorf("--target: %w", err)
		}
	}
	prober, err := probe.New(module)
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	shots := shoot(ctx, prober, jobs)
	for i := range shots {
		shots[i].Probe, shots[i].Module = f.name, name
	}
	if err := printShots(std.out, shots, f.output); err != nil {
		return err
	}
	if slices.ContainsFunc(shots, func(s shot) bool { return !s.Up }) {
		return errSaid
	}
	return nil
}

// jobsOf finds all that a probe asks now: its fixed targets, and the members
// that the devices list.
func jobsOf(ctx context.Context, l *loaded, p *exporter.Probe) ([]job, error) {
	var jobs []job
	for _, target := range p.Targets {
		jobs = append(jobs, job{target: target})
	}
	if p.Members == nil {
		return jobs, nil
	}
	f, err := newFleet(l, fleetOptions{logger: log.NewNopLogger()})
	if err != nil {
		return nil, err
	}
	for _, d := range f.Devices() {
		snapshot, err := d.Look(ctx)
		if err != nil {
			jobs = append(jobs, job{reason: "device", err: err})
			continue
		}
		var states []edge.State
		for m, s := range snapshot.States {
			if p.Covers(m) {
				states = append(states, s)
			}
		}
		slices.SortFunc(states, func(a, b edge.State) int { return a.Member.Compare(b.Member) })
		for _, s := range states {
			target, err := p.MemberTarget(l.Exporter.Modules[p.Module], s)
			jobs = append(jobs, job{&s.Member, target, "target", err})
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("probe %s covers no member that the devices list", p.Name)
	}
	return jobs, nil
}

// shoot makes all probes, many at a time, and keeps their order.
func shoot(ctx context.Context, prober probe.Prober, jobs []job) []shot {
	shots := make([]shot, len(jobs))
	free := make(chan struct{}, probesAtOnce)
	var all sync.WaitGroup
	for i, j := range jobs {
		if j.err != nil {
			shots[i] = shot{Member: j.member, Reason: j.reason, Detail: j.err.Error(), Start: time.Now(), Stages: []stage{}}
			continue
		}
		free <- struct{}{}
		all.Go(func() {
			shots[i] = newShot(j, prober.Probe(ctx, j.target))
			<-free
		})
	}
	all.Wait()
	return shots
}

func newShot(j job, r probe.Result) shot {
	s := shot{
		Member: j.member, Target: probe.Redact(j.target), Up: r.Up, Reason: string(r.Reason), Detail: r.Detail,
		Start: r.Start, Took: r.Duration.Seconds(), IP: r.IP, Stages: []stage{},
	}
	if r.HTTP != nil {
		s.Status = r.HTTP.Status
	}
	for _, st := range r.Stages {
		s.Stages = append(s.Stages, stage{st.Name, st.Duration.Seconds()})
	}
	return s
}

func printShots(w io.Writer, shots []shot, output string) error {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(shots)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range shots {
		fmt.Fprintln(t, s.headline())
		for _, st := range s.Stages {
			fmt.Fprintf(t, "  %s\t%s\n", st.Name, millis(st.Took))
		}
	}
	return t.Flush()
}

// headline says what was probed and how it went: "edge1/shop/app1
// http://192.0.2.7/health: DOWN after 1.2 ms: connect: connection refused".
func (s shot) headline() string {
	var what []string
	if s.Member != nil {
		what = append(what, s.Member.String())
	}
	if s.Target != "" {
		what = append(what, s.Target)
	}
	if s.IP != "" && !strings.Contains(s.Target, s.IP) {
		what = append(what, "("+s.IP+")")
	}
	who := strings.Join(what, " ")
	switch {
	case s.Up && s.Status != 0:
		return fmt.Sprintf("%s: up in %s, status %d", who, millis(s.Took), s.Status)
	case s.Up:
		return fmt.Sprintf("%s: up in %s", who, millis(s.Took))
	case len(s.Stages) == 0 && who == "": // a device that can't be asked
		return s.Detail
	default:
		return fmt.Sprintf("%s: DOWN after %s: %s: %s", who, millis(s.Took), s.Reason, s.Detail)
	}
}

func millis(seconds float64) string { return fmt.Sprintf("%.1f ms", seconds*1000) }
