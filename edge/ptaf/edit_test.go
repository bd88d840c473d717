package ptaf

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOnlyTheValueOfDownIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name, list string
		down       map[string]bool
		want       string
	}{
		{"out", `[{"address":"a","down":false},{"address":"b","down":false}]`, map[string]bool{"b:80": true}, `[{"address":"a","down":false},{"address":"b","down":true}]`},
		{"back", `[{"down":true,"address":"a"}]`, map[string]bool{"a:80": false}, `[{"down":false,"address":"a"}]`},
		{"two at once", `[{"address":"a","down":true},{"address":"b","down":false}]`, map[string]bool{"a:80": false, "b:80": true}, `[{"address":"a","down":false},{"address":"b","down":true}]`},
		{"nothing to do", `[{"address":"a","down":true}]`, map[string]bool{"a:80": true}, `[{"address":"a","down":true}]`},
		{"nothing to do in other words", `[{"address":"a","down":"True"},{"address":"b"}]`, map[string]bool{"a:80": true, "b:80": false}, `[{"address":"a","down":"True"},{"address":"b"}]`},
		{"nothing asked", `[{"address":"a"}]`, nil, `[{"address":"a"}]`},
		{"a string becomes a boolean", `[{"address":"a","down":"False"},{"address":"b","down":"False"}]`, map[string]bool{"a:80": true}, `[{"address":"a","down":true},{"address":"b","down":"False"}]`},
		{"so does a number", `[{"address":"a","down":1}]`, map[string]bool{"a:80": false}, `[{"address":"a","down":false}]`},
		{"and null", `[{"address":"a","down":null}]`, map[string]bool{"a:80": true}, `[{"address":"a","down":true}]`},
		{"absent is added", `[{"address":"a"},{"address":"b"}]`, map[string]bool{"a:80": true}, `[{"address":"a","down":true},{"address":"b"}]`},
		{"absent is added before blanks", "[ {\n \"address\" : \"a\"\n } ]", map[string]bool{"a:80": true}, "[ {\n \"address\" : \"a\",\"down\":true\n } ]"},
		{"the second twin", `[{"address":"a","down":false},{"address":"a","down":false}]`, map[string]bool{"a:80#2": true}, `[{"address":"a","down":false},{"address":"a","down":true}]`},
		{
			"all other bytes stay", ` [ {"x" : 1.0e0,"y":"\u0041\"}{,","down" :` + "\t" + `false ,"address":"a","z":{"down":false,"q":[ [],{} ,"]"]},"n":-0.0} ] `,
			map[string]bool{"a:80": true},
			` [ {"x" : 1.0e0,"y":"\u0041\"}{,","down" :` + "\t" + `true ,"address":"a","z":{"down":false,"q":[ [],{} ,"]"]},"n":-0.0} ] `,
		},
		{"an escaped name", `[{"address":"a","d\u006fwn":false}]`, map[string]bool{"a:80": true}, `[{"address":"a","d\u006fwn":true}]`},
		{"another case is another field", `[{"address":"a","Down":false}]`, map[string]bool{"a:80": true}, `[{"address":"a","Down":false,"down":true}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := edit([]byte(c.list), c.down)
			wantErr(t, err, nil)
			wantEqual(t, string(got), c.want)
		})
	}
}

func TestWhatIsNotThereIsNotEdited(t *testing.T) {
	for _, c := range []struct {
		name, list string
		want       error
	}{
		{"another backend", `[{"address":"b"}]`, ErrNoBackend},
		{"a twin that there is none of", `[{"address":"a","port":81}]`, ErrNoBackend},
		{"no backends", `[]`, ErrNoBackend},
		{"null", `null`, ErrNoBackend},
		{"not a list", `{}`, ErrAnswer},
		{"one that can't be read", `[{"address":"a"},{}]`, ErrAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := edit([]byte(c.list), map[string]bool{"a:80": true})
			wantErr(t, err, c.want)
			wantEqual(t, string(got), "")
		})
	}
}

func TestBackendsOfAStoredObject(t *testing.T) {
	got, err := Backends([]byte(`{"id":"1","name":"a","backends" : [ {"address":"a" } ] }`))
	wantErr(t, err, nil)
	wantEqual(t, string(got), `[ {"address":"a" } ]`)
	for raw, want := range map[string]error{
		`{"id":"1","name":"a"}`:                 ErrNoBackend,
		`{"id":"1","name":"a","backends":null}`: ErrNoBackend,
		`{"id":"1","name":"a","backends":[1]}`:  ErrAnswer,
		`{"id":"1"`:                             ErrAnswer,
	} {
		_, err := Backends([]byte(raw))
		wantErr(t, err, want)
	}
}

func TestAnObjectGetsAnotherList(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{"backends" : [1] ,"id":"1"}`, `{"backends" : [2] ,"id":"1"}`},
		{`{"id":"1","backends":null}`, `{"id":"1","backends":[2]}`},
		{`{"id":"1" }`, `{"id":"1","backends":[2] }`},
	} {
		got, err := with([]byte(c.raw), []byte("[2]"))
		wantErr(t, err, nil)
		wantEqual(t, string(got), c.want)
	}
}

// pieces of JSON as no encoder of ours would write it.
var (
	blank    = rapid.SampledFrom([]string{"", "", "", " ", "\n  ", "\t", "\r\n"})
	spelling = rapid.SampledFrom([]string{"0", "1", "1.0e0", "-0", "12345678901234567890", "1E+2", "0.10", "1e-400", "7e99999999999"})
	scalar   = rapid.OneOf(spelling, rapid.SampledFrom([]string{`null`, `true`, `false`, `""`, `"down"`, `"\u0000\ud800"`, `"a\\\"]},{"`, `"<&> \/ é"`, "\"\xff\""}))
)

