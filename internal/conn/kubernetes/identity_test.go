package kubernetes

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/servertest"
)

// review is how the API server says who asks.
type review struct {
	Meta   `json:"metadata"`
	Status struct {
		UserInfo struct{ Username string }
	} `json:"status"`
}

func (r *review) ObjectMeta() *Meta { return &r.Meta }

func whoami(t *testing.T, c *Conn) (string, error) {
	r, err := Create(t.Context(), c, Resource{Group: "authentication.k8s.io", Version: "v1", Plural: "selfsubjectreviews"}, &review{})
	if err != nil {
		return "", err
	}
	return r.Status.UserInfo.Username, nil
}

// kubeconfigText is a file with one context for each user.
func kubeconfigText(k *servertest.KubeServer, users map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Config\ncurrent-context: token\nclusters:\n- name: c\n  cluster: {server: %q, certificate-authority: %q}\n", k.URL(), k.CAFile())
	b.WriteString("users:\n")
	for name, user := range users {
		fmt.Fprintf(&b, "- name: %s\n  user: %s\n", name, user)
	}
	b.WriteString("contexts:\n")
	for name := range users {
		fmt.Fprintf(&b, "- name: %s\n  context: {cluster: c, user: %s, namespace: of-%s}\n", name, name, name)
	}
	return b.String()
}

func plugin64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAKubeconfigSaysWhoAsks(t *testing.T) {
	t.Parallel()
	k := servertest.SharedKubernetes(t)
	ns := k.Namespace(t)
	service := k.Token(t, ns, "robot")
	robot := "system:serviceaccount:" + ns + ":robot"
	cert, key := k.ClientCert()
	says := func(status string) string {
		return file(t, "plugin", "#!/bin/sh\ncat <<END\n{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":"+status+"}\nEND\n")
	}
	quote := func(path string) string { return strings.ReplaceAll(contents(t, path), "\n", `\n`) }
	exec := func(command string) string {
		return fmt.Sprintf("{exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, interactiveMode: Never}}", command)
	}
	users := map[string]string{
		"token":    fmt.Sprintf("{token: %q}", service),
		"file":     fmt.Sprintf("{tokenFile: %q}", file(t, "token", service+"\n")),
		"cert":     fmt.Sprintf("{client-certificate: %q, client-key: %q}", cert, key),
		"data":     fmt.Sprintf("{client-certificate-data: %q, client-key-data: %q}", plugin64(contents(t, cert)), plugin64(contents(t, key))),
		"exec":     exec(says(`{"token":"` + service + `","expirationTimestamp":"2099-01-01T00:00:00Z"}`)),
		"execcert": exec(says(`{"clientCertificateData":"` + quote(cert) + `","clientKeyData":"` + quote(key) + `"}`)),
		"as":       fmt.Sprintf("{token: %q, as: someone}", servertest.KubeAdmin),
		"wrong":    "{token: wrong}",
		"badexec":  exec(says(`{"token":"wrong"}`)),
		"failing":  exec(file(t, "failing", "#!/bin/sh\nexit 3\n")),
		"empty":    exec(says(`{}`)),
		"nobody":   "{}",
	}
	path := file(t, "kubeconfig", kubeconfigText(k, users))
	for name, want := range map[string]string{
		"": robot, "token": robot, "file": robot, "cert": "client", "data": "client", "exec": robot, "execcert": "client", "as": "someone",
		"wrong": "", "badexec": "", "failing": "", "empty": "", "nobody": "",
	} {
		addr := "kubeconfig:" + path
		if name != "" {
			addr += "?context=" + name
		}
		c, err := Open(Config{Address: addr})
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		who, err := whoami(t, c)
		if want == "" {
			is(t, name, err, fault.Denied)
			if !errors.Is(c.Ping(t.Context()), fault.Denied) && name != "nobody" {
				t.Errorf("%s: Ping is not refused", name)
			}
		} else if err != nil || who != want {
			t.Errorf("%s: got %q, %v, want %q", name, who, err, want)
		}
		if ns := "of-" + name; name != "" && c.Namespace() != ns {
			t.Errorf("namespace %q, want %q", c.Namespace(), ns)
		}
		c.Close()
	}
}

