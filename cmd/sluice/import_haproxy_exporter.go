package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
)

func addImportHAProxyExporter(app *kingpin.Application) (string, func(streams) error) {
	cmd := importCommand(app).Command("haproxy-exporter", "From the command line of haproxy_exporter: write its flags behind --. What can't be carried over is told on stderr. See docs/migration.md.")
	flags := cmd.Arg("FLAGS", "The flags, behind --; the program's name may stand before them.").Strings()
	name := cmd.Flag("device", "What to call the HAProxy: metrics carry the name.").Default("edge1").String()
	output := cmd.Flag("output", "Where to write it; a password goes into a file beside it. Nothing is overwritten. Left out: to stdout, without the password.").PlaceHolder("sluice.yml").String()
	return cmd.FullCommand(), func(std streams) error { return importHAProxyExporter(std, *name, *flags, *output) }
}

func importHAProxyExporter(std streams, device string, flags []string, output string) error {
	x, wrong := readExporterFlags(flags)
	named := fleet.Configs{{Name: device, HAProxy: &fleet.HAProxy{Address: "/run/haproxy.sock"}}}
	for _, m := range named.Validate() {
		wrong.Add("--device", "%s", m.Text)
	}
	if len(wrong) > 0 {
		for _, m := range wrong {
			fmt.Fprintln(std.err, m.Error())
		}
		return errSaid
	}
	x.Device, x.Beside = device, output != ""
	x.File, x.PasswordFile = besideOf(output)
	made, err := x.yaml()
	if err != nil {
		return err
	}
	if output == "" {
		_, err = std.out.Write(made)
	} else {
		files := []newFile{{output, made, "the configuration"}}
		if x.password != "" {
			files = slices.Insert(files, 0, newFile{inFolderOf(output, x.PasswordFile), []byte(x.password + "\n"), "the password"})
		}
		err = saveNew(std.out, files)
	}
	if err != nil {
		return err
	}
	for _, n := range x.notes {
		fmt.Fprintln(std.err, n.Error())
	}
	return nil
}

// An exporterCommand is the command line of a haproxy_exporter, fit for ours.
type exporterCommand struct {
	Device   string
	Address  string
	Timeout  string
	Insecure bool
	Username string
	Scope    []string
	Names    []string // of metrics that are left out, each with its "-"
	NoMaint  bool
	Flags    []string // for "sluice exporter"
	Targets  []string // of the Prometheus job

	File, PasswordFile string // names only; PasswordFile is empty without a password
	Beside             bool   // the password file is written

	password string
	notes    edge.Mistakes // what is not carried over, and what to do
}

// HasPassword says that there is one, for a file.
func (x *exporterCommand) HasPassword() bool { return x.password != "" }

// exporterFlags are those of haproxy_exporter 0.15, with their defaults. Those
// that are true or false have one of these words.
// Source: its haproxy_exporter.go, exporter-toolkit's kingpinflag, promlog's flag.
var exporterFlags = map[string]string{
	"haproxy.scrape-uri":            "http://localhost/;csv",
	"haproxy.ssl-verify":            "true",
	"haproxy.server-metric-fields":  everyField,
	"haproxy.server-exclude-states": "",
	"haproxy.timeout":               "5s",
	"haproxy.pid-file":              "",
	"http.proxy-from-env":           "false",
	"haproxy.http-proxy-from-env":   "false", // no version has it; written for the one above
	"web.listen-address":            ":9101",
	"web.systemd-socket":            "false",
	"web.telemetry-path":            "/metrics",
	"web.config.file":               "",
	"log.level":                     "info",
	"log.format":                    "logfmt",
}

// everyField stands for the default of --haproxy.server-metric-fields: all.
const everyField = "all"

// given are the flags of one command line.
type given struct {
	last  map[string]string
	hosts []string // every web.listen-address
	wrong edge.Mistakes
}

func (g *given) get(name string) string {
	if v, ok := g.last[name]; ok {
		return v
	}
	return exporterFlags[name]
}

// parse reads flags as kingpin does, with two dashes, and as the package flag
// does, with one: haproxy_exporter before 0.8 had those. No value is told: any
// may be a secret in the wrong place.
func (g *given) parse(args []string) {
	known := make([]string, 0, len(exporterFlags))
	for name := range exporterFlags {
		known = append(known, name)
	}
	slices.Sort(known)
	first := 0
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		first++ // the program itself
	}
	for i := first; i < len(args); i++ {
		bare := strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-")
		name, value, assigned := strings.Cut(bare, "=")
		positive := strings.TrimPrefix(name, "no-")
		fallback, ok := exporterFlags[positive]
		isBool := fallback == "true" || fallback == "false"
		switch {
		case bare == args[i]:
			g.wrong.Add(fmt.Sprintf("argument %d", i+1), "is no flag: write --NAME=VALUE, in quotes where the shell would part it")
			continue
		case !ok || positive != name && !isBool:
			near, found := nearest(name, known)
			g.wrong.Add(shownFlag(name), "haproxy_exporter has no such flag: %s", instead("--"+near, found, dashed(known)))
			continue
		case isBool && !assigned:
			value = strconv.FormatBool(positive == name)
		case isBool:
			yes, err := strconv.ParseBool(value)
			if err != nil || positive != name {
				g.wrong.Add("--"+name, "takes no such value: write --%s or --no-%s", positive, positive)
				continue
			}
			value = strconv.FormatBool(yes)
		case !assigned && i+1 < len(args):
			i++
			value = args[i]
		case !assigned:
			g.wrong.Add("--"+name, "has no value: write --%s=VALUE", name)
			continue
		}
		g.last[positive] = value
		if positive == "web.listen-address" {
			g.hosts = append(g.hosts, value)
		}
	}
}