func value(depth int) *rapid.Generator[string] {
	if depth == 0 {
		return scalar
	}
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			var parts []string
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				parts = append(parts, blank.Draw(t, "blank")+value(depth-1).Draw(t, "element")+blank.Draw(t, "blank"))
			}
			return "[" + strings.Join(parts, ",") + blank.Draw(t, "blank") + "]"
		case 1:
			var all [][2]string
			for i := range rapid.IntRange(0, 3).Draw(t, "fields") {
				all = append(all, [2]string{fmt.Sprintf(`"%s%d"`, rapid.SampledFrom([]string{"down", "address", "é", `\n`}).Draw(t, "name"), i), value(depth-1).Draw(t, "value")})
			}
			return write(t, all)
		}
		return scalar.Draw(t, "scalar")
	})
}

// write makes an object of fields in any order, with odd white space.
func write(t *rapid.T, all [][2]string) string {
	var parts []string
	for _, f := range rapid.Permutation(all).Draw(t, "order") {
		parts = append(parts, blank.Draw(t, "blank")+f[0]+blank.Draw(t, "blank")+":"+blank.Draw(t, "blank")+f[1]+blank.Draw(t, "blank"))
	}
	return "{" + strings.Join(parts, ",") + blank.Draw(t, "blank") + "}"
}

// backend is an entry; its down is one of those given.
func backend(downs ...string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		// Few addresses and ports, so that there are twins.
		all := [][2]string{{rapid.SampledFrom([]string{`"address"`, `"\u0061ddress"`}).Draw(t, "key"), rapid.SampledFrom([]string{`"a"`, `"\u0061"`, `"b.example.com"`, `"2001:db8::1"`, `"192.0.2.11"`}).Draw(t, "address")}}
		for _, f := range []struct {
			name   string
			values []string
		}{
			{"port", []string{"", "null", "80", "8.0e1", "8080"}},
			{"weight", []string{"", "null", "1", "1.0e0", `"2"`}},
			{"max_fails", []string{"", "null", "3", "0"}},
			{"down", downs},
			{"backup", []string{"", "null", "false", "true", `"True"`}},
			{"Down", []string{"", "true"}},
		} {
			if v := rapid.SampledFrom(f.values).Draw(t, f.name); v != "" {
				all = append(all, [2]string{`"` + f.name + `"`, v})
			}
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "unknown fields") {
			all = append(all, [2]string{fmt.Sprintf(`"x%d"`, i), value(2).Draw(t, "value")})
		}
		return write(t, all)
	})
}

func upstreamWith(t *rapid.T, backends *rapid.Generator[string]) string {
	var list []string
	for range rapid.IntRange(1, 5).Draw(t, "backends") {
		list = append(list, blank.Draw(t, "blank")+backends.Draw(t, "backend")+blank.Draw(t, "blank"))
	}
	return write(t, [][2]string{
		{`"id"`, `"64f0c0ffee0123456789abcd"`},
		{`"name"`, `"shop"`},
		{`"backends"`, "[" + strings.Join(list, ",") + "]"},
		{`"last_modified"`, scalar.Draw(t, "last_modified")},
		{`"x"`, value(2).Draw(t, "x")},
	})
}

// flips is a wish for some of the backends, and the way back.
func flips(t *rapid.T, u Upstream) (there, back map[string]bool) {
	there, back = map[string]bool{}, map[string]bool{}
	for _, b := range u.Backends {
		if rapid.Bool().Draw(t, "flip "+b.Name) {
			there[b.Name], back[b.Name] = !b.Down, b.Down
		}
	}
	return there, back
}

// I8, I12: what a write changed, the next one puts back.
func TestThereAndBackLeavesEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(upstreamWith(t, backend("true", "false")))
		u, err := ParseUpstream(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		wantSound(t, u)
		list, err := Backends(raw)
		if err != nil {
			t.Fatal(err)
		}
		there, back := flips(t, u)
		away, err := edit(list, there)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(away) {
			t.Fatalf("no JSON: %s", away)
		}
		again, err := edit(away, back)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(list) {
			t.Fatalf("was\n%s\nis\n%s", list, again)
		}
	})
}

// Where down was absent, null, a string or a number, a write leaves a real
// boolean behind: the meaning comes back, these bytes don't. (I12)
func TestThereAndBackLeavesTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(upstreamWith(t, backend("", "null", "true", "false", `"True"`, `"False"`, "0", "1.0")))
		u, err := ParseUpstream(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		there, back := flips(t, u)
		for i, wish := range []map[string]bool{there, back} {
			list, err := Backends(raw)
			if err != nil {
				t.Fatal(err)
			}
			if list, err = edit(list, wish); err != nil {
				t.Fatal(err)
			}
			if raw, err = with(raw, list); err != nil {
				t.Fatal(err)
			}
			now, err := ParseUpstream(raw)
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			for j, b := range now.Backends {
				want, named := wish[b.Name]
				if old := u.Backends[j]; b.Name != old.Name || named && b.Down != want || !named && b.Down != old.Down {
					t.Fatalf("%+v was %+v; want %v", b, old, wish)
				}
			}
			if i == 1 && now.Version() != u.Version() {
				t.Fatalf("%s", differences(u, now))
			}
		}
	})
}
