package ptaf

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// shop is the sample of the facts with what an odd device might make of it.
const shop = `{
  "id": "64f0c0ffee0123456789abcd", "name": "shop-front",
  "last_modified": "2024-05-14T09:21:07Z",
  "addresses": ["192.0.2.11", "192.0.2.12", "192.0.2.13"],
  "ip_hash": false, "least_conn": true, "transparent": false,
  "keepalive": 32, "read_timeout": 60,
  "backends": [
    {"address": "192.0.2.11", "port": 8080, "weight": 1, "max_fails": null, "down": false, "backup": false},
    {"address": "192.0.2.12", "port": 8080, "weight": 2, "max_fails": 3,    "down": true,  "backup": false},
    {"address": "192.0.2.13", "port": 8080, "weight": 1, "max_fails": null, "down": false, "backup": true}
  ]
}`

// object is an upstream with these backends and other fields (", ..." or empty).
func upstreamOf(list, more string) []byte {
	return []byte(`{"id":"64f0c0ffee0123456789abcd","name":"shop-front"` + more + `,"backends":` + list + `}`)
}

func wantEqual(t *testing.T, got, want any, opts ...cmp.Option) {
	t.Helper()
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v; want %v", err, want)
	}
	if err != nil && line(err.Error()) != err.Error() && len(err.Error()) <= maxText {
		t.Errorf("%q is not one printable line", err)
	}
}

