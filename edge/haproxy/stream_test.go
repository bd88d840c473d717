package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// A taken is an answer as it came.
type taken struct {
	Pid     int
	Tables  []haproxy.Table
	Servers []string
	Columns []string
	Rows    []string
	stop    error
}

func (t *taken) TakeInfo(i haproxy.Info) error        { t.Pid = i.Pid; return t.stop }
func (t *taken) TakeTables(all []haproxy.Table) error { t.Tables = all; return nil }
func (t *taken) TakeServers(lines *haproxy.ServerLines) error {
	for {
		l, ok, err := lines.Next()
		if err != nil || !ok {
			return err
		}
		t.Servers = append(t.Servers, fmt.Sprintf("%s/%s %d %s %v", l.Backend, l.Name, l.Op, l.Admin, l.Agent))
	}
}
func (t *taken) TakeColumns(names []string) error { t.Columns = names; return nil }
func (t *taken) TakeRow(r *haproxy.Record) error {
	var fields []string
	for i := range t.Columns {
		fields = append(fields, string(r.At(i)))
	}
	t.Rows = append(t.Rows, fmt.Sprintf("%d %s/%s %q", r.Type, r.Proxy, r.Service, fields))
	return nil
}

// speaking is a client of a HAProxy that says answer, a few bytes at a time or at once.
func speaking(t *testing.T, answer string, slow bool) (client *haproxy.Client, asked *string) {
	t.Helper()
	asked = new(string)
	c, err := haproxy.New(haproxy.Options{Address: "/nowhere", Timeout: 5 * time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			b := make([]byte, 1024)
			n, _ := theirs.Read(b)
			*asked = string(b[:n])
			from := io.Reader(strings.NewReader(answer))
			if slow {
				from = iotest.OneByteReader(from)
			}
			_, _ = io.Copy(theirs, from) // a client that has enough goes away
		}()
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

const (
	infoPart    = "Name: HAProxy\nPid: 7\nStart_time_sec: 1800000000\n\n"
	tablePart   = "# table: shop, type: ip, size:1048576, used:12\n# table: other, type: string, size:10, used:0\n\n"
	serversPart = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n3 shop 1 app1 192.0.2.1 2 8 80\n\n"
	statPart    = "# pxname,svname,status,type,last_chk,\nshop,app1,UP,2,\"a, \"\"b\"\"\n\nc\",\nshop,BACKEND,UP,1,,\nshop,door,OPEN,3,\n\n"
)

func TestStreamHandsOverAllParts(t *testing.T) {
	want := taken{
		Pid: 7, Tables: []haproxy.Table{{Name: "shop", Type: "ip", Size: 1048576, Used: 12}, {Name: "other", Type: "string", Size: 10}},
		Servers: []string{"shop/app1 2 FDRAIN false"},
		Columns: []string{"pxname", "svname", "status", "type", "last_chk"},
		Rows: []string{
			`2 shop/app1 ["shop" "app1" "UP" "2" "a, \"b\"\n\nc"]`,
			`1 shop/BACKEND ["shop" "BACKEND" "UP" "1" ""]`,
			`3 shop/door ["shop" "door" "OPEN" "3" ""]`,
		},
	}
	for _, slow := range []bool{false, true} {
		c, asked := speaking(t, infoPart+tablePart+serversPart+statPart, slow)
		var got taken
		q := haproxy.Query{Info: true, Tables: true, Servers: true, Rows: haproxy.EveryType}
		if err := c.Stream(t.Context(), q, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(taken{}), cmp.Comparer(errors.Is)); diff != "" {
			t.Errorf("slow %v (-want +got):\n%s", slow, diff)
		}
		if want := "show info;show table;show servers state;show stat\n"; *asked != want {
			t.Errorf("asked %q, want %q", *asked, want)
		}
	}
}

func TestTheLastFieldNeedsNoComma(t *testing.T) {
	c, _ := speaking(t, "# pxname,svname,type\nshop,app1,2\n\n", false)
	var got taken
	if err := c.Stream(t.Context(), haproxy.Query{Rows: haproxy.EveryType}, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`2 shop/app1 ["shop" "app1" "2"]`}, got.Rows); diff != "" {
		t.Error(diff)
	}
}

func TestStreamAsksForNoMoreThanIsWanted(t *testing.T) {
	for _, tt := range []struct {
		query haproxy.Query
		want  string
	}{
		{haproxy.Query{Rows: 1<<haproxy.Frontend | 1<<haproxy.Backend}, "show stat -1 3 -1\n"},
		{haproxy.Query{Rows: 1 << haproxy.ServerRow, NoMaint: true}, "show stat -1 4 -1 no-maint\n"},
		{haproxy.Query{Rows: haproxy.EveryType, NoMaint: true}, "show stat no-maint\n"},
	} {
		c, asked := speaking(t, statPart, false)
		if err := c.Stream(t.Context(), tt.query, &taken{}); err != nil {
			t.Error(err)
		}
		if *asked != tt.want {
			t.Errorf("asked %q, want %q", *asked, tt.want)
		}
	}
}

// Wherever an answer is cut, it is an error.
func TestHalfAnAnswerIsAnError(t *testing.T) {
	whole := infoPart + tablePart + serversPart + statPart
	q := haproxy.Query{Info: true, Tables: true, Servers: true, Rows: haproxy.EveryType}
	for n := range len(whole) {
		c, _ := speaking(t, whole[:n], false)
		if err := c.Stream(t.Context(), q, &taken{}); err == nil {
			t.Errorf("%d bytes passed for the whole answer: %q", n, whole[:n])
		}
	}
	for _, tt := range []struct {
		text string
		want error
	}{
		{whole + "more", haproxy.ErrAnswer},
		{infoPart + "Permission denied\n\n", haproxy.ErrAnswer},
		{infoPart + tablePart + "Permission denied\n\n" + statPart, haproxy.ErrAnswer},
		{infoPart + tablePart + serversPart + "# pxname,svname,\n\n", haproxy.ErrAnswer},
		{infoPart + tablePart + serversPart + "# pxname,svname,type,\nshop,app1,9,\n\n", haproxy.ErrAnswer},
		{infoPart + tablePart + serversPart + "# pxname,svname,type,\nshop,\"app1\"x,2,\n\n", haproxy.ErrAnswer},
	} {
		c, _ := speaking(t, tt.text, false)
		if err := c.Stream(t.Context(), q, &taken{}); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, err, tt.want)
		}
	}
}

