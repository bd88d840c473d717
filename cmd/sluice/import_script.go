package main

import (
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
)

// A script is what the config.ini of the replaced script says, fit for ours.
type script struct {
	Source   string // base name of the file, for the first line
	Address  string // host:port of the management
	Upstream string // id
	Username string
	Scheme   string // of the health check: http or https
	Host     string
	Path     string
	TestMode string // "true", "false", or "" when the file doesn't say

	Beside       bool   // the files below are written beside the configuration
	PasswordFile string // name only
	BodyFile     string // empty: a GET without a body

	password string
	body     string
	notes    []lineMistake // what is not carried over, and what to do
}

// What the script read, and where. A section named after an upstream's id stands
// in its sample, but it never read one.
var scriptKeys = map[string][]string{
	"global":   {"ip_mgmt", "authorization_cred", "payload_ptaf"},
	"upstream": {"test_mode", "id_upstreams", "healthcheck_host", "upstream_protocol", "healthcheck_path", "payload_healthcheck"},
}

// managementPort was fixed in the script.
const managementPort = "8443"

// readScript returns a [*mistakesError] with everything that is wrong in the file.
func readScript(file, text string) (*script, error) {
	ini, wrong := parseINI(text)
	if wrong != nil {
		return nil, &mistakesError{file, []lineMistake{*wrong}}
	}
	r := scriptReader{ini: ini, script: script{Source: shown(file)}}
	r.global()
	r.upstream()
	r.others()
	if len(r.wrong) > 0 {
		return nil, &mistakesError{file, r.wrong}
	}
	return &r.script, nil
}

