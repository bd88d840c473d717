package replicas

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/replicas/etcdtest"
	"github.com/sluice-project/sluice/test/rig/netns"
)

// The test that runs in a network namespace of its own is this binary again.
const (
	insideEnv = "SLUICE_TEST_INSIDE"
	binaryEnv = "SLUICE_TEST_BINARY"
)

// TestAPartition cuts the network itself, in namespaces where the kernel lets us
// have them, as root or not, and else wires.
func TestAPartition(t *testing.T) { // I9, I16
	if os.Getenv(insideEnv) != "" {
		partition(t, toCut(t))
		return
	}
	if why := netns.Allowed(); why != nil {
		t.Log("over wires, because there are no network namespaces:", why)
		partition(t, wires(t))
		return
	}
	t.Log("in network namespaces of its own")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAPartition$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1", binaryEnv+"="+sluice)
	cmd.SysProcAttr = netns.Inside()
	out, err := cmd.CombinedOutput()
	t.Logf("inside:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAPartition") {
		t.Errorf("inside: %v", err)
	}
}

// toCut is a network of namespaces where this process has been given them.
func toCut(t testing.TB) *network {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return namespaces(t)
	}
	return wires(t)
}

// namespaces puts etcd into a namespace of its own behind a line with two addresses,
// one for each replica, so that each can be cut off by itself.
func namespaces(t testing.TB) *network {
	t.Helper()
	pairs := netns.Pairs(2)
	space, err := netns.Open(pairs)
	ok(t, err)
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	var far []string
	for _, p := range pairs {
		far = append(far, p.Far)
	}
	n := &network{etcd: etcdtest.StartIn(t, space.Enter, far...)}
	n.cut = func(i int, cut bool) {
		t.Helper()
		ok(t, space.Cut(i, cut))
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(n.etcd.Endpoint, "http://"))
	ok(t, err)
	for _, address := range far {
		n.endpoints = append(n.endpoints, "http://"+net.JoinHostPort(address, port))
	}
	return n
}