func TestWhatAKubeconfigMustNotSay(t *testing.T) {
	t.Parallel()
	ok := "apiVersion: v1\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n"
	open := func(text, query string) error {
		c, err := Open(Config{Address: "kubeconfig:" + file(t, "config", text) + query})
		if err == nil {
			c.Close()
		}
		return err
	}
	for what, c := range map[string]struct{ old, new, query string }{
		"fine":                      {"", "", ""},
		"no such context":           {"", "", "?context=b"},
		"an unknown parameter":      {"", "", "?token=hunter2"},
		"a namespace that is none":  {"", "", "?namespace=A_B"},
		"no context":                {"current-context: a", "", ""},
		"no such cluster":           {"cluster: c,", "cluster: d,", ""},
		"no such user":              {"user: u}", "user: v}", ""},
		"a server that is none":     {"https://127.0.0.1:1", "ftp://bob:hunter2@127.0.0.1", ""},
		"basic authentication":      {"user: {}", "user: {username: bob, password: hunter2}", ""},
		"an auth provider":          {"user: {}", "user: {auth-provider: {name: gcp}}", ""},
		"an old plugin":             {"user: {}", "user: {exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}", ""},
		"a plugin with a terminal":  {"user: {}", "user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}}", ""},
		"a token with a line break": {"user: {}", `user: {token: "hunter2\nX: y"}`, ""},
		"a token in clear":          {"https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}", "http://192.0.2.1:1'}}]\nusers: [{name: u, user: {token: hunter2}", ""},
		"a certificate with no key": {"user: {}", "user: {client-certificate-data: aHVudGVyMg==}", ""},
		"an authority and insecure": {"server:", "insecure-skip-tls-verify: true, certificate-authority-data: aHVudGVyMg==, server:", ""},
		"no YAML":                   {"apiVersion: v1", "apiVersion: [hunter2", ""},
		"a list for a name":         {"current-context: a", "current-context: [hunter2]", ""},
	} {
		err := open(strings.Replace(ok, c.old, c.new, 1), c.query)
		if (err == nil) != (what == "fine") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Open(Config{Address: "kubeconfig:" + filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// The files of $KUBECONFIG are read when the program asks, and the first to name
// something is right.
func TestKubeconfigsAreMerged(t *testing.T) {
	k := servertest.SharedKubernetes(t)
	first := file(t, "one", "current-context: b\nusers: [{name: u, user: {token: "+servertest.KubeAdmin+"}}]\n")
	second := file(t, "two", kubeconfigText(k, map[string]string{"u": "{token: wrong}", "b": "{token: wrong}"})+"- name: b\n  context: {cluster: c, user: u}\n")
	text := strings.Replace(contents(t, second), "- name: b\n  context: {cluster: c, user: b, namespace: of-b}\n", "", 1)
	err := os.WriteFile(second, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", strings.Join([]string{first, filepath.Join(t.TempDir(), "none"), second}, string(os.PathListSeparator)))
	c, err := Open(Config{Address: "kubeconfig:"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if who, err := whoami(t, c); err != nil || who != "admin" {
		t.Errorf("got %q, %v, want admin", who, err)
	}
}

// A pod has its identity in files, whose token is replaced while it runs.
func TestAPodsTokenIsReadAgainWhenItIsRefused(t *testing.T) {
	k := servertest.SharedKubernetes(t)
	ns := k.Namespace(t)
	dir := t.TempDir()
	put := func(name, text string) {
		err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(Config{Address: "in-cluster", pod: dir}); !errors.Is(err, fault.Invalid) {
		t.Errorf("outside: %v", err)
	}
	host, port, _ := net.SplitHostPort(k.Addr())
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	put("namespace", ns)
	put("ca.crt", contents(t, k.CAFile()))
	if _, err := Open(Config{Address: "in-cluster", pod: dir}); !errors.Is(err, fault.Invalid) {
		t.Errorf("without a token: %v", err)
	}
	put("token", "old")
	c, err := Open(Config{Address: "in-cluster", pod: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = whoami(t, c)
	is(t, "a token that has expired", err, fault.Denied)
	put("token", k.Token(t, ns, "pod"))
	if who, err := whoami(t, c); err != nil || who != "system:serviceaccount:"+ns+":pod" {
		t.Errorf("after the token was replaced: %q, %v", who, err)
	}
	if c.Namespace() != ns {
		t.Errorf("namespace %q, want %q", c.Namespace(), ns)
	}
	put("token", "") // half written
	if _, err := whoami(t, c); err != nil {
		t.Errorf("while the token is written: %v", err)
	}
	c2, err := Open(Config{Address: "kubernetes://in-cluster?namespace=other", pod: dir, Token: servertest.KubeAdmin})
	if err == nil {
		t.Error("a pod without a token")
		c2.Close()
	}
}

// A plugin runs once for as long as its answer is good, and again after a refusal.
func TestAPluginIsRunWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	k := servertest.SharedKubernetes(t)
	ns := k.Namespace(t)
	runs, answer := filepath.Join(t.TempDir(), "runs"), filepath.Join(t.TempDir(), "answer")
	command := file(t, "plugin", fmt.Sprintf("#!/bin/sh\necho \"$KUBERNETES_EXEC_INFO\" >> %s\ncat %s\n", runs, answer))
	say := func(token string, expires time.Duration) {
		text := fmt.Sprintf(`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":%q,"expirationTimestamp":%q}}`, token, time.Now().Add(expires).Format(time.RFC3339))
		err := os.WriteFile(answer, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	path := file(t, "kubeconfig", kubeconfigText(k, map[string]string{"token": fmt.Sprintf("{exec: {apiVersion: client.authentication.k8s.io/v1, command: %q, provideClusterInfo: true}}", command)}))
	c, err := Open(Config{Address: "kubeconfig:" + path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	count := func(want int) {
		t.Helper()
		if got := strings.Count(contents(t, runs), "ExecCredential"); got != want {
			t.Errorf("the plugin ran %d times, want %d", got, want)
		}
	}
	say(k.Token(t, ns, "robot"), time.Hour)
	for range 3 {
		if _, err := whoami(t, c); err != nil {
			t.Fatal(err)
		}
	}
	count(1)
	if info := contents(t, runs); !strings.Contains(info, k.URL()) || !strings.Contains(info, "certificate-authority-data") {
		t.Errorf("it was told %s", info)
	}
	p := c.creds.(*plugin)
	p.mu.Lock()
	p.bearer, p.asked = "refused", time.Now().Add(-time.Minute)
	p.mu.Unlock()
	if _, err := whoami(t, c); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	count(2)
	p.mu.Lock()
	p.expires = time.Now().Add(pluginMargin / 2)
	p.mu.Unlock()
	if _, err := whoami(t, c); err != nil {
		t.Errorf("after it expired: %v", err)
	}
	count(3)
}
