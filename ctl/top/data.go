package top

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Data are what one look brought. A list that could not be had is nil, and named
// in Without.
type Data struct {
	At       time.Time
	Members  []ctl.Member
	Devices  []ctl.Device
	Pools    []control.Pool
	Holds    []journal.Hold
	Freezes  []journal.Freeze
	Claimed  []journal.Claimed
	Refusals []journal.Entry // newest first
	Waiting  int             // steps that wait for a person's word
	Without  []string        // what could not be had, and why
}

// A Source is the remediator, as the screen needs it.
type Source interface {
	// Look asks for everything that is shown.
	Look(ctx context.Context) (Data, error)
	// History are the newest entries about a member, newest first.
	History(ctx context.Context, m edge.Member) ([]journal.Entry, error)
	// Order carries out a person's step, and says in one line what came of it.
	Order(ctx context.Context, m edge.Member, to edge.Admin, reason string) (string, error)
}

// remote is the remediator that runs.
type remote struct{ client *ctl.Client }

// mostEntries is how many refusals, and entries of one member, are asked for.
const mostEntries = 100

// Look is [Source]'s. Without the members there is nothing to show; of the rest it
// shows what the remediator has, and what the caller may see.
func (r remote) Look(ctx context.Context) (d Data, err error) {
	all, err := r.client.Members(ctx, "", "")
	if err != nil {
		return d, err
	}
	d.At, d.Members, d.Devices = time.Now(), all.Members, all.Devices
	newest := url.Values{"order": {"newest"}, "limit": {strconv.Itoa(mostEntries)}}
	var in struct {
		Pools     []control.Pool
		Freezes   []journal.Freeze
		Claimed   []journal.Claimed
		Holds     []journal.Hold
		Refusals  []journal.Entry
		Approvals []struct {
			Answer *struct{} `json:"answer"`
		}
	}
	for _, one := range []struct {
		name  string
		query url.Values
	}{{"pools", nil}, {"freeze", nil}, {"claimed", nil}, {"holds", nil}, {"refusals", newest}, {"approvals", nil}} {
		if err := r.client.Get(ctx, ctl.Path(one.name), one.query, &in); err != nil {
			answer := (*ctl.Error)(nil)
			if !errors.As(err, &answer) || answer.Code == http.StatusUnauthorized {
				return d, err
			}
			d.Without = append(d.Without, one.name+": "+answer.Text)
		}
	}
	d.Pools, d.Freezes, d.Claimed, d.Holds, d.Refusals = in.Pools, in.Freezes, in.Claimed, in.Holds, in.Refusals
	for _, a := range in.Approvals {
		if a.Answer == nil {
			d.Waiting++
		}
	}
	return d, nil
}

// History is [Source]'s.
func (r remote) History(ctx context.Context, m edge.Member) ([]journal.Entry, error) {
	es, err := r.client.Steps(ctx, url.Values{
		"device": {m.Device}, "pool": {m.Pool}, "member": {m.Name}, "order": {"newest"}, "limit": {strconv.Itoa(mostEntries)},
	})
	slices.SortStableFunc(es, func(a, b journal.Entry) int { return int(b.Seq) - int(a.Seq) }) //nolint:gosec // numbers of entries
	return es, err
}

// Order is [Source]'s.
func (r remote) Order(ctx context.Context, m edge.Member, to edge.Admin, reason string) (string, error) {
	out, err := r.client.Order(ctx, m, ctl.Ask{To: to, Reason: reason})
	if answer := (*ctl.Error)(nil); errors.As(err, &answer) {
		if no := answer.Refusal(); no != nil {
			return "", fmt.Errorf("refused by guard %s (%s): %s; sluice ctl %s %s --override %s --reason WHY, if it can be overridden",
				no.Guard, no.Reason, ctl.Line(no.Detail), to, ctl.Name(m), no.Guard)
		}
		return "", errors.New(answer.Text)
	}
	return strings.TrimSpace(out.Result + " " + out.Detail), err
}

// rates are what moved between two looks, per second; a counter that fell, because
// the device began anew, gives none.
func rates(was, is Data) map[edge.Member]float64 {
	took := is.At.Sub(was.At).Seconds()
	out := map[edge.Member]float64{}
	if took <= 0 {
		return out
	}
	before := map[edge.Member]uint64{}
	for _, m := range was.Members {
		before[m.Member] = m.Chosen
	}
	for _, m := range is.Members {
		if b, ok := before[m.Member]; ok && m.Chosen >= b && !m.OnOff {
			out[m.Member] = float64(m.Chosen-b) / took
		}
	}
	return out
}
