package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

// A pool is one that a remediator shows and takes steps on, as far as tests say.
type pool struct {
	mu      sync.Mutex
	members []*Member
	orders  []string                                   // that came, in their order
	refuse  func(order string) (code int, data string) // 0: it is done
	looked  func(p *pool, look int)                    // before each look
	looks   int
	dryRun  bool
	blind   string // why the device can't be read
}

func newPool(names ...string) *pool {
	p := new(pool)
	for _, name := range names {
		p.members = append(p.members, &Member{State: edge.State{
			Member: edge.Member{Device: "edge1", Pool: "shop", Name: name}, Address: "192.0.2.1:80", Serving: true, Weight: 1, Share: 1, Check: edge.Yes,
		}})
	}
	return p
}

func (p *pool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodGet {
		p.looks++
		if p.looked != nil {
			p.looked(p, p.looks)
		}
		list := p.members
		if name := r.FormValue("member"); name != "" {
			list = slices.DeleteFunc(slices.Clone(list), func(m *Member) bool { return m.Member.Name != name })
		}
		b, err := json.Marshal(map[string]any{"devices": []Device{{Device: "edge1", Error: p.blind}}, "members": list, "count": len(list)})
		if err != nil {
			panic(err)
		}
		answer(w, 200, string(b))
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	name, what := parts[6], parts[7]
	p.orders = append(p.orders, name+" "+what)
	if p.refuse != nil {
		if code, data := p.refuse(name + " " + what); code != 0 {
			answer(w, code, data)
			return
		}
	}
	if p.dryRun {
		answer(w, 200, `{"result":"dry_run","detail":"mode is dry_run: nothing was sent"}`)
		return
	}
	for _, m := range p.members {
		if m.Member.Name == name {
			to, err := edge.ParseAdmin(what)
			if err != nil {
				panic(err)
			}
			m.Admin, m.Serving = to, to == edge.Ready
		}
	}
	answer(w, 200, `{"result":"applied"}`)
}

// roll runs a rolling restart on a pool, whose command leaves a line in a file.
func (p *pool) roll(ctx context.Context, t *testing.T, r Rolling) (report rollingReport, progress string, ran []string, err error) {
	t.Helper()
	t.Setenv("SHELL", "")
	file := filepath.Join(t.TempDir(), "ran")
	if r.Command == nil {
		r.Command = Command{"echo $SLUICE_DEVICE $SLUICE_POOL $SLUICE_MEMBER $SLUICE_ADDRESS >>" + file}
	}
	if r.Timeout == 0 {
		r.Timeout = 10 * time.Second
	}
	r.Pool, r.Reason = "edge1/shop", DefaultReason
	var out, errs strings.Builder
	s := &Session{Client: client(t, p.ServeHTTP), Out: &out, Err: &errs, Output: "json", every: time.Millisecond}
	err = s.RollingRestart(ctx, r)
	if out.Len() > 0 {
		if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(file); err == nil {
		ran = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	return report, errs.String(), ran, err
}

func results(r rollingReport) (out []string) {
	for _, t := range r.Members {
		out = append(out, strings.TrimSpace(t.Member.Name+": "+t.Result+" "+t.Detail))
	}
	return out
}

func TestARollingRestartGoesFromMemberToMember(t *testing.T) {
	p := newPool("a", "b")
	r, progress, ran, err := p.roll(t.Context(), t, Rolling{})
	if err != nil {
		t.Errorf("%v\n%s", err, progress)
	}
	if d := cmp.Diff([]string{"a: done", "b: done"}, results(r)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a drain", "a ready", "b drain", "b ready"}, p.orders); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"edge1 shop a 192.0.2.1:80", "edge1 shop b 192.0.2.1:80"}, ran); d != "" {
		t.Error(d)
	}
}

func TestARollingRestartStops(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*pool)
		rolling Rolling
		want    error
		text    string // of the error
		results string
		orders  string
		putBack bool
	}{
		{
			"at a guard's no", func(p *pool) {
				p.refuse = func(order string) (int, string) {
					if order == "b drain" {
						return 409, softNo
					}
					return 0, ""
				}
			}, Rolling{}, nil, "edge1/shop/b to drain: refused by guard min_serving", "a: done|b: stopped it is in ready with 0 sessions, and serves|c: not begun", "a drain|a ready|b drain", false,
		},
		{
			"where nothing is sent", func(p *pool) { p.dryRun = true },
			Rolling{},
			ErrUnsettled, "dry_run: mode is dry_run: nothing was sent",
			"a: stopped it is in ready with 0 sessions, and serves|b: not begun|c: not begun", "a drain", false,
		},
		{
			"at a command that fails", nil,
			Rolling{Command: Command{"sh", "-c", `exit 7`}},
			ErrCommand, "edge1/shop/a: the command failed: exit status 7",
			"a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at a command that there isn't", nil, Rolling{Command: Command{"/no/such", "program"}}, ErrCommand, "/no/such", "a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at sessions that don't end", func(p *pool) { p.members[0].Sessions = 2 },
			Rolling{Timeout: 20 * time.Millisecond},
			ErrTimeout, "it has 2 sessions",
			"a: stopped it is in drain with 2 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at a member that stays ill", func(p *pool) {
				p.looked = func(p *pool, _ int) {
					if p.members[0].Admin == edge.Drain {
						p.members[0].Check = edge.No
					}
				}
			},
			Rolling{Timeout: 20 * time.Millisecond},
			ErrTimeout, "wait for health: not in time: after 20ms the device's check says no",
			"a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at health that doesn't last", nil,
			Rolling{Timeout: 20 * time.Millisecond, HealthyFor: time.Hour},
			ErrTimeout, "it is well for less than 1h0m0s",
			"a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at health that comes and goes", func(p *pool) {
				p.looked = func(p *pool, look int) {
					if p.members[0].Check = edge.Yes; look%2 == 0 {
						p.members[0].Check = edge.No
					}
				}
			},
			Rolling{Timeout: 200 * time.Millisecond, HealthyFor: 20 * time.Millisecond},
			ErrTimeout, "wait for health: not in time",
			"a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at a command for health that fails", nil,
			Rolling{Timeout: 20 * time.Millisecond, Health: "exit 3"},
			ErrTimeout, "--health-command: the command failed: exit status 3",
			"a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain", true,
		},
		{
			"at somebody else's change while sessions end", func(p *pool) {
				p.looked = func(p *pool, _ int) {
					if p.members[0].Admin == edge.Drain {
						p.members[0].Admin, p.members[0].Set = edge.Maint, &SetBy{By: "person", Actor: "ann", Reason: "a new disk"}
					}
				}
			},
			Rolling{Timeout: 20 * time.Millisecond},
			errMeddled, "edge1/shop/a: somebody else has changed it meanwhile: it is in maint by ann: a new disk",
			"a: stopped it is in maint with 0 sessions|b: not begun|c: not begun", "a drain", false,
		},
		{
			"at somebody else's change while it restarts", func(p *pool) {
				p.members[0].Check = edge.Unknown // so nothing else is waited for
				drained := 0
				p.looked = func(p *pool, _ int) {
					if p.members[0].Admin == edge.Drain {
						if drained++; drained > 1 {
							p.members[0].Admin = edge.Maint
						}
					}
				}
			},
			Rolling{Timeout: 20 * time.Millisecond},
			errMeddled, "somebody else has changed it meanwhile: it is in maint", "a: stopped it is in maint with 0 sessions|b: not begun|c: not begun", "a drain", false,
		},
		{
			"at somebody else's change while it gets well", func(p *pool) {
				drained := 0
				p.looked = func(p *pool, _ int) {
					if p.members[0].Admin == edge.Drain {
						if drained++; drained > 2 {
							p.members[0].Admin, p.members[0].Check = edge.Maint, edge.Unknown
						}
					}
				}
			},
			Rolling{Timeout: time.Minute, HealthyFor: time.Hour},
			errMeddled, "edge1/shop/a: wait for health: edge1/shop/a: somebody else", "a: stopped it is in maint with 0 sessions|b: not begun|c: not begun", "a drain", false,
		},
		{
			"at a device that refuses the way back", func(p *pool) {
				p.refuse = func(order string) (int, string) {
					if order == "a ready" {
						return 502, `{"result":"failed"}`
					}
					return 0, ""
				}
			}, Rolling{}, nil, "502 Bad Gateway", "a: stopped it is in drain with 0 sessions|b: not begun|c: not begun", "a drain|a ready", true,
		},
		{
			"at a member that doesn't serve again", func(p *pool) {
				p.looked = func(p *pool, _ int) {
					if len(p.orders) == 2 {
						p.members[0].Serving = false
					}
				}
			}, Rolling{Timeout: 20 * time.Millisecond}, ErrTimeout, "it isn't serving", "a: stopped it is in ready with 0 sessions|b: not begun|c: not begun", "a drain|a ready", false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool("a", "b", "c")
			if tt.change != nil {
				tt.change(p)
			}
			r, progress, _, err := p.roll(t.Context(), t, tt.rolling)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, want %s\n%s", err, tt.text, progress)
			}
			if d := cmp.Diff(tt.results, strings.Join(results(r), "|")); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.orders, strings.Join(p.orders, "|")); d != "" {
				t.Error(d)
			}
			if (r.PutBack != "") != tt.putBack || !strings.Contains(r.GoOn, "--from ") {
				t.Errorf("leads on by %q, %q", r.PutBack, r.GoOn)
			}
		})
	}
}

