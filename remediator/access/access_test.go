package access

import (
	"context"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

func TestARoleMayWhatItSaysAndWhere(t *testing.T) {
	own := []Role{
		{Name: "shop-team", Like: Operator, Devices: []string{"edge1", "edge2.*"}, Pools: []string{"shop"}},
		{Name: "edge1-watch", Like: Viewer, Devices: []string{"edge1"}},
		{Name: "either", Like: Operator, Devices: []string{"edge1|edge2"}, Pools: []string{"(?i)shop|api"}},
	}
	shop, all, edge1 := edge.Pool{Device: "edge1", Name: "shop"}, edge.Pool{}, edge.Pool{Device: "edge1"}
	for _, c := range []struct {
		name  string
		roles []string
		verb  Verb
		on    edge.Pool
		want  bool
	}{
		{"a viewer looks at everything", []string{Viewer}, View, all, true},
		{"a viewer gives no orders", []string{Viewer}, Order, shop, false},
		{"an operator gives orders", []string{Operator}, Order, shop, true},
		{"an operator freezes all", []string{Operator}, Freeze, all, true},
		{"an operator puts nothing back", []string{Operator}, Restore, shop, false},
		{"an operator reloads nothing", []string{Operator}, Reload, all, false},
		{"an admin puts back", []string{Admin}, Restore, shop, true},
		{"an admin sends alerts", []string{Admin}, Webhook, all, true},
		{"a webhook sends alerts", []string{Hook}, Webhook, all, true},
		{"a webhook looks at nothing", []string{Hook}, View, shop, false},
		{"a limited role acts in its pool", []string{"shop-team"}, Order, shop, true},
		{"and on a device that its pattern covers", []string{"shop-team"}, Order, edge.Pool{Device: "edge22", Name: "shop"}, true},
		{"patterns are anchored", []string{"shop-team"}, Order, edge.Pool{Device: "edge1", Name: "shop-admin"}, false},
		{"on both ends", []string{"shop-team"}, Order, edge.Pool{Device: "an-edge1", Name: "shop"}, false},
		{"so are those that name two", []string{"either"}, Order, edge.Pool{Device: "edge1x", Name: "shop"}, false},
		{"in front", []string{"either"}, Order, edge.Pool{Device: "xedge2", Name: "api"}, false},
		{"over lines", []string{"either"}, Order, edge.Pool{Device: "edge1", Name: "shop\napi"}, false},
		{"and cover both", []string{"either"}, Order, edge.Pool{Device: "edge2", Name: "API"}, true},
		{"a broken byte is none of a name's", []string{"either"}, Order, edge.Pool{Device: "edge1", Name: "sho\xffp"}, false},
		{"a limited role does nothing to everything", []string{"shop-team"}, Freeze, all, false},
		{"nor to all of a device when its pools are limited", []string{"shop-team"}, Freeze, edge1, false},
		{"a role of a device looks at all of it", []string{"edge1-watch"}, View, edge1, true},
		{"limits of two roles aren't mixed", []string{"edge1-watch", "shop-team"}, Order, edge.Pool{Device: "edge1", Name: "other"}, false},
		{"nobody may nothing", nil, View, shop, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := Named("ann", ViaToken, c.roles, own...)
			if err != nil {
				t.Fatal(err)
			}
			if got := i.May(c.verb, c.on); got != c.want {
				t.Errorf("May(%s, %q) = %v, want %v", c.verb, c.on, got, c.want)
			}
			if err := i.Check(c.verb, c.on); (err == nil) != c.want {
				t.Errorf("Check says %v", err)
			}
		})
	}
}

func TestAContextWithoutAnIdentityIsOpen(t *testing.T) {
	if i := From(context.Background()); i.Via != ViaOpen || !i.May(Restore, edge.Pool{}) {
		t.Errorf("got %+v", i)
	}
	i, err := Named("ann", ViaSession, []string{Viewer})
	if err != nil {
		t.Fatal(err)
	}
	if got := From(With(t.Context(), i)); got.Name != "ann" || got.May(Order, edge.Pool{Device: "edge1", Name: "shop"}) {
		t.Errorf("got %+v", got)
	}
}

func TestARefusalNamesWhatIsMissing(t *testing.T) {
	own := Role{Name: "shop-team", Like: Operator, Pools: []string{"shop"}}
	for _, c := range []struct {
		name, role string
		verb       Verb
		on         edge.Pool
		want       string
	}{
		{"of a pool", Viewer, Order, edge.Pool{Device: "edge1", Name: "shop"}, "ann may not order on edge1/shop: the role operator is missing"},
		{"of a device", Viewer, Freeze, edge.Pool{Device: "edge1"}, "ann may not freeze on all of edge1: the role operator is missing"},
		{"of everything", Operator, Reload, edge.Pool{}, "ann may not reload: the role admin is missing"},
		{"of alerts", Operator, Webhook, edge.Pool{}, "ann may not send alerts: the role webhook is missing"},
		{
			"of a limited role", "shop-team", Order,
			edge.Pool{Device: "edge1", Name: "web"},
			"ann may not order on edge1/web: the roles that have it are limited to other devices or pools",
		},
		{
			"of a limited role, on everything", "shop-team", Freeze,
			edge.Pool{},
			"ann may not freeze on everything: the roles that have it are limited to other devices or pools",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := Named("ann", ViaToken, []string{c.role}, own)
			if err != nil {
				t.Fatal(err)
			}
			if err := i.Check(c.verb, c.on); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestWhatARoleMayOnSomethingOfADevice(t *testing.T) {
	i, err := Named("ann", ViaToken, []string{"watch"}, Role{Name: "watch", Like: Viewer, Devices: []string{"edge1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb   Verb
		device string
		want   bool
	}{{View, "edge1", true}, {View, "edge2", false}, {View, "", false}, {Order, "edge1", false}} {
		if got := i.MayOnDevice(c.verb, c.device); got != c.want {
			t.Errorf("%s on %q: %v", c.verb, c.device, got)
		}
	}
}