func dashed(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "--" + n
	}
	return out
}

// shownFlag is an unknown flag as an error can hold it.
func shownFlag(name string) string {
	for _, c := range name {
		if (c < 'a' || c > 'z') && c != '.' && c != '-' {
			return "--..."
		}
	}
	return "--" + fmt.Sprintf("%.40s", name)
}

// readExporterFlags returns all that is wrong with the command line.
func readExporterFlags(args []string) (*exporterCommand, edge.Mistakes) {
	g := &given{last: map[string]string{}}
	g.parse(args)
	x := &exporterCommand{}
	x.uri(g)
	x.timeout(g)
	x.fields(g)
	x.states(g)
	x.server(g)
	if v := g.get("haproxy.pid-file"); v != "" {
		x.note("haproxy.pid-file", "metrics haproxy_process_* of the operating system, by pid, are none of ours: process_exporter or cAdvisor have them")
	}
	if g.get("http.proxy-from-env") == "true" || g.get("haproxy.http-proxy-from-env") == "true" {
		x.note("http.proxy-from-env", "HAProxy is asked directly, whatever $http_proxy says: give an address that can be reached from here")
	}
	return x, g.wrong
}

func (x *exporterCommand) note(flag, text string) {
	x.notes.Add("--"+flag, "not carried over: %s", text)
}

func (x *exporterCommand) uri(g *given) {
	const flag = "--haproxy.scrape-uri"
	u, err := url.Parse(g.get("haproxy.scrape-uri"))
	if err != nil {
		g.wrong.Add(flag, "is no URI: write http://HOST:PORT/PATH;csv, unix:PATH or tcp://HOST:PORT")
		return
	}
	switch u.Scheme {
	case "http", "https":
		x.user(g, u)
		u.User, u.Fragment = nil, ""
		x.Address = u.String()
		if !strings.Contains(x.Address, ";csv") {
			x.notes.Add(flag, "has no \";csv\": HAProxy's own page answers in HTML without it")
		}
		x.notes.Add(flag, "over HTTP a device can be watched, but no step can be taken: for those give the stats socket as address")
	case "unix":
		x.Address = u.Path // the exporter, too, looked at nothing else
	case "tcp":
		x.Address = u.Host
	default:
		g.wrong.Add(flag, "want http, https, unix or tcp as scheme")
		return
	}
	if g.get("haproxy.ssl-verify") == "false" && u.Scheme == "https" {
		x.Insecure = true
		x.notes.Add("--no-haproxy.ssl-verify", "kept: anybody on the way can pose as that HAProxy and read the password; write tls_config: {ca_file: FILE}")
	}
	if _, _, err := haproxy.ParseAddress(x.Address); err != nil {
		g.wrong.Add(flag, "has no host and port, or no path, that could be asked")
	}
}

func (x *exporterCommand) user(g *given, u *url.URL) {
	const flag = "--haproxy.scrape-uri"
	x.Username = u.User.Username()
	x.password, _ = u.User.Password()
	switch {
	case !isPlain(x.Username):
		g.wrong.Add(flag, "the user holds bytes that no name has")
	case strings.TrimSpace(x.password) != x.password || strings.ContainsAny(x.password, "\r\n\x00"):
		g.wrong.Add(flag, "the password begins or ends with a space, or holds a line break, which a password file can't: give the user another one")
	case x.Username == "" && x.password != "":
		g.wrong.Add(flag, "has a password without a user")
	case x.password != "":
		x.notes.Add(flag, "the password stood on a command line, where every user of that machine could read it: give the page another one")
	}
}

func (x *exporterCommand) timeout(g *given) {
	const longest = time.Minute // as edge/fleet has it
	d, err := time.ParseDuration(g.get("haproxy.timeout"))
	switch {
	case err != nil || d <= 0:
		g.wrong.Add("--haproxy.timeout", "want a duration above 0, such as 5s")
		return
	case d > longest:
		x.notes.Add("--haproxy.timeout", "longer than %s isn't taken: %s it is", model.Duration(longest), model.Duration(longest))
		d = longest
	case d < time.Millisecond:
		d = time.Millisecond
	}
	x.Timeout = model.Duration(d.Truncate(time.Millisecond)).String()
}