func TestARollingRestartDoesNotBegin(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*pool)
		rolling Rolling
		text    string
	}{
		{"with a member that is out", func(p *pool) { p.members[1].Admin = edge.Maint }, Rolling{}, "out of service already: edge1/shop/b (maint): put them back first, or leave them alone by --skip-out"},
		{
			"with a member that we hold out", func(p *pool) { p.members[1].Admin, p.members[1].Set = edge.Drain, &SetBy{By: "sluice", Hold: "h7"} },
			Rolling{},
			"out of service already: edge1/shop/b (drain by sluice h7)",
		},
		{"with a device that can't be read", func(p *pool) { p.blind = "no answer" }, Rolling{}, "edge1 can't be read: no answer"},
		{"without a command", nil, Rolling{Command: Command{" "}}, "the command behind -- is empty"},
		{"with fewer sessions than none", nil, Rolling{Sessions: -1}, "--sessions: -1: want 0 or more"},
		{"without time", nil, Rolling{Timeout: -time.Second}, "--timeout: -1s: want more than 0s"},
		{"with less than no wait", nil, Rolling{Settle: -1}, "--settle: -1ns: want 0s or more"},
		{"with less than no health", nil, Rolling{HealthyFor: -1}, "--healthy-for: -1ns: want 0s or more"},
		{"at one that there isn't", nil, Rolling{From: "x"}, "--from: edge1/shop/x: no such member"},
		{"where no sessions are told", func(p *pool) { p.members[0].OnOff = true }, Rolling{}, "edge1 doesn't tell how many sessions a member has: --settle says"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool("a", "b")
			if tt.change != nil {
				tt.change(p)
			}
			_, _, _, err := p.roll(t.Context(), t, tt.rolling)
			if err == nil || !strings.Contains(err.Error(), tt.text) || len(p.orders) > 0 {
				t.Errorf("%v, want %s; orders %q", err, tt.text, p.orders)
			}
		})
	}
}

