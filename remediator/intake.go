package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

func (r *Remediator) wants(labels map[string]string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set.mapping.Wants(labels)
}

// Hint makes a webhook's message durable and wakes the engine. It is a hint:
// what is done about it rests on claims that are read. See [webhook.Sink].
func (r *Remediator) Hint(_ context.Context, m webhook.Message) error {
	if r.journal == nil {
		return r.broken
	}
	now := time.Now()
	err := r.journal.SaveHints(claims.Hints(m, now))
	if errors.Is(err, journal.ErrFull) { // what is no claim any more makes room for what is
		if err = r.journal.DropHints(now.Add(-r.hintTTL())); err == nil {
			err = r.journal.SaveHints(claims.Hints(m, now))
		}
	}
	if err != nil {
		r.metrics.journalFailed(err)
		return err
	}
	r.passes("hint.saved")
	for _, a := range m.Alerts {
		switch {
		case a.Result == webhook.Invalid && r.standing().Standby == "":
			r.refuse("webhook", nil, "", guard.Refusal{Guard: "inventory", Reason: "invalid_alert", Detail: a.Problem}, nil)
		case a.Result == webhook.Wanted && a.Firing && a.Labels[edge.LabelRemediation] == claims.Watchdog:
			r.mu.Lock()
			r.watchdog = now
			r.mu.Unlock()
		}
	}
	r.drillsIn(m, now)
	if !slices.ContainsFunc(m.Alerts, func(a webhook.Alert) bool { return a.Result != webhook.Drill }) && len(m.Alerts) > 0 {
		return nil // a drill asks nobody to look
	}
	r.Wake()
	return nil
}

// hintTTL is how long a hint can be a claim.
func (r *Remediator) hintTTL() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(time.Duration(r.set.cfg.ClaimTTL), claims.DefaultTTL)
}

// readClaims reads all claims, refuses those that can't be anybody's, and wakes
// the keepers.
func (r *Remediator) readClaims(ctx context.Context, set *settings) {
	v := set.reader.Read(ctx)
	if ctx.Err() != nil {
		return
	}
	r.passes("claims.read")
	r.sift(&v, true) // first of all: from here on every claim asks for something
	r.lateDrills()
	for _, b := range v.Blind {
		level.Debug(r.logger).Log("msg", "claim source blind", "source", b)
	}
	seenKeys := map[string]bool{}
	for _, c := range v.Claims {
		seenKeys[c.Key] = true
	}
	r.mu.Lock()
	maps.DeleteFunc(r.episodes, func(key, _ string) bool { return !seenKeys[key] && v.AbsenceCounts() })
	r.view = v
	if v.Watchdog.After(r.watchdog) {
		r.watchdog = v.Watchdog
	}
	keepers := r.keepers
	r.mu.Unlock()
	seen := map[string]bool{}
	for _, c := range v.Claims {
		if c.PoolOnly && !set.has(c.Policy) {
			r.metrics.unselected.Inc() // the shipped rule asks for a bypass whether or not there is one
			continue
		}
		if refusal := set.unfit(c); refusal != nil {
			seen["claim:"+c.Key] = true
			r.refuse("claim:"+c.Key, nil, c.Policy, *refusal, nil)
		}
	}
	r.forget("claim:", seen)
	for _, k := range keepers {
		poke(k.wake)
	}
}

// unfitReasons are why an alert, or a claim, is nobody's: guard inventory, before
// any member is judged.
var unfitReasons = []string{"invalid_alert", "unknown_policy", "pool_claim", "missing_labels", "unknown_device", "member_claim", unknownDrill}

// unfit says why a claim can't be on any member that we know; nil when a keeper
// is to judge it. Alert text only selects among what is configured (SAFETY.md
// I21), and is quoted and cut where it is shown.
func (s *settings) unfit(c claims.Claim) *guard.Refusal {
	no := func(reason, detail string) *guard.Refusal {
		return &guard.Refusal{Guard: "inventory", Reason: reason, Detail: detail}
	}
	known, bypass, plain := false, false, false
	for i := range s.cfg.Policies {
		if p := &s.cfg.Policies[i]; p.Name == c.Policy {
			known = true
			bypass = bypass || p.bypass
			plain = plain || !p.bypass
		}
	}
	_, device := s.devices[c.Member.Device]
	switch {
	case !known:
		return no("unknown_policy", "there is no policy "+quote(c.Policy))
	case c.Address != "" && plain:
		return nil
	case c.PoolOnly && !bypass:
		return no("pool_claim", "the claim is on pool "+quote(c.Member.Pool)+" and names no member")
	case c.PoolOnly && c.Member.Device == "":
		return no("missing_labels", "want device and pool: have "+quote(c.Member.Device)+", "+quote(c.Member.Pool))
	case c.PoolOnly && device:
		return nil
	case c.PoolOnly:
		return no("unknown_device", "there is no device "+quote(c.Member.Device))
	case !plain:
		return no("member_claim", "the policy is a bypass, which is of a whole pool: leave out the label member")
	case c.Member.Device == "" || c.Member.Pool == "" || c.Member.Name == "":
		return no("missing_labels", "want device, pool and member: have "+quote(c.Member.Device)+", "+quote(c.Member.Pool)+", "+quote(c.Member.Name))
	case !device:
		return no("unknown_device", "there is no device "+quote(c.Member.Device))
	}
	return nil
}

// has says whether there is a policy of that name.
func (s *settings) has(policy string) bool {
	return slices.ContainsFunc(s.cfg.Policies, func(p Policy) bool { return p.Name == policy })
}

