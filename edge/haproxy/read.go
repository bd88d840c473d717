package haproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Reading is one look at everything, over one connection, so that its parts
// are of the same process and of the same instant.
type Reading struct {
	Info    Info
	Stats   Stats
	Servers []Server
	At      time.Time // when the answer was complete
	Web     bool      // read over HTTP: Info is empty, and Servers are what Stats tells of them
}

// Info asks "show info".
func (c *Client) Info(ctx context.Context) (Info, error) {
	parts, err := c.batch(ctx, "show info", "show info")
	if err != nil {
		return Info{}, fmt.Errorf("show info: %w", err)
	}
	return ParseInfo(parts[0], time.Now())
}

// Stats asks "show stat".
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	if c.web != nil {
		r, err := c.readWeb(ctx, "show stat")
		return r.Stats, err
	}
	parts, err := c.batch(ctx, "show stat", "show stat")
	if err != nil {
		return Stats{}, fmt.Errorf("show stat: %w", err)
	}
	return ParseStats(parts[0])
}

// Servers asks "show servers state" for one backend, or for all when it is
// empty. It returns [ErrNoBackend] when HAProxy has none of that name.
func (c *Client) Servers(ctx context.Context, backend string) ([]Server, error) {
	command := "show servers state"
	if backend != "" {
		if err := checkName("backend", backend); err != nil {
			return nil, err
		}
		command += " " + backend
	}
	parts, err := c.batch(ctx, "show servers state", command)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	if err := refused(parts[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return ParseServers(parts[0])
}

// refused finds a refusal where an answer begins with "1" when all is well.
func refused(answer []byte) error {
	if s := strings.TrimSpace(string(head(answer))); strings.HasPrefix(s, "1") || s == "" {
		return nil
	}
	return refusal(answer)
}

// Read asks for the process, its statistics and its servers' states over one connection.
func (c *Client) Read(ctx context.Context) (r Reading, err error) {
	if c.web != nil {
		return c.readWeb(ctx, "read")
	}
	commands := []string{"show info", "show stat", "show servers state"}
	parts, err := c.batch(ctx, "read", commands...)
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", strings.Join(commands, ";"), err)
	}
	r.At = time.Now()
	if r.Info, err = ParseInfo(parts[0], r.At); err != nil {
		return Reading{}, err
	}
	if r.Stats, err = ParseStats(parts[1]); err != nil {
		return Reading{}, err
	}
	r.Servers, err = ParseServers(parts[2])
	return r, err
}

// Snapshot says what was read in the words that all kinds of device share.
func (r Reading) Snapshot(device string) edge.Snapshot {
	snap := edge.Snapshot{Device: device, Process: r.Info.Process(), At: r.At, States: make(map[edge.Member]edge.State, len(r.Servers))}
	if r.Web {
		snap.Process, snap.ReadOnly = "", device+readOnly
	}
	byName := make(map[[2]string]Server, len(r.Servers))
	for _, s := range r.Servers {
		byName[[2]string{s.Backend, s.Name}] = s
	}
	col := func(n string) int { return r.Stats.Column(n) }
	status, weight, backup, check := col("status"), col("weight"), col("bck"), col("check_status")
	scur, qcur, slim, lbtot, tracked := col("scur"), col("qcur"), col("slim"), col("lbtot"), col("tracked")
	e5xx, econ, eresp := col("hrsp_5xx"), col("econ"), col("eresp")
	var answers [6]int
	for i, name := range []string{"hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"} {
		answers[i] = col(name)
	}
	rows := make(map[edge.Member]Row, len(r.Servers))
	for _, row := range r.Stats.Rows {
		if row.Type != ServerRow {
			continue
		}
		srv, ok := byName[[2]string{row.Proxy, row.Service}]
		if !ok {
			continue // a server that came between the two commands: the next look has both
		}
		m := edge.Member{Device: device, Pool: row.Proxy, Name: row.Service}
		st := edge.State{
			Member: m, Address: srv.Address, Admin: srv.Admin.State(), Marks: srv.Admin.String(),
			Settled:  srv.Admin&ResolveMaint != 0 || srv.Admin&ConfigMaint != 0 && srv.Admin.Maint(),
			Backup:   row.At(backup) == "1",
			Weight:   int(number(row.At(weight))), // 0 to 256; 0 while it drains
			Share:    srv.UserWeight,              // stays while it drains
			Check:    checked(row.At(check), srv.Op),
			Agent:    srv.HasAgent(),
			Tracks:   row.At(tracked),
			Sessions: int(number(row.At(scur))), Queue: int(number(row.At(qcur))), // counts of sockets
			Limit:  int(number(row.At(slim))), // maxconn; empty without one
			Chosen: number(row.At(lbtot)),
			Errors: number(row.At(e5xx)), // empty in mode tcp
		}
		if r.Web && st.Admin != edge.Ready {
			st.Marks = row.At(status) // the bits behind it aren't told
		}
		// What got no answer at all is no better than a 5xx, and isn't among them.
		failed := number(row.At(econ)) + number(row.At(eresp))
		st.Errors += failed
		st.Answers += failed
		for _, n := range answers {
			st.Answers += number(row.At(n))
		}
		rows[m] = row
		st.Serving = Serves(srv.Op, srv.Admin, st.Weight, st.Backup, row.At(status))
		snap.States[m] = st
	}
	snap.Along = followers(snap.States)
	changed := col("lastchg")
	snap.Told = func(m edge.Member) edge.Told {
		row, ok := rows[m]
		if !ok {
			return edge.Told{}
		}
		t := edge.Told{Op: row.At(status), Checked: row.At(check), Weighted: byName[[2]string{m.Pool, m.Name}].InitialWeight}
		// Seconds since the last change from up to down or back; since the process began
		// where there was none. Source: management guide 9.1, "lastchg".
		if ago := number(row.At(changed)); row.At(changed) != "" && ago < longest {
			t.Since = r.At.Add(-time.Duration(ago) * time.Second).Truncate(time.Second)
		}
		return t
	}
	snap.Row = func(m edge.Member) string {
		row, ok := rows[m]
		if !ok {
			return ""
		}
		return r.Stats.Line(row)
	}
	return snap
}

// longest is more seconds than any process has run, and than a time could be off by.
const longest = 100 * 366 * 24 * 3600

// followers finds for each server those that track it, directly or over others:
// what is set on it is inherited by all of them. Source: facts 3.7, seen on 2.6.
func followers(states map[edge.Member]edge.State) map[edge.Member][]edge.Member {
	leads := map[edge.Member][]edge.Member{}
	for m, st := range states {
		if pool, name, ok := strings.Cut(st.Tracks, "/"); ok {
			leader := edge.Member{Device: m.Device, Pool: pool, Name: name}
			leads[leader] = append(leads[leader], m)
		}
	}
	var all map[edge.Member][]edge.Member
	for m := range leads {
		// A chain has no circle, HAProxy sees to that; a hostile answer might.
		seen := map[edge.Member]bool{m: true}
		var moved []edge.Member
		for todo := slices.Clone(leads[m]); len(todo) > 0; todo = todo[1:] {
			next := todo[0]
			if seen[next] {
				continue
			}
			seen[next] = true
			moved = append(moved, next)
			todo = append(todo, leads[next]...)
		}
		slices.SortFunc(moved, edge.Member.Compare)
		if all == nil {
			all = map[edge.Member][]edge.Member{}
		}
		all[m] = moved
	}
	return all
}

// State is the strongest restriction in force, whoever set it.
func (f Flags) State() edge.Admin {
	switch {
	case f.Maint():
		return edge.Maint
	case f.Drain():
		return edge.Drain
	}
	return edge.Ready
}

// checked reads the verdict of HAProxy's own check. A server without a check has
// an empty check_status; UNK and INI mean that none has run yet. Those that
// passed end in OK or OKC; a "* " before the word marks a check under way.
func checked(status string, op OpState) edge.Answer {
	status = strings.TrimPrefix(status, "* ")
	switch {
	case status == "", status == "UNK", status == "INI", status == "no check":
		return edge.Unknown
	case op == Stopped:
		return edge.No
	case strings.HasSuffix(status, "OK"), strings.HasSuffix(status, "OKC"):
		return edge.Yes
	}
	return edge.No
}

func number(s string) (n uint64) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n
}
