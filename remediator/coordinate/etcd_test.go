package coordinate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
)

const (
	prefix = "/test"
	short  = 3 * time.Second // what a lease may be at least
	long   = time.Minute     // nothing in a test waits for its end
	soon   = 30 * time.Second
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition that comes by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !is(); {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", soon, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A replica is one coordinator that runs.
type replica struct {
	Coordinator
	stop func() // resigns, and waits for the end
}

func join(t *testing.T, server *etcdtest.Server, ttl time.Duration) *replica {
	t.Helper()
	return joinAll(t, []*etcdtest.Server{server}, ttl)
}

func joinAll(t *testing.T, members []*etcdtest.Server, ttl time.Duration) *replica {
	t.Helper()
	conf := EtcdConfig{Prefix: prefix, TTL: model.Duration(ttl)}
	for _, m := range members {
		conf.Endpoints = append(conf.Endpoints, m.Endpoint)
	}
	c, err := Open(Config{Etcd: &conf})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &replica{c, sync.OnceFunc(func() { cancel(); done.Wait() })}
	t.Cleanup(func() {
		r.stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *replica) leads() bool {
	_, leads := r.Leading()
	return leads
}

func (r *replica) journal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := r.OpenJournal("", 0)
	ok(t, err)
	t.Cleanup(func() { j.Close() }) // closing an etcd journal can't fail
	return j
}

func TestOneLeadsAndHandsOver(t *testing.T) { // I16
	server := etcdtest.Start(t)
	a := join(t, server, long)
	until(t, "the only one leads", a.leads)
	b := join(t, server, long)
	until(t, "the second knows the first", func() bool { return b.Status().Leader == a.Status().Identity })
	first, _ := a.Leading()
	if b.leads() || a.Status().Identity == b.Status().Identity {
		t.Fatalf("two lead: %+v, %+v", a.Status(), b.Status())
	}
	if left, leased := first.Left(); !leased || left > long || left < long/2 || !first.Covers(time.Second) {
		t.Errorf("%s are left, leased %v", left, leased)
	}
	if s := b.Status(); s.Leading || s.Token != first.Token() || s.Since.IsZero() || s.Problem != "" {
		t.Errorf("the second says %+v", s)
	}
	ja, jb := a.journal(t), b.journal(t)
	ok(t, ja.Under(first).Append(journal.Entry{Event: "led"}))
	if err := jb.Append(journal.Entry{Event: "meddled"}); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("a standby wrote: %v", err)
	}
	ok(t, jb.SaveHints([]journal.Hint{{Key: "k"}}))

	drain(b.Changes())
	a.stop() // its lease would last for a minute
	<-first.Done()
	if a.leads() {
		t.Error("who resigned leads")
	}
	<-b.Changes()
	until(t, "the second leads", b.leads)
	second, _ := b.Leading()
	if second.Token() <= first.Token() {
		t.Errorf("token %d came after %d", second.Token(), first.Token())
	}
	if err := ja.Append(journal.Entry{Event: "late"}); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("who resigned wrote: %v", err)
	}
	ok(t, jb.Append(journal.Entry{Event: "took over"}))
	es, err := jb.Entries(journal.Query{})
	ok(t, err)
	if len(es) != 2 || es[0].Event != "led" || es[1].Event != "took over" {
		t.Errorf("got %+v", es)
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func TestWhoLosesTheKeyStopsLeading(t *testing.T) { // I16
	server := etcdtest.Start(t)
	client := server.Client(t)
	a := join(t, server, long)
	until(t, "it leads", a.leads)
	first, _ := a.Leading()
	j := a.journal(t).Under(first)
	_, err := client.Delete(t.Context(), prefix+"/leader")
	ok(t, err)
	if err := j.Append(journal.Entry{Event: "late"}); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("wrote: %v", err)
	}
	<-first.Done()
	until(t, "it leads again", a.leads)
	second, _ := a.Leading()
	if second.Token() <= first.Token() {
		t.Errorf("token %d came after %d", second.Token(), first.Token())
	}
	// The process leads, but not in the term that this journal is bound to.
	if err := j.Append(journal.Entry{Event: "late"}); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("wrote: %v", err)
	}
	ok(t, j.Under(second).Append(journal.Entry{Event: "new term"}))
}

func TestOfManyOneLeads(t *testing.T) { // I16
	server := etcdtest.Start(t)
	var all []*replica
	for range 5 {
		all = append(all, join(t, server, long))
	}
	for n := len(all); n > 0; n-- {
		leader := -1
		until(t, "one leads", func() bool {
			leader = -1
			for i, r := range all {
				if r.leads() {
					if leader >= 0 {
						t.Fatal("two lead")
					}
					leader = i
				}
			}
			return leader >= 0
		})
		all[leader].stop()
		all = append(all[:leader], all[leader+1:]...)
	}
}

func TestEtcdThatIsSilent(t *testing.T) { // I16
	server := etcdtest.Start(t)
	a := join(t, server, short)
	until(t, "it leads", a.leads)
	term, _ := a.Leading()
	j := a.journal(t)
	server.Pause(t)
	<-term.Done() // by its own clock: nobody tells it
	if a.leads() {
		t.Error("it leads without a lease")
	}
	if err := j.Append(journal.Entry{Event: "late"}); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("wrote: %v", err)
	}
	until(t, "it says why", func() bool { return a.Status().Problem != "" })
	if s := a.Status(); strings.Contains(s.Problem, "\n") {
		t.Errorf("more than one line: %q", s.Problem)
	}
	server.Resume(t)
	until(t, "it leads again", a.leads)
	again, _ := a.Leading()
	if again.Token() <= term.Token() {
		t.Errorf("token %d came after %d", again.Token(), term.Token())
	}
	ok(t, j.Append(journal.Entry{Event: "back"}))
}

