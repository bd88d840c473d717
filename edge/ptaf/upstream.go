package ptaf

import (
	"encoding/json"
	"time"
)

type Upstream struct {
	ID, Name, LastModified         string
	IPHash, LeastConn, Transparent bool
	Keepalive                      int
	ReadTimeout                    time.Duration
	Backends                       []Backend
	Addresses                      int
	version                        string
}

type Backend struct {
	Name, Address string
	Port, Weight  int
	MaxFails      *int
	Down, Backup  bool
}

func ParseUpstream(raw []byte) (Upstream, error) { return Upstream{}, ErrAnswer }

func (u Upstream) Version() string { return u.version }

func Backends(object []byte) (json.RawMessage, error) { return nil, ErrNoBackend }
