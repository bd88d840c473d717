package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What stands around an example that isn't a whole file.
const aroundExamples = `
devices:
  - {name: edge1, haproxy: {address: /run/haproxy/admin.sock}}
  - {name: waf1, ptaf: {url: 'https://192.0.2.10:8443/api/waf/v2'}}
modules: {health: {prober: http}, port: {prober: tcp}}
probes: [{name: shop, module: health, members: {pool: shop}}]
remediation:
  mode: auto
  alertmanagers: [{url: 'http://127.0.0.1:9093'}]
`

const aroundPolicy = `{name: drain, to: drain, members: {device: edge1, pool: shop}, min_serving: 50%}`

func TestExamplesInTheDocsAreGood(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	for _, name := range []string{"configuration.md", "probing.md", "replicas.md", "audit.md", "access.md"} {
		text, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Fatal(err)
		}
		examples := fenced(string(text), "yaml")
		if len(examples) == 0 {
			t.Errorf("%s: no example found", name)
		}
		for line, example := range examples {
			t.Run(fmt.Sprintf("%s line %d", name, line), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "sluice.yml")
				writeSecrets(t, filepath.Dir(file), example)
				if err := os.WriteFile(file, completed(t, example), 0o600); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := checkConfig(streams{out: &out, err: &out}, file); err != nil {
					t.Errorf("%v: %s\nof\n%s", err, &out, example)
				}
			})
		}
	}
}

// writeSecrets makes the files that a section access reads.
func writeSecrets(t *testing.T, dir, example string) {
	t.Helper()
	for i, name := range regexp.MustCompile(`\S+\.(token|secret)\b`).FindAllString(example, -1) {
		write(t, dir, name, fmt.Sprintf("not-a-real-token-of-an-example-%d\n", i))
	}
	for _, name := range regexp.MustCompile(`\S+\.hash\b`).FindAllString(example, -1) {
		write(t, dir, name, "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n")
	}
}

// fenced returns the code blocks of one language, by the lines that they begin on.
func fenced(text, language string) map[int]string {
	out := map[int]string{}
	begin, inside := 0, false
	var block strings.Builder
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !inside && line == "```"+language:
			begin, inside = i+2, true
			block.Reset()
		case inside && line == "```":
			out[begin], inside = block.String(), false
		case inside:
			block.WriteString(line + "\n")
		}
	}
	return out
}

// completed makes a whole file of an example. How far it is indented says where it
// belongs: at 0 it begins with a section, at 2 it is within remediation, at 4 it is
// a policy of the list, and at 6 what stands in one.
func completed(t *testing.T, example string) []byte {
	t.Helper()
	first, _, _ := strings.Cut(example, "\n")
	switch len(first) - len(strings.TrimLeft(first, " ")) {
	case 0:
	case 2:
		example = "remediation:\n" + example
	case 4:
		example = "remediation:\n  policies:\n" + example
	case 6:
		example = "remediation:\n  policies:\n    -\n" + example
	default:
		t.Fatalf("an example that begins with %q belongs nowhere", first)
	}
	var file, around, policy map[string]any
	for text, into := range map[string]*map[string]any{example: &file, aroundExamples: &around, aroundPolicy: &policy} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	addMissing(file, around)
	if section, ok := file["remediation"].(map[string]any); ok {
		policies, _ := section["policies"].([]any) // none is fine
		for _, p := range policies {
			if p, ok := p.(map[string]any); ok && p["to"] != "bypass" {
				addMissing(p, policy)
			}
		}
	}
	whole, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// addMissing adds the keys of from that into doesn't have, and so on inside.
func addMissing(into, from map[string]any) {
	for key, value := range from {
		have, known := into[key]
		if !known {
			into[key] = value
			continue
		}
		a, isMap := have.(map[string]any)
		if b, ok := value.(map[string]any); ok && isMap {
			addMissing(a, b)
		}
	}
}
