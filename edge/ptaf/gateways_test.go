package ptaf

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

func TestWhichNodeIsWrittenTo(t *testing.T) {
	const (
		first  = `{"id":"g1","name":"waf1","active":true,"eth":[{"ip":"192.0.2.10"}]}`
		second = `{"id":"g2","name":"waf2","active":false,"address":"WAF2.example.com"}`
	)
	node1, node2 := &node{host: "192.0.2.10"}, &node{host: "waf2.example.com"}
	named1, named2 := &node{host: "198.51.100.1", gateway: "waf1"}, &node{host: "198.51.100.2", gateway: "g2"}
	both := `{"items":[` + first + `,` + second + `]}`
	for _, c := range []struct {
		name   string
		nodes  []*node
		words  []string // empty: /gateways wasn't there
		active string
		to     int
		why    string
	}{
		{"one alone, not told", []*node{node1}, []string{""}, "unknown", 0, ""},
		{"one alone, not found", []*node{{host: "192.0.2.99"}}, []string{both}, "unknown", 0, ""},
		{"one alone, active", []*node{node1}, []string{both}, "yes", 0, ""},
		{"one alone, not active", []*node{node2}, []string{both}, "no", -1, "this node is not active"},
		{"found by address", []*node{node1, node2}, []string{both, both}, "yes no", 0, ""},
		{"in any order", []*node{node2, node1}, []string{both, both}, "no yes", 1, ""},
		{"found by name and by id", []*node{named1, named2}, []string{both, both}, "yes no", 0, ""},
		{"one of them tells of both", []*node{node1, node2}, []string{both, ""}, "yes no", 0, ""},
		{"the other one tells of both", []*node{node1, node2}, []string{"", both}, "yes no", 0, ""},
		{"none tells", []*node{node1, node2}, []string{"", ""}, "unknown unknown", -1, "no node tells"},
		{"nobody is found", []*node{{host: "a"}, {host: "b"}}, []string{both, both}, "unknown unknown", -1, "not known"},
		{"one is found, the active one", []*node{{host: "a"}, node1}, []string{both, both}, "unknown yes", 1, ""},
		{"one is found, the other one", []*node{{host: "a"}, node2}, []string{both, both}, "unknown no", -1, "no node is active"},
		{"each says that it is active itself", []*node{node1, node2}, []string{both, flipped(both)}, "unknown unknown", -1, "disagree"},
		{"both are active", []*node{node1, node2}, []string{strings.ReplaceAll(both, "false", "true"), ""}, "yes yes", -1, "2 nodes are active"},
		{"active isn't told", []*node{node1, node2}, []string{strings.ReplaceAll(both, `"active":true,`, ""), ""}, "unknown no", -1, "no node is active"},
		{"active is a string", []*node{node1, node2}, []string{strings.ReplaceAll(both, "true", `"True"`), ""}, "yes no", 0, ""},
		{"two entries of one address, one of which tells nothing", []*node{node1, node2}, []string{`[{"id":"g3","x":"192.0.2.10"},` + first + `,` + second + `]`, ""}, "unknown no", -1, "no node is active"},
		{"two entries of one address, not of one mind", []*node{node1, node2}, []string{`[` + first + `,{"id":"g3","active":false,"x":"192.0.2.10"}]`, ""}, "unknown unknown", -1, "no node is active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var words []word
			for _, w := range c.words {
				if w == "" {
					words = append(words, word{})
					continue
				}
				all, err := parseGateways([]byte(w))
				wantErr(t, err, nil)
				words = append(words, word{all, true})
			}
			active, to, why := judge(c.nodes, words)
			var got []string
			for _, a := range active {
				got = append(got, a.String())
			}
			wantEqual(t, strings.Join(got, " "), c.active)
			if to != c.to || !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
				t.Errorf("node %d, %q; want %d, %q", to, why, c.to, c.why)
			}
		})
	}
}

func flipped(s string) string {
	return strings.NewReplacer("true", "false", "false", "true").Replace(s)
}

func TestListsComeInTwoShapes(t *testing.T) {
	for _, raw := range []string{`{"items":[{"id":"1","name":"a"},{"id":"2"}],"total":2}`, ` [{"name":"a","id":"1"} , {"id":"2","name":null}]`} {
		got, err := parseUpstreams([]byte(raw))
		wantErr(t, err, nil)
		wantEqual(t, got, []listed{{"1", "a"}, {"2", ""}})
	}
	for _, raw := range []string{``, `null`, `{}`, `{"items":null}`, `{"items":{}}`, `{"items":[1]}`, `{"message":"session expired"}`, `7`, `<html>`} {
		_, err := parseUpstreams([]byte(raw))
		wantErr(t, err, ErrAnswer)
		_, err = parseGateways([]byte(raw))
		wantErr(t, err, ErrAnswer)
	}
}

