package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// errAPI is a Zabbix that says no.
var errAPI = errors.New("refused by Zabbix")

// A zabbix is the API of a real one.
type zabbix struct {
	url, auth string
	groups    string // what its version calls groups of templates in an import
}

// zabbixes are those that SLUICE_ZABBIX_API names, one in each word, with a super
// admin who may import: http://Admin:not-a-real-password@192.0.2.7/zabbix/api_jsonrpc.php.
// None is the usual case: a test run writes into them.
func zabbixes() []string { return strings.Fields(os.Getenv("SLUICE_ZABBIX_API")) }

// TestARealZabbixImportsTheFile imports it twice, and finds all of it there once. A trigger on an item that there isn't is refused.
func TestARealZabbixImportsTheFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e := shipped(t)
	for _, address := range zabbixes() {
		z, err := logIn(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := z.call(t.Context(), "configuration.import", z.source(string(text)), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, tpl := range e.Templates {
			want := counts{Items: len(tpl.Items), Discoveries: len(tpl.Discovery), Macros: len(tpl.Macros)}
			for _, tr := range e.Triggers {
				if strings.Contains(tr.Expression, "(/"+tpl.Template+"/") {
					want.Triggers++
				}
			}
			for _, r := range tpl.Discovery {
				want.Prototypes += len(r.Items)
				want.TriggerPrototypes += len(r.Triggers)
			}
			got, err := z.counts(t.Context(), tpl.Template)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-in the file +in Zabbix):\n%s", tpl.Template, diff)
			}
		}
		broken := strings.Replace(string(text), "(/Sluice exporter by HTTP/sluice.exporter.config", "(/Sluice exporter by HTTP/sluice.exporter.nothing", 1)
		if err := z.call(t.Context(), "configuration.import", z.source(broken), nil); !errors.Is(err, errAPI) {
			t.Errorf("a trigger on no item: %v, want %v", err, errAPI)
		}
	}
}

func logIn(ctx context.Context, address string) (*zabbix, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("SLUICE_ZABBIX_API: not a URL") // the error itself would show the password
	}
	password, _ := u.User.Password() // an empty one is refused over there
	name := u.User.Username()
	u.User = nil
	z := &zabbix{url: u.String(), groups: "template_groups"}
	var version string
	if err := z.call(ctx, "apiinfo.version", []any{}, &version); err != nil {
		return nil, err
	}
	if strings.HasPrefix(version, "6.0.") {
		z.groups = "groups" // Source: Zabbix documentation 6.2, "API changes"
	}
	if err := z.call(ctx, "user.login", map[string]any{"username": name, "password": password}, &z.auth); err != nil {
		return nil, err
	}
	return z, nil
}

// counts are how many things of each kind a template has.
type counts struct{ Items, Prototypes, Triggers, TriggerPrototypes, Discoveries, Macros int }

func (z *zabbix) counts(ctx context.Context, template string) (counts, error) {
	var got []struct {
		ID                                   string `json:"templateid"`
		Items, Triggers, Discoveries, Macros []any
	}
	err := z.call(ctx, "template.get", map[string]any{
		"filter": map[string]any{"host": template}, "selectItems": "extend", "selectTriggers": "extend", "selectDiscoveries": "extend", "selectMacros": "extend",
	}, &got)
	if err != nil {
		return counts{}, err
	}
	if len(got) != 1 {
		return counts{}, fmt.Errorf("%d templates are called %s", len(got), template)
	}
	var items, triggers []any
	of := map[string]any{"templateids": got[0].ID}
	err = errors.Join(z.call(ctx, "itemprototype.get", of, &items), z.call(ctx, "triggerprototype.get", of, &triggers))
	return counts{
		Items: len(got[0].Items), Prototypes: len(items), Triggers: len(got[0].Triggers),
		TriggerPrototypes: len(triggers), Discoveries: len(got[0].Discoveries), Macros: len(got[0].Macros),
	}, err
}

// source are the parameters of an import of everything that there is in a text.
func (z *zabbix) source(text string) map[string]any {
	all := map[string]bool{"createMissing": true, "updateExisting": true}
	exactly := map[string]bool{"createMissing": true, "updateExisting": true, "deleteMissing": true}
	return map[string]any{"format": "yaml", "source": text, "rules": map[string]any{
		z.groups: all, "templates": all, "items": exactly, "triggers": exactly, "discoveryRules": exactly, "valueMaps": exactly,
	}}
}

func (z *zabbix) call(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	body := map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
	if z.auth != "" {
		body["auth"] = z.auth
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, z.url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json-rpc")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end, or of no more use
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message, Data string }
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: status %d: %w", method, res.StatusCode, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s %s: %w", method, answer.Error.Message, answer.Error.Data, errAPI)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}