// noticed is a context that tells when a timeout is derived from it.
type noticed struct {
	context.Context
	now func()
}

func (n noticed) Deadline() (time.Time, bool) {
	n.now()
	return n.Context.Deadline()
}

func TestASlowAnswerRenewsFromWhenItWasAskedFor(t *testing.T) { // I16
	server := etcdtest.Start(t)
	e := NewEtcd(server.Client(t), prefix, long)
	tm, lease, err := e.take(t.Context())
	ok(t, err)
	server.Pause(t)
	sent, answered := make(chan struct{}), make(chan time.Duration)
	go func() {
		next, _ := e.renew(noticed{t.Context(), sync.OnceFunc(func() { close(sent) })}, tm, lease)
		answered <- next
	}()
	<-sent
	resumed := time.Now()
	server.Resume(t)
	if next := <-answered; next != long/renewals {
		t.Errorf("the next renewal is due in %s", next)
	}
	if tm.renewed.After(resumed) {
		t.Error("the lease counts from the answer")
	}
	e.revoke(t.Context(), lease)
	if next, problem := e.renew(t.Context(), tm, lease); next != 0 || problem == "" {
		t.Errorf("a lease that is gone: next in %s, %q", next, problem)
	}
}

func TestEtcdThatDies(t *testing.T) {
	server := etcdtest.Start(t)
	a := join(t, server, long)
	until(t, "it leads", a.leads)
	j := a.journal(t)
	ok(t, j.Append(journal.Entry{Event: "before"}))
	server.Kill(t)
	if err := j.Append(journal.Entry{Event: "lost"}); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	server.Restart(t)
	until(t, "it writes again", func() bool { return j.Append(journal.Entry{Event: "after"}) == nil })
	es, err := j.Entries(journal.Query{})
	ok(t, err)
	if len(es) != 2 || es[1].Seq != 2 {
		t.Errorf("got %+v", es)
	}
}

// TestAClusterOutlivesItsLeader stops etcd's own leader, then kills it: who leads
// us goes on leading, and nothing that was acknowledged is lost.
func TestAClusterOutlivesItsLeader(t *testing.T) { // I11, I16
	cluster := etcdtest.StartCluster(t, 3)
	a := joinAll(t, cluster, long)
	until(t, "it leads", a.leads)
	b := joinAll(t, cluster, long)
	term, _ := a.Leading()
	ja, jb := a.journal(t), b.journal(t)
	acknowledged := map[string]bool{}
	written := func(what string) func() bool {
		n := 0
		return func() bool {
			n++
			id := fmt.Sprint(what, n)
			acknowledged[id] = ja.Append(journal.Entry{Event: "e", Detail: id}) == nil
			return acknowledged[id]
		}
	}
	until(t, "the first is written", written("first"))
	leader := func() (found *etcdtest.Server) {
		until(t, "etcd has a leader", func() bool {
			for _, m := range cluster {
				if m.Leads(t) {
					found = m
				}
			}
			return found != nil
		})
		return found
	}
	paused := leader()
	paused.Pause(t)
	for range 5 { // some of the calls go to the one that is silent
		until(t, "it is written while etcd's leader is stopped", written("paused"))
	}
	paused.Resume(t)
	killed := leader()
	killed.Kill(t)
	for range 5 {
		until(t, "it is written while etcd's leader is dead", written("killed"))
	}
	if now, leads := a.Leading(); !leads || now.Token() != term.Token() || b.leads() {
		t.Errorf("leading %v with token %d, at first %d; the other %v", leads, now.Token(), term.Token(), b.leads())
	}
	var es []journal.Entry
	until(t, "the other reads", func() (read bool) {
		var err error
		es, err = jb.Entries(journal.Query{})
		return err == nil
	})
	for i, e := range es {
		if e.Seq != uint64(i+1) {
			t.Errorf("entry %d has number %d", i+1, e.Seq)
		}
		delete(acknowledged, e.Detail)
	}
	for id, yes := range acknowledged {
		if yes {
			t.Errorf("%s was acknowledged, and is lost", id)
		}
	}
}

