// Package remediator takes failing members out of rotation when that is safe,
// and gives them back when they have proved healthy. It is level-triggered: what
// is wanted is computed again and again from all claims, evidence and holds; a
// webhook only wakes it.
//
// One goroutine, a keeper, owns the members of one device, so that a device that
// hangs delays no other. A keeper looks, asks its guards, records, acts, verifies
// and records. The journal is written before the first byte goes to a device.
package remediator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/events"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

// A Device is a HAProxy or a PTAF, as the engine needs it.
type Device interface {
	// Look reads all members in one exchange.
	Look(ctx context.Context) (edge.Snapshot, error)
	// Set carries out an order. A nil error means that the device took it, not that
	// it obeyed; [edge.ErrChanged] that nothing was sent.
	Set(ctx context.Context, o edge.Order) (edge.Receipt, error)
	// Whole says that the device writes a pool in one piece: all changes of a pool
	// are one order, and this much time lies between two orders at least.
	Whole() (every time.Duration, whole bool)
}

// Images stores each object as it was before a write.
type Images interface {
	Save(i edge.Image) error
}

// A Check is one configured probe, asked by the remediator for itself.
type Check interface {
	Name() string
	Covers(m edge.Member) bool
	Interval() time.Duration
	Rise() int
	// Ask asks the member once, at the address that the device gave for it.
	Ask(ctx context.Context, s edge.State) guard.Evidence
}

// Options are what a Remediator is made of. Config, ConfigHash, Devices, Checks
// and Authenticated can be replaced while it runs, by [Remediator.Apply].
type Options struct {
	Config        *Config // validated; nil: serve the API, take no step; [WithoutAutomation]: people's steps alone
	ConfigHash    string  // names the configuration in records
	EvidenceHash  string  // of how we probe and whom we ask; a change of it makes the brake wait
	Devices       map[string]Device
	Checks        []Check
	Images        Images                 // nil: objects are kept in the journal alone
	Base          string                 // the URL under which people reach us, for links; empty: none; never replaced
	Coordinator   coordinate.Coordinator // nil: this is the only process; never replaced
	Audit         Audit                  // nil: none; never replaced
	Authenticated bool                   // the web layer authenticates webhooks

	Logger      log.Logger
	Registerer  prometheus.Registerer // nil: metrics of its own that nobody sees
	JournalLock time.Duration         // how long another process may keep the journal; zero: 1 s
	Failpoint   func(name string)     // for tests of crashes: called at each of [Failpoints]
}

// ErrUnauthenticated says that a webhook anybody could send would be a claim.
var ErrUnauthenticated = errors.New("without alertmanagers the webhook itself is the claim: have the web configuration authenticate it, or configure remediation.alertmanagers")

// A Remediator is the engine with its API.
type Remediator struct {
	logger  log.Logger
	metrics *metrics
	journal *journal.Journal // nil when there is none that can be used
	path    string           // that it was opened by
	broken  error            // why; the remediator is frozen then
	started time.Time

	failpoint   func(string)
	ledger      *ledger
	coordinator coordinate.Coordinator
	audit       Audit

	hint  chan struct{} // read the claims now
	apply chan struct{} // settings were replaced

	mu      sync.Mutex
	set     *settings
	view    claims.View
	keepers map[string]*keeper
	begun   chan struct{} // closed when there are new keepers

	flowing   sync.Mutex
	flows     map[string]*flow  // by device
	said      map[string]string // what was last recorded of a subject, so that it is recorded when it changes
	watchdog  time.Time
	wasFrozen []edge.Pool               // scopes of the freezes that were read last
	episodes  map[string]string         // key of a claim -> the remediation that its steps belong to
	readOnly  map[string]string         // device -> why no step can be taken there; "" when one can
	heard     map[edge.Member]time.Time // when the last evidence on a member came
	windowing sync.Mutex
	windows   []*madeWindow        // as they were read last
	hands     map[edge.Member]hand // what people did last through us
	foreign   map[edge.Member]foreign
	novel     map[novelty]time.Time // what is only observed yet -> since when
	glances   map[string]*glance    // by device
	drills    drilling
	aims      map[string]map[edge.Member]bool // device -> members on which claims are seen; none while that isn't known

	base      string // of links
	announced announce.Memory
	built     func(*settings) // of new settings, before anything uses them; tests keep virtual time from the network by it

	events *events.Hub
}

