package rig

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// standIn is the variable by which this program is a Grafana: the name that it goes by.
const standIn = "SLUICE_TEST_GRAFANA"

func TestMain(m *testing.M) {
	if name := os.Getenv(standIn); name != "" {
		if err := beGrafana(name, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "stand-in for "+name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beGrafana is a stand-in, and no Grafana: none can be had where this was written.
// It takes what Grafana takes (command, flags, configuration, provisioning files),
// refuses what it doesn't know, and answers for the boards that it found.
func beGrafana(name string, args []string) error {
	if name == "grafana" {
		if len(args) == 0 || args[0] != "server" {
			return fmt.Errorf("%v: want the command server", args)
		}
		args = args[1:]
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	home, config := flags.String("homepath", "", ""), flags.String("config", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return fmt.Errorf("%v: %w", args, err)
	}
	if !isFile(filepath.Join(*home, "conf", "defaults.ini")) {
		return fmt.Errorf("no defaults in %s", *home)
	}
	keys, err := readIni(*config)
	if err != nil {
		return err
	}
	for key, want := range map[string]string{
		"server.http_addr": "127.0.0.1", "auth.anonymous.enabled": "true", "auth.anonymous.org_role": "Viewer",
		"analytics.reporting_enabled": "false", "analytics.check_for_updates": "false",
	} {
		if keys[key] != want {
			return fmt.Errorf("%s is %q, want %q", key, keys[key], want)
		}
	}
	for _, path := range []string{"paths.data", "paths.logs", "paths.plugins"} {
		if !strings.HasPrefix(keys[path], filepath.Dir(*config)) {
			return fmt.Errorf("%s is %s: not its own folder", path, keys[path])
		}
	}
	boards, err := provisioned(keys["paths.provisioning"])
	if err != nil {
		return err
	}
	if home := keys["dashboards.default_home_dashboard_path"]; !isFile(home) {
		return fmt.Errorf("the first board is %s, which isn't there", home)
	}
	return serveBoards(net.JoinHostPort(keys["server.http_addr"], keys["server.http_port"]), boards)
}

func readIni(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	keys, in := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, " = ")
		switch {
		case line == "":
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			in = strings.Trim(line, "[]")
		case ok && in != "":
			keys[in+"."+key] = value
		default:
			return nil, fmt.Errorf("%s: %q is neither a section nor a key", path, line)
		}
	}
	return keys, err
}

// provisioned are the boards that the provisioning files lead to, by uid.
func provisioned(dir string) (map[string]json.RawMessage, error) {
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct{ Options struct{ Path string } }
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Type, URL string
			JSONData  map[string]any `yaml:"jsonData"`
		}
	}
	for kind, into := range map[string]any{"dashboards": &providers, "datasources": &sources} {
		text, err := os.ReadFile(filepath.Join(dir, kind, "sluice.yml"))
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			return nil, err
		}
	}
	if providers.APIVersion != 1 || len(providers.Providers) != 1 || sources.APIVersion != 1 || len(sources.Datasources) != 1 {
		return nil, fmt.Errorf("providers %+v, data sources %+v", providers, sources)
	}
	if s := sources.Datasources[0]; s.Type != "prometheus" || !strings.HasPrefix(s.URL, "http://127.0.0.1:2") || s.JSONData["timeInterval"] != "1s" {
		return nil, fmt.Errorf("the data source is %+v", s)
	}
	files, err := filepath.Glob(filepath.Join(providers.Providers[0].Options.Path, "*.json"))
	if err != nil {
		return nil, err
	}
	boards := map[string]json.RawMessage{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var b struct{ UID string }
		if err := json.Unmarshal(text, &b); err != nil {
			return nil, err
		}
		boards[b.UID] = text
	}
	return boards, nil
}

func serveBoards(listen string, boards map[string]json.RawMessage) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/dashboards/uid/{uid}", func(w http.ResponseWriter, r *http.Request) {
		b, ok := boards[r.PathValue("uid")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(b)
	})
	srv := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: time.Second}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-stop:
		return srv.Close()
	}
}

// installStandIn puts one into PATH, and nothing else.
func installStandIn(t *testing.T, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, dir := range []string{"bin", "conf"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\n" + standIn + "=" + name + " exec " + self + ` "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(home, "bin", name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "conf", "defaults.ini"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(home, "bin"))
}

// parts are what Grafana is told of.
func parts(t *testing.T) *Rig {
	t.Helper()
	return &Rig{
		Dir:        t.TempDir(),
		Prometheus: &Prometheus{Process: &Process{}, Address: "127.0.0.1:20990"},
		Remediator: &Sluice{Process: &Process{}, URL: "http://127.0.0.1:20011"},
	}
}

func TestGrafanaShowsTheBoards(t *testing.T) {
	for _, name := range []string{"grafana", "grafana-server"} {
		t.Run(name, func(t *testing.T) {
			installStandIn(t, name)
			r := parts(t)
			if err := r.StartGrafana(t.Context(), Options{}); err != nil {
				t.Fatal(err)
			}
			var b struct {
				Templating struct {
					List []struct{ Name, Query any }
				}
			}
			if err := GetJSON(t.Context(), r.Grafana.URL+"/api/dashboards/uid/sluice-pool", &b); err != nil {
				t.Error(err)
			}
			found := false
			for _, v := range b.Templating.List {
				found = found || v.Name == "console" && v.Query == r.Remediator.URL
			}
			if !found {
				t.Errorf("the board doesn't lead to the console at %s: %v", r.Remediator.URL, b.Templating.List)
			}
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
			if r.Grafana.Running() {
				t.Error("Grafana runs on")
			}
		})
	}
}

func TestWithoutGrafanaNothingIsStarted(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := parts(t)
	if err := r.StartGrafana(t.Context(), Options{}); !errors.Is(err, ErrNoGrafana) || r.Grafana != nil {
		t.Errorf("error %v, Grafana %v", err, r.Grafana)
	}
}

// One that doesn't want what it is given says so in its own words.
func TestGrafanaThatEndsIsTold(t *testing.T) {
	installStandIn(t, "grafana")
	r := parts(t)
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin/2)
	defer cancel()
	err := r.StartGrafana(ctx, Options{Shipped: true}) // with an interval that the stand-in doesn't like
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "stand-in for grafana: the data source is") {
		t.Errorf("got %v", err)
	}
	if err := r.Grafana.Stop(); err != nil {
		t.Error(err)
	}
}