func TestARollingRestartLeavesAloneWhatItShould(t *testing.T) {
	p := newPool("a", "b", "c", "d", "e")
	p.members[1].Admin = edge.Drain // an earlier run stopped here
	p.members[2].Admin, p.members[2].Set = edge.Maint, &SetBy{By: "person", Actor: "ann"}
	p.members[3].Weight, p.members[3].Serving = 0, false // takes no traffic anyhow
	p.members[4].Backup = true                           // nor does this
	p.looked = func(p *pool, _ int) { p.members[3].Serving, p.members[4].Serving = false, false }
	r, _, ran, err := p.roll(t.Context(), t, Rolling{From: "edge1/shop/b", SkipOut: true})
	if err != nil {
		t.Error(err)
	}
	want := []string{"a: skipped it stands before --from", "b: done", "c: skipped it is in maint already by ann", "d: done", "e: done"}
	if d := cmp.Diff(want, results(r)); d != "" {
		t.Error(d)
	}
	if len(ran) != 3 {
		t.Errorf("ran %q", ran)
	}
	if r, _, _, err := p.roll(t.Context(), t, Rolling{SkipOut: true, DryRun: true}); err != nil || !r.DryRun || len(p.orders) != 6 {
		t.Errorf("%+v, %v, %q", r, err, p.orders)
	}
}