func parse(t *testing.T, raw []byte) Upstream {
	t.Helper()
	u, err := ParseUpstream(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return u
}

func TestAnUpstreamIsReadWhole(t *testing.T) {
	three := 3
	wantEqual(t, parse(t, []byte(shop)), Upstream{
		ID: "64f0c0ffee0123456789abcd", Name: "shop-front", LastModified: "2024-05-14T09:21:07Z",
		LeastConn: true, Keepalive: 32, ReadTimeout: time.Minute, Addresses: 3,
		Backends: []Backend{
			{Name: "192.0.2.11:8080", Address: "192.0.2.11", Port: 8080, Weight: 1},
			{Name: "192.0.2.12:8080", Address: "192.0.2.12", Port: 8080, Weight: 2, MaxFails: &three, Down: true},
			{Name: "192.0.2.13:8080", Address: "192.0.2.13", Port: 8080, Weight: 1, Backup: true},
		},
	}, cmpopts.IgnoreUnexported(Upstream{}))
}

func TestABackendIsReadLeniently(t *testing.T) {
	zero, three := 0, 3
	for _, c := range []struct {
		name, entry string
		want        Backend
	}{
		{"defaults stand in for what is absent", `{"address":"a"}`, Backend{"a:80", "a", 80, 1, nil, false, false}},
		{"null is absent", `{"address":"a","port":null,"weight":null,"max_fails":null,"down":null,"backup":null}`, Backend{"a:80", "a", 80, 1, nil, false, false}},
		{"numbers in any spelling", `{"address":"a","port":8.08e3,"weight":1.0e0,"max_fails":0e5}`, Backend{"a:8080", "a", 8080, 1, &zero, false, false}},
		{"numbers as strings", `{"address":"a","port":"8080","weight":"2","max_fails":"3"}`, Backend{"a:8080", "a", 8080, 2, &three, false, false}},
		{"weight 0 is a weight", `{"address":"a","weight":0}`, Backend{"a:80", "a", 80, 0, nil, false, false}},
		{"True is true", `{"address":"a","down":"True","backup":"true"}`, Backend{"a:80", "a", 80, 1, nil, true, true}},
		{"False is false", `{"address":"a","down":"False","backup":"FALSE"}`, Backend{"a:80", "a", 80, 1, nil, false, false}},
		{"1 is true", `{"address":"a","down":1,"backup":"1"}`, Backend{"a:80", "a", 80, 1, nil, true, true}},
		{"0 is false", `{"address":"a","down":0.0,"backup":"0"}`, Backend{"a:80", "a", 80, 1, nil, false, false}},
		{"an IPv6 address is put in brackets", `{"address":"2001:db8::1"}`, Backend{"[2001:db8::1]:80", "2001:db8::1", 80, 1, nil, false, false}},
		{"which it may have already", `{"address":"[2001:db8::1]"}`, Backend{"[2001:db8::1]:80", "2001:db8::1", 80, 1, nil, false, false}},
		{"a name's escapes are read", `{"\u0061ddress":"\u0061","d\u006fwn":true}`, Backend{"a:80", "a", 80, 1, nil, true, false}},
		{"names have their case", `{"address":"a","Down":true,"PORT":1}`, Backend{"a:80", "a", 80, 1, nil, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantEqual(t, parse(t, upstreamOf("["+c.entry+"]", "")).Backends, []Backend{c.want})
		})
	}
}

func TestTwinsAreNumbered(t *testing.T) {
	u := parse(t, upstreamOf(`[{"address":"a"},{"address":"b"},{"address":"a","port":80},{"address":"a","port":81},{"address":"a"}]`, ""))
	var got []string
	for _, b := range u.Backends {
		got = append(got, b.Name)
	}
	wantEqual(t, got, []string{"a:80", "b:80", "a:80#2", "a:81", "a:80#3"})
}

func TestWhatIsNoUpstreamIsAnError(t *testing.T) {
	for _, c := range []struct{ name, raw, says string }{
		{"nothing", "", "it is empty"},
		{"blanks", " \n", "it is empty"},
		{"half an object", shop[:200], "no JSON"},
		{"a page", "<html><head><title>Sign in</title>", `no JSON: "Sign in"`},
		{"a list", `[]`, "no object"},
		{"null", `null`, "no object"},
		{"an error with status 200", `{"error":"session expired"}`, "session expired"},
		{"no id", `{"name":"shop"}`, "without an id"},
		{"an id that is no part of a path", `{"id":"../users","name":"shop"}`, "without an id"},
		{"no name", `{"id":"1"}`, "it has no name"},
		{"a name of blanks", `{"id":"1","name":" "}`, "it has no name"},
		{"a line break in the name", `{"id":"1","name":"a\nb"}`, "can't be printed"},
		{"a field twice", `{"id":"1","name":"a","name":"b"}`, `field "name" twice`},
		{"backends that are no list", string(upstreamOf(`{}`, "")), "no list"},
		{"a backend that is no object", string(upstreamOf(`[1]`, "")), "backend 1: "},
		{"a backend without an address", string(upstreamOf(`[{"address":"a"},{"port":80}]`, "")), "backend 2: "},
		{"an address that is no text", string(upstreamOf(`[{"address":7}]`, "")), "address"},
		{"an address with a blank", string(upstreamOf(`[{"address":"a b"}]`, "")), "address"},
		{"an address that looks like a twin", string(upstreamOf(`[{"address":"a#2"}]`, "")), "address"},
		{"a field of a backend twice", string(upstreamOf(`[{"address":"a","down":true,"d\u006fwn":false}]`, "")), `field "down" twice`},
		{"a port beyond all", string(upstreamOf(`[{"address":"a","port":65536}]`, "")), "port"},
		{"a port of a half", string(upstreamOf(`[{"address":"a","port":80.5}]`, "")), "port"},
		{"a number that would fill the memory", string(upstreamOf(`[{"address":"a","weight":1e999999999}]`, "")), "weight"},
		{"an exponent that is no number for us", string(upstreamOf(`[{"address":"a","weight":1e99999999999}]`, "")), "weight"},
		{"a weight below zero", string(upstreamOf(`[{"address":"a","weight":-1}]`, "")), "weight"},
		{"a weight that is a word", string(upstreamOf(`[{"address":"a","weight":"much"}]`, "")), "weight"},
		{"max_fails that is a list", string(upstreamOf(`[{"address":"a","max_fails":[]}]`, "")), "max_fails"},
		{"down that is a word", string(upstreamOf(`[{"address":"a","down":"maybe"}]`, "")), "want a boolean"},
		{"down that is two", string(upstreamOf(`[{"address":"a","down":2}]`, "")), "want a boolean"},
		{"backup that is an object", string(upstreamOf(`[{"address":"a","backup":{}}]`, "")), "want a boolean"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := ParseUpstream([]byte(c.raw))
			wantErr(t, err, ErrAnswer)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v doesn't say %q", err, c.says)
			}
			wantEqual(t, u.Version(), "")
		})
	}
}

