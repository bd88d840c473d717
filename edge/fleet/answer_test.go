package fleet_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// A device that gives no answer to a command is told from one that refuses it.
func TestAWriteThatIsNotAnsweredIsTold(t *testing.T) {
	for _, c := range []struct {
		name, server string
		fault        haproxytest.Fault
		gone, silent bool
	}{
		{"nobody is there", "s1", haproxytest.None, true, true},
		{"it says nothing", "s1", haproxytest.Hang, false, true},
		{"it breaks off", "s1", haproxytest.Truncate, false, true},
		{"it has no such server", "nope", haproxytest.None, false, false},
		{"it may not", "s1", haproxytest.Level, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			ln, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			fake := haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6}, haproxytest.Server{Backend: "shop", Name: "s1", Address: "192.0.2.1:80", Op: 2})
			fake.Misbehave(c.fault)
			go fake.Serve(ln)
			if c.gone {
				ln.Close()
			}
			f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: socket, Timeout: model.Duration(100 * time.Millisecond)}}}, fleet.Options{Write: true})
			if err != nil {
				t.Fatal(err)
			}
			d, _ := f.Device("edge1")
			_, err = d.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: edge.Member{Device: "edge1", Pool: "shop", Name: c.server}, To: edge.Drain}}})
			var no *edge.NoAnswerError
			if err == nil || errors.As(err, &no) != c.silent {
				t.Errorf("got %v; silent should be %t", err, c.silent)
			}
		})
	}
}
