package ptaf_test

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
)

// A cluster is two simulators that know of each other.
type cluster struct {
	sims [2]*ptaftest.Sim
	urls []string
}

func newCluster(t *testing.T, active ...bool) (*cluster, ptaf.Options) {
	c := &cluster{}
	for i := range c.sims {
		c.sims[i] = newSim()
		c.urls = append(c.urls, c.sims[i].Start(t))
	}
	c.activate(active...)
	o, _ := options(t, c.urls...)
	o.Gateways = []string{"waf1", "waf2"}
	return c, o
}

func (c *cluster) activate(active ...bool) {
	for _, s := range c.sims {
		if len(active) == 0 {
			s.SetGateways(nil)
			continue
		}
		s.SetGateways([]ptaftest.Gateway{{ID: "g1", Name: "waf1", Active: active[0]}, {ID: "g2", Name: "waf2", Active: active[1]}})
	}
}

func TestAClusterIsReadFromItsActiveNode(t *testing.T) {
	c, o := newCluster(t, false, true)
	c.sims[1].Edit("shop-front", "192.0.2.11:8080", true)
	r := read(t, newClient(t, o))
	wantEqual(t, r.Node, c.urls[1])
	wantEqual(t, downs(r, "shop-front"), "++-")
	wantEqual(t, r.Diverging, []string{"shop-front"})
	wantEqual(t, []edge.Answer{r.Nodes[0].Active, r.Nodes[1].Active}, []edge.Answer{edge.No, edge.Yes})
	wantEqual(t, r.ReadOnly, "")
	wantEqual(t, r.Gateways, []ptaf.Gateway{{ID: "g1", Name: "waf1", Active: edge.No}, {ID: "g2", Name: "waf2", Active: edge.Yes}})
}

func TestAClusterIsWrittenToAtItsActiveNode(t *testing.T) {
	c, o := newCluster(t, false, true)
	client := newClient(t, o)
	_, err := client.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": true}, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, []int{len(c.sims[0].Writes()), len(c.sims[1].Writes())}, []int{0, 1})
	c.activate(true, false) // failed over
	_, err = client.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": true}, ptaf.Write{})
	wantErr(t, err, nil)
	wantEqual(t, []int{len(c.sims[0].Writes()), len(c.sims[1].Writes())}, []int{1, 1})
}

func TestAClusterWithoutOneActiveNodeIsReadOnly(t *testing.T) {
	for _, c := range []struct {
		name   string
		active []bool
		says   string
	}{
		{"not told", nil, "no node tells"},
		{"none", []bool{false, false}, "no node is active"},
		{"two", []bool{true, true}, "2 nodes are active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes, o := newCluster(t, c.active...)
			client := newClient(t, o)
			r := read(t, client)
			if !strings.Contains(r.ReadOnly, c.says) || r.Node != nodes.urls[0] || r.Snapshot("waf1").ReadOnly != r.ReadOnly {
				t.Errorf("%+v", r)
			}
			wantEqual(t, downs(r, "shop-front"), "-+-")
			got, err := client.Get(t.Context(), "shop-front")
			wantErr(t, err, nil)
			wantEqual(t, got.ID, shopID)
			before := nodes.sims[0].Object("shop-front")
			_, err = client.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": true}, ptaf.Write{})
			wantErr(t, err, ptaf.ErrReadOnly)
			wantText(t, err, c.says)
			wantEqual(t, string(nodes.sims[0].Object("shop-front")), string(before))
		})
	}
}

func TestAClusterWithANodeDown(t *testing.T) {
	for _, c := range []struct {
		name     string
		down     int
		readOnly string
	}{
		{"the other one: nothing is lost", 0, ""},
		{"the active one: it can be looked at", 1, "the active node could not be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes, o := newCluster(t, false, true)
			nodes.sims[c.down].Misbehave(ptaftest.Unauthorized, -1)
			client := newClient(t, o)
			r := read(t, client)
			wantEqual(t, r.Node, nodes.urls[1-c.down])
			wantEqual(t, r.Nodes[c.down].Up, false)
			if !strings.Contains(r.Nodes[c.down].Err, "status 401") || !strings.HasPrefix(r.ReadOnly, c.readOnly) || (r.ReadOnly == "") != (c.readOnly == "") {
				t.Errorf("%+v", r)
			}
			wantEqual(t, len(r.Diverging), 0)
			_, err := client.Change(t.Context(), "shop-front", map[string]bool{"192.0.2.11:8080": true}, ptaf.Write{})
			if c.readOnly == "" {
				wantErr(t, err, nil)
			} else {
				wantErr(t, err, ptaf.ErrCredentials)
			}
			wantEqual(t, len(nodes.sims[0].Writes()), 0)
		})
	}
}

func TestAClusterThatIsDownIsOneError(t *testing.T) {
	nodes, o := newCluster(t, true, false)
	nodes.sims[0].Misbehave(ptaftest.Unauthorized, -1)
	nodes.sims[1].Misbehave(ptaftest.HTMLPage, -1)
	client := newClient(t, o)
	r, err := client.Read(t.Context())
	wantErr(t, err, ptaf.ErrCredentials)
	wantErr(t, err, ptaf.ErrAnswer)
	for _, url := range nodes.urls {
		wantText(t, err, "node "+url+": GET /upstreams: ")
	}
	wantEqual(t, len(r.Nodes), 2)
	_, err = client.Get(t.Context(), "shop-front")
	wantErr(t, err, ptaf.ErrCredentials)
	wantErr(t, err, ptaf.ErrAnswer)
}

func TestASingleNodeThatIsNotActiveIsReadOnly(t *testing.T) {
	s := newSim()
	s.SetGateways([]ptaftest.Gateway{{ID: "g1", Name: "waf1", Address: "192.0.2.1"}, {ID: "g2", Name: "waf2", Active: true, Address: "127.0.0.1"}})
	url := s.Start(t)
	for name, want := range map[string]string{"waf1": "by /gateways this node is not active", "waf2": "", "waf3": "", "": ""} {
		o, _ := options(t, url)
		if name != "" {
			o.Gateways = []string{name}
		}
		r := read(t, newClient(t, o))
		wantEqual(t, r.ReadOnly, want)
		wantEqual(t, downs(r, "shop-front"), "-+-")
	}
}
