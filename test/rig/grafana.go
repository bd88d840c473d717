package rig

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// ErrNoGrafana says that there is none to show the boards.
var ErrNoGrafana = errors.New("no grafana or grafana-server in PATH")

// Grafana is a real Grafana on the shipped provisioning files and boards, of which
// only addresses, the interval and the folder are others. Everybody may look and
// nobody may change anything; it keeps nothing outside the rig's folder.
type Grafana struct {
	*Process
	URL string
}

// grafanaPackaged is where packages of Grafana put the program and what it needs;
// what they put into PATH is a script that names configuration files of its own.
// Source: Grafana, packaging/wrappers.
const grafanaPackaged = "/usr/share/grafana"

// StartGrafana starts a Grafana that shows the boards. Where none is installed the
// error is [ErrNoGrafana]. [Rig.Stop] ends it.
func (r *Rig) StartGrafana(ctx context.Context, o Options) error {
	command, err := grafanaCommand()
	if err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	own, err := address()
	if err != nil {
		return err
	}
	dir := filepath.Join(r.Dir, "grafana")
	config, err := r.writeGrafana(dir, root, own, o.withDefaults())
	if err != nil {
		return err
	}
	g := &Grafana{URL: "http://" + own}
	if g.Process, err = newProcess("grafana", r.Dir, command[0], append(command[1:], "--config="+config)...); err != nil {
		return err
	}
	r.Grafana = g
	if err := g.Start(); err != nil {
		return err
	}
	return g.ready(ctx, func(ctx context.Context) error {
		for _, uid := range []string{"sluice-overview", "sluice-pool", "sluice-ptaf", "sluice-probes", "sluice-audit"} {
			if err := healthy(g.URL + "/api/dashboards/uid/" + uid)(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// grafanaCommand is the program with the words before its flags. The older name has
// no word "server".
// Source: Grafana, pkg/cmd/grafana/main.go and pkg/cmd/grafana-server/main.go.
func grafanaCommand() ([]string, error) {
	for _, name := range []string{"grafana", "grafana-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if packaged := filepath.Join(grafanaPackaged, "bin", name); isFile(packaged) && strings.HasPrefix(path, "/usr/") {
			path = packaged
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		command := []string{path}
		if name == "grafana" {
			command = append(command, "server")
		}
		// It looks for its pages and defaults where it is started, unless told where.
		if followed, err := filepath.EvalSymlinks(path); err == nil {
			path = followed
		}
		home := filepath.Dir(filepath.Dir(path))
		for _, at := range []string{home, grafanaPackaged} {
			if isFile(filepath.Join(at, "conf", "defaults.ini")) {
				return append(command, "--homepath="+at), nil
			}
		}
		return command, nil
	}
	return nil, ErrNoGrafana
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// writeGrafana writes all files of a Grafana, and returns its configuration's.
func (r *Rig) writeGrafana(dir, root, listen string, o Options) (string, error) {
	boards, provisioning := filepath.Join(dir, "boards"), filepath.Join(dir, "provisioning")
	for _, d := range []string{boards, filepath.Join(provisioning, "dashboards"), filepath.Join(provisioning, "datasources")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	shipped := filepath.Join(root, "dashboards")
	files, err := filepath.Glob(filepath.Join(shipped, "*.json"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		// The links to the console lead to the remediator's default address.
		text = bytes.ReplaceAll(text, []byte("http://127.0.0.1:11011"), []byte(r.Remediator.URL))
		if err := os.WriteFile(filepath.Join(boards, filepath.Base(file)), text, 0o600); err != nil {
			return "", err
		}
	}
	providers, err := loadExample(filepath.Join(shipped, "provisioning", "dashboards.yml"))
	if err != nil {
		return "", err
	}
	for _, p := range providers.maps("providers") {
		p["options"] = map[string]any{"path": boards}
	}
	sources, err := loadExample(filepath.Join(shipped, "provisioning", "datasources.yml"))
	if err != nil {
		return "", err
	}
	sources.move(map[string]string{"9090": r.Prometheus.Address})
	if !o.Shipped {
		for _, s := range sources.maps("datasources") {
			if data, ok := asMap(s["jsonData"]); ok {
				data["timeInterval"] = model.Duration(o.Scrape).String()
			}
		}
	}
	err = errors.Join(
		providers.write(filepath.Join(provisioning, "dashboards", "sluice.yml")),
		sources.write(filepath.Join(provisioning, "datasources", "sluice.yml")))
	if err != nil {
		return "", err
	}
	config := filepath.Join(dir, "grafana.ini")
	host, port, _ := strings.Cut(listen, ":")
	text := strings.Join(slices.Concat(
		section("paths", "data = "+filepath.Join(dir, "data"), "logs = "+filepath.Join(dir, "log"), "plugins = "+filepath.Join(dir, "plugins"), "provisioning = "+provisioning),
		section("server", "http_addr = "+host, "http_port = "+port),
		section("log", "mode = console", "level = warn"),
		section("auth", "disable_login_form = true"),
		section("auth.anonymous", "enabled = true", "org_role = Viewer"),
		section("security", "disable_initial_admin_creation = true"),
		section("dashboards", "default_home_dashboard_path = "+filepath.Join(boards, "overview.json")),
		// It is to speak with nobody but its viewer and its Prometheus.
		section("analytics", "reporting_enabled = false", "check_for_updates = false", "check_for_plugin_updates = false"),
		section("news", "news_feed_enabled = false"),
		section("plugins", "preinstall_disabled = true", "plugin_admin_enabled = false"),
	), "\n")
	return config, os.WriteFile(config, []byte(text), 0o600)
}

// section is one section of Grafana's configuration.
// Source: Grafana, docs/sources/setup-grafana/configure-grafana.
func section(name string, keys ...string) []string {
	return append(append([]string{"[" + name + "]"}, keys...), "")
}