func TestWhatDoesNotBalanceMayBeAnything(t *testing.T) {
	u := parse(t, []byte(`{"id":"1","name":"a","last_modified":1715678467.5,"addresses":{},"ip_hash":"perhaps","keepalive":"much","read_timeout":1e12,"backends":null}`))
	wantEqual(t, u, Upstream{ID: "1", Name: "a", LastModified: "1715678467.5"}, cmpopts.IgnoreUnexported(Upstream{}))
}

func TestVersions(t *testing.T) {
	const a, b = `{"address":"a","port":80,"weight":1,"max_fails":null,"down":false,"backup":false}`, `{"address":"b","down":true,"x":{"p":[1,2],"q":"r"}}`
	base := parse(t, upstreamOf("["+a+","+b+"]", `,"keepalive":32,"x_site":[1,{"a":null}]`))
	for _, c := range []struct {
		name, list, more string
		same             bool
	}{
		{"as it is", "[" + a + "," + b + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, true},
		{"white space", " [\n" + a + " ,\t" + b + "\r\n]", `, "keepalive" : 32 , "x_site":[1 , {"a" : null}]`, true},
		{"other order of backends", "[" + b + "," + a + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, true},
		{"other order of fields", "[" + a + `,{"x":{"q":"r","p":[1,2]},"down":true,"address":"b"}]`, `,"x_site":[1,{"a":null}],"keepalive":32`, true},
		{"other spelling", "[" + a + `,{"address":"\u0062","down":"True","x":{"p":[1.0,20e-1],"q":"\u0072"}}]`, `,"keepalive":3.2e1,"x_site":[1.0e0,{"a":null}]`, true},
		{"defaults told", "[" + a + `,{"address":"b","port":80,"weight":1,"max_fails":null,"backup":false,"down":true,"x":{"p":[1,2],"q":"r"}}]`, `,"keepalive":32,"x_site":[1,{"a":null}]`, true},
		{"other times and addresses", "[" + a + "," + b + "]", `,"last_modified":7,"addresses":["a"],"keepalive":32,"x_site":[1,{"a":null}]`, true},
		{"other down", "[" + strings.Replace(a, "false", "true", 1) + "," + b + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"other weight", "[" + strings.Replace(a, "1", "2", 1) + "," + b + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"other max_fails", "[" + strings.Replace(a, "null", "0", 1) + "," + b + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"one more", "[" + a + "," + b + "," + a + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"one less", "[" + a + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"other unknown field of a backend", "[" + a + "," + strings.Replace(b, "2", "3", 1) + "]", `,"keepalive":32,"x_site":[1,{"a":null}]`, false},
		{"other unknown field", "[" + a + "," + b + "]", `,"keepalive":32,"x_site":[{"a":null},1]`, false},
		{"a field less", "[" + a + "," + b + "]", `,"keepalive":32`, false},
		{"a number is no text", "[" + a + "," + b + "]", `,"keepalive":32,"x_site":["1",{"a":null}]`, false},
		{"null is no text", "[" + a + "," + b + "]", `,"keepalive":32,"x_site":[1,{"a":"null"}]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := parse(t, upstreamOf(c.list, c.more))
			if same := u.Version() == base.Version(); same != c.same || (differences(base, u) == "") != c.same {
				t.Errorf("same: %v; want %v (%s)", same, c.same, differences(base, u))
			}
		})
	}
}

func TestTwinsThatDifferGoByTheirOrder(t *testing.T) {
	one := parse(t, upstreamOf(`[{"address":"a","weight":1},{"address":"a","weight":2}]`, ""))
	two := parse(t, upstreamOf(`[{"address":"a","weight":2},{"address":"a","weight":1}]`, ""))
	if one.Version() == two.Version() {
		t.Error("a step on a:80#2 would meet the other one")
	}
}

func TestDifferencesAreNamed(t *testing.T) {
	want := parse(t, upstreamOf(`[{"address":"a"},{"address":"b"},{"address":"c","weight":2}]`, `,"keepalive":32`))
	for _, c := range []struct{ list, more, says string }{
		{`[{"address":"a","down":true},{"address":"b"},{"address":"c","weight":2}]`, `,"keepalive":32`, "a:80 is down"},
		{`[{"address":"a"},{"address":"c","weight":3}]`, `,"keepalive":32`, "b:80 is gone, c:80 is another"},
		{`[{"address":"a"},{"address":"b"},{"address":"c","weight":2},{"address":"d"}]`, `,"keepalive":8`, `"keepalive" is another, d:80 is new`},
		{`[{"address":"d"},{"address":"e"},{"address":"f"}]`, `,"keepalive":32`, "a:80 is gone, b:80 is gone, c:80 is gone, d:80 is new, and 2 more"},
	} {
		wantEqual(t, differences(want, parse(t, upstreamOf(c.list, c.more))), c.says)
	}
	wantEqual(t, differences(parse(t, upstreamOf(`[{"address":"a","down":true}]`, "")), parse(t, upstreamOf(`[{"address":"a"}]`, ""))), "a:80 is not down")
}

// wantSound is what holds for whatever ParseUpstream takes.
func wantSound(t interface{ Fatalf(string, ...any) }, u Upstream) {
	if u.ID == "" || u.Name == "" || u.Version() == "" {
		t.Fatalf("nameless: %+v", u)
	}
	seen := map[string]bool{}
	for _, b := range u.Backends {
		base := net.JoinHostPort(b.Address, strconv.Itoa(b.Port))
		if b.Address == "" || b.Port < 1 || b.Weight < 0 || b.Name != base && !strings.HasPrefix(b.Name, base+"#") {
			t.Fatalf("backend %+v", b)
		}
		if seen[b.Name] {
			t.Fatalf("%s twice", b.Name)
		}
		seen[b.Name] = true
	}
}

func FuzzParseUpstream(f *testing.F) {
	f.Add([]byte(shop), uint(0))
	f.Add(upstreamOf(`[{"address":"a","down":"True"},{"address":"a"},{"down":1.0e0,"address":"[::1]"}]`, `,"x":{"y":[1e5]}`), uint(1))
	f.Add(upstreamOf(`[ { "address" : "a" } ]`, ""), uint(2))
	f.Add(upstreamOf(`null`, `,"last_modified":{}`), uint(0))
	f.Add([]byte(`{"id":"1","name":"a\"\\","backends":[]}`), uint(0))
	f.Fuzz(func(t *testing.T, raw []byte, which uint) {
		u, err := ParseUpstream(raw)
		if err != nil {
			wantErr(t, err, ErrAnswer)
			return
		}
		wantSound(t, u)
		if len(u.Backends) == 0 {
			return
		}
		b := u.Backends[which%uint(len(u.Backends))]
		list, err := Backends(raw)
		if err != nil {
			t.Fatal(err)
		}
		next, err := edit(list, map[string]bool{b.Name: !b.Down})
		if err != nil {
			t.Fatal(err)
		}
		changed, err := with(raw, next)
		if err != nil {
			t.Fatal(err)
		}
		after := parse(t, changed)
		wantSound(t, after)
		want := u.Backends[which%uint(len(u.Backends))].Name + map[bool]string{true: " is not down", false: " is down"}[b.Down]
		if got := differences(u, after); got != line(want) {
			t.Fatalf("changed %q; want %q\n%s", got, want, changed)
		}
	})
}

func Example_identity() {
	u, _ := ParseUpstream([]byte(`{"id":"1","name":"shop","backends":[{"address":"192.0.2.11","port":8080},{"address":"192.0.2.11","port":8080,"down":"True"}]}`))
	for _, b := range u.Backends {
		fmt.Println(b.Name, b.Down)
	}
	// Output:
	// 192.0.2.11:8080 false
	// 192.0.2.11:8080#2 true
}
