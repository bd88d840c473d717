package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Hardware addresses of both ends, and one that nobody has: frames to it go nowhere,
// and nobody is told, as in a network that is cut.
const (
	nearMAC   = "02:00:00:00:00:01"
	farMAC    = "02:00:00:00:00:02"
	nobodyMAC = "02:00:00:00:00:ff"
)

// Inside is for a process in namespaces of its own, in which it may do as root may.
func Inside() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
}

// Allowed says why there can be no line between two namespaces here.
func Allowed() error {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return err
	}
	cmd := exec.Command("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
	cmd.SysProcAttr = Inside()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// A Namespace is the network at the other end of the line.
type Namespace struct {
	Enter []string // the command that runs another one there
	pairs []Pair

	keeper *exec.Cmd // nothing but this process keeps the namespace
	in     io.Closer
}

// Open makes one, from within a process that [Inside] is for. All ways are whole.
func Open(pairs []Pair) (*Namespace, error) {
	n := &Namespace{pairs: pairs, keeper: exec.Command("cat")}
	n.keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	in, err := n.keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	n.in = in
	out, err := n.keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.keeper.Start(); err != nil {
		return nil, err
	}
	if _, err = io.WriteString(in, "there\n"); err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err == nil {
		n.Enter = []string{"nsenter", "-t", strconv.Itoa(n.keeper.Process.Pid), "-n"}
		err = n.line()
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// line lays it, with the addresses of all pairs.
func (n *Namespace) line() error {
	here, there := run, func(command string) error { return run(strings.Join(n.Enter, " ") + " " + command) }
	if err := errors.Join(here("ip link set lo up"), there("ip link set lo up")); err != nil {
		return err
	}
	if err := here("ip link add near address " + nearMAC + " type veth peer name far address " + farMAC + " netns " + strconv.Itoa(n.keeper.Process.Pid)); err != nil {
		return err
	}
	for _, p := range n.pairs {
		if err := errors.Join(here("ip address add "+p.Near+"/30 dev near"), there("ip address add "+p.Far+"/30 dev far")); err != nil {
			return err
		}
	}
	if err := errors.Join(here("ip link set near up"), there("ip link set far up")); err != nil {
		return err
	}
	for i := range n.pairs {
		if err := n.Cut(i, false); err != nil {
			return err
		}
	}
	return nil
}

// Cut cuts the way of that pair, or makes it whole again.
func (n *Namespace) Cut(pair int, cut bool) error {
	toFar, toNear := farMAC, nearMAC
	if cut {
		toFar, toNear = nobodyMAC, nobodyMAC
	}
	p := n.pairs[pair]
	return errors.Join(
		run("ip neigh replace "+p.Far+" lladdr "+toFar+" dev near nud permanent"),
		run(strings.Join(n.Enter, " ")+" ip neigh replace "+p.Near+" lladdr "+toNear+" dev far nud permanent"))
}

// Close takes the line away and ends the namespace.
func (n *Namespace) Close() error {
	var err error
	if exec.Command("ip", "link", "show", "near").Run() == nil {
		err = run("ip link delete near") // with the namespace it would go a while later
	}
	err = errors.Join(err, n.in.Close())
	_ = n.keeper.Wait() // it ends when it has nothing to read
	return err
}

func run(command string) error {
	words := strings.Fields(command)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}
