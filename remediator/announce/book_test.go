package announce

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

var s1 = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}

// start is when the tests' time begins.
var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// A target is one member in the engine's hands, as the journal tells of it.
type target struct {
	member edge.Member
	record *journal.Hold

	words    []said // refusals since it was claimed, oldest first
	attempts []string
	claimed  bool
}

type said struct {
	at    time.Time
	guard string
}

// A town is some targets, a book, and what has to follow from what they went through.
type town struct {
	t       *rapid.T
	now     time.Time
	book    *book
	targets []*target
	ids     int
}

func newTown(t *rapid.T) *town {
	w := &town{t: t, now: start}
	for i := range 3 {
		w.targets = append(w.targets, &target{member: edge.Member{Device: "edge1", Pool: "shop", Name: fmt.Sprint("s", i+1)}})
	}
	c := Config{}
	c.Validate(true)
	w.book = newBook(Options{
		Config: c, Acts: func(string, edge.Member) bool { return true },
		Ended: func(m edge.Member) bool {
			return slices.ContainsFunc(w.targets, func(g *target) bool { return g.member == m && !g.claimed })
		},
	})
	return w
}

// put enters a change of a target's record, as the journal would.
func (w *town) put(g *target, to journal.Phase, e journal.Entry) {
	from := journal.Phase("")
	if g.record == nil {
		w.ids++
		g.record = &journal.Hold{ID: fmt.Sprint("h", w.ids), Member: g.member, Policy: "drain", To: edge.Drain, Phase: to, Changed: w.now}
	} else {
		from = g.record.Phase
	}
	if from != to {
		g.record.Changed = w.now
	}
	g.record.Phase = to
	e.At, e.Hold, e.From, e.To, e.Policy, e.Member = w.now, g.record.ID, from, to, "drain", &g.member
	if e.Event == "" {
		e.Event = string(to)
	}
	w.book.hear(&e)
	if to == journal.Closed {
		g.record, g.words = nil, nil
	}
}

// act makes a target go through one of the things that may happen to it.
func (w *town) act(g *target) {
	can := []string{"wait"}
	phase := journal.Phase("")
	if g.record != nil {
		phase = g.record.Phase
	}
	switch {
	case phase == "" && !g.claimed:
		can = append(can, "claim")
	case phase == "" || phase.Candidate():
		can = append(can, "end", "refuse", "refuse", "freeze", "await", "fail", "out")
	case phase == journal.Holding:
		can = append(can, "back", "back fails", "effect", "supersede")
	case phase == journal.Indeterminate:
		can = append(can, "was failed", "was done")
	}
	what := rapid.SampledFrom(can).Draw(w.t, g.member.Name)
	switch what {
	case "claim":
		g.claimed = true
	case "end":
		if g.record != nil {
			w.put(g, journal.Closed, journal.Entry{})
		}
		g.claimed, g.attempts = false, nil
	case "refuse", "freeze":
		guard := "freeze"
		if what == "refuse" {
			guard = rapid.SampledFrom([]string{"min_serving", "evidence"}).Draw(w.t, "guard")
		}
		if phase == journal.AwaitingApproval {
			g.words = nil
		}
		if len(g.words) > 0 && g.words[len(g.words)-1].guard == guard {
			return // it is counted, and not entered again
		}
		g.words = append(g.words, said{w.now, guard})
		w.put(g, journal.Deferred, journal.Entry{Event: eventRefusal, Guard: guard, Reason: "x"})
		g.record.Refused = guard + "/x/drain"
	case "await":
		g.words = nil
		w.put(g, journal.AwaitingApproval, journal.Entry{Event: eventRefusal, Guard: "approval", Reason: "waiting"})
	case "fail":
		w.intent(g)
		result := rapid.SampledFrom([]string{failed, indeterminate}).Draw(w.t, "result")
		if g.attempts = append(g.attempts, result); result == indeterminate {
			w.put(g, journal.Indeterminate, journal.Entry{Event: eventStep, Result: result})
			return
		}
		w.put(g, journal.Failed, journal.Entry{Event: eventStep, Result: result})
		w.put(g, journal.Closed, journal.Entry{})
	case "was failed":
		g.attempts[len(g.attempts)-1] = failed
		w.put(g, journal.Failed, journal.Entry{Event: eventStep, Result: failed})
		w.put(g, journal.Closed, journal.Entry{})
	case "was done":
		g.attempts[len(g.attempts)-1] = "out"
		w.holding(g)
	case "out":
		w.intent(g)
		g.attempts = append(g.attempts, "out")
		w.holding(g)
	case "effect":
		if last := len(g.attempts) - 1; last >= 0 && g.attempts[last] == "out" { // it is judged once
			result := rapid.SampledFrom([]string{ineffective, "effective", "unknown"}).Draw(w.t, "effect")
			if g.attempts[last] = "good"; result == ineffective {
				g.attempts[last] = ineffective
			}
			w.put(g, journal.Holding, journal.Entry{Event: eventEffect, Result: result})
		}
	case "back fails":
		g.attempts = append(g.attempts, failed)
		w.put(g, journal.Reverting, journal.Entry{Event: "intent"})
		w.put(g, journal.Failed, journal.Entry{Event: eventStep, Result: failed})
		w.put(g, journal.Holding, journal.Entry{})
	case "back":
		g.attempts = append(g.attempts, "back")
		w.put(g, journal.Reverting, journal.Entry{Event: "intent"})
		w.put(g, journal.Reverted, journal.Entry{Event: eventStep, Result: applied})
		w.put(g, journal.Closed, journal.Entry{})
		if rapid.Bool().Draw(w.t, "its claim is over") {
			g.claimed, g.attempts = false, nil
		}
	case "supersede":
		w.put(g, journal.Superseded, journal.Entry{Event: eventStep, Result: superseded})
		w.put(g, journal.Closed, journal.Entry{})
		g.claimed, g.attempts = false, nil
	}
}