// New opens the journal. A journal that can't be read is no reason not to start:
// it is set aside, and the remediator is frozen and says why (SAFETY.md I19).
func New(o Options) (*Remediator, error) {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.JournalLock == 0 {
		o.JournalLock = time.Second
	}
	r := &Remediator{
		logger: o.Logger, started: time.Now(), failpoint: o.Failpoint, ledger: newLedger(), coordinator: o.Coordinator, audit: o.Audit,
		hint: make(chan struct{}, 1), apply: make(chan struct{}, 1),
		said: map[string]string{}, episodes: map[string]string{}, readOnly: map[string]string{}, heard: map[edge.Member]time.Time{},
		base: o.Base, aims: map[string]map[edge.Member]bool{}, hands: map[edge.Member]hand{}, foreign: map[edge.Member]foreign{}, novel: map[novelty]time.Time{}, glances: map[string]*glance{}, keepers: map[string]*keeper{}, begun: make(chan struct{}), flows: map[string]*flow{},
	}
	r.drills = drilling{judging: map[string]bool{}, due: r.started}
	if r.coordinator == nil {
		r.coordinator = coordinate.Local{}
	}
	if err := r.openJournal(o); err != nil {
		return nil, err
	}
	r.events = events.New(r.heardOf(), listened{engine{r}})
	set, err := r.build(o)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.set = set
	r.metrics = newMetrics(o.Registerer, r)
	r.metrics.expect(set.cfg)
	return r, nil
}

func (r *Remediator) openJournal(o Options) error {
	if o.Config == nil {
		r.broken = errors.New("the configuration has no section remediation")
		return nil
	}
	countSetAside(o.Registerer, o.Config.Journal)
	_, missing := os.Stat(o.Config.Journal)
	isNew := errors.Is(missing, os.ErrNotExist)
	j, err := r.coordinator.OpenJournal(o.Config.Journal, o.JournalLock)
	switch {
	case errors.Is(err, journal.ErrUnreadable):
		return r.setAside(o, err)
	case err != nil:
		return err
	}
	for _, p := range j.Problems() {
		level.Warn(r.logger).Log("msg", "journal is odd", "path", j.Path(), "problem", p)
	}
	r.journal, r.path = j, o.Config.Journal
	return r.found(o, isNew)
}

// Close closes the journal. Call it after Run has returned.
func (r *Remediator) Close() error {
	r.events.Close()
	if r.journal == nil {
		return nil
	}
	return r.journal.Close()
}

