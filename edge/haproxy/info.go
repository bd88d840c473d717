package haproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// Info is "show info": the process that answers.
type Info struct {
	Version  string
	Pid      int
	Start    time.Time // whole seconds; before 2.4 derived from the uptime, off by up to one second
	Uptime   time.Duration
	Stopping bool // an old process after a reload: its figures are frozen
	Fields   map[string]string
}

// Process tells one life of HAProxy from the next. In containers a pid can
// repeat, so the start time is part of it.
func (i Info) Process() string {
	if i.Fields["Start_time_sec"] == "" {
		return fmt.Sprintf("pid %d", i.Pid) // before 2.4 a derived start time wavers by a second
	}
	return fmt.Sprintf("pid %d started %d", i.Pid, i.Start.Unix())
}

// ParseInfo reads the lines "Name: value" of "show info"; now dates the start
// of a HAProxy that gives its uptime only.
func ParseInfo(b []byte, now time.Time) (Info, error) {
	i := Info{Fields: map[string]string{}}
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		i.Fields[string(bytes.TrimSpace(key))] = string(bytes.TrimSpace(value))
	}
	pid, err := strconv.Atoi(i.Fields["Pid"])
	if err != nil || pid <= 0 {
		return Info{}, fmt.Errorf("show info: no Pid: %w: %s", ErrAnswer, oneLine(string(head(b))))
	}
	i.Pid, i.Version, i.Stopping = pid, i.Fields["Version"], i.Fields["Stopping"] == "1"
	if up, err := strconv.ParseInt(i.Fields["Uptime_sec"], 10, 64); err == nil {
		i.Uptime = time.Duration(up) * time.Second
	}
	i.Start = now.Add(-i.Uptime).Truncate(time.Second)
	if at, err := strconv.ParseInt(i.Fields["Start_time_sec"], 10, 64); err == nil {
		i.Start = time.Unix(at, 0)
	}
	return i, nil
}