// shown is the file's base name as a comment can hold it.
func shown(file string) string {
	name := file[strings.LastIndexAny(file, `/\`)+1:]
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

type scriptReader struct {
	ini    iniFile
	script script
	wrong  []lineMistake
}

// The texts of both never hold a value: any may be a secret in the wrong place.
func (r *scriptReader) refuse(line int, path, text string) {
	r.wrong = append(r.wrong, lineMistake{line: line, Mistake: edge.Mistake{Path: path, Text: text}})
}

func (r *scriptReader) note(line int, path, text string) {
	r.script.notes = append(r.script.notes, lineMistake{line: line, Mistake: edge.Mistake{Path: path, Text: text}})
}

func (r *scriptReader) global() {
	if v, line, ok := r.must("global", "ip_mgmt", "write the address of the PTAF's management, such as 192.0.2.10"); ok {
		if host, ok := asHost(v); ok {
			r.script.Address = net.JoinHostPort(host, managementPort)
		} else {
			r.refuse(line, "global.ip_mgmt", "is neither an address nor a name: write it alone, without https:// and port, such as 192.0.2.10")
		}
	}
	if v, line, ok := r.must("global", "authorization_cred", "write the word Basic and the base64 of USER:PASSWORD"); ok {
		var wrong string
		if r.script.Username, r.script.password, wrong = credential(v); wrong != "" {
			r.refuse(line, "global.authorization_cred", wrong)
		}
	}
	// The body of its requests to the management, also of those by GET.
	if v, line, ok := r.get("global", "payload_ptaf"); ok && !isEmptyPayload(v) {
		r.note(line, "global.payload_ptaf", "not carried over: it was the body of the script's questions, and ours have none. If you meant headers, write them under http_headers of the device")
	}
}

func (r *scriptReader) upstream() {
	if v, line, ok := r.must("upstream", "id_upstreams", "write the id of the upstream, 24 hex digits"); ok {
		if objectID.MatchString(v) {
			r.script.Upstream = strings.ToLower(v)
		} else {
			r.refuse(line, "upstream.id_upstreams", "is not the id of one upstream: write its 24 hex digits, without quotes; further upstreams belong under upstreams of the device")
		}
	}
	if v, line, ok := r.must("upstream", "healthcheck_host", "write the name that the check asks for, such as shop.example.com"); ok {
		if hostHeader.MatchString(v) {
			r.script.Host = v
		} else {
			r.refuse(line, "upstream.healthcheck_host", "is not the name of a host: write one such as shop.example.com, without http:// and path")
		}
	}
	if v, line, ok := r.must("upstream", "upstream_protocol", "write http:// or https://"); ok {
		switch v {
		case "http://", "https://":
			r.script.Scheme = strings.TrimSuffix(v, "://")
		default:
			r.refuse(line, "upstream.upstream_protocol", "is neither http:// nor https://: write one of them")
		}
	}
	r.script.Path = "/health"
	if v, line, ok := r.get("upstream", "healthcheck_path"); ok {
		_, err := url.ParseRequestURI(v)
		switch {
		case v == "":
			r.script.Path = "/"
		case err != nil || v[0] != '/' || !isPlain(v) || strings.ContainsAny(v, " #"):
			r.refuse(line, "upstream.healthcheck_path", "is not a path: begin it with a slash, as in /health, and write no spaces")
		default:
			r.script.Path = v
		}
	}
	if v, line, ok := r.get("upstream", "payload_healthcheck"); ok && !isEmptyPayload(v) {
		r.script.body = v
		r.note(line, "upstream.payload_healthcheck", "sent by POST, as its description says; the script itself sent it with GET. If your members want that, write method: GET")
	}
	if v, line, ok := r.get("upstream", "test_mode"); ok {
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			r.script.TestMode = "true"
		case "false", "no", "off", "0":
			r.script.TestMode = "false"
		default:
			r.note(line, "upstream.test_mode", "is neither true nor false: the mode is observe, see remediation.mode")
		}
	}
}

// others names what stands in the file and was not read.
func (r *scriptReader) others() {
	for _, s := range r.ini {
		known := scriptKeys[s.name]
		if s.name == iniDefault {
			known = slices.Concat(scriptKeys["global"], scriptKeys["upstream"])
		}
		if known == nil {
			r.note(s.line, "["+shownName(s.name)+"]", "not carried over: the script read only [global] and [upstream]. For a further upstream add its id under upstreams of the device, or import a file that has it there")
			continue
		}
		for _, k := range s.keys {
			if !slices.Contains(known, k.name) {
				r.note(k.line, s.name+"."+shownName(k.name), "not carried over: the script didn't read it. See docs/migration.md for what there is instead")
			}
		}
	}
	slices.SortStableFunc(r.script.notes, func(a, b lineMistake) int { return a.line - b.line })
	slices.SortStableFunc(r.wrong, func(a, b lineMistake) int { return a.line - b.line })
}

// shownName is a section's or key's name as a message can hold it: one that doesn't
// look like one may be a value that lost its key.
func shownName(s string) string {
	if !plainName.MatchString(s) {
		return "..."
	}
	return s
}

var (
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)
	objectID   = regexp.MustCompile(`^[0-9A-Fa-f]{24}$`)
	hostName   = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$`)
	hostHeader = regexp.MustCompile(`^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
)

// asHost takes an address or a name, without brackets around IPv6.
func asHost(s string) (string, bool) {
	inner := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(inner); err == nil && a.Zone() == "" {
		return inner, true
	}
	return s, hostName.MatchString(s)
}

// isEmptyPayload knows the script's sample, which stands for nothing.
func isEmptyPayload(s string) bool { return s == "" || s == "{}" }

func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// credential takes apart what the script sent as its header Authorization. The
// third value says what is wrong, without any of it.
func credential(header string) (user, password, wrong string) {
	scheme, encoded := header, ""
	if at := strings.IndexFunc(header, unicode.IsSpace); at >= 0 {
		scheme, encoded = header[:at], strings.TrimSpace(header[at:])
	}
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", "is not of the kind Basic: write the word Basic, a space, and the base64 of USER:PASSWORD, without quotes"
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		plain, err = base64.RawStdEncoding.DecodeString(encoded)
	}
	if err != nil || encoded == "" {
		return "", "", "what follows Basic is not base64: write what \"printf %s USER:PASSWORD | base64\" prints"
	}
	user, password, ok := strings.Cut(string(plain), ":")
	switch {
	case !ok:
		return "", "", "has no colon between user and password once decoded: write the base64 of USER:PASSWORD"
	case user == "" || password == "":
		return "", "", "has an empty user or password once decoded: write the base64 of USER:PASSWORD"
	case !isPlain(user):
		return "", "", "the user holds bytes that no name has once decoded: write the base64 of USER:PASSWORD in UTF-8"
	case strings.TrimSpace(password) != password || strings.ContainsAny(password, "\r\n\x00"):
		// What is around it is cut off when a password file is read.
		return "", "", "the password begins or ends with a space, or holds a line break, which a password file can't: give the user another one"
	}
	return user, password, ""
}

// must is a value that the script couldn't do without.
func (r *scriptReader) must(section, key, what string) (string, int, bool) {
	v, line, ok := r.get(section, key)
	if ok && v == "" {
		r.refuse(line, section+"."+key, "is empty: "+what)
		return "", 0, false
	}
	if ok || line > 0 { // found, or refused already
		return v, line, ok
	}
	s := r.ini.section(section)
	if s == nil {
		if key == scriptKeys[section][0] || section == "upstream" && key == "id_upstreams" {
			r.refuse(1, "", "there is no section ["+section+"]: is this the script's config.ini?")
		}
		return "", 0, false
	}
	var there []string
	for _, k := range s.keys {
		if !slices.Contains(scriptKeys[section], k.name) && plainName.MatchString(k.name) {
			there = append(there, k.name)
		}
	}
	if near, ok := nearest(key, there); ok {
		r.refuse(s.key(near).line, section+"."+near, "unknown key: write "+key)
	} else {
		r.refuse(s.line, section+"."+key, "is missing: "+what)
	}
	return "", 0, false
}

// get returns a value and its line. A line without ok: it was refused.
func (r *scriptReader) get(section, key string) (string, int, bool) {
	s := r.ini.section(section)
	if s == nil {
		return "", 0, false // what stands in DEFAULT counts for sections that are there
	}
	k := s.key(key)
	if k == nil {
		k = r.ini.section(iniDefault).key(key)
	}
	if k == nil {
		return "", 0, false
	}
	v, ok := uninterpolated(k.value)
	switch {
	case !ok:
		r.refuse(k.line, section+"."+key, "takes in another value by %(...)s: write the value itself here")
	case !utf8.ValidString(v):
		r.refuse(k.line, section+"."+key, "is not UTF-8: save the file as UTF-8")
		ok = false
	}
	return strings.TrimSpace(v), k.line, ok
}
