// Command scrapecost measures what one scrape of a HAProxy with very many
// servers costs, and sets it beside the raw "show stat" of the same HAProxy,
// which is the least that anybody could pay, and beside what others pay:
// haproxy_exporter and HAProxy's own exporter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/test/rig/figures"
)

type options struct {
	binary   string
	settings []string
	cut      string // query of the scrape that is cut down
	pause    time.Duration
	rounds   int
	quick    bool
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareCommand {
		exit(serveBare(os.Args[2], os.Args[3]))
	}
	var o options
	sizes := flag.String("servers", "1000,10000,50000", "Numbers of servers to measure with.")
	flag.StringVar(&o.binary, "sluice", "bin/sluice", "The program to measure.")
	flag.StringVar(&o.cut, "cut", defaultCut(), "Query of the scrape that is cut down to what haproxy_exporter has.")
	flag.DurationVar(&o.pause, "pause", 1200*time.Millisecond, "Time between two scrapes of Sluice: longer than it shares a read among scrapes.")
	flag.IntVar(&o.rounds, "rounds", 0, "Rounds for each number of servers; 0: 9, or 7 above 20,000 servers.")
	flag.BoolVar(&o.quick, "quick", false, "Three rounds, one of the peers: to see that it works.")
	flag.Func("setting", "A further line for the device's section haproxy. Repeatable.", func(s string) error {
		o.settings = append(o.settings, s)
		return nil
	})
	markdown := flag.Bool("markdown", false, "Print the tables as the document holds them.")
	write := flag.String("write", "", "Document whose tables are replaced by these.")
	flag.Parse()
	exit(run(o, *sizes, *markdown, *write))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "scrapecost:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

var errQuick = errors.New("-quick is for trying it out: its figures don't belong into a document")

func run(o options, sizes string, markdown bool, write string) error {
	if o.quick && write != "" {
		return errQuick
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	machine := figures.Machine("scrape-machine",
		[2]string{"HAProxy", version(ctx, "haproxy", "-v")},
		[2]string{"haproxy_exporter", version(ctx, peer, "--version")},
		[2]string{"Sluice", version(ctx, o.binary, "--version")})
	var results []*result
	var failed error
	for size := range strings.SplitSeq(sizes, ",") {
		servers, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("number of servers: %w", err)
		}
		start := time.Now()
		r, err := measure(ctx, o, servers)
		if err != nil {
			failed = fmt.Errorf("%d servers: %w", servers, err)
			break
		}
		fmt.Fprintf(os.Stderr, "scrapecost: %d servers took %v\n", servers, time.Since(start).Round(time.Second))
		results = append(results, r)
	}
	tables := []*figures.Table{aims(results), measured(results), machine}
	for _, t := range tables {
		if markdown {
			fmt.Printf("\n%s\n", t.Markdown())
			continue
		}
		if err := t.Text(os.Stdout); err != nil {
			return err
		}
	}
	if write == "" || failed != nil { // what was measured before is shown all the same
		return failed
	}
	return figures.Put(write, tables)
}

// version returns the first line of what a program says of itself.
func version(ctx context.Context, program string, args ...string) string {
	if program == "haproxy" && !installed(program) {
		program = "/usr/sbin/haproxy" // where Debian puts it
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return errors.Join(errors.New(figures.Unknown), err).Error()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