// quote shows text of an alert: on one line, escaped, and not much of it.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most]
	}
	return strconv.QuoteToASCII(s)
}

// A target is a member on which claims are seen, and the policy that rules it.
type target struct {
	member edge.Member
	policy *Policy
	mark   string // of a switch, what it is to get
	mode   string // the most careful of the policies concerned; known when it was judged
	claims []claims.Claim
}

// step is what the claims ask for.
func (t *target) step() guard.Step {
	if t.policy == nil {
		return guard.Step{Member: t.member, To: edge.Drain}
	}
	return guard.Step{Member: t.member, To: t.policy.to, Mark: t.mark, Bypass: t.policy.bypass}
}

// targets finds the members of one device that claims are on. A claim that no
// policy selects is counted; it is no refusal.
func (r *Remediator) targets(set *settings, cs []claims.Claim, snap edge.Snapshot) map[edge.Member]*target {
	out := map[edge.Member]*target{}
	for _, c := range cs {
		found, err := set.targets(c, snap)
		if errors.Is(err, errNotSelected) {
			r.metrics.unselected.Inc()
		}
		for _, t := range found {
			if one := out[t.member]; one != nil {
				one.claims = append(one.claims, c)
				continue
			}
			out[t.member] = t
		}
	}
	return out
}

// targets of one claim on one device. errNotSelected says that a policy of that
// name is there and selects some of them not.
func (s *settings) targets(c claims.Claim, snap edge.Snapshot) (out []*target, err error) {
	if c.PoolOnly {
		return s.bypassTargets(c)
	}
	for _, m := range members(c, snap) {
		p, wrong := s.rule(c.Policy, m)
		switch {
		case errors.Is(wrong, errNotSelected), wrong == nil && p.bypass:
			err = errNotSelected
		default:
			out = append(out, &target{member: m, policy: p, claims: []claims.Claim{c}})
		}
	}
	return out, err
}

// members of a device that a claim selects: by name, or all that have an address.
func members(c claims.Claim, snap edge.Snapshot) (out []edge.Member) {
	if c.Address == "" {
		return []edge.Member{c.Member}
	}
	want := func(part, have string) bool { return part == "" || part == have }
	for m, st := range snap.States {
		if sameAddress(st.Address, c.Address) && want(c.Member.Device, m.Device) && want(c.Member.Pool, m.Pool) && want(c.Member.Name, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// sameAddress compares host:port by what it means: devices and rules spell IPv6
// addresses and names in more than one way.
func sameAddress(a, b string) bool {
	if strings.EqualFold(a, b) { // case doesn't count in names (RFC 4343)
		return true
	}
	x, err := netip.ParseAddrPort(a)
	y, err2 := netip.ParseAddrPort(b)
	return err == nil && err2 == nil && x.Port() == y.Port() && x.Addr().Unmap() == y.Addr().Unmap()
}

// on returns the claims that one device's keeper judges.
func (r *Remediator) on(set *settings, device string) (out []claims.Claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.view.Claims {
		if set.unfit(c) == nil && (c.Address != "" || c.Member.Device == device) {
			out = append(out, c)
		}
	}
	return out
}

// refuse counts a refusal, and records it when it is another than the last one
// on the same subject (SAFETY.md I23).
func (r *Remediator) refuse(subject string, m *edge.Member, policy string, why guard.Refusal, d *guard.Decision) {
	r.metrics.refusals.WithLabelValues(why.Guard, why.Reason).Inc()
	if !r.news(subject, why.Guard+"/"+why.Reason+"/"+policy) {
		return
	}
	e := journal.Entry{Event: "refusal", Member: m, Policy: policy, Result: "refused", Guard: why.Guard, Reason: why.Reason, Detail: why.Detail}
	if d != nil {
		e.Admin, e.Decision = d.Step.To.String(), marshal(d)
	}
	r.record(e)
	logger := level.Warn(r.logger)
	if m != nil {
		logger = log.With(logger, "member", *m)
	}
	logger.Log("msg", "step refused", "policy", policy, "guard", why.Guard, "reason", why.Reason, "detail", why.Detail)
}

// news says whether what is said of a subject is not what was said last.
func (r *Remediator) news(subject, what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[subject] == what {
		return false
	}
	r.said[subject] = what
	return true
}

// forget drops what was said of subjects with a prefix that aren't seen any more.
func (r *Remediator) forget(prefix string, seen map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.said {
		if len(s) >= len(prefix) && s[:len(prefix)] == prefix && !seen[s] {
			delete(r.said, s)
		}
	}
}

// record appends an entry that belongs to no change of a hold. A journal that
// can't be written stops every step by itself, as each needs an entry.
func (r *Remediator) record(e journal.Entry) {
	r.mu.Lock()
	e.Config = r.set.hash
	r.mu.Unlock()
	if err := r.journal.Append(e); err != nil {
		r.metrics.journalFailed(err)
		level.Error(r.logger).Log("msg", "not recorded", "event", e.Event, "err", err)
	}
}

// marshal makes JSON of our own types, which always can be.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(strconv.Quote(err.Error()))
	}
	return b
}

// maxRow bounds what is kept of a device's own words, in bytes.
const maxRow = 4 << 10

// row is the member as the device itself wrote it.
func row(w guard.World, m edge.Member) string {
	if w.Snapshot.Row == nil {
		return ""
	}
	text := strings.ToValidUTF8(w.Snapshot.Row(m), "?")
	return text[:min(len(text), maxRow)]
}

// record is what the guards were told of a step, for the journal.
func record(w guard.World, m edge.Member) json.RawMessage { return marshal(w.Around(m)) }