func (w *town) intent(g *target) {
	if g.record == nil {
		w.put(g, journal.Observed, journal.Entry{})
	}
	w.put(g, journal.Intent, journal.Entry{Event: "intent"})
	g.words, g.record.Refused = nil, ""
}

func (w *town) holding(g *target) {
	g.record.Since = w.now
	w.put(g, journal.Applied, journal.Entry{Event: eventStep, Result: applied})
	w.put(g, journal.Holding, journal.Entry{})
}

// follows is what has to fire, by the rules alone: nothing here is kept from one
// look to the next.
func (w *town) follows() (out []string) {
	for _, g := range w.targets {
		name := g.member.Name
		if r := g.record; r != nil {
			switch {
			case r.Phase == journal.AwaitingApproval:
				out = append(out, ApprovalWaits+" "+name)
			case r.Phase == journal.Holding:
				out = append(out, Step+" "+name)
			case r.Phase == journal.Deferred:
				if guard := guardOf(g.words, w.now); guard != "" {
					out = append(out, Refused+" "+name+" "+guard)
				}
			}
		}
		if inVain(g.attempts) >= defaultAfter {
			out = append(out, StepFailed+" "+name)
		}
	}
	slices.Sort(out)
	return out
}

// guardOf goes through the time second by second: a guard is told of when refusals
// have lasted, and another when that one has.
func guardOf(words []said, now time.Time) (told string) {
	var lasted, alone time.Duration
	current := ""
	for at, i := start, 0; !at.After(now); at = at.Add(time.Second) {
		if current != "" && current != "freeze" {
			lasted += time.Second
			alone += time.Second
		}
		switch {
		case current == "" || current == "freeze":
		case told == "" && lasted >= defaultRefusedFor, told != "" && alone >= defaultRefusedFor:
			told = current
		}
		for ; i < len(words) && words[i].at.Equal(at); i++ {
			if current, alone = words[i].guard, 0; current == "freeze" && told == "" {
				lasted = 0
			}
		}
	}
	return told
}