// Few bytes may be many rows, many columns or one name: none of them is worth
// more memory than a real HAProxy's answer.
func TestAHostileAnswerIsRefused(t *testing.T) {
	const header = "# pxname,svname,type,\n"
	for name, answer := range map[string]string{
		"rows of hardly anything": header + strings.Repeat("a,b,2\n", 3<<20) + "\n",
		"rows of much less than the header says": "# pxname,svname,type," + strings.Repeat("x,", 4000) + "\n" +
			strings.Repeat("a,b,2\n", 100_000) + "\n",
		"columns": "# pxname,svname,type," + strings.Repeat("x,", 5000) + "\n\n",
		"a name":  header + strings.Repeat("a", 2<<20) + ",b,2\n\n",
		"a quote": header + "a,\"" + strings.Repeat("a\n", 1<<20) + "\",2\n\n",
	} {
		c, _ := speaking(t, answer, false)
		if err := c.Stream(t.Context(), haproxy.Query{Rows: haproxy.EveryType}, nobody{}); !errors.Is(err, haproxy.ErrAnswer) {
			t.Errorf("%s: %v, want %v", name, err, haproxy.ErrAnswer)
		}
		if _, err := haproxy.ParseStats([]byte(answer)); !errors.Is(err, haproxy.ErrAnswer) && strings.HasPrefix(name, "rows") {
			t.Errorf("%s, as a whole: %v, want %v", name, err, haproxy.ErrAnswer)
		}
	}
	const servers = "1\n# be_name srv_name srv_op_state srv_admin_state\n"
	for name, tt := range map[string]struct {
		query  haproxy.Query
		answer string
	}{
		"facts of a process": {haproxy.Query{Info: true}, "Pid: 7\n" + strings.Repeat("a:\n", 3<<20) + "\n"},
		"tables":             {haproxy.Query{Tables: true}, strings.Repeat("# table:a\n", 3<<20) + "\n"},
		"servers":            {haproxy.Query{Servers: true}, servers + strings.Repeat("a b 2 0\n", 3<<20) + "\n"},
	} {
		c, _ := speaking(t, tt.answer, false)
		if err := c.Stream(t.Context(), tt.query, nobody{}); !errors.Is(err, haproxy.ErrAnswer) {
			t.Errorf("%s: %v, want %v", name, err, haproxy.ErrAnswer)
		}
	}
	if _, err := haproxy.ParseServers([]byte(servers + strings.Repeat("a b 2 0\n", 3<<20))); !errors.Is(err, haproxy.ErrAnswer) {
		t.Errorf("servers, as a whole: %v, want %v", err, haproxy.ErrAnswer)
	}
	// A long one is none of them: the longest names that a larger tune.bufsize allows.
	c, _ := speaking(t, header+strings.Repeat("a", 500_000)+",b,2,\n\n", false)
	if err := c.Stream(t.Context(), haproxy.Query{Rows: haproxy.EveryType}, nobody{}); err != nil {
		t.Error(err)
	}
}