// Apply replaces the settings while Run goes on. The journal stays where it is.
func (r *Remediator) Apply(o Options) error {
	set, err := r.build(o)
	if err != nil {
		return err
	}
	promoted, err := r.mayBecome(o)
	if err != nil {
		return err
	}
	if len(promoted) > 0 { // not under the lock: the journal may take its time to answer
		if err := r.journal.AppendUnfenced(promoted...); err != nil {
			level.Error(r.logger).Log("msg", "not recorded", "event", "mode", "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.EvidenceHash != r.set.evidence {
		r.ledger.changed(time.Now())
	}
	r.set = set
	r.metrics.expect(set.cfg)
	poke(r.apply)
	return nil
}

// mayBecome says why settings can't be replaced while running, and what is to be
// recorded when they are.
func (r *Remediator) mayBecome(o Options) (promoted []journal.Entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.journal != nil && o.Config != nil && o.Config.Journal != r.path {
		return nil, fmt.Errorf("remediation.journal: %s is in use: restart to move the journal", r.journal.Path())
	}
	if r.set.cfg != nil && o.Config != nil && !r.set.cfg.Coordinator.Same(&o.Config.Coordinator) {
		return nil, errors.New("remediation.coordinator: isn't changed while running: restart for that")
	}
	if r.audit != nil && r.set.cfg != nil && o.Config != nil && !reflect.DeepEqual(r.set.cfg.Audit, o.Config.Audit) {
		return nil, errors.New("remediation.audit: isn't changed while running: restart for that")
	}
	if (r.set.cfg == nil) != (o.Config == nil) || r.set.cfg != nil && r.set.cfg.manual != o.Config.manual {
		return nil, errors.New("remediation: the section came or went: restart for that")
	}
	return r.promoted(r.set, o), nil
}

// promoted tells that a policy acts more freely than before, or less: what was
// tried carefully is trusted by somebody's decision. The caller holds r.mu.
func (r *Remediator) promoted(before *settings, o Options) (es []journal.Entry) {
	was, is, hash := before.cfg, o.Config, o.ConfigHash
	if r.journal == nil || was == nil || is == nil {
		return nil
	}
	var came []novelty
	for name := range o.Devices {
		if before.devices[name] == nil {
			came = append(came, novelty{member: edge.Member{Device: name}})
		}
	}
	if was.Mode != is.Mode {
		es = append(es, journal.Entry{Event: "mode", Config: hash, Detail: "the ceiling for all policies is " + is.Mode + ", it was " + was.Mode})
	}
	old := map[string]string{}
	for i := range was.Policies {
		old[was.Policies[i].key()] = was.Policies[i].Mode
	}
	for i := range is.Policies {
		p := &is.Policies[i]
		switch before := old[p.key()]; before {
		case p.Mode:
		case "":
			es = append(es, journal.Entry{Event: "mode", Policy: p.Name, Config: hash, Detail: "a new policy for " + p.key() + ", in mode " + p.Mode})
			came = append(came, novelty{policy: p.key()})
		default:
			es = append(es, journal.Entry{Event: "mode", Policy: p.Name, Config: hash, Detail: "the policy for " + p.key() + " is in mode " + p.Mode + ", it was in " + before})
		}
	}
	for _, e := range r.appeared(is, time.Now(), came...) {
		e.Config = hash
		es = append(es, e)
	}
	return es
}

// key tells policies of one name apart, by whom they select.
func (p *Policy) key() string {
	return fmt.Sprintf("%s on %s/%s/%s", p.Name, cmp.Or(p.Members.Device, ".*"), cmp.Or(p.Members.Pool, ".*"), cmp.Or(p.Members.Member, ".*"))
}

// loadAgain is how soon a journal that couldn't be read is tried again.
const loadAgain = 200 * time.Millisecond

// generation runs keepers until ctx ends or the settings are replaced.
func (r *Remediator) generation(ctx context.Context) {
	r.mu.Lock()
	cfg := r.set.cfg
	r.mu.Unlock()
	for last := ""; ; {
		err := errors.Join(r.ledger.load(r, cfg), r.rememberNovel(cfg))
		if err == nil {
			break
		}
		if said := oneLine(err); said != last {
			last = said
			level.Error(r.logger).Log("msg", "journal not read, nothing is done", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(loadAgain):
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	r.mu.Lock()
	set := r.set
	r.keepers = map[string]*keeper{}
	clear(r.aims)
	for name, d := range set.devices {
		k := newKeeper(r, set, name, d)
		r.keepers[name] = k
		running.Go(func() { k.run(ctx) })
	}
	close(r.begun)
	r.begun = make(chan struct{})
	r.mu.Unlock()
	running.Go(func() { r.follow(ctx) })
	running.Go(func() { r.announce(ctx, set) })
	running.Go(func() { r.prune(ctx, time.Duration(set.cfg.JournalRetention)) })
	poll := time.NewTicker(time.Duration(set.cfg.Poll))
	defer poll.Stop()
	for {
		r.trust(set.cfg, time.Now())
		r.readClaims(ctx, set)
		select {
		case <-ctx.Done():
			return
		case <-r.apply:
			return
		case <-r.hint:
		case <-poll.C:
		}
	}
}

// prune drops old entries, once a day.
func (r *Remediator) prune(ctx context.Context, retention time.Duration) {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	for {
		err := errors.Join(r.journal.Prune(time.Now().Add(-retention)), r.journal.DropHints(time.Now().Add(-24*time.Hour)), r.dropWindows())
		if err != nil {
			level.Error(r.logger).Log("msg", "journal not pruned", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-daily.C:
		}
	}
}

// Handler answers /webhook and /api/v1/.
func (r *Remediator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhook", webhook.Handler(webhook.Options{Sink: r, Wants: r.wants, Observe: r.metrics.webhook}))
	mux.Handle("/api/v1/events", r.events)
	mux.Handle("/api/v1/", control.Handler(control.Options{Journal: r.Records(), Engine: engine{r}, Drills: drillAPI{r}}))
	return mux
}

// noJournal answers for a journal that can't be used.
type noJournal struct{ why error }

func (n noJournal) Freeze() (*journal.Freeze, error)               { return nil, n.why }
func (n noJournal) Thaw(string) error                              { return n.why }
func (n noJournal) Barriers() (journal.Barriers, error)            { return journal.Barriers{}, n.why }
func (n noJournal) SetFreeze(journal.Freeze) error                 { return n.why }
func (n noJournal) ThawScope(edge.Pool, string) error              { return n.why }
func (n noJournal) Holds() ([]journal.Hold, error)                 { return nil, n.why }
func (n noJournal) Entries(journal.Query) ([]journal.Entry, error) { return nil, n.why }

// Wake makes the engine look again soon.
func (r *Remediator) Wake() { poke(r.hint) }

// Release asks for one hold to be given back by a person's word. It is durable
// when it returns; the device's keeper does it.
func (r *Remediator) Release(_ context.Context, m edge.Member, actor, reason string) error {
	if r.journal == nil {
		return r.broken
	}
	for range 5 { // the keeper may write the same hold in between
		h, err := r.journal.Hold(m)
		if err != nil {
			return err
		}
		h.ReleaseBy, h.ReleaseAt, h.Note = actor, time.Now(), reason
		err = r.journal.Order(&h, journal.Entry{Event: eventReleaseAsked, Actor: actor, Detail: reason})
		if errors.Is(err, journal.ErrConflict) {
			continue
		}
		if err == nil {
			r.ledger.effect(m.In(), effective) // somebody has looked at the pool
			r.Wake()
		}
		return err
	}
	return fmt.Errorf("release %s: %w", m, journal.ErrConflict)
}

// flowOf returns what is known of a device's traffic. The caller of newKeeper may
// hold r.mu, so it isn't asked for here: names of devices are few, and stay.
func (r *Remediator) flowOf(device string) *flow {
	r.flowing.Lock()
	defer r.flowing.Unlock()
	if r.flows[device] == nil {
		r.flows[device] = new(flow)
	}
	return r.flows[device]
}

// noteReadOnly keeps, and tells when it changes, why a device can't be written.
func (r *Remediator) noteReadOnly(device, why string) {
	r.mu.Lock()
	was := r.readOnly[device]
	r.readOnly[device] = why
	r.mu.Unlock()
	switch {
	case why != "" && why != was:
		level.Warn(r.logger).Log("msg", "can't act on this device", "device", device, "reason", why)
	case why == "" && was != "":
		level.Info(r.logger).Log("msg", "can act on this device again", "device", device)
	}
}

// A Status is the remediator at a glance, for its page.
type Status struct {
	Mode       string // the ceiling; empty without a section remediation
	Frozen     string // why; empty when it isn't
	FrozenFor  time.Duration
	Brake      string // why nothing new is started; empty when no brake is on
	Standby    string // who writes instead of this replica; empty when it does
	Holds      []journal.Hold
	Candidates []journal.Hold // claimed, judged, and not taken out
	Claims     int
	Sources    []claims.Source
}

// Status says how things stand now.
func (r *Remediator) Status() Status {
	r.mu.Lock()
	st := Status{Claims: len(r.view.Claims), Sources: r.view.Sources}
	if r.set.cfg != nil {
		st.Mode = r.set.cfg.Mode
	}
	r.mu.Unlock()
	st.Frozen, st.Brake, st.Standby = r.frozen(), r.ledger.braking(), r.standing().Standby
	if r.journal == nil {
		st.FrozenFor = time.Since(r.started)
		return st
	}
	if f, err := r.journal.Freeze(); err == nil && f != nil {
		st.FrozenFor = time.Since(f.At)
	}
	if hs, err := r.journal.Holds(); err == nil {
		st.Holds = hs
	}
	if cs, err := r.journal.Candidates(); err == nil {
		st.Candidates = cs
	}
	return st
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