func TestUpstreamsAreChosenByNameOrID(t *testing.T) {
	list := []listed{{"1", "shop"}, {"2", "pay"}, {"3", "twice"}, {"4", "twice"}, {"5", ""}, {"", ""}, {"a/b", "odd"}}
	odd := map[string]string{
		"twice":   "several upstreams have this name: rename all but one",
		"5":       "not what the API answers: it has no name",
		"entry 6": "not what the API answers: it has no name",
		"odd":     `not what the API answers: its id is "a/b"`,
	}
	for _, c := range []struct {
		name    string
		wanted  []string
		want    []listed
		refused map[string]string
	}{
		{"all", nil, []listed{{"1", "shop"}, {"2", "pay"}}, odd},
		{"by name", []string{"pay"}, []listed{{"2", "pay"}}, map[string]string{}},
		{"by id", []string{"2"}, []listed{{"2", "pay"}}, map[string]string{}},
		{"by both, once", []string{"2", "pay"}, []listed{{"2", "pay"}}, map[string]string{}},
		{"one that isn't there", []string{"shop", "gone"}, []listed{{"1", "shop"}}, map[string]string{"gone": missing}},
		{"names have their case", []string{"Shop"}, nil, map[string]string{"Shop": missing}},
		{"one of two with a name, by its id", []string{"4"}, nil, map[string]string{"twice": odd["twice"]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused := map[string]string{}
			wantEqual(t, choose(list, c.wanted, refused), c.want)
			wantEqual(t, refused, c.refused)
		})
	}
}

func TestOneIsPickedByNameOrID(t *testing.T) {
	list := []listed{{"1", "shop"}, {"2", "twice"}, {"3", "twice"}, {"4", "1"}, {"a/b", "odd"}, {"5", ""}}
	for _, c := range []struct {
		upstream, id string
		want         error
	}{
		{"shop", "1", nil},
		{"1", "1", nil}, // an id comes before a name
		{"3", "3", nil},
		{"twice", "", ErrAmbiguous},
		{"gone", "", ErrNoUpstream},
		{"", "", ErrNoUpstream},
		{"odd", "", ErrAnswer},
	} {
		id, err := pick(list, c.upstream)
		wantErr(t, err, c.want)
		wantEqual(t, id, c.id)
	}
	for _, c := range []struct {
		list []listed
		want string
	}{
		{list[:3], "no such upstream: there are shop, twice, twice"},
		{nil, "no such upstream: there are none"},
		{[]listed{{"1", "a\nb"}}, "no such upstream: there are a b"},
	} {
		if _, err := pick(c.list, "gone"); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestDivergingUpstreamsAreNamed(t *testing.T) {
	of := func(name, list string) Upstream {
		return parse(t, []byte(`{"id":"1","name":"`+name+`","backends":`+list+`}`))
	}
	same, out, in := of("same", `[{"address":"a"}]`), of("edited", `[{"address":"a","down":true}]`), of("edited", `[{"address":"a"}]`)
	got := diverging([]look{
		{upstreams: []Upstream{same, out, of("new", `[]`), of("unread", `[]`), of("configured", `[]`)}},
		{upstreams: []Upstream{of("same", `[{"address":"a","down":false}]`), in}, refused: map[string]string{"unread": "timeout", "configured": missing}},
		{err: ErrTimeout},
	})
	wantEqual(t, got, []string{"configured", "edited", "new"})
}

func TestASnapshotHasWhatAllDevicesShare(t *testing.T) {
	u := parse(t, upstreamOf(`[{"address":"192.0.2.11","port":8080,"weight":3},{"address":"192.0.2.11","port":8080,"down":true},{"address":"2001:db8::1","backup":true},{"address":"192.0.2.14","weight":0}]`, ""))
	got := Reading{Upstreams: []Upstream{u}, Refused: map[string]string{"pay": "timeout"}, ReadOnly: "why"}.Snapshot("waf1")
	m := func(name string) edge.Member { return edge.Member{Device: "waf1", Pool: "shop-front", Name: name} }
	wantEqual(t, got, edge.Snapshot{
		Device: "waf1", ReadOnly: "why", Versions: map[string]string{"shop-front": u.Version()},
		States: map[edge.Member]edge.State{
			m("192.0.2.11:8080"):   {Member: m("192.0.2.11:8080"), Address: "192.0.2.11:8080", OnOff: true, Serving: true, Weight: 3, Share: 3},
			m("192.0.2.11:8080#2"): {Member: m("192.0.2.11:8080#2"), Address: "192.0.2.11:8080", Admin: edge.Maint, Marks: "DOWN", OnOff: true, Weight: 1, Share: 1},
			m("192.0.2.14:80"):     {Member: m("192.0.2.14:80"), Address: "192.0.2.14:80", OnOff: true},
			m("[2001:db8::1]:80"):  {Member: m("[2001:db8::1]:80"), Address: "[2001:db8::1]:80", OnOff: true, Backup: true, Weight: 1, Share: 1},
		},
	})
}