// nobody takes everything and keeps nothing.
type nobody struct{}

func (nobody) TakeInfo(haproxy.Info) error            { return nil }
func (nobody) TakeTables([]haproxy.Table) error       { return nil }
func (nobody) TakeServers(*haproxy.ServerLines) error { return nil }
func (nobody) TakeColumns([]string) error             { return nil }
func (nobody) TakeRow(*haproxy.Record) error          { return nil }

var errEnough = errors.New("enough")

func TestATakerMayEndTheReading(t *testing.T) {
	c, _ := speaking(t, infoPart+statPart, false)
	if err := c.Stream(t.Context(), haproxy.Query{Info: true, Rows: haproxy.EveryType}, &taken{stop: errEnough}); !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

// What is taken row by row is what ParseStats makes of the whole.
func FuzzStreamReadsWhatParseStatsReads(f *testing.F) {
	f.Add(statPart)
	f.Add("# pxname,svname,type,\na,b,2\n\n")
	f.Add("# pxname,svname,type,\r\na,\"b\nc\",2,\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, _ := speaking(t, text, false)
		var got taken
		if err := c.Stream(t.Context(), haproxy.Query{Rows: haproxy.EveryType}, &got); err != nil {
			return // what is no whole answer may still be rows
		}
		last := len(strings.TrimRightFunc(text, unicode.IsSpace)) // white space may follow the closing empty line
		stats, err := haproxy.ParseStats([]byte(text[:last+strings.IndexByte(text[last:], '\n')+1]))
		if err != nil {
			t.Fatalf("streamed, and %v", err)
		}
		var want []string
		for _, row := range stats.Rows {
			var fields []string
			for i := range stats.Columns {
				fields = append(fields, row.At(i))
			}
			want = append(want, fmt.Sprintf("%d %s/%s %q", row.Type, row.Proxy, row.Service, fields))
		}
		if diff := cmp.Diff(want, got.Rows); diff != "" {
			t.Errorf("(-whole +streamed):\n%s", diff)
		}
	})
}

func TestStreamOfARealHAProxy(t *testing.T) {
	r := haproxytest.StartReal(t, "backend shop\n  stick-table type ip size 1m\n  server app1 192.0.2.1:80\n  server app2 192.0.2.2:80 disabled\n")
	c, err := haproxy.New(haproxy.Options{Address: r.Socket})
	if err != nil {
		t.Fatal(err)
	}
	var got taken
	if err := c.Stream(t.Context(), haproxy.Query{Info: true, Tables: true, Servers: true, Rows: 1 << haproxy.ServerRow}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Servers) != 2 || len(got.Rows) != 2 || got.Pid == 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]haproxy.Table{{Name: "shop", Type: "ip", Size: 1048576}}, got.Tables); diff != "" {
		t.Error(diff)
	}
}