func TestAMemberWithoutSessionsOrChecksIsWaitedForByTime(t *testing.T) {
	p := newPool("192.0.2.1:80")
	m := p.members[0]
	m.OnOff, m.Check, m.Address = true, edge.Unknown, ""
	r, progress, ran, err := p.roll(t.Context(), t, Rolling{Settle: time.Millisecond})
	if err != nil || len(r.Members) != 1 || r.Members[0].Result != finished {
		t.Errorf("%+v, %v", r, err)
	}
	if d := cmp.Diff([]string{"edge1 shop 192.0.2.1:80 192.0.2.1:80"}, ran); d != "" {
		t.Error(d)
	}
	if !strings.Contains(progress, "no check of the device's says whether it is well") {
		t.Error(progress)
	}
}

// A signal that comes while a step is under way waits for what becomes of it.
func TestAnInterruptedStepIsAwaited(t *testing.T) {
	p := newPool("a", "b")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	p.refuse = func(string) (int, string) {
		cancel(&Interruption{Signal: os.Interrupt, again: make(chan struct{})})
		return 0, ""
	}
	r, progress, ran, err := p.roll(ctx, t, Rolling{})
	if !errors.Is(err, ErrInterrupted) || ran != nil || progress != "edge1/shop/a: drain\n" {
		t.Errorf("%v, %q\n%s", err, ran, progress)
	}
	if d := cmp.Diff([]string{"a: stopped it is in drain with 0 sessions", "b: not begun"}, results(r)); d != "" {
		t.Error(d)
	}
}

// Who interrupts it between two steps gets no other.
func TestNoStepBeginsAfterAnInterruption(t *testing.T) {
	p := newPool("a", "b")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&Interruption{Signal: os.Interrupt, again: make(chan struct{})})
	s := &Session{Client: client(t, p.ServeHTTP), Output: "table"}
	if _, err := s.order(ctx, p.members[0].Member, Ask{To: edge.Ready}); ExitCode(interrupted(ctx, err)) != ExitInterrupted || p.orders != nil {
		t.Errorf("%v, %q", err, p.orders)
	}
}

func TestTheCommandThatLeadsOnIsWholeAndQuoted(t *testing.T) {
	for _, tt := range []struct {
		r    Rolling
		want string
	}{
		{Rolling{Command: Command{"it's $X"}, Reason: DefaultReason, HealthyFor: DefaultHealthyFor, Timeout: DefaultTimeout}, `sluice ctl rolling-restart edge1/shop --from a%20b -- 'it'\''s $X'`},
		{
			Rolling{
				Command: Command{"ssh", "host", "a b", ""}, Reason: "why not", HealthyFor: time.Second, Timeout: time.Minute, Sessions: 2, Settle: time.Second, Health: "curl -f x",
				Override: []string{"load", "budget"}, SkipOut: true,
			},
			`sluice ctl rolling-restart edge1/shop --from a%20b --reason 'why not' --override load --override budget --sessions 2 --settle 1s --health-command 'curl -f x' --healthy-for 1s --timeout 1m0s --skip-out -- ssh host 'a b' ''`,
		},
	} {
		p := edge.Pool{Device: "edge1", Name: "shop"}
		if got := tt.r.goOn(p, edge.Member{Device: "edge1", Pool: "shop", Name: "a b"}); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if got := fmt.Sprint(Command{"a"}); got != "a" {
		t.Error(got)
	}
}

func TestThePlanSaysWhatIsWaitedFor(t *testing.T) {
	sessions := Member{State: edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "a"}}}
	switched := Member{State: edge.State{Member: edge.Member{Device: "waf1", Pool: "shop", Name: "b"}, OnOff: true}}
	for _, tt := range []struct {
		r    Rolling
		m    Member
		want string
	}{
		{Rolling{}, sessions, "drain, wait for at most 0 sessions, run true,"},
		{Rolling{Sessions: 2, Settle: time.Second}, sessions, "drain, wait for at most 2 sessions, wait 1s, run true,"},
		{Rolling{Settle: time.Second}, switched, "drain, wait 1s, run true,"},
	} {
		tt.r.Command = Command{"true"}
		var b strings.Builder
		if err := tt.r.writePlan(&b, []*turn{{Member: tt.m.Member, Result: notBegun, seen: tt.m}}); err != nil || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%v: %s; want %s", err, &b, tt.want)
		}
	}
}
