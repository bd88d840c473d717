package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// The requests of the replaced API's document and of its list of curl commands,
// one by one, with curl and jq: what users have in their scripts goes on
// working. What is printed is compared without blanks at its ends; want is a
// regular expression for all of it.
func TestEveryCurlLineOfTheReplacedDocumentWorks(t *testing.T) {
	const (
		post    = `curl -s -X POST -H "Content-Type: application/json" `
		servers = `curl -s $API/backends/$BACKEND/servers | `
		done    = `\{"success":true,"status_code":200,"message":"[^"]*\\"%\\"[^"]*","data":\{"instance":"prod","backend":"myapp","server":"web01","action":"%","status":"completed","changed":true\}\}`
		two     = `\{"success":true,"status_code":200,"data":\{"instance":"prod","backend":"myapp","servers":\[\{"name":"web01".*\},\{"name":"web02".*\}\],"count":2\}\}`
		lists   = `\{"success":true,"status_code":200,"data":\{"instance":"prod","backends":\["api","myapp"\],"count":2\}\}`
	)
	did := func(action string) string { return strings.ReplaceAll(done, "%", action) }
	act := func(path, action string) string {
		return post + `-d '{"action": "` + action + `"}' ` + path
	}
	const byDefault, byName = "$API/backends/$BACKEND/servers/$SERVER/action", "$API/$INSTANCE/backends/$BACKEND/servers/$SERVER/action"
	lines := []struct{ name, line, want string }{
		{"ping", `curl -s http://$HOST/ping`, `\{"status":"ok"\}`},
		{"instances", `curl -s $API/instances`, `\{"success":true,"status_code":200,"data":\{"instances":\[\{"name":"prod","socket_path":"/.*","available":true\},\{"name":"gone","socket_path":"/nonexistent/s","available":false\}\],"count":2\}\}`},
		{"backends", `curl -s $API/backends`, lists},
		{"backends of an instance", `curl -s $API/$INSTANCE/backends`, lists},
		{"servers", `curl -s $API/backends/$BACKEND/servers`, two},
		{"servers of an instance", `curl -s $API/$INSTANCE/backends/$BACKEND/servers`, two},

		{"drain", act(byDefault, "drain"), did("drain")},
		{"ready", act(byDefault, "ready"), did("ready")},
		{"maint", act(byDefault, "maint"), did("maint")},
		{"ready in an instance", act(byName, "ready"), did("ready")},
		{"drain in an instance", act(byName, "drain"), did("drain")},
		{"maint in an instance", act(byName, "maint"), did("maint")},
		{"the old form", act(strings.Replace(byName, "$API", "http://$HOST/api/v1/control/haproxy", 1), "ready"), did("ready")},

		{"names of instances", `curl -s $API/instances | jq -r '.data.instances[].name'`, "prod\ngone"},
		{"those that answer", `curl -s $API/instances | jq -r '.data.instances[] | select(.available == true) | .name'`, "prod"},
		{"instances in a line each", `curl -s $API/instances | jq -r '.data.instances[] | "\(.name): \(.socket_path) - \(if .available then "yes" else "no" end)"'`, "prod: /.* - yes\ngone: /nonexistent/s - no"},
		{"names of backends, quoted", `curl -s $API/backends | jq '.data.backends[]'`, "\"api\"\n\"myapp\""},
		{"names of backends", `curl -s $API/backends | jq -r '.data.backends[]'`, "api\nmyapp"},
		{"names of servers", servers + `jq -r '.data.servers[].name'`, "web01\nweb02"},
		{"names and states", servers + `jq -r '.data.servers[] | "\(.name): \(.status)"'`, "web01: UP\nweb02: UP"},
		{"those that are up", servers + `jq -r '.data.servers[] | select(.status == "UP") | .name'`, "web01\nweb02"},
		{"those that aren't", servers + `jq -r '.data.servers[] | select(.status != "UP") | "\(.name): \(.status)"'`, ""},
		{"one server", servers + `jq -r ".data.servers[] | select(.name == \"$SERVER\") | .status"`, "UP"},
		{"how many are up", servers + `jq '[.data.servers[] | select(.status == "UP")] | length'`, "2"},
		{"how many in each state", servers + `jq -c '.data.servers | group_by(.status) | map({status: .[0].status, count: length})'`, `\[\{"status":"UP","count":2\}\]`},
		{
			"the loop over all backends", `for backend in $(curl -s $API/backends | jq -r '.data.backends[]'); do
				echo "Backend: $backend"
				curl -s $API/backends/$backend/servers | jq -c '.data.servers[] | {name, status}'
			done`,
			"Backend: api\n\\{\"name\":\"a1\",\"status\":\"UP\"\\}\n\\{\"name\":\"a2\",\"status\":\"UP\"\\}\nBackend: myapp\n\\{\"name\":\"web01\",\"status\":\"UP\"\\}\n\\{\"name\":\"web02\",\"status\":\"UP\"\\}",
		},
		{
			"a line for each backend", `for backend in $(curl -s $API/backends | jq -r '.data.backends[]'); do
				echo "$backend: $(curl -s $API/backends/$backend/servers | jq -r '[.data.servers[] | .status] | group_by(.) | map("\(.[0])=\(length)") | join(", ")')"
			done`,
			"api: UP=2\nmyapp: UP=2",
		},
		{
			"all that are up, drained: the last one stays", servers + `jq -r '.data.servers[] | select(.status == "UP") | .name' |
				xargs -I {} ` + post + `-d '{"action": "drain"}' $API/backends/$BACKEND/servers/{}/action | jq -c '[.status_code, .guard]'`,
			"\\[200,null\\]\n\\[409,\"min_serving\"\\]",
		},
		{
			"all that aren't up, brought back", servers + `jq -r '.data.servers[] | select(.status != "UP") | .name' |
				xargs -I {} ` + post + `-d '{"action": "ready"}' $API/backends/$BACKEND/servers/{}/action | jq -r .message`,
			`server web01 is in state "ready" now`,
		},
		{
			"one after the other", `for server in $(curl -s $API/backends/$BACKEND/servers | jq -r '.data.servers[].name'); do
				for action in drain ready; do
					` + post + `-d '{"action": "'$action'"}' $API/backends/$BACKEND/servers/$server/action | jq -r .data.status
				done
			done`,
			"completed\ncompleted\ncompleted\ncompleted",
		},
		{
			"those whose name fits", servers + `jq -r '.data.servers[] | select(.name | test("web0[13]")) | .name' |
				xargs -I {} ` + post + `-d '{"action": "ready"}' $API/backends/$BACKEND/servers/{}/action | jq .success`,
			"true",
		},
		{"whether it answers", `curl -f -s $API/backends > /dev/null && echo up || echo down`, "up"},
		{"whether one that is gone answers", `curl -f -s $API/gone/backends > /dev/null && echo up || echo down`, "down"},
		{
			"code and error apart", `response=$(curl -s -w "\n%{http_code}" $API/gone/backends)
				echo "$(tail -n1 <<<"$response") $(head -n-1 <<<"$response" | jq -r .error)"`,
			"503 HAProxy gone can't be reached: .*no such file or directory",
		},
		{"the header alone", `curl -sI $API/backends | head -1 | tr -d '\r'`, "HTTP/1.1 200 OK"},
		{"with the time it took", `curl -s -o /dev/null -w "%{http_code} %{time_total}" $API/backends`, `200 [0-9.]+`},
		{"tried again", `curl -s --retry 3 --retry-delay 2 $API/backends`, lists},
		{"as CSV", servers + `jq -r '.data.servers[] | "\(.name),\(.status),\(.addr)"'`, "web01,UP,127.0.0.1:[0-9]+\nweb02,UP,127.0.0.1:[0-9]+"},
		{"in Russian", post + `-H 'Accept-Language: ru' -d '{"action": "drain"}' $API/backends/$BACKEND/servers/nope/action | jq -r .error`, `не найден сервер: "myapp/nope"`},
		{"waiting for sessions to end", servers + `jq -e '.data.servers[] | select(.name == "web01") | .sessions == 0'`, "true"},
	}
	member := hanging(t) // it takes connections, which is all that its check wants
	server := " " + member + " check inter 100ms rise 1\n"
	lb := haproxytest.StartReal(t, "backend myapp\n server web01"+server+" server web02"+server+"backend api\n server a1"+server+" server a2"+server)
	api := startAPI(t, "HAPROXY_INSTANCES=prod="+lb.Socket+",gone=/nonexistent/s")
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			for _, backend := range []string{"myapp", "api"} { // back from maint a server waits for its first check
				api.awaits(t, apiRoot+"/backends/"+backend+"/servers", func(_ int, a apiAnswer) bool {
					ready := 0
					for _, s := range a.Data.Servers {
						if s.Status == "UP" || s.Admin != 0 {
							ready++
						}
					}
					return ready == 2
				})
			}
			host := strings.TrimPrefix(api.url, "http://")
			cmd := exec.CommandContext(t.Context(), "bash", "-uc", l.line)
			cmd.Env = append(os.Environ(), "HOST="+host, "API="+api.url+apiRoot, "INSTANCE=prod", "BACKEND=myapp", "SERVER=web01", "no_proxy=127.0.0.1")
			var problems bytes.Buffer
			cmd.Stderr = &problems
			out, err := cmd.Output()
			got := strings.TrimSpace(string(out))
			if err != nil || !regexp.MustCompile(`^(?:`+l.want+`)$`).MatchString(got) {
				t.Errorf("%s\nprints %s\nwant %s\n%v %s", l.line, got, l.want, err, problems.String())
			}
		})
	}
}
