package alerts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator"
)

// TestMetricsOfTheRemediatorAreDocumented: a series that nobody knows of is in no
// rule and on no board, and a documented one that isn't there makes a rule silent.
func TestMetricsOfTheRemediatorAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(sluice_(?:remediation|maintenance)_\\w+)` \\| \\w+ \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = labels(m[2])
	}

	seen := &described{metrics: map[string]string{}}
	c := &remediator.Config{Mode: remediator.Observe, Journal: filepath.Join(t.TempDir(), "sluice.db")}
	if m := c.Validate(nil, nil); len(m) > 0 {
		t.Fatal(m)
	}
	r, err := remediator.New(remediator.Options{Config: c, Registerer: seen, Authenticated: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if len(seen.metrics) == 0 {
		t.Fatal("the remediator registers no metrics")
	}
	if diff := cmp.Diff(seen.metrics, documented); diff != "" {
		t.Errorf("names and labels in docs/metrics.md (-registered +documented):\n%s", diff)
	}
}

// labels is a list with single commas.
func labels(list string) string {
	return strings.Join(strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }), ",")
}

// described is a registerer that keeps names and labels of what is registered.
type described struct{ metrics map[string]string }

// inDesc finds them in the text of a Desc, which has no other way to be asked.
var inDesc = regexp.MustCompile(`fqName: "(\w+)".*variableLabels: [\[{]([^\]}]*)[\]}]`)

func (d *described) Register(c prometheus.Collector) error {
	ch := make(chan *prometheus.Desc)
	go func() {
		c.Describe(ch)
		close(ch)
	}()
	for desc := range ch {
		m := inDesc.FindStringSubmatch(desc.String())
		if m == nil {
			return fmt.Errorf("%s: neither name nor labels found in it", desc)
		}
		d.metrics[m[1]] = labels(m[2])
	}
	return nil
}

func (d *described) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := d.Register(c); err != nil {
			panic(err)
		}
	}
}

func (d *described) Unregister(prometheus.Collector) bool { return false }