// inVain counts the attempts at the end that came to nothing. To give back what was
// taken out without effect is no success.
func inVain(attempts []string) (n int) {
	for i := len(attempts) - 1; i >= 0; i-- {
		switch attempts[i] {
		case failed, indeterminate, ineffective:
			n++
		case "back":
			out := i - 1
			for out >= 0 && attempts[out] == failed {
				out--
			}
			if out < 0 || attempts[out] != ineffective {
				return n
			}
		default:
			return n
		}
	}
	return n
}

func names(alerts []Alert) (out []string) {
	for _, a := range alerts {
		text := a.Labels[labelName] + " " + a.Labels[edge.LabelMember]
		if g := a.Labels[labelGuard]; g != "" {
			text += " " + g
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func (w *town) look() []Alert {
	var holds, candidates []journal.Hold
	for _, g := range w.targets {
		switch {
		case g.record == nil:
		case g.record.Phase.Candidate():
			candidates = append(candidates, *g.record)
		default:
			holds = append(holds, *g.record)
		}
	}
	alerts, _, _ := w.book.look(holds, candidates, w.now)
	return alerts
}

// Whatever happens in whatever order, what is announced is what the rules say.
func TestWhatIsAnnouncedFollowsFromTheRules(t *testing.T) { // I26
	rapid.Check(t, func(t *rapid.T) {
		w := newTown(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 7, 30, 60, 61, 200}).Draw(t, "seconds")) * time.Second)
			w.act(rapid.SampledFrom(w.targets).Draw(t, "target"))
			if diff := cmp.Diff(w.follows(), names(w.look())); diff != "" {
				t.Fatalf("at %s (-rules +announced):\n%s", w.now, diff)
			}
		}
	})
}