// serverFamilies are haproxy_exporter's for servers, by the numbers of their
// columns. Source: facts 2.2, and its table serverMetrics.
var serverFamilies = map[int]string{
	2: "current_queue", 3: "max_queue", 4: "current_sessions", 5: "max_sessions", 6: "limit_sessions", 7: "sessions_total",
	8: "bytes_in_total", 9: "bytes_out_total", 13: "connection_errors_total", 14: "response_errors_total",
	15: "retry_warnings_total", 16: "redispatch_warnings_total", 17: "up", 18: "weight", 21: "check_failures_total",
	24: "downtime_seconds_total", 30: "server_selected_total", 33: "current_session_rate", 35: "max_session_rate",
	38: "check_duration_seconds", 39: responses, 40: responses, 41: responses, 42: responses, 43: responses, 44: responses,
	49: "client_aborts_total", 50: "server_aborts_total", 58: "http_queue_time_average_seconds",
	59: "http_connect_time_average_seconds", 60: "http_response_time_average_seconds", 61: "http_total_time_average_seconds",
}

const responses = "http_responses_total"

// olderFamilies are names that its earlier versions gave columns; we have both.
var olderFamilies = map[string]string{
	"sessions_total":         "connections_total",
	"check_duration_seconds": "check_duration_milliseconds",
}

// fields turns the columns that are wanted into the families that aren't.
func (x *exporterCommand) fields(g *given) {
	const flag = "--haproxy.server-metric-fields"
	x.Scope = []string{"global", "frontend", "backend", "server"}
	list := g.get("haproxy.server-metric-fields")
	if list == everyField {
		return
	}
	wanted := map[string]bool{}
	codes := 0
	for i, f := range strings.Split(list, ",") {
		n, err := strconv.Atoi(f)
		switch name, ok := serverFamilies[n]; {
		case list == "": // no metrics of servers
		case err != nil:
			g.wrong.Add(flag, "entry %d is no number: write the columns' numbers with commas between them, without spaces", i+1)
			return
		case !ok:
			x.notes.Add(flag, "column %d: haproxy_exporter has no metric of servers for it either", n)
		default:
			wanted[name] = true
			if name == responses {
				codes++
			}
		}
	}
	if len(wanted) == 0 {
		x.Scope = slices.DeleteFunc(x.Scope, func(s string) bool { return s == "server" })
		return
	}
	if codes > 0 && codes < 6 {
		x.notes.Add(flag, "haproxy_server_%s comes with all its codes, or not at all", responses)
	}
	for _, name := range serverFamilies {
		if !wanted[name] {
			x.Names = append(x.Names, "-haproxy_server_"+name)
			if older, ok := olderFamilies[name]; ok {
				x.Names = append(x.Names, "-haproxy_server_"+older)
			}
		}
	}
	slices.Sort(x.Names)
	x.Names = slices.Compact(x.Names)
}

// states: the exporter left servers out by the whole text of column status.
func (x *exporterCommand) states(g *given) {
	for s := range strings.SplitSeq(g.get("haproxy.server-exclude-states"), ",") {
		switch {
		case s == "":
		case s == "MAINT":
			x.NoMaint = true
		case strings.HasPrefix(s, "MAINT ") && isPlain(s): // "MAINT (via ...)", "MAINT (resolution)"
			x.NoMaint = true
			x.notes.Add("--haproxy.server-exclude-states", "servers in maintenance are left out, whatever put them there")
		default:
			x.note("haproxy.server-exclude-states", "servers are left out for maintenance only: drop others in Prometheus, by metric_relabel_configs")
		}
	}
}

// server is what concerns the program itself, and the scrape job.
func (x *exporterCommand) server(g *given) {
	if len(g.hosts) == 0 {
		g.hosts = []string{exporterFlags["web.listen-address"]}
	}
	for _, at := range g.hosts {
		host, port, err := net.SplitHostPort(at)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || !isPlain(host) {
			g.wrong.Add("--web.listen-address", "want HOST:PORT or :PORT")
			continue
		}
		x.Flags = append(x.Flags, "--web.listen-address="+at)
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "HOST" // who asks knows its name
		}
		x.Targets = append(x.Targets, net.JoinHostPort(host, port))
	}
	if g.get("web.systemd-socket") == "true" {
		x.Flags = append(x.Flags, "--web.systemd-socket")
	}
	if file := g.get("web.config.file"); file != "" {
		x.Flags = append(x.Flags, "--web.config.file="+file)
		x.notes.Add("--web.config.file", "the file is of the same kind and may stay; the job needs the scheme and the user that it has now")
	}
	if g.get("web.telemetry-path") != exporterFlags["web.telemetry-path"] {
		x.note("web.telemetry-path", "the paths are fixed: take the job's from the file that was made")
	}
	switch v := g.get("log.level"); v {
	case "debug", "info", "warn", "error":
		if v != exporterFlags["log.level"] {
			x.Flags = append(x.Flags, "--log.level="+v)
		}
	default:
		x.note("log.level", "here may stand debug, info, warn or error")
	}
	switch v := g.get("log.format"); v {
	case "logfmt":
	case "json":
		x.Flags = append(x.Flags, "--log.format=json")
	default: // such as logger:stderr of the old ones
		x.note("log.format", "here may stand logfmt or json, on stderr")
	}
	for _, f := range x.Flags {
		if !isPlain(f) {
			g.wrong.Add("--web.config.file", "holds bytes that no name has")
		}
	}
}