func TestOpeningWithoutEtcd(t *testing.T) {
	server := etcdtest.Start(t)
	server.Kill(t)
	a := join(t, server, short)
	if _, err := a.OpenJournal("", 0); !errors.Is(err, journal.ErrUnavailable) || errors.Is(err, journal.ErrUnreadable) {
		t.Errorf("got %v", err)
	}
	if a.leads() {
		t.Error("it leads alone")
	}
	server.Restart(t)
	until(t, "it leads", a.leads)
	a.journal(t)
}

const replicaEnv = "SLUICE_TEST_REPLICA"

// TestMain lets the test binary be the replica that is stopped.
func TestMain(m *testing.M) {
	if endpoint := os.Getenv(replicaEnv); endpoint != "" {
		if err := beReplica(endpoint); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beReplica says when it leads, and at the next line of input what it believes,
// and what becomes of a write.
func beReplica(endpoint string) error {
	c, err := Open(Config{Etcd: &EtcdConfig{Endpoints: []string{endpoint}, Prefix: prefix, TTL: model.Duration(short)}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = c.Run(ctx) }() // it never fails
	j, err := c.OpenJournal("", 0)
	if err != nil {
		return err
	}
	<-c.Changes()
	term, _ := c.Leading()
	h := journal.Hold{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, Phase: journal.Intent}
	fmt.Println("leads", j.Under(term).Put(&h, journal.Entry{}))
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	// The first thing that it does when it goes on: nothing has told it anything.
	left, _ := term.Left()
	h.Phase = journal.Applying
	err = j.Under(blind{term}).Put(&h, journal.Entry{})
	fmt.Println("left", left, "fenced", errors.Is(err, journal.ErrFenced))
	return nil
}

// blind is a term that doesn't look at the clock: only etcd can refuse it.
type blind struct{ Term }

func (b blind) Fence() (string, int64, bool) {
	key, created, _ := b.Term.Fence()
	return key, created, true
}

func TestAProcessThatWasStoppedFindsItselfFenced(t *testing.T) { // I16
	server := etcdtest.Start(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), replicaEnv+"="+server.Endpoint)
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended by itself, if all is well
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "leads <nil>" {
		t.Fatalf("the replica says %q", lines.Text())
	}
	ok(t, cmd.Process.Signal(syscall.SIGSTOP))
	b := join(t, server, short)
	until(t, "the other one leads", b.leads) // after the lease of the first
	j := b.journal(t)
	h, err := j.Hold(edge.Member{Device: "edge1", Pool: "shop", Name: "s1"})
	ok(t, err)
	_, err = in.Write([]byte("\n"))
	ok(t, err)
	ok(t, cmd.Process.Signal(syscall.SIGCONT))
	if !lines.Scan() || lines.Text() != "left 0s fenced true" {
		t.Fatalf("the replica says %q", lines.Text())
	}
	now, err := j.Hold(h.Member)
	ok(t, err)
	if now.Rev != h.Rev || now.Phase != journal.Intent {
		t.Errorf("it changed the hold to %+v", now)
	}
}

func TestAUserLogsIn(t *testing.T) {
	server := etcdtest.Start(t)
	client := server.Client(t)
	ctx := t.Context()
	_, err := client.RoleAdd(ctx, "root")
	ok(t, err)
	_, err = client.UserAdd(ctx, "root", "not-a-real-password")
	ok(t, err)
	_, err = client.UserGrantRole(ctx, "root", "root")
	ok(t, err)
	_, err = client.RoleAdd(ctx, "sluice")
	ok(t, err)
	_, err = client.RoleGrantPermission(ctx, "sluice", prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"), clientv3.PermissionType(clientv3.PermReadWrite))
	ok(t, err)
	_, err = client.UserAdd(ctx, "sluice", "not-a-real-password")
	ok(t, err)
	_, err = client.UserGrantRole(ctx, "sluice", "sluice")
	ok(t, err)
	_, err = client.AuthEnable(ctx)
	ok(t, err)

	stranger := join(t, server, long)
	until(t, "the stranger is refused", func() bool { return strings.Contains(stranger.Status().Problem, "user name is empty") })
	file := t.TempDir() + "/secret"
	c := Config{Etcd: &EtcdConfig{Endpoints: []string{server.Endpoint}, Prefix: prefix, TTL: model.Duration(long), Username: "sluice", PasswordFile: file}}
	ok(t, os.WriteFile(file, []byte("wrong-guess\n"), 0o600))
	if _, err := Open(c); err == nil || strings.Contains(err.Error(), "wrong-guess") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	ok(t, os.WriteFile(file, []byte("not-a-real-password\n"), 0o600))
	mine, err := Open(c)
	ok(t, err)
	run, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { _ = mine.Run(run) }) // it never fails
	r := &replica{Coordinator: mine}
	until(t, "who may, leads", r.leads)
	ok(t, r.journal(t).Append(journal.Entry{Event: "e"}))
	kept, err := mine.(*Etcd).client.Get(ctx, prefix+"/leader")
	ok(t, err)
	if next, problem := mine.(*Etcd).renew(ctx, mine.(*Etcd).term, clientv3.LeaseID(kept.Kvs[0].Lease)); next == 0 || problem != "" {
		t.Errorf("renewed for %s, %q", next, problem)
	}
	cancel()
	done.Wait()
	ok(t, mine.Close())
}

func TestOverTLS(t *testing.T) {
	server := etcdtest.StartTLS(t)
	conf := func(tls *promconfig.TLSConfig) Config {
		c := Config{Etcd: &EtcdConfig{Endpoints: []string{server.Endpoint}, TLS: tls}}
		if m := c.Validate(); len(m) > 0 {
			t.Fatal(m)
		}
		return c
	}
	c, err := Open(conf(nil))
	ok(t, err)
	if _, err := c.OpenJournal("", 0); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("a certificate that isn't known: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = c.Run(ctx) }) // it never fails
	until(t, "it says why", func() bool { return strings.Contains(c.Status().Problem, "certificate") })
	cancel()
	done.Wait()
	ok(t, c.Close())
	c, err = Open(conf(&promconfig.TLSConfig{CAFile: server.CertFile}))
	ok(t, err)
	j, err := c.OpenJournal("", 0)
	ok(t, err)
	ok(t, j.SetFreeze(journal.Freeze{Reason: "over TLS"}))
	ok(t, errors.Join(j.Close(), c.Close()))
	if _, err := Open(conf(&promconfig.TLSConfig{CAFile: t.TempDir() + "/none"})); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a certificate that isn't there: %v", err)
	}
}

// An etcd that asks for certificates knows us by ours, and nobody without one.
func TestOverTLSWithOurCertificate(t *testing.T) {
	mine, mineKey := etcdtest.Certificate(t)
	other, otherKey := etcdtest.Certificate(t)
	server := etcdtest.StartTLS(t, "--client-cert-auth", "--trusted-ca-file="+mine)
	open := func(cert, key string) (Coordinator, error) {
		c := Config{Etcd: &EtcdConfig{Endpoints: []string{server.Endpoint}, TTL: model.Duration(short), TLS: &promconfig.TLSConfig{CAFile: server.CertFile, CertFile: cert, KeyFile: key}}}
		if m := c.Validate(); len(m) > 0 {
			t.Fatal(m)
		}
		return Open(c)
	}
	for name, files := range map[string][2]string{"none": {}, "another": {other, otherKey}} {
		t.Run(name, func(t *testing.T) {
			c, err := open(files[0], files[1])
			ok(t, err)
			if _, err := c.OpenJournal("", 0); !errors.Is(err, journal.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			ok(t, c.Close())
		})
	}
	c, err := open(mine, mineKey)
	ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = c.Run(ctx) }) // it never fails
	until(t, "it leads", func() bool { _, leads := c.Leading(); return leads })
	j, err := c.OpenJournal("", 0)
	ok(t, err)
	term, _ := c.Leading()
	ok(t, j.Under(term).Append(journal.Entry{Event: "e"}))
	cancel()
	done.Wait()
	ok(t, errors.Join(j.Close(), c.Close()))
	if _, err := open(mine, t.TempDir()+"/none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a key that isn't there: %v", err)
	}
}
