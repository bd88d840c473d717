// Command zabbix makes deploy/zabbix/sluice.yaml, the templates that let a Zabbix
// read both programs' /metrics, for those who have no Prometheus.
//
// The format is that of Zabbix 6.0, the oldest version with support of its own
// whose templates have UUIDs; newer ones read it. What a template holds is in
// exporter.go and remediator.go.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

const document = "deploy/zabbix/sluice.yaml"

func main() {
	root := flag.String("root", ".", "The module's folder.")
	flag.Parse()
	text, err := render()
	if err == nil {
		err = os.WriteFile(filepath.Join(*root, filepath.FromSlash(document)), text, 0o644) //nolint:gosec // everybody may read it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zabbix:", err)
		os.Exit(1)
	}
}

// render is the whole file.
func render() ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# Made by \"go run ./deploy/zabbix\". How to use it: docs/zabbix.md.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(file{export()}); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

func export() Export {
	e := Export{Version: "6.0", Date: "2026-01-01T00:00:00Z", Groups: []Group{{UUID: uuid("group", group), Name: group}}}
	for _, t := range []*builder{exporter(), remediator()} {
		for _, r := range t.rules {
			t.Discovery = append(t.Discovery, *r)
		}
		e.Templates = append(e.Templates, t.Template)
		e.Triggers = append(e.Triggers, t.triggers...)
	}
	return e
}
