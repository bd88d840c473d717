package collect

import (
	"cmp"
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/exporter/promtext"
)

var update = flag.Bool("update", false, "write the golden files anew")

// moments are the series that depend on when the test runs.
var moments = regexp.MustCompile(`(?m)^(haproxy_process_(?:uptime|start_time)_seconds|sluice_device_read_duration_seconds)(\{.*\}) .*$`)

// What the versions of HAProxy look like between which our columns came: edge1
// has a server in every state that they tell apart, edge2 fills every column.
func TestMetricsOfEachVersion(t *testing.T) {
	for _, v := range []haproxytest.Version{{Major: 2, Minor: 0}, {Major: 2, Minor: 1}, {Major: 2, Minor: 3}, {Major: 2, Minor: 6}, {Major: 3, Minor: 4}} {
		t.Run(v.String(), func(t *testing.T) {
			fake := haproxytest.NewFake(v,
				haproxytest.Server{Backend: "shop", Name: "up", Address: "192.0.2.1:80", Op: 2, Check: "L7OK", Sessions: 3},
				haproxytest.Server{Backend: "shop", Name: "checked", Address: "192.0.2.2:80", Op: 2, Check: "* L4OK"},
				haproxytest.Server{Backend: "shop", Name: "down", Address: "192.0.2.3:80", Op: 0, Check: "L4CON"},
				haproxytest.Server{Backend: "shop", Name: "drained", Address: "192.0.2.4:80", Op: 2, Admin: 0x08, Check: "L7OK"},
				haproxytest.Server{Backend: "shop", Name: "drained-and-down", Address: "192.0.2.5:80", Op: 0, Admin: 0x08, Check: "L4TOUT"},
				haproxytest.Server{Backend: "shop", Name: "drained-agent", Address: "192.0.2.6:80", Op: 2, Admin: 0x08, Agent: true},
				haproxytest.Server{Backend: "shop", Name: "maint", Address: "192.0.2.7:80", Op: 0, Admin: 0x01},
				haproxytest.Server{Backend: "shop", Name: "follows", Address: "192.0.2.8:80", Op: 0, Admin: 0x02, Tracks: "shop/maint"},
				haproxytest.Server{Backend: "shop", Name: "nameless", Op: 0, Admin: 0x20},
				haproxytest.Server{Backend: "shop", Name: "no-new-ones", Address: "192.0.2.10:80", Op: 3, Check: "L7OKC"},
				haproxytest.Server{Backend: "db", Name: "BACKEND", Address: "192.0.2.11:5432", Op: 2},
				haproxytest.Server{
					Backend: "db", Name: "hostile", Address: "192.0.2.12:5432", Op: 2, Check: "L7STS",
					LastCheck: "a \"quote\", a comma and # TYPE x gauge",
				},
			)
			got := textOf(t, promtext.Page{Sheets: []*promtext.Sheet{
				read(t, "edge1", fake.Dial),
				read(t, "edge2", func(context.Context, string, string) (net.Conn, error) {
					return recorded{Reader: strings.NewReader("Name: HAProxy\nPid: 7\nVersion: 2.6.12\nStart_time_sec: 1\n\n" + figures(v))}, nil
				}),
			}})
			wantSound(t, got)
			got = moments.ReplaceAllString(got, "$1$2 0")
			file := filepath.Join("testdata", "haproxy_"+v.String()+".prom")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v: go test -update makes it", err)
			}
			if diff := gocmp.Diff(string(want), got); diff != "" {
				t.Errorf("(- want, + got), go test -update takes it over:\n%s", diff)
			}
		})
	}
}

// read makes a sheet of what a HAProxy says. It has no states of servers where
// nobody tells them.
func read(t *testing.T, device string, dial func(context.Context, string, string) (net.Conn, error)) *promtext.Sheet {
	t.Helper()
	client, err := haproxy.New(haproxy.Options{Address: "/nowhere", Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	sheet := promtext.NewSheet()
	p := newPage(selection{device: device, scopes: everyScope, extra: true}, sheet, new(counts), false)
	q := p.query()
	if device == "edge2" {
		q.Servers, q.Tables = false, false
	}
	if err := client.Stream(t.Context(), q, p); err != nil {
		t.Fatal(err)
	}
	p.finish()
	return sheet
}

// figures is a "show stat" with one row of each type, in which the value of each
// column is its number.
func figures(v haproxytest.Version) string {
	names := haproxytest.Columns(v)
	text := "# " + strings.Join(names, ",") + ",\n"
	for _, words := range []map[string]string{
		{"svname": "FRONTEND", "type": "0", "status": "OPEN"},
		{"svname": "app1", "type": "2", "status": "UP 1/3", "check_status": "* L7OKC"},
		{"svname": "BACKEND", "type": "1", "status": "UP"},
		{"svname": "door", "type": "3", "status": "FULL"},
	} {
		words["pxname"], words["mode"] = "shop", "http"
		for i, name := range names {
			text += cmp.Or(words[name], strconv.Itoa(i)) + ","
		}
		text += "\n"
	}
	return text + "\n"
}
