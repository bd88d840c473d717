package haproxy

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// Flags is srv_admin_state: who took a server out, as bits. HAProxy writes it as
// a decimal number. Source: management guide, "show servers state"; enum srv_admin.
type Flags uint32

// The bits, by HAProxy's own names.
const (
	ForcedMaint    Flags = 0x01 // "set server state maint", an agent's word, "disabled" (with ConfigMaint)
	InheritedMaint Flags = 0x02 // the tracked server is in maintenance
	ConfigMaint    Flags = 0x04 // "disabled" in the configuration; stays for the process's life and by itself stops nothing
	ForcedDrain    Flags = 0x08 // "set server state drain", an agent's word
	InheritedDrain Flags = 0x10 // the tracked server is drained
	ResolveMaint   Flags = 0x20 // DNS gave no address
	FQDNChanged    Flags = 0x40 // "set server fqdn"; no maintenance, whatever the guide calls it

	anyMaint = ForcedMaint | InheritedMaint | ResolveMaint
	anyDrain = ForcedDrain | InheritedDrain
)

var flagNames = []struct {
	flag Flags
	name string
}{
	{ForcedMaint, "FMAINT"},
	{InheritedMaint, "IMAINT"},
	{ConfigMaint, "CMAINT"},
	{ForcedDrain, "FDRAIN"},
	{InheritedDrain, "IDRAIN"},
	{ResolveMaint, "RMAINT"},
	{FQDNChanged, "FQDN"},
}

// String joins the names of the bits by "|"; it is empty when none is set.
func (f Flags) String() string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint32(f)))
	}
	return strings.Join(names, "|")
}

// Maint and Drain say what the bits amount to; a server can be in both, and
// maintenance is the stronger.
func (f Flags) Maint() bool { return f&anyMaint != 0 }

// Drain is described at Maint.
func (f Flags) Drain() bool { return f&anyDrain != 0 }

// An OpState is srv_op_state: what checks, an agent or tracking found.
type OpState uint8

// The operational states. Source: management guide, "show servers state".
const (
	Stopped  OpState = iota
	Starting         // up, throttled by slowstart
	Running
	Stopping // up, takes no new traffic (404)
)

// Up says that checks, if there are any, found the server well.
func (o OpState) Up() bool { return o == Starting || o == Running }

// A Server is one line of "show servers state".
type Server struct {
	Backend, Name string
	Address       string // host:port; empty when HAProxy has none
	FQDN          string
	Op            OpState
	Admin         Flags
	UserWeight    int // what is configured or was set; relative
	InitialWeight int
	AgentState    uint32 // bit 0x04: an agent check is enabled
	CheckState    uint32
}

// Serves says whether a server takes new traffic now; weight, backup and
// status are those of its row in "show stat".
func Serves(op OpState, admin Flags, weight int, backup bool, status string) bool {
	return op.Up() && admin.State() == edge.Ready && weight > 0 && !backup && !strings.HasPrefix(status, "MAINT") && !strings.HasPrefix(status, "DOWN")
}

// HasAgent says that an enabled agent check may change the server's state.
func (s Server) HasAgent() bool { return s.AgentState&0x04 != 0 }

// ParseServers reads "show servers state": a line with the format's version, a
// line with the fields' names, one line for each server. Fields go by name: 20
// of them in 2.0, 25 from 2.4.
func ParseServers(b []byte) ([]Server, error) {
	rest, col, err := serversHeader(b)
	if err != nil {
		return nil, err
	}
	var out []Server
	for n := 3; len(rest) > 0; n++ {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		s, err := parseServer(col, fields)
		if err != nil {
			return nil, fmt.Errorf("show servers state: line %d: %w", n, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func parseServer(col map[string]int, fields []string) (Server, error) {
	get := func(n string) string {
		if i, ok := col[n]; ok && i < len(fields) && fields[i] != "-" {
			return fields[i]
		}
		return ""
	}
	var bad error
	num := func(n string, must bool) uint64 {
		v, err := strconv.ParseUint(get(n), 10, 32)
		if err != nil && must && bad == nil {
			bad = fmt.Errorf("%s is %q, want a number: %w", n, oneLine(get(n)), ErrAnswer)
		}
		return v
	}
	s := Server{
		Backend: get("be_name"), Name: get("srv_name"), FQDN: get("srv_fqdn"),
		Admin: Flags(num("srv_admin_state", true)), // 32 bits by ParseUint
	}
	op := num("srv_op_state", true)
	if bad == nil && op > uint64(Stopping) {
		bad = fmt.Errorf("srv_op_state is %d, want 0 to 3: %w", op, ErrAnswer)
	}
	if s.Backend == "" || s.Name == "" {
		bad = fmt.Errorf("no be_name or srv_name: %w", ErrAnswer)
	}
	if bad != nil {
		return Server{}, bad
	}
	s.Op = OpState(op)
	s.UserWeight, s.InitialWeight = int(num("srv_uweight", false)), int(num("srv_iweight", false))
	s.AgentState, s.CheckState = uint32(num("srv_agent_state", false)), uint32(num("srv_check_state", false))
	if host, port := get("srv_addr"), get("srv_port"); host != "" && port != "" {
		s.Address = net.JoinHostPort(host, port)
	}
	return s, nil
}
