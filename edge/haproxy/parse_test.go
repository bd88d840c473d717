package haproxy_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

func TestColumnsGoByNameInEveryVersion(t *testing.T) {
	for _, v := range haproxytest.Versions {
		t.Run(v.String(), func(t *testing.T) {
			f := haproxytest.NewFake(v, haproxytest.Server{
				Backend: "shop", Name: "BACKEND", Address: "127.0.0.1:1", Op: 2, Check: "L7OK", Sessions: 3,
				LastCheck: "said \"no\", and\n\nmore",
			})
			s, err := client(t, f).Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Columns, haproxytest.Columns(v)) {
				t.Errorf("columns %v", s.Columns)
			}
			i := slices.IndexFunc(s.Rows, func(r haproxy.Row) bool { return r.Type == haproxy.ServerRow })
			if i < 0 {
				t.Fatal("no server: a server may be named BACKEND")
			}
			row := s.Rows[i]
			if n, ok := s.Int(row, "scur"); !ok || n != 3 || s.Get(row, "check_status") != "L7OK" || s.Get(row, "nope") != "" {
				t.Errorf("row %+v", row)
			}
			if got := s.Get(row, "last_chk"); got != "said \"no\", and\n\nmore" {
				t.Errorf("last_chk is %q", got)
			}
		})
	}
}

func TestAdminBitsAreDecimalAndNamed(t *testing.T) {
	for _, c := range []struct {
		bits    int
		marks   string
		admin   edge.Admin
		settled bool
	}{
		{0, "", edge.Ready, false},
		{8, "FDRAIN", edge.Drain, false},
		{1, "FMAINT", edge.Maint, false},
		{5, "FMAINT|CMAINT", edge.Maint, true},
		{4, "CMAINT", edge.Ready, false},
		{12, "CMAINT|FDRAIN", edge.Drain, false},
		{16, "IDRAIN", edge.Drain, false}, // hexadecimal it would be another thing
		{32, "RMAINT", edge.Maint, true},
		{64, "FQDN", edge.Ready, false},
		{9, "FMAINT|FDRAIN", edge.Maint, false},
		{128, "0x80", edge.Ready, false},
	} {
		f := haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6}, haproxytest.Server{Backend: "shop", Name: "s1", Address: "127.0.0.1:1", Op: 2, Admin: c.bits})
		st := read(t, client(t, f)).States[edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}]
		if st.Marks != c.marks || st.Admin != c.admin || st.Settled != c.settled {
			t.Errorf("%d is %q %s settled %v; want %q %s %v", c.bits, st.Marks, st.Admin, st.Settled, c.marks, c.admin, c.settled)
		}
	}
}

func TestServingIsTheDevicesWord(t *testing.T) {
	for _, c := range []struct {
		name   string
		server haproxytest.Server
		want   bool
		check  edge.Answer
	}{
		{"running without a check", haproxytest.Server{Op: 2}, true, edge.Unknown},
		{"running, check passed", haproxytest.Server{Op: 2, Check: "L7OK"}, true, edge.Yes},
		{"starting slowly", haproxytest.Server{Op: 1, Check: "L4OK"}, true, edge.Yes},
		{"a check is under way", haproxytest.Server{Op: 2, Check: "* L7OK"}, true, edge.Yes},
		{"down", haproxytest.Server{Op: 0, Check: "L4CON"}, false, edge.No},
		{"stopping by a 404", haproxytest.Server{Op: 3, Check: "L7OKC"}, false, edge.Yes},
		{"drained and down shows DOWN", haproxytest.Server{Op: 0, Admin: 8, Check: "L4CON"}, false, edge.No},
		{"drained by an agent's side", haproxytest.Server{Op: 2, Admin: 8, Agent: true}, false, edge.Unknown},
		{"no check has run yet", haproxytest.Server{Op: 2, Check: "INI"}, true, edge.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Backend, c.server.Name, c.server.Address = "shop", "s1", "127.0.0.1:1"
			st := read(t, client(t, haproxytest.NewFake(haproxytest.Version{Major: 3, Minor: 0}, c.server))).States[edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}]
			if st.Serving != c.want || st.Check != c.check || st.Agent != c.server.Agent {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestTextsThatAreNoAnswer(t *testing.T) {
	for _, s := range []string{
		"", "Permission denied\n", "# \n", "# pxname,svname,\nx,y,\n", "# pxname,svname,type,\na,b,9,\n", "# pxname,svname,type,\n,b,2,\n",
		"# pxname,svname,type,\na,\"b,2,\n", "# pxname,svname,type,\na,\"b\"c,2,\n",
	} {
		if got, err := haproxy.ParseStats([]byte(s)); err == nil {
			t.Errorf("show stat %q is %+v", s, got)
		}
	}
	for _, s := range []string{"", "2\n# be_name\n", "1\n", "1\n# be_name srv_name\n", "1\n# be_name srv_name srv_op_state srv_admin_state\na b x 0\n", "1\n# be_name srv_name srv_op_state srv_admin_state\na b 9 0\n", "1\n# be_name srv_name srv_op_state srv_admin_state\na\n"} {
		if got, err := haproxy.ParseServers([]byte(s)); err == nil {
			t.Errorf("show servers state %q is %+v", s, got)
		}
	}
	if _, err := haproxy.ParseInfo([]byte("Unknown command\n"), time.Now()); err == nil {
		t.Error("a refusal was taken for show info")
	}
}

// fixtures are what the fake says in each version, for the fuzzers.
func fixtures(f *testing.F, command string) (out [][]byte) {
	for _, v := range haproxytest.Versions {
		fk := haproxytest.NewFake(v, haproxytest.Server{Backend: "shop", Name: "s1", Address: "127.0.0.1:1", Op: 2, LastCheck: `a "b", c`})
		conn, err := fk.Dial(f.Context(), "", "")
		if err != nil {
			f.Fatal(err)
		}
		if _, err := conn.Write([]byte(command + "\n")); err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(conn); err != nil {
			f.Fatal(err)
		}
		out = append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
	return out
}

func FuzzParseStats(f *testing.F) {
	for _, b := range fixtures(f, "show stat") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := haproxy.ParseStats(bytes.Clone(in))
		if err != nil {
			return
		}
		for _, r := range s.Rows {
			if r.Proxy == "" || r.Service == "" || r.Type > haproxy.Listener {
				t.Errorf("a row without a name or type came out: %+v", r)
			}
		}
	})
}

func FuzzParseServers(f *testing.F) {
	for _, b := range fixtures(f, "show servers state") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		servers, err := haproxy.ParseServers(in)
		if err != nil {
			return
		}
		for _, s := range servers {
			if s.Backend == "" || s.Name == "" || s.Op > haproxy.Stopping {
				t.Errorf("a server without a name came out: %+v", s)
			}
		}
	})
}

func BenchmarkParseStats(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			head := "# " + strings.Join(haproxytest.Columns(haproxytest.Version{Major: 2, Minor: 6}), ",") + ",\n"
			fields := len(haproxytest.Columns(haproxytest.Version{Major: 2, Minor: 6}))
			row := make([]string, fields)
			for i := range row {
				row[i] = "1"
			}
			row[32] = "2"
			text := []byte(head + strings.Repeat(strings.Join(row, ",")+",\n", n))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if s, err := haproxy.ParseStats(text); err != nil || len(s.Rows) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