// Outcomes on one target, oldest first, and how many steps in a row came to nothing.
func TestStepsInARow(t *testing.T) { // I10, I20, I26
	back, effect := journal.Reverted, eventEffect
	out := func(result string) journal.Entry { return journal.Entry{Event: eventStep, Result: result} }
	for name, tt := range map[string]struct {
		entries []journal.Entry
		want    int
	}{
		"none":                              {nil, 0},
		"failures":                          {[]journal.Entry{out(failed), out(failed)}, 2},
		"a step that works":                 {[]journal.Entry{out(failed), out(failed), out(applied)}, 0},
		"begins anew after one":             {[]journal.Entry{out(failed), out(failed), out(applied), out(failed)}, 1},
		"unknown":                           {[]journal.Entry{out(failed), out(indeterminate)}, 2},
		"unknown, and then known to fail":   {[]journal.Entry{out(failed), out(indeterminate), out(failed)}, 2},
		"unknown, and then found done":      {[]journal.Entry{out(failed), out(indeterminate), out(applied)}, 0},
		"without effect":                    {[]journal.Entry{out(failed), out(failed), out(applied), {Event: effect, Result: ineffective}}, 3},
		"found done, without effect":        {[]journal.Entry{out(failed), out(indeterminate), out(applied), {Event: effect, Result: ineffective}}, 2},
		"with effect":                       {[]journal.Entry{out(failed), out(applied), {Event: effect, Result: "effective"}, out(failed)}, 1},
		"with an effect that nobody knows":  {[]journal.Entry{out(failed), out(applied), {Event: effect, Result: "unknown"}, out(failed)}, 1},
		"given back":                        {[]journal.Entry{out(applied), out(failed), {Event: eventStep, Result: applied, To: back}}, 0},
		"given back what was for nothing":   {[]journal.Entry{out(applied), {Event: effect, Result: ineffective}, {Event: eventStep, Result: applied, To: back}}, 1},
		"for nothing twice":                 {[]journal.Entry{out(applied), {Event: effect, Result: ineffective}, {Event: eventStep, Result: applied, To: back}, out(applied), {Event: effect, Result: ineffective}}, 2},
		"somebody else's":                   {[]journal.Entry{out(failed), out(superseded)}, 0},
		"a claim that ended":                {[]journal.Entry{out(failed), {Event: "closed", From: journal.Deferred, To: journal.Closed}}, 0},
		"a hold that ended":                 {[]journal.Entry{out(failed), {Event: "closed", From: journal.Failed, To: journal.Closed}}, 1},
		"what wasn't sent":                  {[]journal.Entry{out(failed), out("replanned"), out("dry_run"), {Event: eventRefusal, Result: "refused"}}, 1},
		"a person's order":                  {[]journal.Entry{{Event: eventStep, Result: failed, Order: "o1", Actor: "ann"}}, 0},
		"an object that a person puts back": {[]journal.Entry{{Event: eventStep, Result: failed, Actor: "ann", Admin: "restore"}}, 0},
	} {
		b := newBook(Options{})
		for i, e := range tt.entries {
			e.Member, e.At, e.Policy = &s1, start.Add(time.Duration(i)*time.Minute), fmt.Sprint(i)
			if e.Actor == "" {
				e.Hold = "h1"
			}
			b.hear(&e)
		}
		got := 0
		if s := b.streaks[s1]; s != nil {
			got = s.bad
			if got > 0 && (s.began.IsZero() || s.policy == "") {
				t.Errorf("%s: it isn't known when it began: %+v", name, s)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

// What is read from the time before is no row when the claim must have ended between.
func TestARowOfTheTimeBeforeHasNoGaps(t *testing.T) {
	for gap, want := range map[time.Duration]int{inARow: 2, inARow + time.Second: 1} {
		b := newBook(Options{})
		b.recalling = true
		for _, at := range []time.Time{start, start.Add(gap)} {
			b.hear(&journal.Entry{Event: eventStep, Result: failed, Member: &s1, Hold: "h1", At: at})
		}
		if got := b.streaks[s1].bad; got != want {
			t.Errorf("%s apart: %d, want %d", gap, got, want)
		}
	}
}

func TestABypassIsTold(t *testing.T) {
	h := &journal.Hold{
		ID: "h1", Member: s1, Policy: "shop-bypass", Bypass: true, Phase: journal.Holding, Since: start, MaxUntil: start.Add(time.Hour),
		Reason: "all fail", Along: []edge.Member{{Device: "edge1", Pool: "api", Name: "a1"}},
	}
	a := standing(h).alert("")
	want := map[string]string{
		"summary":     "Sluice has a bypass round pool shop on edge1: s1",
		"description": "Stands since 2026-11-21 10:00:00 UTC, by policy shop-bypass, until 2026-11-21 11:00:00 UTC at the latest. Why: all fail. Moved along: edge1/api/a1.",
		"command":     `sluice explain --labels 'remediation="shop-bypass",device="edge1",pool="shop"'`,
		"runbook_url": runbooks + "SluiceStep.md",
	}
	if diff := cmp.Diff(want, a.Annotations); diff != "" || a.Labels["to"] != "bypass" {
		t.Errorf("to %s (-want +got):\n%s", a.Labels["to"], diff)
	}
}

// What a candidate's own record says is enough where its entries are too far back.
func TestARefusalThatNoEntryTellsOf(t *testing.T) {
	c := Config{RefusedFor: model.Duration(time.Minute)}
	c.Validate(true)
	b := newBook(Options{Config: c, Acts: func(string, edge.Member) bool { return true }, Ended: func(edge.Member) bool { return false }})
	h := journal.Hold{ID: "h1", Member: s1, Policy: "drain", Phase: journal.Deferred, Refused: "budget/max_held/drain", Changed: start}
	if got, _, next := b.look(nil, []journal.Hold{h}, start.Add(59*time.Second)); len(got) != 0 || !next.Equal(start.Add(time.Minute)) {
		t.Errorf("too early: %v, next %s", got, next)
	}
	got, _, next := b.look(nil, []journal.Hold{h}, start.Add(time.Minute))
	if diff := cmp.Diff([]string{"SluiceRefused s1 budget"}, names(got)); diff != "" || !next.IsZero() {
		t.Errorf("next %s (-want +got):\n%s", next, diff)
	}
	if !got[0].Starts.Equal(start.Add(time.Minute)) || got[0].Labels["reason"] != "max_held" {
		t.Errorf("got %+v", got[0])
	}
}

func TestWhatIsSwitchedOffIsNotAnnounced(t *testing.T) {
	no := false
	holds := []journal.Hold{{ID: "h1", Member: s1, Phase: journal.Holding, Since: start}}
	candidates := []journal.Hold{
		{ID: "h2", Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}, Phase: journal.AwaitingApproval, Refused: "approval/waiting/drain"},
		{ID: "h3", Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s3"}, Phase: journal.Quarantined, Refused: "damping/flaps/drain", Changed: start},
	}
	for name, tt := range map[string]struct {
		cfg  Config
		want []string
	}{
		"all":       {Config{}, []string{"SluiceApprovalWaits s2", "SluiceRefused s3 damping", "SluiceStep s1", "SluiceStepFailed s1"}},
		"steps":     {Config{Steps: &no}, []string{"SluiceApprovalWaits s2", "SluiceRefused s3 damping", "SluiceStepFailed s1"}},
		"failures":  {Config{Failures: &no}, []string{"SluiceApprovalWaits s2", "SluiceRefused s3 damping", "SluiceStep s1"}},
		"refusals":  {Config{Refusals: &no}, []string{"SluiceApprovalWaits s2", "SluiceStep s1", "SluiceStepFailed s1"}},
		"approvals": {Config{Approvals: &no}, []string{"SluiceRefused s3 damping", "SluiceStep s1", "SluiceStepFailed s1"}},
	} {
		tt.cfg.Validate(true)
		b := newBook(Options{Config: tt.cfg, Acts: func(string, edge.Member) bool { return true }, Ended: func(edge.Member) bool { return true }})
		for range 3 {
			b.hear(&journal.Entry{Event: eventStep, Result: failed, Member: &s1, Hold: "h1", At: start})
		}
		got, _, _ := b.look(holds, candidates, start.Add(time.Hour))
		if diff := cmp.Diff(tt.want, names(got)); diff != "" {
			t.Errorf("%s off (-want +got):\n%s", name, diff)
		}
	}
}

// Phases in which a member is as we put it, and those in which it isn't.
func TestWhenAStepStands(t *testing.T) {
	for _, h := range []struct {
		phase  journal.Phase
		since  time.Time
		stands bool
	}{
		{journal.Intent, time.Time{}, false},
		{journal.Applying, time.Time{}, false},
		{journal.Indeterminate, time.Time{}, false},
		{journal.Applied, start, true},
		{journal.Holding, start, true},
		{journal.ReleasePending, start, true},
		{journal.Expiring, start, true},
		{journal.Reverting, start, true},
		{journal.Indeterminate, start, true}, // of the way back
		{journal.Failed, start, true},
		{journal.Reverted, start, false},
		{journal.Superseded, start, false},
		{journal.Orphaned, start, false},
		{journal.Deferred, start, false}, // a person gave it back
	} {
		if got := isOut(&journal.Hold{Phase: h.phase, Since: h.since}); got != h.stands {
			t.Errorf("%s since %s: %t", h.phase, h.since, got)
		}
	}
}

// The labels of a step are the same from its beginning to its end.
func TestTheGoalOfAHoldStays(t *testing.T) {
	for want, all := range map[string][]journal.Hold{
		"drain":  {{To: edge.Drain}},
		"bypass": {{To: edge.Ready, Bypass: true}, {Bypass: true, Mark: "PASSIVE"}},
		"maint": { // drained first, and again when it failed on its way back
			{To: edge.Drain, NextStage: journal.StageDraining},
			{To: edge.Drain, Stage: journal.StageDraining},
			{To: edge.Maint},
			{To: edge.Maint, Stage: journal.StageProbation},
			{To: edge.Maint, Stage: journal.StageProbation, NextStage: journal.StageDraining},
		},
	} {
		for _, h := range all {
			if got := goal(&h); got != want {
				t.Errorf("%+v: %s, want %s", h, got, want)
			}
		}
	}
}

// A word on a step is heard at once, and one that came too late is none.
func TestAnAnswerIsNoLongerWaitedFor(t *testing.T) {
	b := newBook(Options{})
	h := &journal.Hold{ID: "h7", Member: s1, Phase: journal.AwaitingApproval}
	for want, answer := range map[bool]*journal.Answer{true: {Until: start}, false: {Until: start.Add(time.Second)}} {
		h.Answer = answer
		o, is := b.waiting(h), waits(h, start)
		if is != want || is && o.page != "approvals#t-h7" {
			t.Errorf("%+v: %t, %+v", answer, is, o)
		}
	}
}

// What devices, alerts and people wrote stays text, bounded and on one line.
func TestHostileText(t *testing.T) {
	evil := "a'b\"c\n{{ .Secret }}<script>\u202e\xff" + strings.Repeat("x", 5000)
	m := edge.Member{Device: "edge1", Pool: "p'1", Name: "x\"; rm -rf / '"}
	raw, err := json.Marshal(map[string]any{"source": "probe:shop", "answer": "no", "duration": 1500000, "detail": evil, "body": "SECRET BODY"})
	if err != nil {
		t.Fatal(err)
	}
	a := about{
		name: Refused, member: m, policy: "drain", starts: start, more: map[string]string{labelGuard: evil},
		summary: evil, lines: []string{evil, sentence("Evidence", evidence(raw)), sentence("x", ""), evil, evil, evil},
	}.alert("https://sluice.example.com")
	for kind, all := range map[string]map[string]string{"label": a.Labels, "annotation": a.Annotations} {
		for n, v := range all {
			if len(v) > 4*mostText || !json.Valid([]byte(fmt.Sprintf("%q", v))) || strings.Contains(v, "SECRET") {
				t.Errorf("%s %s: %.100q", kind, n, v)
			}
			if kind == "annotation" && strings.ContainsAny(v, "\n\u202e") {
				t.Errorf("%s breaks the line: %q", n, v)
			}
		}
	}
	want := map[string]string{
		"command":     `sluice explain --labels 'remediation="drain",device="edge1",pool="p'\''1",member="x\"; rm -rf / '\''"'`,
		"console_url": "https://sluice.example.com/console/member?device=edge1&member=x%22%3B+rm+-rf+%2F+%27&pool=p%271",
		"runbook_url": "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/SluiceRefused.md",
	}
	for n, v := range want {
		if a.Annotations[n] != v {
			t.Errorf("%s: %s, want %s", n, a.Annotations[n], v)
		}
	}
	long := about{name: Step, member: edge.Member{Device: "edge1", Pool: "shop", Name: strings.Repeat("x", 2000)}}.alert("https://sluice.example.com")
	if long.Link != "https://sluice.example.com/console/" || long.Annotations["command"] != "" {
		t.Errorf("of a name without end: link %.100s, command %.100s", long.Link, long.Annotations["command"])
	}
	if a.Link != want["console_url"] {
		t.Errorf("link %s", a.Link)
	}
	if (about{name: Step, member: edge.Member{Name: "a\x1b[2J"}}).command() != "" {
		t.Error("a name that steers a terminal stands in a command")
	}
	if a := (about{name: Step, member: s1}).alert(""); a.Link != "" || a.Annotations["console_url"] != "" || a.Labels["policy"] != "" || len(a.Labels) != 6 {
		t.Errorf("without URL and policy: %+v", a)
	}
}

// FuzzText: whatever an entry holds, what is made of it is one line of bounded UTF-8.
func FuzzText(f *testing.F) {
	f.Add([]byte(`{"source":"probe:shop","answer":"no","detail":"refused"}`), "min_serving")
	f.Add([]byte(`{"findings":[{"guard":"min_serving","detail":"2 are left"}]}`), "min_serving")
	f.Add([]byte("\xff{"), "\u2028")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		for _, s := range []string{clean(text), clean(evidence(raw)), clean(finding(raw, text)), sentence(text, text)} {
			if strings.ContainsAny(s, "\n\r\x00\x1b") || strings.ToValidUTF8(s, "") != s || len([]rune(s)) > 2*mostLine+10 {
				t.Errorf("%q", s)
			}
		}
	})
}
