package replicas

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-project/sluice/test/replicas/etcdtest"
)

// The test that runs in a network namespace of its own is this binary again.
const (
	insideEnv = "SLUICE_TEST_INSIDE"
	binaryEnv = "SLUICE_TEST_BINARY"
)

// Addresses at both ends of the line to etcd, a pair for each replica.
var (
	near = []string{"198.51.100.1", "198.51.100.5"}
	far  = []string{"198.51.100.2", "198.51.100.6"}
)

// Hardware addresses of both ends, and one that nobody has: frames to it go nowhere,
// and nobody is told, as in a network that is cut.
const (
	nearMAC   = "02:00:00:00:00:01"
	farMAC    = "02:00:00:00:00:02"
	nobodyMAC = "02:00:00:00:00:ff"
)

// TestAPartition cuts the network itself, in namespaces where the kernel lets us
// have them, as root or not, and else wires.
func TestAPartition(t *testing.T) { // I9, I16
	if os.Getenv(insideEnv) != "" {
		partition(t, toCut(t))
		return
	}
	if why := allowed(); why != nil {
		t.Log("over wires, because there are no network namespaces:", why)
		partition(t, wires(t))
		return
	}
	t.Log("in network namespaces of its own")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAPartition$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1", binaryEnv+"="+sluice)
	cmd.SysProcAttr = inside()
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

// inside is for a process in namespaces of its own, in which it may do as root may.
func inside() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
}

// allowed says why there can be no line between two namespaces here.
func allowed() error {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return err
	}
	cmd := exec.Command("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
	cmd.SysProcAttr = inside()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// namespaces puts etcd into a namespace of its own behind a line with two addresses,
// one for each replica, so that each can be cut off by itself.
func namespaces(t testing.TB) *network {
	t.Helper()
	run := func(command string) {
		t.Helper()
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	// Nothing but this process keeps the other namespace.
	keeper := exec.Command("cat")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	in, err := keeper.StdinPipe()
	ok(t, err)
	out, err := keeper.StdoutPipe()
	ok(t, err)
	ok(t, keeper.Start())
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		_ = keeper.Wait() // it ends when it has nothing to read
	})
	_, err = io.WriteString(in, "there\n")
	ok(t, err)
	_, err = bufio.NewReader(out).ReadString('\n')
	ok(t, err)
	enter := "nsenter -t " + strconv.Itoa(keeper.Process.Pid) + " -n "

	run("ip link set lo up")
	run(enter + "ip link set lo up")
	run("ip link add near address " + nearMAC + " type veth peer name far address " + farMAC + " netns " + strconv.Itoa(keeper.Process.Pid))
	t.Cleanup(func() { run("ip link delete near") }) // with a namespace it would go a while later
	for i := range near {
		run("ip address add " + near[i] + "/30 dev near")
		run(enter + "ip address add " + far[i] + "/30 dev far")
	}
	run("ip link set near up")
	run(enter + "ip link set far up")

	n := &network{etcd: etcdtest.StartIn(t, strings.Fields(enter), far...)}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(n.etcd.Endpoint, "http://"))
	ok(t, err)
	n.cut = func(i int, cut bool) {
		toFar, toNear := farMAC, nearMAC
		if cut {
			toFar, toNear = nobodyMAC, nobodyMAC
		}
		run("ip neigh replace " + far[i] + " lladdr " + toFar + " dev near nud permanent")
		run(enter + "ip neigh replace " + near[i] + " lladdr " + toNear + " dev far nud permanent")
	}
	for i, address := range far {
		n.endpoints = append(n.endpoints, "http://"+net.JoinHostPort(address, port))
		n.cut(i, false)
	}
	return n
}
