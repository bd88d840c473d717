package haproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// ServerLines is "show servers state" as it came, to be read line by line at no
// cost: [ParseServers] makes 50,000 servers a million texts.
type ServerLines struct {
	rest []byte
	n    int // lines that were read
	// Places of the fields that are read; -1 for one that this HAProxy doesn't have.
	backend, name, op, admin, agent int
}

// A ServerLine is the state of one server. Its texts are parts of the answer.
type ServerLine struct {
	Backend, Name []byte
	Op            OpState
	Admin         Flags
	Agent         bool // an enabled agent check may change the server's state
}

// readServerLines reads what stands before the servers.
func readServerLines(b []byte) (*ServerLines, error) {
	rest, names, err := serversHeader(b)
	if err != nil {
		return nil, err
	}
	at := func(name string) int {
		if i, ok := names[name]; ok {
			return i
		}
		return -1
	}
	return &ServerLines{
		rest: rest, n: 2, backend: at("be_name"), name: at("srv_name"),
		op: at("srv_op_state"), admin: at("srv_admin_state"), agent: at("srv_agent_state"),
	}, nil
}

// serversHeader reads the format's version and the fields' names.
func serversHeader(b []byte) (rest []byte, names map[string]int, err error) {
	version, rest, _ := bytes.Cut(b, []byte("\n"))
	if v := strings.TrimSpace(string(version)); v != "1" {
		return nil, nil, fmt.Errorf("show servers state: format %q, want 1: %w", oneLine(string(head(version))), ErrAnswer)
	}
	header, rest, _ := bytes.Cut(rest, []byte("\n"))
	if !bytes.HasPrefix(header, []byte("# ")) {
		return nil, nil, fmt.Errorf("show servers state: no header: %w", ErrAnswer)
	}
	names = map[string]int{}
	for i, n := range strings.Fields(string(header[2:])) {
		names[n] = i
	}
	for _, want := range []string{"be_name", "srv_name", "srv_op_state", "srv_admin_state"} {
		if _, ok := names[want]; !ok {
			return nil, nil, fmt.Errorf("show servers state: no field %s: %w", want, ErrAnswer)
		}
	}
	if most := maxRows(len(names)); bytes.Count(rest, []byte("\n")) > most {
		return nil, nil, fmt.Errorf("show servers state: more than %d servers: %w", most, ErrAnswer)
	}
	return rest, names, nil
}

// Next reads the next server; ok is false after the last one.
func (s *ServerLines) Next() (l ServerLine, ok bool, err error) {
	var line []byte
	for len(bytes.TrimSpace(line)) == 0 {
		if len(s.rest) == 0 {
			return l, false, nil
		}
		line, s.rest, _ = bytes.Cut(s.rest, []byte("\n"))
		s.n++
	}
	fail := func(what string, value []byte) (ServerLine, bool, error) {
		return ServerLine{}, false, fmt.Errorf("show servers state: line %d: %s is %q: %w", s.n, what, oneLine(string(head(value))), ErrAnswer)
	}
	last := max(s.backend, s.name, s.op, s.admin, s.agent)
	var op, admin []byte
	for i := 0; i <= last; i++ {
		for len(line) > 0 && line[0] <= ' ' {
			line = line[1:]
		}
		field := line
		if end := bytes.IndexByte(line, ' '); end >= 0 {
			field, line = line[:end], line[end:]
		} else {
			line = nil
		}
		switch i {
		case s.backend:
			l.Backend = field
		case s.name:
			l.Name = field
		case s.op:
			op = field
		case s.admin:
			admin = field
		case s.agent:
			l.Agent = number(text(field))&0x04 != 0
		}
	}
	if len(l.Backend) == 0 || len(l.Name) == 0 {
		return fail("its name", nil)
	}
	if len(op) != 1 || op[0] < '0' || op[0] > '0'+byte(Stopping) {
		return fail("srv_op_state", op)
	}
	flags, err := strconv.ParseUint(text(admin), 10, 32)
	if err != nil {
		return fail("srv_admin_state", admin)
	}
	l.Op, l.Admin = OpState(op[0]-'0'), Flags(flags)
	return l, true, nil
}
